"""What describes a session, joined to the rows of its tables: what engines say of it is what they say in memory."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import dask
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.errors import PathNotFoundError
from tests.adapters.described_sessions import (
    COLUMNS,
    N_UNITS,
    SESSIONS,
    pandas_units,
    polars_units,
    start_of,
    write_described,
)

SHOWN = ["id", "rate", "quality", *COLUMNS]
SECOND, FOURTH = start_of(1), start_of(3)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_described(tmp_path_factory.mktemp("described"))


@pytest.fixture(autouse=True)
def _in_one_thread() -> Any:
    with dask.config.set(scheduler="synchronous"):
        yield


def units(files: list[Path], **options: Any) -> Any:
    return dd.read_nwb(files, "/units", session_columns=COLUMNS, include_path_columns=False, **options)[SHOWN]


PREDICATES: dict[str, tuple[Callable[[Any], Any], set[int]]] = {
    "==": (lambda d: d.subject_id == "ann", {0, 3}),
    "== of nobody": (lambda d: d.subject_id == "zed", set()),
    "!=": (lambda d: d.subject_id != "ann", {1, 4}),
    "not ==": (lambda d: ~(d.subject_id == "ann"), {1, 4}),
    "isin": (lambda d: d.subject_id.isin(["ann", ""]), {0, 3, 4}),
    "isna": (lambda d: d.subject_id.isna(), {2}),
    "notna": (lambda d: d.lab.notnull(), {0, 2, 4}),  # noqa: PD004  # dask has no other name for it
    "between numbers": (lambda d: d.rig.between(0, 5), {0, 4}),
    "number": (lambda d: d.rig > 2.5, {0, 2, 4}),
    "float": (lambda d: d.score < 1, {0, 1, 4}),
    "date": (lambda d: d.session_start_time > pd.Timestamp(SECOND), {2, 3, 4}),
    "between dates": (lambda d: d.session_start_time.between(pd.Timestamp(SECOND), pd.Timestamp(FOURTH)), {1, 2, 3}),
    "of the standard library": (lambda d: d.session_start_time == SECOND, {1}),
    "startswith": (lambda d: d.subject_id.str.startswith("a"), {0, 3}),
    "n_rows": (lambda d: d.n_rows > 3, {0, 3}),
    "and": (lambda d: (d.subject_id != "ann") & (d.rate > 1), {1, 4}),
    "or": (lambda d: (d.subject_id == "ann") | (d.rate > 1), {0, 1, 2, 3, 4}),
    "of both": (lambda d: d.subject_id == d.quality, {0, 1, 2, 3, 4}),
}
"""A condition, and the files of which some row may satisfy it for all that is known unopened."""


def test_session_columns_are_those_of_read_metadata(files: list[Path]) -> None:
    names = [name for name in (*COLUMNS, "experimenter") if name != "n_rows"]
    described = nwb_dask.read_metadata(files, "arrow").select(names)
    rows = nwb_dask.read_table(files, "/units", "arrow", session_columns=names).select(names)
    each = [number for number, n_units in enumerate(N_UNITS) for _ in range(n_units)]
    expected = described.take(pa.array(each))
    assert rows.schema == expected.schema
    assert str(rows.to_pylist()) == str(expected.to_pylist())


def test_dask_has_the_rows_that_pandas_has_in_memory(files: list[Path]) -> None:
    pd.testing.assert_frame_equal(units(files).compute(), pandas_units(files))


@pytest.mark.parametrize("name", PREDICATES)
def test_dask_filters_as_pandas_does_and_opens_no_other_file(files: list[Path], name: str) -> None:
    predicate, opened = PREDICATES[name]
    frame, expected = units(files), pandas_units(files)
    chosen = frame[predicate(frame)]
    pd.testing.assert_frame_equal(chosen.compute(), expected[predicate(expected)])
    unpushed = frame.map_partitions(lambda part: part[predicate(part)], meta=frame._meta)
    pd.testing.assert_frame_equal(unpushed.compute(), expected[predicate(expected)])
    live = {int(Path(path).stem) for path in chosen.nwb.partitions["file"]}
    # The last file has a table without rows, which no filter opens.
    assert live == opened - {len(files) - 1}


def _of_one_dtype(predicate: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the condition such that pandas 3.1 combines it: it refuses `boolean` with `bool[pyarrow]` on the right."""
    return lambda d: predicate(d).astype("boolean") if isinstance(d, pd.DataFrame) else predicate(d)


LEAVES = [_of_one_dtype(predicate) for predicate, _ in PREDICATES.values()]
TREES = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: lambda d: p[0](d) & p[1](d)),
        st.tuples(inner, inner).map(lambda p: lambda d: p[0](d) | p[1](d)),
        inner.map(lambda p: lambda d: ~p(d)),
    ),
    max_leaves=4,
)


def _agrees(files: list[Path], predicate: Callable[[Any], Any], options: dict[str, Any]) -> None:
    frame, expected = units(files, **options), pandas_units(files)
    selected = predicate(expected)
    pd.testing.assert_frame_equal(frame[predicate(frame)].compute(), expected[selected])
    assert len(frame[predicate(frame)]) == len(expected[selected])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TREES, st.sampled_from([{}, {"aggregate_files": "1 GB"}, {"aggregate_files": 400}]))
