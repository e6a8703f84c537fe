"""Ragged columns outside pandas: Arrow, polars, and a dask cluster."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from dask.dataframe.extensions import make_array_nonempty
from distributed import Client

from nwb_dask.adapters.ragged_dtype import NWBArray, NWBDtype
from tests.adapters.ragged_cases import CASES, make, plain

make_array_nonempty.register(NWBDtype)(NWBArray.nonempty)


def test_arrow_and_polars_take_the_rows_without_a_copy() -> None:
    values = pa.array(np.arange(4.0))
    array = NWBArray(pa.LargeListArray.from_arrays(pa.array([0, 2, 4]), values))
    assert pa.array(array).values.buffers()[1].address == values.buffers()[1].address
    table = pa.Table.from_pandas(pd.DataFrame({"x": array}))
    assert table.schema.field("x").type == pa.large_list(pa.float64())
    assert pl.DataFrame(table)["x"].to_list() == [[0.0, 1.0], [2.0, 3.0]]


def every_case(repeats: int) -> pd.DataFrame:
    columns = {case: NWBArray._concat_same_type([make(case)] * repeats) for case in CASES}
    return pd.DataFrame({"key": np.arange(4 * repeats) * 7 % 5, "row": np.arange(4 * repeats), **columns})


@pytest.mark.parametrize("method", ["tasks", "p2p"])
def test_shuffle_on_a_cluster_keeps_dtypes_and_rows(client: Client, method: str) -> None:
    frame = every_case(6)
    shuffled = dd.from_pandas(frame, npartitions=3).shuffle("key", shuffle_method=method).compute()
    assert shuffled.dtypes.equals(frame.dtypes)
    pd.testing.assert_frame_equal(shuffled.sort_values("row", ignore_index=True), frame)


def test_merge_on_a_cluster_keeps_dtypes_and_rows(client: Client) -> None:
    frame = every_case(6)
    other = pd.DataFrame({"row": np.arange(20, 30), "n": 1})
    lazy = dd.from_pandas(frame, npartitions=3).merge(
        dd.from_pandas(other, npartitions=2), on="row", how="outer", shuffle_method="p2p"
    )
    merged = lazy.compute().sort_values("row", ignore_index=True)
    expected = frame.merge(other, on="row", how="outer").sort_values("row", ignore_index=True)
    pd.testing.assert_frame_equal(merged, expected)


def test_set_index_sort_groupby_and_explode_run_on_a_cluster(client: Client) -> None:
    frame = pd.DataFrame({"key": [3, 1, 2, 1], "x": make("large_list")})
    lazy = dd.from_pandas(frame, npartitions=2)
    assert plain(lazy.set_index("key").compute()["x"].array) == plain(
        frame.sort_values("key", kind="stable")["x"].array
    )
    assert lazy["x"].explode().sum().compute() == 6.5
    sums = lazy.groupby("key")["x"].apply(lambda x: x.explode().sum(), meta=("x", "f8")).compute()
    assert sums.sort_index().to_list() == [5.0, 0.0, 1.5]
