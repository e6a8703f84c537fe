"""`SqlContext.explain`: what a query reads, beside what is counted when it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nwb_dask
from nwb_dask.adapters.contents import list_paths
from nwb_dask.testing.files import write_session


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("explain")
    return [write_session(folder / f"{seed}.nwb", seed=seed, n_units=200, n_trials=9) for seed in range(2)]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT depth FROM units",
        "SELECT spike_times FROM units",
        "SELECT a.depth FROM units a CROSS JOIN trials b",
        "SELECT depth FROM units WHERE _nwb_path IN (SELECT _nwb_path FROM session)",
        "SELECT depth FROM units UNION ALL SELECT start_time FROM trials",
    ],
)
def test_a_query_reads_about_the_bytes_that_are_foretold(pair: list[Path], query: str) -> None:
    context = nwb_dask.sql_context(pair)
    foretold = sum(read.expected_bytes for read in context.explain(query).reads)
    frame = context.execute(query)
    with nwb_dask.trace() as structure:
        nwb_dask.read_table(pair, "/units", columns=["id"])
    with nwb_dask.trace() as whole:
        frame.collect()
    assert foretold <= whole.bytes <= foretold + 2 * structure.bytes + 20_000


def test_nothing_is_read_for_an_explanation_but_metadata(pair: list[Path]) -> None:
    with nwb_dask.trace() as trace:
        reads = nwb_dask.sql_context(pair).explain("SELECT spike_times FROM units").reads
    assert trace.bytes < reads[0].expected_bytes / 2


def test_a_filter_that_only_polars_can_say_is_told_apart(pair: list[Path]) -> None:
    context = nwb_dask.sql_context(pair)
    said = context.explain("SELECT id FROM units WHERE depth > 5").reads[0]
    assert (said.predicate, said.residual) == ("depth > 5", ())
    unsaid = context.explain("SELECT id FROM units WHERE depth > 5 AND SIN(depth) > 0").reads[0]
    assert unsaid.residual
    assert unsaid.predicate_columns == ("depth",)


def test_names_that_need_no_file_read_none(pair: list[Path]) -> None:
    context = nwb_dask.sql_context(pair)
    assert context.explain("SHOW TABLES").reads == ()
    assert "no file" in str(context.explain("SELECT subject_id FROM session"))


def test_an_explanation_looks_for_short_names_in_each_file_once(
    pair: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[object] = []

    def noting(source: object, **options: Any) -> dict[str, tuple[str, ...]]:
        listed.append(source)
        return list_paths(source, **options)

    monkeypatch.setattr("nwb_dask.adapters.sql.list_paths", noting)
    nwb_dask.sql_context(pair).explain("SELECT depth FROM units")
    assert len(listed) == 1
