"""What SQL over many files reads of them, and what travels with its frames."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import nwb_dask
from nwb_dask.errors import PathNotFoundError
from nwb_dask.testing import RangeServer
from nwb_dask.testing.files import write_session
from tests.adapters.sql_sessions import write_sessions


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_sessions(tmp_path_factory.mktemp("sql"))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("large")
    options: dict[str, Any] = {"n_units": 40, "spikes_per_unit": 5000, "n_samples": 20_000, "n_trials": 10}
    return [write_session(folder / f"{seed}.nwb", seed=seed, **options) for seed in range(3)]


READ = {
    "SELECT firing_rate FROM units": (3, 60_000),
    "SELECT COUNT(*) FROM units": (3, 60_000),
    "SELECT spike_times FROM units WHERE id = 107 AND spike_times IS NOT NULL": (3, 3 * 60_000),
    "SELECT spike_times FROM units WHERE id > 1000": (3, 60_000),
    "SELECT spike_times FROM units WHERE quality IN ('bad', 'worse')": (3, 60_000),
    "SELECT spike_times FROM units WHERE depth > 10000.5 OR depth % 2 = 7": (3, 60_000),
    "SELECT spike_times FROM units LIMIT 2": (1, 80_000),
    "SELECT data FROM lfp LIMIT 10": (1, 20_000),
    "WITH few AS (SELECT * FROM units LIMIT 2) SELECT spike_times FROM few": (1, 80_000),
    "SELECT quality, COUNT(*) AS n FROM units GROUP BY quality": (3, 60_000),
    "SELECT u.depth, t.condition FROM units u JOIN trials t USING (_table_index)": (3, 60_000),
}
"""Query -> files of which it reads data, and most bytes; the spikes of a file are 1.6 MB, its lfp is 0.6 MB."""


@pytest.mark.parametrize("query", READ)
def test_columns_conditions_and_limits_are_handed_to_the_read(large: list[Path], query: str) -> None:
    frame = nwb_dask.sql(query, large)
    with nwb_dask.trace() as trace:
        frame.collect()
    n_files, most = READ[query]
    assert len(trace.by_url) == n_files
    assert trace.bytes < most


def test_lengths_of_lists_are_read_from_the_index_alone(large: list[Path]) -> None:
    query = 'SELECT id, "spike_times.n" AS n FROM units WHERE "spike_times.n" > 5000'
    expected = nwb_dask.sql(
        "SELECT id, ARRAY_LENGTH(spike_times)::int8 AS n FROM units WHERE ARRAY_LENGTH(spike_times) > 5000", large
    ).collect()
    frame = nwb_dask.sql(query, large, lengths=True)
    with nwb_dask.trace() as trace:
        assert_frame_equal(frame.collect(), expected)
    assert expected.height > 10
    assert trace.bytes < 60_000


def test_a_condition_on_the_file_opens_no_other(large: list[Path]) -> None:
    frame = nwb_dask.sql(f"SELECT depth FROM units WHERE _nwb_path LIKE '%{large[1].name}'", large)
    with nwb_dask.trace() as trace:
        assert frame.collect().height == 40
    assert set(trace.by_url) == {str(large[1])}


def test_remote_files_are_described_at_once_and_keep_their_secrets(large: list[Path]) -> None:
    query = (
        'SELECT s.session_id, t.* FROM "/intervals/trials" t JOIN session s USING (_nwb_path) ORDER BY session_id, t.id'
    )
    expected = nwb_dask.sql(query, large).collect()
    with RangeServer(large[0].parent, delay_seconds=0.05) as server, nwb_dask.trace() as trace:
        sources = [f"{server.url(path.name)}?signature=hush" for path in large]
        frame = nwb_dask.sql(query, sources)
        assert trace.max_in_flight >= len(large)
        assert_frame_equal(frame.drop("_nwb_path").collect(), expected.drop("_nwb_path"))
        with pytest.raises(PathNotFoundError) as caught:
            nwb_dask.sql("SELECT 1 FROM tria1s", sources)
    shown = f"{frame.explain()} {frame.collect().rows()} {caught.value} {nwb_dask.sql_context(sources)}"
    assert "hush" not in shown


FORMS: dict[str, Callable[[pl.LazyFrame], bytes]] = {
    "pickle": pickle.dumps,
    "serialize": lambda frame: frame.serialize(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_frame_travels_without_secrets_and_without_what_it_does_not_use(files: list[Path], form: str) -> None:
    query = """
        WITH trials AS (SELECT * FROM units)
        SELECT subject_id, SUM(count) AS n FROM trials JOIN session USING (_nwb_path) GROUP BY 1 ORDER BY 1"""
    secrets = {"key": "AKIAVERYHIDDEN", "secret": "hush-hush-secret", "token": "hush-hush-token"}
    frame = nwb_dask.sql(query, files, storage_options=secrets)
    sent = FORMS[form](frame)
    for secret in secrets.values():
        assert secret.encode() not in sent
        assert ", ".join(map(str, secret.encode())).encode() not in sent
    assert len(sent) < 30_000
    plain = nwb_dask.sql(query, files)
    sent = FORMS[form](plain)
    back = pickle.loads(sent) if form == "pickle" else pl.LazyFrame.deserialize(io.BytesIO(sent))
    assert_frame_equal(back.collect(), plain.collect())


def test_explain_shows_what_is_handed_to_the_read(files: list[Path]) -> None:
    plan = (
        nwb_dask.sql("EXPLAIN SELECT id FROM units WHERE count > 3", files).collect().to_series().str.join("\n").item()
    )
    assert 'SELECTION: col("count") > 3' in plan
    assert "PROJECT 2/" in plan or "PROJECT 1/" in plan


def test_tables_named_by_their_paths_cost_what_scans_cost(large: list[Path], tmp_path: Path) -> None:
    costs = []
    for number in range(2):
        (tmp_path / f"{number}.nwb").hardlink_to(large[0])
    with RangeServer(tmp_path) as server:
        for number, ask in enumerate((lambda url: nwb_dask.scan_nwb(url, "/intervals/trials"), paths_only)):
            server.reset()
            ask(server.url(f"{number}.nwb"))
            costs.append((server.n_requests, server.n_bytes))
        context = nwb_dask.sql_context(server.url("1.nwb"))
        context.execute('SELECT * FROM "/intervals/trials"')
        with server.budget(requests=0):
            context.execute('SELECT COUNT(*) FROM "/intervals/trials" WHERE id > 3')
    assert costs[0] == costs[1]


def paths_only(url: str) -> None:
    nwb_dask.sql('SELECT * FROM "/intervals/trials"', url)


def test_a_context_that_holds_secrets_is_not_pickled(files: list[Path]) -> None:
    with pytest.raises(TypeError, match="frames"):
        pickle.dumps(nwb_dask.sql_context(files, storage_options={"key": "k", "secret": "s"}))
