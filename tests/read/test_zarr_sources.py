"""Tables, series and metadata of Zarr stores are those of the same session as HDF5, from every engine."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from click.testing import CliRunner

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.cli.program import program
from nwb_dask.testing import RangeServer

INTEROP = Path(__file__).parents[3] / "shared/data/interop"
HDF5 = INTEROP / "session.nwb"
TWINS = ["session_zarr2.nwb.zarr", "session_zarr3.nwb.zarr"]
TABLES = ["/units", "/intervals/trials", "/intervals/performance", "/general/extracellular_ephys/electrodes"]

pytestmark = pytest.mark.skipif(not HDF5.exists(), reason=f"NO SESSION at {INTEROP}: the containers are not compared")


def bare(frame: Any) -> Any:
    """Return rows without the name of their file."""
    return frame.drop("_nwb_path") if isinstance(frame, pl.DataFrame) else frame.drop(columns="_nwb_path")


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest) -> str:
    return str(INTEROP / request.param)


@pytest.mark.parametrize("table", TABLES)
def test_tables_are_those_of_the_hdf5_file(twin: str, table: str) -> None:
    expected = bare(nwb_dask.read_table(str(HDF5), table, engine="pandas"))
    pd.testing.assert_frame_equal(bare(nwb_dask.read_table(twin, table, engine="pandas")), expected)
    pd.testing.assert_frame_equal(bare(dd.read_nwb(twin, table).compute()), expected)
    polars = bare(nwb_dask.scan_nwb(twin, table).collect())
    assert polars.equals(bare(nwb_dask.scan_nwb(str(HDF5), table).collect()))


def test_a_filter_reads_the_same_spikes(twin: str) -> None:
    def spikes(source: str) -> Any:
        units = dd.read_nwb(source, "/units")
        return units[units.snr > 0.5][["unit_id", "spike_times"]].compute()

    pd.testing.assert_frame_equal(spikes(twin), spikes(str(HDF5)))


def test_files_of_both_kinds_are_one_table(twin: str) -> None:
    found = nwb_dask.read_table([str(HDF5), twin], "/units", engine="pandas")
    assert found["_nwb_path"].tolist() == [str(HDF5)] * 20 + [twin] * 20
    pd.testing.assert_frame_equal(bare(found[:20]), bare(found[20:]).reset_index(drop=True), check_index_type=False)


@pytest.mark.parametrize("name", ["lfp", "lick_sensor_events", "running_speed"])
def test_series_are_those_of_the_hdf5_file(twin: str, name: str) -> None:
    found, expected = (nwb_dask.open_timeseries(source, name) for source in (twin, str(HDF5)))
    assert found.dims == expected.dims
    assert found.attrs == expected.attrs
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found["time"].values, expected["time"].values)
    part = found.isel(time=slice(11, 40, 3)).values
    np.testing.assert_array_equal(part, expected.values[11:40:3])


def test_what_describes_the_session_is_that_of_the_hdf5_file(twin: str) -> None:
    found = nwb_dask.read_metadata([str(HDF5), twin])
    differ = [name for name in found.columns if str(found[name].iloc[0]) != str(found[name].iloc[1])]
    assert differ == ["_nwb_path"]
    here, there = (nwb_dask.open_nwb(source) for source in (twin, str(HDF5)))
    assert str(here).replace(twin, str(HDF5)).splitlines()[2:] == str(there).splitlines()[2:]


def test_the_command_line_reads_them(twin: str) -> None:
    def rows(command: str, source: str) -> list[dict[str, Any]]:
        found = CliRunner().invoke(program, [command, source, "--format", "json"], prog_name="nwb-dask")
        assert found.exit_code == 0, found.output
        listed: list[dict[str, Any]] = json.loads(found.output)
        return [{key: value for key, value in row.items() if value != source} for row in listed]

    for command in ("info", "tables", "metadata"):
        assert rows(command, twin) == rows(command, str(HDF5))


@pytest.mark.parametrize("table", ["/units", "/intervals/performance"])
def test_a_remote_store_is_read_once(twin: str, table: str) -> None:
    expected = bare(nwb_dask.read_table(str(HDF5), table, engine="pandas"))
    with RangeServer(INTEROP) as server:
        url = server.url(Path(twin).name)
        first = nwb_dask.read_table(url, table, engine="pandas")
        counts = Counter(one.path for one in server.log)
        server.reset()
        second = nwb_dask.read_table(url, table, engine="pandas")
        again = Counter(one.path for one in server.log)
    pd.testing.assert_frame_equal(bare(first), expected)
    pd.testing.assert_frame_equal(bare(second), expected)
    # Each chunk once, and the documents at the root; small values are known the second time.
    assert max(counts.values()) <= 2, counts
    assert sum(counts.values()) <= expected.shape[1] + 12
    assert sum(again.values()) <= 8, again
