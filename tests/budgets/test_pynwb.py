"""pynwb over `open_h5`: requests of a first run, and none of a second one in another process."""

from __future__ import annotations

import multiprocessing
import os
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pynwb
import pytest
from click.testing import CliRunner

import nwb_dask
from nwb_dask.cli.program import program
from nwb_dask.testing import RangeServer
from nwb_dask.testing.files import write_session

_YEAR = 365 * 86_400
_FIRST = 6
"""Requests of a first run: the head and the tail, what the structure leads to, spikes that are no small column."""


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """A session that was written a year ago, alone in its folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    path = write_session(folder / "a.nwb", n_units=40, spikes_per_unit=400, n_samples=40_000, n_electrodes=8)
    _age(path, _YEAR)
    return path


@pytest.fixture
def served(session: Path) -> Iterator[RangeServer]:
    with RangeServer(session.parent) as server:
        yield server


def _age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def look(source: str, folder: str) -> list[Any]:
    """Return what an analysis with pynwb sees of a session."""
    warnings.simplefilter("ignore")
    with (
        nwb_dask.options(chunk_cache="on", cache_dir=folder),
        pynwb.NWBHDF5IO(file=nwb_dask.open_h5(source), mode="r") as io,
    ):
        nwb = io.read()
        series = next(one for one in nwb.objects.values() if isinstance(one, pynwb.TimeSeries))
        spikes = [nwb.units["spike_times"][at].tolist() for at in range(0, len(nwb.units), 9)]
        trials = nwb.trials.to_dataframe()["start_time"].tolist()
        return [nwb.identifier, trials, spikes, np.asarray(series.data[100:1100]).tolist()]


def command(name: str) -> str:
    """Return what ``nwb-dask cache`` prints."""
    done = CliRunner().invoke(program, ["cache", name], prog_name="nwb-dask")
    assert done.exit_code == 0, done.output
    return done.output


def look_elsewhere(url: str, folder: Path, n_processes: int = 1) -> list[list[Any]]:
    """Return what processes see that have just begun, at once."""
    with ProcessPoolExecutor(n_processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(look, url, str(folder)) for _ in range(n_processes)]
        return [one.result(120) for one in running]


def test_a_second_process_of_an_analysis_with_pynwb_asks_for_nothing(
    served: RangeServer, session: Path, tmp_path: Path
) -> None:
    url, kept = served.url("a.nwb"), tmp_path / "kept"
    expected = look(str(session), str(tmp_path / "none"))
    assert look(url, str(kept)) == expected
    assert served.n_requests <= _FIRST
    served.reset()
    assert look_elsewhere(url, kept) == [expected]
    assert served.log == []
    with nwb_dask.options(cache_dir=kept):
        assert "chunks         1 " in command("info")
        command("clear")
        assert "chunks         0 " in command("info")
    assert look(url, str(kept)) == expected
    assert served.n_requests > 0


def test_a_session_that_changed_between_two_runs_is_read_anew(
    served: RangeServer, session: Path, tmp_path: Path
) -> None:
    url, kept = served.url("a.nwb"), tmp_path / "kept"
    before = look(url, str(kept))
    write_session(session, n_units=30, spikes_per_unit=300, n_samples=30_000, n_electrodes=4)
    _age(session, _YEAR / 2)
    with nwb_dask.options(chunk_cache_max_age=0):
        after = look(url, str(kept))
    assert after == look(str(session), str(tmp_path / "none")) != before


@pytest.mark.slow
def test_two_processes_that_fill_the_cache_at_once_see_the_same(
    served: RangeServer, session: Path, tmp_path: Path
) -> None:
    url, kept = served.url("a.nwb"), tmp_path / "kept"
    expected = look(str(session), str(tmp_path / "none"))
    assert look_elsewhere(url, kept, 2) == [expected, expected]
    served.reset()
    assert look_elsewhere(url, kept, 2) == [expected, expected]
    assert served.n_requests == 0