def test_pushed_filters_equal_pandas(files: list[Path], predicate: Any, options: dict[str, Any]) -> None:
    _agrees(files, predicate, options)


@pytest.mark.slow
@settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TREES, st.sampled_from([{}, {"aggregate_files": "1 GB"}, {"aggregate_files": 400}, {"blocksize": 100}]))
def test_many_pushed_filters_equal_pandas(files: list[Path], predicate: Any, options: dict[str, Any]) -> None:
    _agrees(files, predicate, options)


OF_POLARS: dict[str, tuple[pl.Expr, set[int]]] = {
    "==": (pl.col("subject_id") == "ann", {0, 3}),
    "!=": (pl.col("subject_id") != "ann", {1, 4}),
    "not ==": (~(pl.col("subject_id") == "ann"), {1, 4}),
    "is_in": (pl.col("subject_id").is_in(["ann", ""]), {0, 3, 4}),
    "is_null": (pl.col("subject_id").is_null(), {2}),
    "between numbers": (pl.col("rig").is_between(0, 5), {0, 4}),
    "float": (pl.col("score") >= 1, {1, 3}),
    "date": (pl.col("session_start_time") > SECOND, {2, 3, 4}),
    "between dates": (pl.col("session_start_time").is_between(SECOND, FOURTH), {1, 2, 3}),
    "dates": (pl.col("session_start_time").is_in([SECOND, FOURTH]), {1, 3}),
    "n_rows": (pl.col("n_rows") > 3, {0, 3}),
    "and": ((pl.col("subject_id") != "ann") & (pl.col("rate") > 1), {1, 4}),
    "or": ((pl.col("subject_id") == "ann") | (pl.col("rate") > 1), {0, 1, 2, 3, 4}),
}


@pytest.mark.parametrize("name", OF_POLARS)
def test_polars_filters_as_in_memory_and_opens_no_other_file(files: list[Path], tmp_path: Path, name: str) -> None:
    predicate, opened = OF_POLARS[name]
    copies = [Path(shutil.copy(path, tmp_path)) for path in files]
    lazy = nwb_dask.scan_nwb(copies, "/units", session_columns=COLUMNS, include_path_columns=False)
    for number in set(range(len(files))) - opened:
        copies[number].unlink()
    assert_frame_equal(lazy.filter(predicate).select(SHOWN).collect(), polars_units(files).filter(predicate))


