"""A small HDF5 file with text, references, links, chunks and compounds, behind a server that counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from nwb_dask.testing import RangeServer


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("h5") / "session.h5"
    random = np.random.default_rng(0)
    with h5py.File(found, "w") as file:
        table = file.create_group("table")
        for name in ("a", "b", "c", "d"):
            table.create_dataset(name, data=random.normal(size=8000))
        table.create_dataset("text", data=[f"row {number}" * 9 for number in range(8000)])
        file.create_dataset("series", data=random.integers(0, 99, (60_000, 16), np.int16), chunks=(4096, 8), **GZIP)
        file.create_dataset("plain", data=random.normal(size=400_000))
        file["pointer"] = table["a"].ref
        file["pointers"] = np.array([table["a"].ref, table.ref], dtype=h5py.ref_dtype)
        file["mixed"] = np.array([(1, table.ref), (2, table["b"].ref)], dtype=[("n", "i4"), ("r", h5py.ref_dtype)])
        file["soft"] = h5py.SoftLink("/table/b")
        file["nowhere"] = h5py.SoftLink("/absent")
        file["elsewhere"] = h5py.ExternalLink("session.h5", "/table")
        file.attrs["title"] = "a session"
    return found


GZIP = {"compression": "gzip", "shuffle": True}


@pytest.fixture
def server(path: Path) -> Iterator[RangeServer]:
    with RangeServer(path.parent) as server:
        yield server
