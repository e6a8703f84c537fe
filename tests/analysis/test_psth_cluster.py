"""Rates computed by workers in other processes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from distributed import Client

import nwb_dask.dataframe as dd
from nwb_dask.analysis import psth, spikes_in_intervals
from tests.analysis.rates import ASK, check, expected_rates
from tests.analysis.sessions import Session


def test_workers_give_the_same_rates(client: Client, files: list[Path], sessions: list[Session]) -> None:
    expected = expected_rates(sessions, "response_time", ["condition"])
    units, trials = dd.read_nwb(files, "/units"), dd.read_nwb(files, "/intervals/trials")
    check(psth(units, trials, **ASK).compute(), expected)
    check(psth(units, trials.repartition(npartitions=1), **ASK).compute(), expected)
    check(psth(units.persist(), trials.persist().repartition(npartitions=1), **ASK).compute(), expected)


def test_workers_keep_spikes_in_intervals(client: Client, files: list[Path]) -> None:
    units, trials = dd.read_nwb(files, "/units"), dd.read_nwb(files, "/intervals/trials")
    expected = spikes_in_intervals(units.compute(), trials.compute())
    pd.testing.assert_frame_equal(spikes_in_intervals(units, trials).compute(), expected)
