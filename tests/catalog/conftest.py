"""An HDF5 file of a session and what h5py knows of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from nwb_dask.backends.known import Known
from nwb_dask.catalog import IndexCache
from tests.catalog.knowledge import URL, read_knowledge


@pytest.fixture(scope="session")
def session_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of twelve tables of 9 columns, and what is between them."""
    path = tmp_path_factory.mktemp("session") / "session.nwb"
    random = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.8.0"
        file["identifier"] = "session"
        for number in range(12):
            table = file.create_group(f"intervals/table_{number}" if number else "units")
            names = [f"column_{i}" for i in range(8)]
            table.attrs.update({"neurodata_type": "DynamicTable", "namespace": "core", "colnames": names})
            for i, name in enumerate(names):
                values = random.normal(size=200) if i % 3 else np.array([f"text {j % 7}" for j in range(200)], object)
                column = table.create_dataset(name, data=values, chunks=(50,), compression="gzip" if i % 2 else None)
                column.attrs.update(
                    {"description": f"column {i}", "neurodata_type": "VectorData", "object_id": f"{i:036}"}
                )
            index = table.create_dataset("column_1_index", data=np.arange(200, dtype=np.uint16))
            index.attrs["target"] = table["column_1"].ref
        series = file.create_dataset("acquisition/lfp", shape=(200_000, 4), dtype="<i2", chunks=(500, 4))
        series[:] = 1
    return path


@pytest.fixture(scope="session")
def knowledge(session_file: Path) -> Callable[[], Known]:
    """Gives everything about the file, anew at each call."""
    read = read_knowledge(session_file, URL)

    def copy() -> Known:
        parts, manifests = dict(read.parts), dict(read.manifests)
        return replace(read, parts=parts, manifests=manifests, values=dict(read.values), paths=dict(read.paths))

    return copy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "cache" / "index"


@pytest.fixture
def cache(folder: Path) -> IndexCache:
    return IndexCache(folder)