FILTERS: dict[str, tuple[tuple[str, str, Any], Any]] = {
    "==": (("subject_id", "==", "ann"), pc.field("subject_id") == "ann"),
    "!=": (("subject_id", "!=", "ann"), pc.field("subject_id") != "ann"),
    "in": (("subject_id", "in", ["ann", ""]), pc.field("subject_id").isin(["ann", ""])),
    "is": (("lab", "is", None), pc.field("lab").is_null()),
    "number": (("rig", ">=", 3), pc.field("rig") >= 3),
    "date": (("session_start_time", ">", SECOND), pc.field("session_start_time") > pa.scalar(SECOND)),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_of_read_table_select_what_each_engine_selects(files: list[Path], name: str) -> None:
    condition, expression = FILTERS[name]
    options: Any = {
        "session_columns": COLUMNS,
        "include_path_columns": False,
        "filters": [condition],
        "columns": ["id"],
    }
    expected = polars_units(files).to_arrow().filter(expression).select(["id", *COLUMNS])
    arrow = nwb_dask.read_table(files, "/units", "arrow", **options)
    assert str(arrow.to_pylist()) == str(expected.to_pylist())
    assert_frame_equal(nwb_dask.read_table(files, "/units", "polars", **options), pl.DataFrame(expected))
    frame = nwb_dask.read_table(files, "/units", **options)
    whole = pandas_units(files)[["id", *COLUMNS]]
    column, operator, value = condition
    ask: dict[str, Callable[[Any], Any]] = {
        "==": lambda s: s == value, "!=": lambda s: s != value, "in": lambda s: s.isin(value),
        "is": lambda s: s.isna(), ">=": lambda s: s >= value, ">": lambda s: s > value,
    }  # fmt: skip
    pd.testing.assert_frame_equal(frame, whole[ask[operator](whole[column])])


def test_number_of_rows_of_a_session_is_known_unread(files: list[Path], tmp_path: Path) -> None:
    copies = [Path(shutil.copy(path, tmp_path)) for path in files]
    frame = dd.read_nwb(copies, "/units", session_columns=["session_id", "rig"])
    for path in copies:
        path.unlink()
    assert len(frame[frame.session_id == "ses-2"]) == N_UNITS[3]
    assert len(frame[(frame.rig == 3) & frame.session_id.isin(["ses-1", "ses-2"])]) == N_UNITS[0]
    assert len(frame[frame.session_id == "nobody"]) == 0


def test_rows_of_several_sessions_in_one_partition_have_the_values_of_their_own(files: list[Path]) -> None:
    frame = units(files, aggregate_files="1 GB")
    assert frame.npartitions == 1
    pd.testing.assert_frame_equal(frame.compute(), pandas_units(files))


def test_of_a_partition_of_several_files_only_those_that_may_match_are_opened(
    files: list[Path], tmp_path: Path
) -> None:
    copies = [Path(shutil.copy(path, tmp_path)) for path in files]
    frame = units(copies, aggregate_files="1 GB")
    for number in (0, 2, 3, 4):
        copies[number].unlink()
    got, expected = frame[frame.subject_id == "bob"].compute(), pandas_units(files)
    pd.testing.assert_frame_equal(got, expected[expected.subject_id == "bob"])


def test_sql_groups_by_session_columns_and_prunes_by_them(files: list[Path], tmp_path: Path) -> None:
    copies = [Path(shutil.copy(path, tmp_path)) for path in files]
    context = nwb_dask.sql_context(copies, session_columns=["subject_id", "session_id"])
    query = (
        "SELECT session_id, COUNT(*) AS n FROM units WHERE subject_id = 'ann' GROUP BY session_id ORDER BY session_id"
    )
    frame = context.execute(query)
    assert context.explain(query).reads[0].n_files == 2
    for number in (1, 2, 4):
        copies[number].unlink()
    assert frame.collect().rows() == [("ses-1", N_UNITS[0]), ("ses-2", N_UNITS[3])]


@pytest.mark.parametrize("column", ["experimenter", "session_description"])
def test_lists_and_text_are_columns_too(files: list[Path], column: str) -> None:
    frame = dd.read_nwb(files, "/units", columns=["id"], session_columns=[column], include_path_columns=False).compute()
    eager = nwb_dask.read_table(files, "/units", "arrow", columns=["id"], session_columns=[column])
    wanted = [SESSIONS[number].get(column, f"{number} session_description") for number in (0, 1, 2, 3)]
    per_row = [value for value, n_rows in zip(wanted, N_UNITS, strict=False) for _ in range(n_rows)]
    assert eager.column(column).to_pylist() == per_row
    assert [None if value is None or value is pd.NA else _listed(value) for value in frame[column]] == per_row


def _listed(value: Any) -> Any:
    return value if isinstance(value, str) else list(value)


def test_columns_come_after_those_of_the_table_and_before_those_of_the_path(files: list[Path]) -> None:
    every = dd.read_nwb(files, "/units", session_columns=["subject_id", "rig"])
    assert list(every.columns[-5:]) == ["subject_id", "rig", "_nwb_path", "_table_path", "_table_index"]
    some = dd.read_nwb(files, "/units", columns=["rig", "id"], session_columns=["subject_id", "rig"])
    assert list(some.columns) == ["rig", "id", "subject_id", "_nwb_path", "_table_path", "_table_index"]


def test_a_mapping_gives_other_names(files: list[Path]) -> None:
    frame = nwb_dask.read_table(files, "/units", session_columns={"mouse": "subject_id", "units": "n_rows"})
    assert frame["mouse"].tolist()[:4] == ["ann"] * 4
    assert frame["units"].tolist()[:4] == [N_UNITS[0]] * 4


def test_metadata_that_does_not_exist_is_an_error_with_the_nearest_names(files: list[Path]) -> None:
    with pytest.raises(
        PathNotFoundError, match="no metadata 'subjectid' for session_columns; did you mean 'subject_id'"
    ):
        dd.read_nwb(files, "/units", session_columns=["subjectid"])


@pytest.mark.parametrize("table", ["/units", "/intervals/trials"])
def test_a_name_that_the_table_has_is_an_error_that_says_the_way_out(files: list[Path], table: str) -> None:
    way_out = r"of its own; session_columns=\{'session.id': 'subject_id'\} gives"
    with pytest.raises(PathNotFoundError, match=way_out):
        nwb_dask.scan_nwb(files, table, session_columns={"id": "subject_id"})
    renamed = nwb_dask.scan_nwb(files, table, session_columns={"session.id": "subject_id"})
    assert "session.id" in renamed.collect_schema()


def test_names_are_asked_for_as_text() -> None:
    with pytest.raises(TypeError, match="names of metadata are wanted"):
        dd.read_nwb("no.nwb", "/units", session_columns=[1])  # type: ignore[list-item]  # the error is the test


def test_explain_says_what_decided(files: list[Path]) -> None:
    frame = dd.read_nwb(files, "/units", session_columns=["subject_id", "session_start_time"])
    late = frame.session_start_time > pd.Timestamp("2024-01-03", tz="UTC")
    text = str(frame[(frame.subject_id == "ann") & late & (frame.rate > 1)].nwb.explain())
    assert "files       1 of 5" in text
    assert "subject_id == 'ann'" in text
    assert "read first  rate\n" in text
    pieces = frame[frame.subject_id == "ann"].nwb.partitions
    assert pieces["subject_id"].tolist() == ["ann", "ann"]
    assert reduce(max, pieces["session_start_time"]) == start_of(3)
    assert dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC) in set(pieces["session_start_time"])
