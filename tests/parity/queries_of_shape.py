"""Questions beyond which rows are kept: columns, order, counts, groups and lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from .queries import Query, c

BY_POSITION = "no rows by position: partitions have unknown lengths"


def _length(values: Any) -> int:
    return len(values) if isinstance(values, np.ndarray) else -1


def _firsts(lists: pd.Series[Any]) -> pd.Series[Any]:
    found = [float(values[0]) if _length(values) > 0 else float("nan") for values in lists]
    return pd.Series(found, index=lists.index, name=lists.name, dtype="float64")


def _by_label(frame: Any) -> Any:
    return frame.sort_index()


def unlabelled(frame: Any) -> Any:
    """Return the rows without the labels that a join gives them."""
    return frame.reset_index(drop=True)


COLUMNS: dict[str, Query] = {
    "all": Query(lambda d: d, lambda f: f),
    "one column": Query(
        lambda d: d[["note"]], lambda f: f.select("note"), {"columns": ["note"]}, pandas=lambda d: d[["note"]]
    ),
    "one ragged column": Query(
        lambda d: d[["spike_times"]],
        lambda f: f.select("spike_times"),
        {"columns": ["spike_times"], "include_path_columns": False},
    ),
    "column as a series": Query(lambda d: d.rate, lambda f: f.select("rate")),
    "another order": Query(
        lambda d: d[["kind", "id", "_nwb_path", "_table_path", "_table_index"]],
        lambda f: f.select("kind", "id", "_nwb_path", "_table_path", "_table_index"),
        {"columns": ["kind", "id"]},
    ),
    "only path columns": Query(
        lambda d: d[["_nwb_path", "_table_path", "_table_index"]],
        lambda f: f.select("_nwb_path", "_table_path", "_table_index"),
        {"columns": []},
    ),
    "dropped": Query(lambda d: d.drop(columns=["waveform", "note"]), lambda f: f.drop("waveform", "note")),
    "renamed": Query(
        lambda d: d.rename(columns={"rate": "hz"})[["hz", "id"]], lambda f: f.rename({"rate": "hz"}).select("hz", "id")
    ),
    "new column": Query(
        lambda d: d.assign(double=d.rate * 2)[["id", "double"]],
        lambda f: f.with_columns(double=c("rate") * 2).select("id", "double"),
    ),
    "arithmetic of columns": Query(lambda d: d.rate + d["count"], lambda f: f.select(c("rate") + c("count"))),
    "head": Query(
        lambda d: d.head(4, npartitions=-1), lambda f: f.head(4), memory=lambda d: d.head(4), pandas=lambda d: d.head(4)
    ),
    "head over files": Query(
        lambda d: d[["id", "kind"]].head(12, npartitions=-1),
        lambda f: f.head(12).select("id", "kind"),
        memory=lambda d: d[["id", "kind"]].head(12),
        pandas=lambda d: d[["id", "kind"]].head(12),
    ),
    "head of nothing": Query(
        lambda d: d.head(0, npartitions=-1), lambda f: f.head(0), memory=lambda d: d.head(0), pandas=lambda d: d.head(0)
    ),
    "head of filtered": Query(
        lambda d: d[d["count"] > 4][["id", "spike_times"]].head(6, npartitions=-1),
        lambda f: f.filter(c("count") > 4).select("id", "spike_times").head(6),
        {"filters": [("count", ">", 4)], "columns": ["id", "spike_times"]},
        memory=lambda d: d[d["count"] > 4][["id", "spike_times"]].head(6),
        pandas=lambda d: d[["id", "spike_times"]].head(6),
    ),
    "filtered head": Query(
        lambda d: d.head(12, npartitions=-1, compute=False)[["id", "count"]].query("`count` > 4"),
        lambda f: f.head(12).filter(c("count") > 4).select("id", "count"),
        memory=lambda d: d.head(12)[["id", "count"]].query("`count` > 4"),
        pandas=lambda d: d.head(12)[["id", "count"]].query("`count` > 4"),
    ),
    "tail": Query(lambda d: d[["id", "note"]].tail(3), lambda f: f.select("id", "note").tail(3), one_partition=True),
    "limit": Query("no limit: it is called head", lambda f: f.limit(5)),
    "slice": Query(BY_POSITION, lambda f: f.slice(8, 6), pandas=lambda d: d.iloc[8:14]),
    "slice from the end": Query(
        BY_POSITION, lambda f: f.slice(-5, 3).select("id"), pandas=lambda d: d[["id"]].iloc[-5:-2]
    ),
    "reversed": Query(
        "no order: a frame of dask cannot be reversed",
        lambda f: f.reverse().select("id"),
        pandas=lambda d: d[["id"]][::-1],
    ),
    "sorted": Query(
        lambda d: d[["id", "count", "_nwb_path"]].sort_values(["count", "_nwb_path"]),
        lambda f: f.sort("count", "_nwb_path").select("id", "count", "_nwb_path"),
    ),
    "sorted with nulls": Query(
        lambda d: d[["rate", "id", "_nwb_path"]].sort_values(["rate", "id", "_nwb_path"]),
        lambda f: f.select("rate", "id", "_nwb_path").sort("rate", "id", "_nwb_path"),
    ),
    "count": Query(len, lambda f: f.select(pl.len())),
    "count of filtered": Query(
        lambda d: len(d[d["count"] > 4]),
        lambda f: f.filter(c("count") > 4).select(pl.len()),
        {"filters": [("count", ">", 4)]},
        pandas=len,
    ),
    "count of values": Query(lambda d: d.note.count(), lambda f: f.select(c("note").count())),
    "sum": Query(lambda d: d["count"].sum(), lambda f: f.select(c("count").sum())),
    "sum of big": Query(lambda d: d.big.sum(), lambda f: f.select(c("big").sum())),
    "mean": Query(lambda d: d["count"].mean(), lambda f: f.select(c("count").mean()), rounded=True),
    "least and most": Query(
        lambda d: d.big.max() - d["count"].min(),
        lambda f: f.select(c("big").max() - c("count").min()),
        parted_alike=True,
    ),
    "any": Query(lambda d: (d["count"] > 8).any(), lambda f: f.select((c("count") > 8).any())),
    "distinct": Query(
        lambda d: d[["quality"]].drop_duplicates(split_out=1).sort_values("quality"),
        lambda f: f.select("quality").unique().sort("quality"),
        memory=lambda d: d[["quality"]].drop_duplicates().sort_values("quality"),
        pandas=lambda d: d[["quality"]].drop_duplicates().sort_values("quality"),
        after=unlabelled,
    ),
    "without NaN": Query(
        lambda d: d[["rate", "id"]].dropna(subset=["rate"]),
        lambda f: f.select("rate", "id").drop_nulls("rate").drop_nans("rate"),
    ),
    "filled": Query(
        lambda d: d[["rate", "id"]].fillna({"rate": 1.0}), lambda f: f.select(c("rate").fill_null(1.0), "id")
    ),
}

GROUPS: dict[str, Query] = {
    "sums of groups": Query(
        lambda d: d.groupby("quality")["count"].sum(),
        lambda f: f.group_by("quality").agg(c("count").sum()).sort("quality"),
        after=_by_label,
    ),
    "groups of null": Query(
        lambda d: d.groupby("note", dropna=False)["id"].count(),
        lambda f: f.group_by("note").agg(c("id").count()).sort("note"),
        after=_by_label,
    ),
    "means of groups": Query(
        lambda d: d.groupby("quality")["count"].mean(),
        lambda f: f.group_by("quality").agg(c("count").mean()).sort("quality"),
        after=_by_label,
        rounded=True,
    ),
    "sizes of files": Query(
        lambda d: d.groupby("_nwb_path").size(),
        lambda f: f.group_by("_nwb_path").len().sort("_nwb_path"),
        # dask 2026.8.0 names the counts NaN or None, as the groups happen to fall into partitions.
        after=lambda counts: counts.sort_index().rename(None),
    ),
    "several": Query(
        lambda d: d.groupby("quality").agg({"count": ["min", "max"], "id": "count"}),
        lambda f: f.group_by("quality").agg(c("count").min(), c("big").max(), pl.len()).sort("quality"),
        after=_by_label,
    ),
    "of filtered": Query(
        lambda d: d[d["count"] > 3].groupby("quality").id.max(),
        lambda f: f.filter(c("count") > 3).group_by("quality").agg(c("id").max()).sort("quality"),
        after=_by_label,
    ),
    "categories": Query(
        lambda d: d.groupby("kind", observed=True)["id"].sum(),
        lambda f: f.group_by("kind").agg(c("id").sum()).sort("kind"),
        after=_by_label,
    ),
    "spikes of groups": Query(
        "no sum of lists: they are exploded first",
        lambda f: f.group_by("quality").agg(c("spike_times").explode().len()).sort("quality"),
    ),
}

LISTS: dict[str, Query] = {
    "lengths": Query(
        lambda d: d.spike_times.nwb.lengths(),
        lambda f: f.select(c("spike_times").list.len()),
        memory=lambda d: d.spike_times.map(_length).astype("Int64"),
    ),
    "exploded": Query(
        lambda d: d[["id", "spike_times"]].explode("spike_times"),
        lambda f: f.select("id", "spike_times").explode("spike_times"),
    ),
    "exploded after a filter": Query(
        lambda d: d[d.quality == "good"][["id", "spike_times"]].explode("spike_times"),
        lambda f: f.filter(c("quality") == "good").select("id", "spike_times").explode("spike_times"),
        {"filters": [("quality", "==", "good")], "columns": ["id", "spike_times"], "include_path_columns": False},
        pandas=lambda d: d.explode("spike_times"),
    ),
    "flattened": Query(
        "no such word: flatten is of pandas, explode is of both",
        lambda f: f.select(c("spike_times").explode(empty_as_null=False)),
        memory=lambda d: d.spike_times[d.spike_times.map(_length) > 0].explode(),
        pandas=lambda d: d.spike_times.nwb.flatten(),
    ),
    "first": Query(
        lambda d: d.spike_times.map_partitions(_firsts, meta=("spike_times", "float64")),
        lambda f: f.select(c("spike_times").list.first()),
        memory=lambda d: _firsts(d.spike_times),
        pandas=lambda d: _firsts(d.spike_times),
    ),
    "within": Query("no such word: map_partitions", lambda f: f.select(c("spike_times").list.eval(pl.element() > 0.5))),
    "waveforms": Query(lambda d: d[["waveform"]], lambda f: f.select("waveform", second=c("waveform").arr.get(1))),
}
