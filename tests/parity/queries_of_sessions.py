"""Questions to the tables of sessions: options of a read, dates, joins of tables."""

from __future__ import annotations

from typing import Any

import pandas as pd
import polars as pl

from .queries import Query, c
from .queries_of_shape import unlabelled


def _with_units(get: Any) -> Any:
    columns = ["id", "quality", "_nwb_path"]
    return get("units")[columns].merge(get("electrodes")[["location", "x", "_nwb_path"]], on="_nwb_path", how="inner")


def _in_order(frame: Any, *names: str) -> Any:
    return frame.sort_values(list(names))


def _moments(texts: Any) -> Any:
    """Return text as moments of pandas, whichever of dask and pandas holds it."""
    if isinstance(texts, pd.Series):
        return pd.to_datetime(texts, errors="coerce", format="ISO8601").astype("datetime64[us]")
    return texts.map_partitions(_moments, meta=(texts.name, "datetime64[us]"))


SESSIONS: dict[str, Query] = {
    "units": Query(lambda d: d, lambda f: f, table="units"),
    "trials of files that have them": Query(lambda d: d, lambda f: f, table="trials"),
    "electrodes": Query(lambda d: d, lambda f: f, table="electrodes"),
    "session": Query(lambda d: d, lambda f: f, table="session"),
    "subject": Query(lambda d: d, lambda f: f, table="subject"),
    "glob of tables": Query(lambda d: d, lambda f: f, table="intervals"),
    "one table of a glob": Query(
        lambda d: d[d._table_path == "/intervals/licks"],
        lambda f: f.filter(c("_table_path") == "/intervals/licks"),
        {"filters": [("_table_path", "==", "/intervals/licks")]},
        table="intervals",
    ),
    "a file twice": Query(lambda d: d, lambda f: f, table="twice"),
    "a file twice, filtered": Query(
        lambda d: d[d["count"] > 4], lambda f: f.filter(c("count") > 4), {"filters": [("count", ">", 4)]}, table="twice"
    ),
    "a file twice, head": Query(
        lambda d: d.head(24, npartitions=-1),
        lambda f: f.head(24),
        memory=lambda d: d.head(24),
        pandas=lambda d: d.head(24),
        table="twice",
    ),
    "other types": Query(lambda d: d, lambda f: f, table="overridden"),
    "filter on another type": Query(
        lambda d: d[d["count"] > 4.5],
        lambda f: f.filter(c("count") > 4.5),
        {"filters": [("count", ">", 4.5)]},
        table="overridden",
    ),
    "without path columns": Query(
        lambda d: d[d["count"] > 2], lambda f: f.filter(c("count") > 2), {"filters": "`count` > 2"}, table="pathless"
    ),
    "regions": Query(lambda d: d, lambda f: f, table="resolved"),
    "regions of filtered rows": Query(
        lambda d: d[d.quality == "good"][["id", "electrodes.location"]],
        lambda f: f.filter(c("quality") == "good").select("id", "electrodes.location"),
        {
            "filters": [("quality", "==", "good")],
            "columns": ["id", "electrodes.location"],
            "include_path_columns": False,
        },
        table="resolved",
    ),
    "int in one file, float in another": Query(
        lambda d: d[d.score > 1][["id", "score"]],
        lambda f: f.filter(c("score") > 1).select("id", "score"),
        {"filters": [("score", ">", 1)], "columns": ["id", "score"], "include_path_columns": False},
        table="units",
    ),
    "dates as text": Query(
        lambda d: d[d.recorded >= "2024-01-02"][["id", "recorded"]],
        lambda f: f.filter(c("recorded") >= "2024-01-02").select("id", "recorded"),
        {"filters": [("recorded", ">=", "2024-01-02")], "columns": ["id", "recorded"], "include_path_columns": False},
        table="units",
    ),
    "dates": Query(
        lambda d: d[_moments(d.recorded) > pd.Timestamp("2024-01-02")][["id", "recorded"]],
        lambda f: f.filter(
            c("recorded").str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False) > pl.datetime(2024, 1, 2)
        ).select("id", "recorded"),
        table="units",
    ),
    "year of dates": Query(
        lambda d: _moments(d.recorded).dt.year,
        lambda f: f.select(c("recorded").str.slice(0, 10).str.to_date(strict=False).dt.year()),
        table="units",
    ),
    "units with electrodes": Query(
        lambda get: _in_order(_with_units(get), "_nwb_path", "id", "x", "location"),
        lambda get: (
            get("units")
            .select("id", "quality", "_nwb_path")
            .join(get("electrodes").select("location", "x", "_nwb_path"), on="_nwb_path")
            .sort("_nwb_path", "id", "x", "location")
        ),
        table="",
        after=unlabelled,
    ),
    "channels with electrodes": Query(
        "no join on a position in a list: it is exploded first",
        lambda get: (
            get("units")
            .select("id", "electrodes", "_nwb_path")
            .explode("electrodes")
            .rename({"electrodes": "_table_index"})
            .join(
                get("electrodes").select("location", "_nwb_path", "_table_index"),
                on=["_nwb_path", "_table_index"],
                how="left",
            )
            .sort("_nwb_path", "id", "_table_index")
        ),
        table="",
        after=unlabelled,
    ),
    "trials with their session": Query(
        lambda get: _in_order(
            get("trials")[["id", "start_time", "_nwb_path"]].merge(
                get("session")[["identifier", "session_start_time", "_nwb_path"]], on="_nwb_path", how="left"
            ),
            "_nwb_path",
            "id",
        ),
        lambda get: (
            get("trials")
            .select("id", "start_time", "_nwb_path")
            .join(get("session").select("identifier", "session_start_time", "_nwb_path"), on="_nwb_path", how="left")
            .sort("_nwb_path", "id")
        ),
        table="",
        after=unlabelled,
    ),
    "sessions without trials": Query(
        lambda get: _in_order(
            get("session")[["identifier", "_nwb_path"]].merge(
                get("trials")[["id", "_nwb_path"]], on="_nwb_path", how="left"
            ),
            "_nwb_path",
            "id",
        ),
        lambda get: (
            get("session")
            .select("identifier", "_nwb_path")
            .join(get("trials").select("id", "_nwb_path"), on="_nwb_path", how="left")
            .sort("_nwb_path", "id")
        ),
        table="",
        after=unlabelled,
    ),
    "good units of a subject": Query(
        lambda get: _in_order(
            get("units")[get("units").quality == "good"][["id", "_nwb_path"]].merge(
                get("subject")[["subject_id", "_nwb_path"]], on="_nwb_path"
            ),
            "_nwb_path",
            "id",
        ),
        lambda get: (
            get("units")
            .filter(c("quality") == "good")
            .select("id", "_nwb_path")
            .join(get("subject").select("subject_id", "_nwb_path"), on="_nwb_path")
            .filter(c("subject_id") == "mouse-1")
            .sort("_nwb_path", "id")
        ),
        table="",
        after=unlabelled,
    ),
    "filter after a join": Query(
        lambda get: _in_order(_with_units(get)[_with_units(get).x > 10], "_nwb_path", "id", "x", "location"),
        lambda get: (
            get("units")
            .select("id", "_nwb_path")
            .join(get("electrodes").select("x", "_nwb_path"), on="_nwb_path")
            .filter(c("x") > 10)
            .sort("_nwb_path", "id", "x")
        ),
        table="",
        after=unlabelled,
    ),
}
