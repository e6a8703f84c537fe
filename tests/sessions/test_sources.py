"""Functions over sessions of a catalog, and over one session in every container."""

from __future__ import annotations

from pathlib import Path

import h5py
import pandas as pd
import pytest

import nwb_dask
from tests.sessions.functions import count, last_spike

INTEROP = Path(__file__).parents[3] / "shared" / "data" / "interop"
CONTAINERS = ("session.nwb", "session_zarr2.nwb.zarr", "session_zarr3.nwb.zarr", "session.lindi.json")


def test_a_catalog_stands_for_its_sessions(sessions: Path, tmp_path: Path) -> None:
    nwb_dask.build_catalog(sessions, tmp_path / "catalog", progress=False)
    catalog = nwb_dask.open_catalog(tmp_path / "catalog")
    by_catalog = nwb_dask.map_sessions(count, catalog, client="threads")
    by_files = nwb_dask.map_sessions(count, sessions, client="threads")
    assert by_catalog.sources == by_files.sources
    assert by_catalog.keys == by_files.keys
    assert list(by_catalog.compute()["n"]) == [3, 4, 5]


@pytest.mark.skipif(not INTEROP.exists(), reason="the sessions in every container are not here")
@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_the_same(name: str, tmp_path: Path) -> None:
    original = INTEROP / "session.nwb"
    options = {"remap": {"http://127.0.0.1:8765/session.nwb": str(original)}}
    results = nwb_dask.map_sessions(last_spike, INTEROP / name, storage_options=options, client="threads")
    report = results.to_parquet(tmp_path / "out")
    assert (len(report.done), len(results.to_parquet(tmp_path / "out").skipped)) == (1, 1)
    with h5py.File(original) as file:
        assert pd.read_parquet(tmp_path / "out")["last"].tolist() == [file["units/spike_times"][:].max()]
