"""A document that refers to another file, to begin with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nwb_dask.amending.draft import Draft
from nwb_dask.amending.output import open_output, output_path
from nwb_dask.testing.files import write_session


@pytest.fixture
def document() -> dict[str, Any]:
    """A table of three units, whose spikes are in another file."""
    numbers = {"zarr_format": 2, "order": "C", "filters": None, "compressor": None, "fill_value": 0}
    return {
        "templates": {"u1": "https://example.org/a.nwb"},
        "version": 1,
        "refs": {
            ".zgroup": {"zarr_format": 2},
            ".zattrs": {"object_id": "file", "neurodata_type": "NWBFile"},
            "units/.zgroup": {"zarr_format": 2},
            "units/.zattrs": {"object_id": "units", "colnames": ["spike_times"]},
            "units/id/.zarray": {**numbers, "shape": [3], "chunks": [3], "dtype": "<i8"},
            "units/id/0": "base64:AAAAAAAAAAABAAAAAAAAAAIAAAAAAAAA",
            "units/spike_times/.zarray": {**numbers, "shape": [100], "chunks": [100], "dtype": "<f8"},
            "units/spike_times/0": ["{{u1}}", 2048, 800],
        },
    }


@pytest.fixture(params=["x.lindi.tar", "x.lindi.d"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where additions go."""
    return tmp_path / str(request.param)


@pytest.fixture
def begin(document: dict[str, Any]) -> Iterator[Callable[[Path], Draft]]:
    """Open an output: what is there, or the document."""
    opened = []

    def open_draft(path: Path) -> Draft:
        output = open_output(output_path(path))
        opened.append(output)
        return Draft(output.document or document, output)

    yield open_draft
    for output in opened:
        output.close()


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session that no test changes."""
    path = tmp_path_factory.mktemp("original") / "session.nwb"
    return write_session(path, n_units=6, spikes_per_unit=400, n_trials=4, n_samples=2000, n_electrodes=3)


@pytest.fixture
def session(written: Path, tmp_path: Path) -> Iterator[Path]:
    """A session in the folder of the test, of which no byte changes."""
    path = tmp_path / "session.nwb"
    path.write_bytes(written.read_bytes())
    before, status = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns
    yield path
    assert (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) == (before, status)
