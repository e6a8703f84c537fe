"""Zarr stores that change while they are read, and regions of them that lead nowhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.errors import MalformedFileError, SourceChangedError
from nwb_dask.testing.zarr_sessions import ZarrColumn, ZarrVersion, write_zarr_session, write_zarr_tables


@pytest.mark.parametrize("version", [2, 3])
def test_a_chunk_that_is_removed_after_the_plan_is_noticed(tmp_path: Path, version: ZarrVersion) -> None:
    path = write_zarr_session(tmp_path / "x.nwb.zarr", version, n_units=20, chunk_spikes=1000)
    frame, lazy = dd.read_nwb(path, "/units"), nwb_dask.scan_nwb(path, "/units")
    (path / "units/snr" / ("0" if version == 2 else "c/0")).unlink()
    with pytest.raises(SourceChangedError):
        frame.compute()
    with pytest.raises(SourceChangedError):
        lazy.collect()


@pytest.mark.parametrize("version", [2, 3])
def test_a_chunk_that_is_not_there_holds_fill_values(tmp_path: Path, version: ZarrVersion) -> None:
    depths = ZarrColumn(np.arange(1.0, 7.0), options={"chunks": (2,), "fill_value": -1.0})
    path = write_zarr_tables(tmp_path / "x.nwb.zarr", version, {"units": ("Units", {"depth": depths})})
    (path / "units/depth" / ("1" if version == 2 else "c/1")).unlink()
    expected = [1.0, 2.0, -1.0, -1.0, 5.0, 6.0]
    assert nwb_dask.read_table(path, "/units")["depth"].tolist() == expected
    kept = nwb_dask.scan_nwb(path, "/units").filter(pl.col("depth") < 0).select("id").collect()
    assert kept["id"].to_list() == [2, 3]


@pytest.mark.parametrize("row", [-1, 6])
def test_a_region_that_leads_out_of_its_table_names_the_row(tmp_path: Path, row: int) -> None:
    tables = {
        "sites": ("DynamicTable", {"x": ZarrColumn(np.arange(6.0))}),
        "units": ("Units", {"site": ZarrColumn(np.array([1, row, 0]), table="/sites")}),
    }
    path = write_zarr_tables(tmp_path / "x.nwb.zarr", 2, tables)
    with pytest.raises(MalformedFileError, match=f"'site' names row {row} of 6"):
        nwb_dask.read_table(path, "/units", resolve=["site"])
