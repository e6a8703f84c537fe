"""SQL over many files: names of tables, what is opened and read, and what is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
from polars.exceptions import PolarsError, SQLInterfaceError
from polars.testing import assert_frame_equal

import nwb_dask
from nwb_dask.adapters import contents, metadata
from nwb_dask.adapters.sql_statement import named_tables
from nwb_dask.catalog import recent_tables
from nwb_dask.errors import MalformedFileError, PathNotFoundError, SchemaConflictError, SourceChangedError
from nwb_dask.read import describe
from nwb_dask.testing.files import write_session
from nwb_dask.testing.odd_columns import add_series, add_table, new_file
from tests.adapters.sql_sessions import write_sessions

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_sessions(tmp_path_factory.mktemp("sql"))


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is looked at: paths of tables, and ``*`` for the tree of a file and ``session`` for its metadata."""
    found: list[str] = []

    def spy(owner: object, name: str, said: Callable[..., str]) -> None:
        original = getattr(owner, name)

        def spying(*args: Any, **options: Any) -> object:
            found.append(said(*args))
            return original(*args, **options)

        monkeypatch.setattr(owner, name, spying)

    recent_tables.clear()
    spy(describe, "_describe", lambda file, path, *_: path)
    spy(describe, "list_objects", lambda file: "*")
    spy(metadata, "read_record", lambda file: "session")
    return found


def test_a_name_is_a_path_or_its_last_part_if_only_one_path_has_it(tmp_path: Path) -> None:
    with new_file(tmp_path / "a.nwb") as file:
        for number, path in enumerate(["units", "processing/one/units", "processing/one/other", "intervals/Trials"]):
            add_table(file, path, {"number": [number]})
    with new_file(tmp_path / "b.nwb") as file:
        for number, path in enumerate(["processing/two/other", "intervals/trials", "processing/two/s.t"]):
            add_table(file, path, {"number": [number + 10]})
    with nwb_dask.sql_context(tmp_path) as context:
        for name, number in {"Trials": 3, "trials": 11, '"/units"': 0, '"/processing/one/units"': 1}.items():
            assert context.execute(f"SELECT number FROM {name}", eager=True).item() == number
        for name in ("s.t", '"s.t"', '"/processing/two/s.t"'):
            assert context.execute(f"SELECT number FROM {name}", eager=True).item() == 12
        with pytest.raises(PathNotFoundError, match='"/processing/one/units" or "/units"'):
            context.execute("SELECT number FROM units")
        # Of two files, each with one path of that name.
        with pytest.raises(PathNotFoundError, match='"/processing/one/other" or "/processing/two/other"'):
            context.execute("SELECT number FROM other")
        names = context.tables()
    assert {"/", "session", "Trials", "trials", "s.t", "/units"} <= set(names)
    assert names == sorted(names)
    assert not {"units", "other", ""} & set(names)


