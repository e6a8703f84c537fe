"""What the contestants of `benchmarks.queries` share: the five queries, and where the Parquet copies are.

A contestant gives `ways` functions that scan a table, ask in SQL and read the metadata; what is asked of these is
the same for all. Needs numpy and polars, which are in the environment of every one of these peers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import polars as pl

from benchmarks.peers.contest import Columns
from benchmarks.peers.remote_contest import digest

QUERIES = {
    "blocks": "performance blocks, joined with keywords and subject",
    "spikes": "spike times of good CA1 units",
    "sql": "the same in SQL",
    "groups": "trials, aggregated by group",
    "metadata": "metadata of all sessions",
}

METADATA, PERFORMANCE, TRIALS, UNITS = "/", "/intervals/performance", "/intervals/trials", "/units"
PRESENCE_RATIO = 0.95
SQL = f"SELECT id, spike_times FROM units WHERE default_qc AND location = 'CA1' AND presence_ratio > {PRESENCE_RATIO}"

Files: TypeAlias = list[str]
"""Paths or URLs of NWB files."""


def parquet_path(file: str, table: str, *, is_whole: bool = False) -> str:
    """Return where `table` of an NWB file is, as a file for this session or for all."""
    folder, _, name = file.rpartition("/")
    stem = table.strip("/").replace("/", "_") or "metadata"
    if is_whole:
        return f"{folder}/parquet/{stem}.parquet"
    return f"{folder}/parquet/{stem}/session={name.removesuffix('.nwb')}/part.parquet"


@dataclass(frozen=True, slots=True)
class Engine:
    """How a library answers."""

    scan: Callable[[Files, str], pl.LazyFrame]
    """Files and the path of a table -> its rows."""
    sql: Callable[[Files, str], pl.LazyFrame]
    """Files and a query -> its answer."""
    metadata: Callable[[Files], pl.DataFrame | pl.LazyFrame]
    """Files -> one row per session."""
    key: str = "_nwb_path"
    """Column that names the session, in tables and in the metadata."""
    age: str = "subject_age"
    """What the metadata call the age of the subject."""

    def queries(self) -> Mapping[str, Callable[[Files], pl.DataFrame]]:
        """Return the queries by their names in `QUERIES`."""
        return {
            "blocks": self._blocks,
            "spikes": self._spikes,
            "sql": lambda files: self.sql(files, SQL).collect(),
            "groups": self._groups,
            "metadata": lambda files: self.metadata(files).lazy().collect(),
        }

    def columns(self, answer: pl.DataFrame) -> Columns:
        """Return what answers are compared by; of the metadata, what every library gives under some name."""
        if "identifier" in answer.columns:
            answer = answer.select("identifier", "session_id", "keywords", "subject_id", self.age)
        return {
            name: [row.to_numpy() for row in answer[name]] if name == "spike_times" else answer[name].to_list()
            for name in answer.columns
        }

    def _blocks(self, files: Files) -> pl.DataFrame:
        sessions = self.metadata(files).lazy().select(self.key, "session_id", "keywords", "subject_id", self.age)
        word = pl.col("keywords").list
        return (
            self.scan(files, PERFORMANCE)
            .filter(pl.col("cross_modal_dprime") > 1.0)
            .join(sessions, on=self.key)
            .filter(word.contains("production") & ~word.contains("issues"))
            .select("session_id", "subject_id", self.age, "block_index", "rewarded_modality", "cross_modal_dprime")
            .collect()
        )

    def _spikes(self, files: Files) -> pl.DataFrame:
        is_good = pl.col("default_qc") & (pl.col("presence_ratio") > PRESENCE_RATIO)
        units = self.scan(files, UNITS).filter(is_good, pl.col("location") == "CA1")
        return units.select("id", "spike_times").collect()

    def _groups(self, files: Files) -> pl.DataFrame:
        latency = pl.col("response_time").fill_nan(None) - pl.col("stim_start_time")
        return (
            self.scan(files, TRIALS)
            .group_by("rewarded_modality", "stim_name")
            .agg(pl.len().alias("n"), pl.col("is_response").mean(), latency.max().alias("latency"))
            .collect()
        )


def digest_rows(_query: str, columns: Columns) -> str:
    """Return a hash of the rows, in any order."""
    return digest({"rows": list(zip(*columns.values(), strict=True))}, is_ordered=False)["rows"]
