"""Named questions, each in the words of every engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

NAN = float("nan")
BIG = 2**53
c = pl.col
Ask = Callable[[Any], Any]


@dataclass(frozen=True)
class Query:
    """One question; text in place of a function says why the engine cannot be asked."""

    frame: Ask | str
    """In dask's words, which are those of pandas on the rows in memory."""
    lazy: Ask | str
    """In the words of polars, of a LazyFrame."""
    read: Mapping[str, Any] | str = field(default_factory=dict)
    """Options of `read_table` that say the same; by default pandas reads the whole table and is asked `frame`."""
    memory: Ask | None = None
    """In pandas' words, where dask has words of its own."""
    pandas: Ask | None = None
    """What is left to ask of the frame that `read_table` returns."""
    table: str = "traps"
    """The table that is asked, or none for a question to several, which takes a function of their names."""
    after: Ask = lambda frame: frame
    """What is asked of the answer of dask or pandas: the order of rows that none keeps."""
    one_partition: bool = False
    """Whether dask's answer depends on how the rows are parted: files are partitions then."""
    parted_alike: bool = False
    """Whether dask is measured against itself, on the rows in memory with a partition for each file. It gives the
    largest integer as a float where a partition has no rows, whatever the rows come from."""
    rounded: bool = False
    """Whether floats are added up, in any order."""


def _where(condition: Ask, expr: pl.Expr, filters: Any) -> Query:
    """Ask for the rows where a condition holds, with a ragged column and the file that they come from."""
    shown = ["id", "spike_times", "_nwb_path"]
    read = filters if isinstance(filters, str) and filters.startswith("no ") else {"filters": filters, "columns": shown}
    pandas = None if isinstance(read, str) else (lambda d: d[shown])
    return Query(lambda d: d[condition(d)][shown], lambda f: f.filter(expr).select(shown), read, pandas=pandas)


NO_WORDS = "no words: filters of read_table are conditions on single columns, or a query string of pandas"