WRONG = {
    "Units": "did you mean 'units'",
    "TRIALS": "did you mean 'trials'",
    "trial": "did you mean 'trials'",
    '"/unit"': "did you mean '/units'",
    '"/units/"': "did you mean '/units'",
    '"intervals/trials"': "did you mean '/intervals/trials'",
    '"/interval*/trials"': "did you mean '/intervals/trials'",
    "main.units": "did you mean 'units'",
    '"Session"': "did you mean 'session'",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_name_that_is_in_no_file_is_an_error_with_the_nearest(files: list[Path], name: str) -> None:
    with pytest.raises(PathNotFoundError, match=WRONG[name]) as caught:
        nwb_dask.sql(f"SELECT COUNT(*) FROM {name}", files)
    assert str(files[0]) in str(caught.value)


def test_names_that_differ_in_capitals_are_two_although_polars_takes_one_for_the_other(files: list[Path]) -> None:
    with pytest.raises(PathNotFoundError, match="'UNITS'"):
        nwb_dask.sql("SELECT a.id FROM units AS a JOIN UNITS AS b USING (id)", files)


def test_a_path_with_the_characters_of_a_glob_is_itself(tmp_path: Path) -> None:
    with new_file(tmp_path / "a.nwb") as file:
        add_table(file, "processing/p/t[1]", {"number": [1]})
        add_table(file, "processing/p/t1", {"number": [2]})
    with new_file(tmp_path / "b.nwb") as file:
        add_table(file, "processing/p/t1", {"number": [3]})
    for name in ('"/processing/p/t[1]"', '"t[1]"'):
        assert nwb_dask.sql(f"SELECT number FROM {name}", tmp_path).collect().to_series().to_list() == [1]
    with pytest.raises(PathNotFoundError, match=r"t\?"):
        nwb_dask.sql('SELECT number FROM "/processing/p/t?"', tmp_path)


def test_session_is_the_metadata_whatever_is_in_the_files(tmp_path: Path) -> None:
    with new_file(tmp_path / "a.nwb") as file:
        add_table(file, "intervals/session", {"number": [7]})
    context = nwb_dask.sql_context(tmp_path)
    expected = nwb_dask.read_metadata(tmp_path, "polars")
    assert_frame_equal(context.execute("SELECT * FROM session", eager=True), expected)
    assert context.execute('SELECT number FROM "/intervals/session"', eager=True).item() == 7
    assert context.tables().count("session") == 1


def test_every_name_that_is_listed_can_be_asked(files: list[Path]) -> None:
    context = nwb_dask.sql_context(files)
    assert context.execute("show tables;", eager=True)["name"].to_list() == context.tables()
    for name in context.tables():
        assert "_nwb_path" in context.execute(f'SELECT * FROM "{name}"').collect_schema()
    assert set(contents.list_paths(files)) == {name for name in context.tables() if name.startswith("/")}


LOOKED_AT = {
    'SELECT id FROM "/units"': {"/units"},
    'SELECT u.id FROM "/units" u JOIN session USING (_nwb_path)': {"/units", "session"},
    "SELECT subject_id FROM session": {"session"},
    "SELECT id FROM units": {"/units", "*"},
    'WITH trials AS (SELECT id FROM "/units") SELECT * FROM trials': {"/units"},
    'WITH session AS (SELECT id FROM "/units") SELECT * FROM session': {"/units"},
    """SELECT 'trials' AS name, "/units".id FROM "/units" -- session""": {"/units"},
    "SELECT 1": set(),
    "SELECT id FROM nowhere": {"*"},
    "DROP TABLE units": set(),
    "SELECT FROM": set(),
    "SHOW TABLES": {"*"},
}


@pytest.mark.parametrize("query", LOOKED_AT)
def test_only_what_a_query_uses_is_looked_at(files: list[Path], described: list[str], query: str) -> None:
    with contextlib.suppress(PathNotFoundError, SQLInterfaceError):
        nwb_dask.sql(query, files).collect()
    assert set(described) == LOOKED_AT[query]


def test_a_context_describes_each_table_once_and_forgets_at_its_end(files: list[Path], described: list[str]) -> None:
    with nwb_dask.sql_context(files) as context:
        for _ in range(2):
            context.execute("SELECT * FROM units JOIN trials USING (id)")
            context.execute('SELECT * FROM "/units", session')
        assert sorted(described) == sorted([*["*"] * 3, *["/units"] * 3, *["/intervals/trials"] * 3, *["session"] * 3])
    write_sessions(files[0].parent)
    assert context.execute("SELECT COUNT(*) FROM units", eager=True).item() == 10


STATEMENTS = [
    "DROP TABLE units",
    "drop table if exists units",
    "TRUNCATE TABLE units",
    "CREATE TABLE mine AS SELECT * FROM units",
    "-- a query\nDELETE FROM units WHERE id > 1",
    "INSERT INTO units VALUES (1)",
    "UPDATE units SET id = 1",
    "SHOW COLUMNS FROM units",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_statements_that_ask_for_nothing_are_refused_before_anything_is_opened(
    files: list[Path], described: list[str], statement: str
) -> None:
    with pytest.raises(SQLInterfaceError, match="no query"):
        nwb_dask.sql(statement, files)
    assert not described


BROKEN = {
    "SELEC id FROM units": "Expected: an SQL statement, found: SELEC",
    "SELECT id FROM units WHERE": "Expected: an expression",
    "SELECT nowhere FROM units": 'unable to find column "nowhere"',
    "SELECT id FROM units; DROP TABLE units": "one statement|one .and only one. statement",
    "": "one .and only one. statement",
    "WITH u AS (SELECT 1) DELETE FROM units": "unsupported",
    "SELECT nosuchfunction(id) FROM units": "nosuchfunction",
    "SELECT id + quality FROM units WHERE rate = 'x'": "rate",
}


@pytest.mark.parametrize("query", BROKEN)
def test_what_polars_says_of_a_query_is_seen(files: list[Path], query: str) -> None:
    with pytest.raises(PolarsError, match=BROKEN[query]):
        nwb_dask.sql(query, files).collect()


def test_a_path_without_quotes_is_an_error_that_shows_them(files: list[Path]) -> None:
    with pytest.raises(SQLInterfaceError) as caught:
        nwb_dask.sql("SELECT * FROM /intervals/trials WHERE id = 1", files)
    assert caught.value.__notes__ == ['a path is written in double quotes: "/intervals/trials"']


@pytest.mark.skipif(not REAL.exists(), reason="the real files are not there")
@pytest.mark.parametrize("path", sorted(REAL.rglob("*.nwb"))[::14], ids=lambda path: path.stem)
def test_every_table_of_a_real_file_is_that_of_a_scan(path: Path) -> None:
    context = nwb_dask.sql_context(path)
    for table in contents.list_paths(path):
        schema = context.execute(f'SELECT * FROM "{table}"').collect_schema()
        assert schema == nwb_dask.scan_nwb(path, table).collect_schema()
        with h5py.File(path) as file:
            n_rows = len(file[table]["id"]) if "id" in getattr(file[table], "keys", list)() else 0
        if n_rows:
            assert context.execute(f'SELECT COUNT(_table_index) FROM "{table}"', eager=True).item() == n_rows


def test_files_that_disagree_are_an_error_that_says_how_to_decide(tmp_path: Path) -> None:
    labels: dict[str, list[object]] = {"a": [1, 2], "b": ["x", "y"]}
    for name, values in labels.items():
        with new_file(tmp_path / f"{name}.nwb") as file:
            add_table(file, "units", {"label": values})
            add_table(file, "processing/p/t", {"number": [1]})
    assert nwb_dask.sql("SELECT COUNT(*) FROM t", tmp_path).collect().item() == 2
    with pytest.raises(SchemaConflictError, match="label") as caught:
        nwb_dask.sql("SELECT * FROM units", tmp_path)
    assert "schema_overrides={'/units': {column: type}}" in caught.value.__notes__[0]
    overrides = {"/units": {"label": "string"}}
    frame = nwb_dask.sql("SELECT label FROM units", tmp_path, schema_overrides=overrides)
    assert frame.collect()["label"].to_list() == ["1", "2", "x", "y"]
    with pytest.raises(TypeError, match="schema_overrides"):
        nwb_dask.sql_context(tmp_path, schema_overrides={"label": "string"})  # type: ignore[dict-item]  # what is tested


def test_corrupt_files_are_an_error_or_left_out_of_every_table(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "bad.nwb").write_text("text")
    sources = [tmp_path / "bad.nwb", *files]
    query = "SELECT COUNT(*) AS n FROM units JOIN session USING (_nwb_path)"
    with pytest.raises(MalformedFileError, match=r"bad\.nwb"):
        nwb_dask.sql(query, sources)
    with pytest.warns(nwb_dask.SkippedFilesWarning, match=r"bad\.nwb"):
        frame = nwb_dask.sql(query, sources, errors="skip")
    assert frame.collect().item() == 10
    with pytest.raises(ValueError, match="errors"):
        nwb_dask.sql_context(files, errors="ignore")  # type: ignore[arg-type]  # what is tested


def test_a_file_that_was_replaced_is_an_error_in_an_old_context(tmp_path: Path) -> None:
    path = write_session(tmp_path / "a.nwb", n_units=3)
    context = nwb_dask.sql_context(path)
    assert context.execute("SELECT COUNT(*) FROM units", eager=True).item() == 3
    write_session(path, n_units=4, seed=2)
    with pytest.raises(SourceChangedError, match=r"a\.nwb"):
        context.execute("SELECT COUNT(*) FROM units", eager=True)
    assert nwb_dask.sql("SELECT COUNT(*) FROM units", path, eager=True).item() == 4


def test_files_are_listed_once_for_all_tables(tmp_path: Path) -> None:
    write_session(tmp_path / "a.nwb", n_units=3)
    context = nwb_dask.sql_context(tmp_path)
    write_session(tmp_path / "b.nwb", n_units=4)
    assert context.execute("SELECT COUNT(*) FROM units", eager=True).item() == 3
    assert context.execute("SELECT * FROM session", eager=True).height == 1


def test_functions_of_polars_stand_in_place_of_tables(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "mice.csv").write_text("subject_id,weight\nann,20\nbob,30\n")
    query = f"""
        SELECT session_id, weight FROM session JOIN read_csv('{tmp_path / "mice.csv"}') USING (subject_id)
        ORDER BY session_id"""
    assert nwb_dask.sql(query, files).collect()["weight"].to_list() == [20, 30, 20]


def test_series_without_some_columns_are_tables_too(tmp_path: Path) -> None:
    with new_file(tmp_path / "a.nwb") as file:
        add_series(file, "acquisition/plain", data=[1.0, 2.0], starting_time=(0.5, 2.0))
        add_series(file, "acquisition/bare", timestamps=[0.0, 1.0, 2.0])
    context = nwb_dask.sql_context(tmp_path)
    assert context.execute("SELECT timestamps, data FROM plain", eager=True).rows() == [(0.5, 1.0), (1.0, 2.0)]
    assert context.execute("SELECT MAX(timestamps) FROM bare", eager=True).item() == 2.0


def test_polars_tells_the_names_of_tables_in_a_query() -> None:
    """A private name of polars is behind it."""
    query = 'WITH c AS (SELECT * FROM "/a/b") SELECT * FROM c JOIN x.y WHERE z IN (SELECT q FROM "w""")'
    found = named_tables(query)
    assert set(found) == {"/a/b", "c", "x.y", 'w"'}
