"""Rates computed by workers in other processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from distributed import Client, LocalCluster

import nwb_dask.dataframe as dd
from nwb_dask.analysis import psth, spikes_in_intervals
from tests.analysis.rates import ASK, check, expected_rates
from tests.analysis.sessions import Session


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as one,
    ):
        yield one


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
