"""The sessions of blocks are valid NWB, and hold what they are said to hold."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from pynwb import NWBHDF5IO, validate

from nwb_dask.testing.performance_sessions import session_values, write_performance_sessions


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_performance_sessions(tmp_path_factory.mktemp("performance"), 5, n_units=12, spikes_per_unit=50)


def test_pynwb_finds_nothing_wrong(paths: list[Path]) -> None:
    assert validate(path=paths[-1]) == []


@pytest.mark.parametrize("number", [0, 3])
def test_pynwb_reads_the_values_of_each_session(paths: list[Path], number: int) -> None:
    values = session_values(number, n_units=12, spikes_per_unit=50)
    with NWBHDF5IO(paths[number], "r") as io:
        file = io.read()
        assert file.session_start_time.isoformat() == values["/"]["session_start_time"]
        assert file.timestamps_reference_time == file.session_start_time
        assert file.subject.age == values["/general/subject"]["age"]
        assert file.subject.genotype == values["/general/subject"]["genotype"]
        assert tuple(file.keywords[:]) == values["/general"]["keywords"]
        units = file.units.to_dataframe()
        ends = values["/units"]["spike_times_index"]
        for read, written in zip(units.spike_times, np.split(values["/units"]["spike_times"], ends[:-1]), strict=True):
            assert np.array_equal(read, written)
            assert (np.diff(read) >= 0).all()
        assert np.array_equal(np.concatenate(list(units.obs_intervals)), values["/units"]["obs_intervals"])
        assert [list(rows.index) for rows in units.electrodes] == values["/units"]["electrodes"].reshape(-1, 2).tolist()
        assert list(units.location) == values["/units"]["location"]
        for table in ("trials", "performance"):
            frame = file.intervals[table].to_dataframe()
            for name, column in values[f"/intervals/{table}"].items():
                assert frame[name].equals(pd.Series(column, index=frame.index, name=name))


def test_spikes_are_within_the_observed_time(paths: list[Path]) -> None:
    with NWBHDF5IO(paths[3], "r") as io:
        units = io.read().units.to_dataframe()
    assert {float(rows[0, 1]) for rows in units.obs_intervals} == {360.0, 720.0}
    for times, observed in zip(units.spike_times, units.obs_intervals, strict=True):
        assert observed[0, 0] <= times.min()
        assert times.max() <= observed[0, 1]


def test_no_two_objects_have_the_same_id(paths: list[Path]) -> None:
    ids = []
    for path in paths:
        with h5py.File(path) as file:
            names = ["/"]
            file.visit(names.append)
            ids += [file[name].attrs["object_id"] for name in names if "object_id" in file[name].attrs]
    assert len(set(ids)) == len(ids) > 200


def test_a_session_is_the_same_whatever_else_is_written(paths: list[Path], tmp_path: Path) -> None:
    *_, last = write_performance_sessions(tmp_path, 3, n_units=12, spikes_per_unit=50)
    with h5py.File(paths[2]) as one, h5py.File(last) as other:
        assert np.array_equal(one["/units/spike_times"], other["/units/spike_times"])
