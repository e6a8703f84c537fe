"""Building an expression, looking at it and optimizing it computes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.dataframe as dd
import pandas as pd
import pytest

from nwb_dask.adapters.dask_frame import frame_of_scan
from tests.adapters.dask_frame.memory import Memory, make_scan

BUILDS: dict[str, Callable[[Any], Any]] = {
    "filter": lambda d: d[(d.x > 1) & d.quality.isin(["good"])].spike_times,
    "query": lambda d: d.query("x > 1")[["id"]],
    "loc": lambda d: d.loc[d.x > 1, ["id", "waveform"]],
    "reduction": lambda d: d[d.x > d.x.mean()].rate.sum(),
    "groupby": lambda d: d[d.x > 1].groupby("name").rate.mean(),
    "merge": lambda d: d[["id", "x"]].merge(d[["id", "rate"]], on="id"),
    "head": lambda d: d[d.x > 1].head(3, compute=False),
    "partitions": lambda d: d.partitions[1:3],
    "assign": lambda d: d.assign(y=d.x + d.rate),
    "concat": lambda d: dd.concat([d, d[d.x > 1]]),
}


@pytest.mark.parametrize("build", BUILDS)
def test_building_and_optimizing_computes_nothing(
    frame: dd.DataFrame, memory: Memory, no_compute: None, build: str
) -> None:
    query = BUILDS[build](frame)
    assert repr(query)
    assert repr(query.optimize())
    assert query.optimize().__dask_graph__()
    assert memory.log == []


def test_looking_at_a_frame_computes_nothing(frame: dd.DataFrame, memory: Memory, no_compute: None) -> None:
    assert "npartitions=6" in repr(frame)
    assert frame._repr_html_()
    assert frame.npartitions == 6
    assert not frame.known_divisions
    assert list(frame.columns)[:2] == ["id", "x"]
    assert str(frame.nwb.explain())
    assert len(frame.nwb.report()) == 0
    assert memory.log == []


def test_dtypes_before_and_after_computing_agree(memory: Memory) -> None:
    frame = frame_of_scan(make_scan(memory, [5, 0, 3]))
    pd.testing.assert_series_equal(frame.dtypes, frame.compute().dtypes)
    empty = frame_of_scan(make_scan(memory, [0]))
    pd.testing.assert_series_equal(empty.dtypes, empty.compute().dtypes)