FILTERS: dict[str, Query] = {
    "int ==": _where(lambda d: d["count"] == 5, c("count") == 5, [("count", "==", 5)]),
    "int !=": _where(lambda d: d["count"] != 5, c("count") != 5, [("count", "!=", 5)]),
    "int <": _where(lambda d: d["count"] < 3, c("count") < 3, [("count", "<", 3)]),
    "int <=": _where(lambda d: d["count"] <= 3, c("count") <= 3, [("count", "<=", 3)]),
    "int >": _where(lambda d: d["count"] > 3, c("count") > 3, ("count", ">", 3)),
    "int >=": _where(lambda d: d["count"] >= 3, c("count") >= 3, "`count` >= 3"),
    "int above its type": _where(lambda d: d["count"] < 300, c("count") < 300, [("count", "<", 300)]),
    "int below its type": _where(lambda d: d["count"] > -1, c("count") > -1, [("count", ">", -1)]),
    "int and a float": _where(lambda d: d["count"] > 2.5, c("count") > 2.5, [("count", ">", 2.5)]),
    "big int": _where(lambda d: d.big == BIG + 1, c("big") == BIG + 1, [("big", "==", BIG + 1)]),
    "big int !=": _where(lambda d: d.big != BIG + 1, c("big") != BIG + 1, [("big", "!=", BIG + 1)]),
    "big int >": _where(lambda d: d.big > BIG, c("big") > BIG, [("big", ">", BIG)]),
    "big int in": _where(
        lambda d: d.big.isin([BIG + 1, 2**63 - 1]), c("big").is_in([BIG + 1, 2**63 - 1]),
        [("big", "in", [BIG + 1, 2**63 - 1])],
    ),
    "float ==": _where(lambda d: d.rate == 1.5, c("rate") == 1.5, [("rate", "==", 1.5)]),
    "float !=": _where(lambda d: d.rate != 1.5, c("rate") != 1.5, [("rate", "!=", 1.5)]),
    "float <": _where(lambda d: d.rate < 1.5, c("rate") < 1.5, [("rate", "<", 1.5)]),
    "float > with NaN": _where(lambda d: d.rate > 1.5, c("rate") > 1.5, [("rate", ">", 1.5)]),
    "negative zero": _where(lambda d: d.rate == 0.0, c("rate") == 0.0, [("rate", "==", 0)]),
    "infinite": _where(lambda d: d.rate < float("inf"), c("rate") < float("inf"), [("rate", "<", float("inf"))]),
    "narrow float": _where(lambda d: d.snr == 0.1, c("snr") == 0.1, [("snr", "==", 0.1)]),
    "not >": _where(lambda d: ~(d.rate > 1.5), ~(c("rate") > 1.5), "not (rate > 1.5)"),
    "between": _where(lambda d: d.rate.between(0, 2), c("rate").is_between(0, 2), "0 <= rate <= 2"),
    "between open": _where(
        lambda d: d["count"].between(2, 5, inclusive="neither"), c("count").is_between(2, 5, closed="none"),
        "2 < `count` < 5",
    ),
    "not between": _where(
        lambda d: ~d["count"].between(2, 5), ~c("count").is_between(2, 5), "not (2 <= `count` <= 5)"
    ),
    "in": _where(lambda d: d["count"].isin([1, 5, 300]), c("count").is_in([1, 5, 255]), [("count", "in", [1, 5, 300])]),
    "in nothing": _where(lambda d: d["count"].isin([]), c("count").is_in([]), [("count", "in", [])]),
    "not in": _where(lambda d: ~d["count"].isin([1, 5]), ~c("count").is_in([1, 5]), [("count", "not in", [1, 5])]),
    "float in": _where(lambda d: d.rate.isin([1.5, 2]), c("rate").is_in([1.5, 2.0]), [("rate", "in", [1.5, 2])]),
    "NaN": _where(
        lambda d: d.rate.isna(), c("rate").is_nan() | c("rate").is_null(), [("rate", "is", None)]
    ),
    "null": _where(lambda d: d.note.isna(), c("note").is_null(), [("note", "is", None)]),
    "not null": _where(lambda d: d.note.notnull(), c("note").is_not_null(), [("note", "is not", None)]),
    "neither NaN nor null": _where(lambda d: d.rate.notnull(), c("rate").is_not_nan(), [("rate", "is not", None)]),
    "text ==": _where(lambda d: d.quality == "good", c("quality") == "good", [("quality", "==", "good")]),
    "text !=": _where(lambda d: d.quality != "good", c("quality") != "good", [("quality", "!=", "good")]),
    "text < ": _where(lambda d: d.quality < "good", c("quality") < "good", [("quality", "<", "good")]),
    "empty text": _where(lambda d: d.quality == "", c("quality") == "", [("quality", "==", "")]),
    "not empty text": _where(lambda d: d.quality != "", c("quality") != "", "quality != ''"),
    "null text ==": _where(lambda d: d.note == "good", c("note") == "good", [("note", "==", "good")]),
    "null text !=": _where(lambda d: d.note != "good", c("note") != "good", [("note", "!=", "good")]),
    "not (null text ==)": _where(lambda d: ~(d.note == "good"), ~(c("note") == "good"), "not (note == 'good')"),
    "text in": _where(
        lambda d: d.note.isin(["good", "", "gone"]), c("note").is_in(["good", "", "gone"]),
        [("note", "in", ["good", "", "gone"])],
    ),
    "text not in": _where(
        lambda d: ~d.note.isin(["good", ""]), ~c("note").is_in(["good", ""]), [("note", "not in", ["good", ""])]
    ),
    "starts with": _where(
        lambda d: d.note.str.startswith("g"), c("note").str.starts_with("g"), "note.str.startswith('g')"
    ),
    "ends with": _where(
        lambda d: d.quality.str.endswith("d"), c("quality").str.ends_with("d"), "quality.str.endswith('d')"
    ),
    "contains": _where(lambda d: d.note.str.contains("oo"), c("note").str.contains("oo"), "note.str.contains('oo')"),
    "contains a pattern": _where(
        lambda d: d.quality.str.contains("^.o"), c("quality").str.contains("^.o"), "quality.str.contains('^.o')"
    ),
    "contains a dot": _where(
        lambda d: d.quality.str.contains(".", regex=False), c("quality").str.contains(".", literal=True),
        "quality.str.contains('.', regex=False)",
    ),
    "lower": _where(
        lambda d: d.quality.str.lower() == "good", c("quality").str.to_lowercase() == "good",
        "quality.str.lower() == 'good'",
    ),
    "upper": _where(
        lambda d: d.quality.str.upper() == "É", c("quality").str.to_uppercase() == "É", "quality.str.upper() == 'É'"
    ),
    "length of text": _where(
        lambda d: d.note.str.len() > 1, c("note").str.len_chars() > 1, "note.str.len() > 1"
    ),
    "stripped": _where(
        lambda d: d.quality.str.strip("gd") == "oo", c("quality").str.strip_chars("gd") == "oo",
        "quality.str.strip('gd') == 'oo'",
    ),
    "bool": _where(lambda d: d.flag, c("flag"), "flag"),
    "not bool": _where(lambda d: ~d.flag, ~c("flag"), "not flag"),
    "bool ==": _where(lambda d: d.flag == False, c("flag") == False, [("flag", "==", False)]),  # noqa: E712  # what is asked
    "null bool": _where(lambda d: d.flag.isna(), c("flag").is_null(), [("flag", "is", None)]),
    "category ==": _where(lambda d: d.kind == "a", c("kind") == "a", [("kind", "==", "a")]),
    "category !=": _where(lambda d: d.kind != "a", c("kind") != "a", [("kind", "!=", "a")]),
    "category in": _where(lambda d: d.kind.isin(["a", "c"]), c("kind").is_in(["a", "c"]), [("kind", "in", ["a", "c"])]),
    "category of one file": _where(lambda d: d.kind == "c", c("kind") == "c", "kind == 'c'"),
    "category as text": _where(
        lambda d: d.kind.astype("string").str.startswith("a"), c("kind").cast(pl.String).str.starts_with("a"), NO_WORDS
    ),
    "and": _where(
        lambda d: (d["count"] > 2) & (d.quality == "good"), (c("count") > 2) & (c("quality") == "good"),
        [("count", ">", 2), ("quality", "==", "good")],
    ),
    "or": _where(
        lambda d: (d["count"] > 7) | (d.rate > 1), (c("count") > 7) | (c("rate") > 1),
        [[("count", ">", 7)], [("rate", ">", 1)]],
    ),
    "or with null": _where(
        lambda d: (d.note == "good") | (d.big > 0), (c("note") == "good") | (c("big") > 0), "note == 'good' or big > 0"
    ),
    "not (and)": _where(
        lambda d: ~((d["count"] > 2) & (d.rate > 1)), ~((c("count") > 2) & (c("rate") > 1)),
        "not (`count` > 2 and rate > 1)",
    ),
    "not (or with null)": _where(
        lambda d: ~((d.note == "good") | (d["count"] > 2)), ~((c("note") == "good") | (c("count") > 2)),
        "not (note == 'good' or `count` > 2)",
    ),
    "xor": _where(lambda d: (d["count"] > 2) ^ (d.big > 0), (c("count") > 2) ^ (c("big") > 0), NO_WORDS),
    "cast to float": _where(
        lambda d: d["count"].astype("float64") / 2 > 1.2, c("count").cast(pl.Float64) / 2 > 1.2, "`count` / 2 > 1.2"
    ),
    "cast to text": _where(
        lambda d: d["count"].astype("string") == "5", c("count").cast(pl.String) == "5", NO_WORDS
    ),
    "arithmetic": _where(
        lambda d: d["count"] * 2.0 + d.rate > 9, c("count") * 2.0 + c("rate") > 9, "`count` * 2.0 + rate > 9"
    ),
    "wraps around": _where(lambda d: d["count"] - 1 < 2, c("count") - 1 < 2, "`count` - 1 < 2"),
    "remainder": _where(lambda d: d.id % 3 == 1, c("id") % 3 == 1, "id % 3 == 1"),
    "whole division": _where(lambda d: d.id // 20 == 2, c("id") // 20 == 2, "id // 20 == 2"),
    "negated": _where(lambda d: -d.id < -50, -c("id") < -50, "-id < -50"),
    "absolute": _where(lambda d: d.snr.abs() < 2, c("snr").abs() < 2, "snr.abs() < 2"),
    "filled": _where(lambda d: d.rate.fillna(9.0) > 5, c("rate").fill_null(9.0) > 5, "rate.fillna(9.0) > 5"),
    "columns compared": _where(lambda d: d.rate > d.snr, c("rate") > c("snr"), "rate > snr"),
    "text columns compared": _where(lambda d: d.quality == d.note, c("quality") == c("note"), "quality == note"),
    "on an average": _where(
        lambda d: (d["count"] > 2) & (d["count"] > d["count"].mean()),
        (c("count") > 2) & (c("count") > c("count").mean()),
        NO_WORDS,
    ),
    "never": _where(lambda d: d["count"] > 1000, c("count") > 1000, [("count", ">", 1000)]),
    "always": _where(lambda d: d["count"] >= 0, c("count") >= 0, [("count", ">=", 0)]),
    "first rows of each table": _where(
        lambda d: d._table_index < 2, c("_table_index") < 2, [("_table_index", "<", 2)]
    ),
    "one file": _where(
        lambda d: d._nwb_path.str.endswith("3.nwb"), c("_nwb_path").str.ends_with("3.nwb"),
        "_nwb_path.str.endswith('3.nwb')",
    ),
    "other files": _where(
        lambda d: ~d._nwb_path.str.endswith("3.nwb"), ~c("_nwb_path").str.ends_with("3.nwb"),
        "not _nwb_path.str.endswith('3.nwb')",
    ),
    "file without rows": _where(
        lambda d: d._nwb_path.str.contains("1.nwb", regex=False), c("_nwb_path").str.contains("1.nwb", literal=True),
        "_nwb_path.str.contains('1.nwb', regex=False)",
    ),
    "no file": _where(
        lambda d: d._nwb_path == "nowhere", c("_nwb_path") == "nowhere", [("_nwb_path", "==", "nowhere")]
    ),
    "table": _where(
        lambda d: d._table_path == "/processing/deep/table", c("_table_path") == "/processing/deep/table",
        [("_table_path", "==", "/processing/deep/table")],
    ),
    "lengths of lists": Query(
        lambda d: d[d.spike_times.nwb.lengths() > 120][["id", "note"]],
        lambda f: f.filter(c("spike_times").list.len() > 120).select("id", "note"),
        memory=lambda d: d[d.spike_times.map(len) > 120][["id", "note"]],
    ),
}  # fmt: skip
"""Which rows are kept, by each operation on each kind of column."""
