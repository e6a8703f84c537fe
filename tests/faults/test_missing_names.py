"""Tables and columns that nobody has or some lack, filters without a meaning, options with a wrong value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.errors import PathNotFoundError, PredicateError, SchemaConflictError
from nwb_dask.testing.odd_columns import add_table, new_file
from tests.faults.reading import Read, check_error, every_engine, read_arrow, read_dask, values


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    """Two files: both with ``/units``, the second alone with ``/processing/lab/licks`` and a column ``depth``."""
    paths = [tmp_path / "first.nwb", tmp_path / "second.nwb"]
    for path in paths:
        with new_file(path) as file:
            columns: dict[str, Any] = {"quality": ["good", "bad"], "rate": np.array([1.0, np.nan])}
            if path == paths[1]:
                columns["depth"] = np.array([3, 4], "i2")
                add_table(file, "processing/lab/licks", {"start_time": np.arange(3.0)})
            group = add_table(file, "units", columns | {"waveform": np.ones((2, 5))})
            assert group.name == "/units"
    return paths


@every_engine
def test_a_table_that_nobody_has_brings_the_nearest_name_and_who_has_it(read: Read, two: list[Path]) -> None:
    with pytest.raises(PathNotFoundError) as caught:
        read(two, "/processing/lab/lick")
    check_error(caught.value, kind=PathNotFoundError, builtin=KeyError, names=two[0])
    assert f"did you mean '/processing/lab/licks' (in {two[1]})?" in str(caught.value)


@every_engine
def test_a_table_asked_for_without_its_folder_is_suggested_with_it(read: Read, two: list[Path]) -> None:
    with pytest.raises(PathNotFoundError, match="did you mean '/processing/lab/licks'"):
        read(two, "licks")


def test_a_table_like_no_other_brings_the_list_of_tables(two: list[Path]) -> None:
    with pytest.raises(PathNotFoundError, match="the tables are /, /general, /units, /processing/lab/licks"):
        nwb_dask.read_table(two, "/zzz")


def test_a_glob_that_matches_no_table_is_an_error(two: list[Path]) -> None:
    with pytest.raises(PathNotFoundError, match="no table '/intervals/\\*'"):
        nwb_dask.read_table(two, "/intervals/*")


@every_engine
def test_a_file_without_the_table_gives_no_rows(read: Read, two: list[Path]) -> None:
    assert values(read(two, "/processing/lab/licks"), "_nwb_path") == [str(two[1])] * 3


@every_engine
def test_a_file_without_the_table_is_an_error_if_asked_for(read: Read, two: list[Path]) -> None:
    with pytest.raises(PathNotFoundError, match="missing_table='skip'") as caught:
        read(two, "/processing/lab/licks", missing_table="raise")
    check_error(caught.value, kind=PathNotFoundError, builtin=KeyError, names=two[0])
    assert f"{two[1]} has it" in str(caught.value)


@every_engine
def test_a_single_dataset_is_no_table_and_the_error_names_the_way_out(read: Read, two: list[Path]) -> None:
    with pytest.raises(ValueError, match="/units/rate is a single dataset, not a table; read the group"):
        read(two, "/units/rate")


@every_engine
@pytest.mark.parametrize("how", ["columns", "filters", "text", "index", "schema_overrides", "resolve"])
def test_a_column_that_nobody_has_brings_the_nearest_name_and_who_has_it(
    read: Read, how: str, two: list[Path], request: pytest.FixtureRequest
) -> None:
    if how == "index" and "dask" not in request.node.callspec.id and "pandas" not in request.node.callspec.id:
        pytest.skip("only pandas has an index")
    choices: dict[str, dict[str, Any]] = {
        "columns": {"columns": ["rate", "depht"]},
        "filters": {"filters": [("depht", ">", 3)]},
        "text": {"filters": "rate > 1 and depht > 3"},
        "index": {"index": "depht"},
        "schema_overrides": {"schema_overrides": {"depht": "int64"}},
        "resolve": {"resolve": ["depht"]},
    }
    with pytest.raises(PathNotFoundError) as caught:
        read(two, "/units", **choices[how])
    check_error(caught.value, kind=PathNotFoundError, builtin=KeyError, names=two[0])
    assert caught.value.path == "/units"
    assert f"no column 'depht' in /units of any of 2 files, such as {two[0]}" in str(caught.value)
    assert f"did you mean 'depth' (in {two[1]})?" in str(caught.value)


def test_a_column_like_no_other_brings_the_list_of_columns(two: list[Path]) -> None:
    with pytest.raises(PathNotFoundError, match="the columns are id, quality, rate, waveform, depth"):
        nwb_dask.read_table(two, "/units", columns=["zzz"])


@every_engine
def test_a_column_that_one_file_lacks_is_null_there(read: Read, two: list[Path]) -> None:
    assert values(read(two, "/units", columns=["depth"]), "depth") == [None, None, 3, 4]


@every_engine
@pytest.mark.parametrize("columns", [None, ["depth"]])
def test_a_column_that_one_file_lacks_is_an_error_if_asked_for(
    read: Read, columns: list[str] | None, two: list[Path]
) -> None:
    with pytest.raises(PathNotFoundError, match="missing_columns='insert'") as caught:
        read(two, "/units", columns=columns, missing_columns="raise")
    check_error(caught.value, kind=PathNotFoundError, builtin=KeyError, names=two[0])
    assert "column 'depth' is missing from /units" in str(caught.value)


@every_engine
def test_a_column_that_is_not_asked_for_may_be_missing(read: Read, two: list[Path]) -> None:
    assert len(values(read(two, "/units", columns=["rate"], missing_columns="raise"), "rate")) == 4


@every_engine
@pytest.mark.parametrize("filters", [[("waveform", ">", 1)], "waveform > 1"])
def test_a_filter_on_a_column_of_arrays_says_what_can_be_filtered(read: Read, filters: Any, two: list[Path]) -> None:
    with pytest.raises(PredicateError, match=r"Filter on .*quality, rate, depth") as caught:
        read(two, "/units", filters=filters)
    check_error(caught.value, kind=PredicateError, builtin=TypeError, names="column 'waveform'")


def test_a_filter_without_a_meaning_names_file_and_table(two: list[Path]) -> None:
    with pytest.raises(PredicateError) as caught:
        nwb_dask.read_table(two, "/units", filters=[("waveform", ">", 1)])
    assert (caught.value.url, caught.value.path) == (str(two[0]), "/units")


@every_engine
@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ([("quality", ">", 5)], "quality is text, compared with a number"),
        ([("rate", "==", "high")], "rate is a number, compared with text"),
        ("quality > 5", "quality is text, compared with a number"),
        ("rate + 1", "is a number, not true or false"),
        ("rate >", "cannot read the filter 'rate >'"),
        ([("rate", "~", 5)], "unknown operator '~'; there are =, =="),
        ([("rate", ">", None)], "to ask for absent values write"),
        ([], "malformed filters"),
        (5, "malformed filters 5; write filters as"),
    ],
)
def test_a_filter_that_means_nothing_says_why(read: Read, filters: Any, reason: str, two: list[Path]) -> None:
    with pytest.raises(PredicateError) as caught:
        read(two, "/units", filters=filters)
    check_error(caught.value, kind=PredicateError, builtin=TypeError, names=reason)


@pytest.mark.parametrize("read", [read_dask, nwb_dask.read_table])
def test_a_column_of_arrays_cannot_label_rows(read: Read, two: list[Path]) -> None:
    with pytest.raises(PredicateError, match="'waveform' of /units cannot label rows"):
        read(two, "/units", index="waveform")


@every_engine
def test_resolving_a_column_that_is_no_region_names_the_column(read: Read, two: list[Path]) -> None:
    with pytest.raises(PathNotFoundError, match=r"'rate'.* is no DynamicTableRegion") as caught:
        read(two, "/units", resolve="rate")
    check_error(caught.value, kind=PathNotFoundError, builtin=KeyError, names=two[0])
    assert caught.value.path == "/units/rate"


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"errors": "ignore"}, ValueError, "errors='ignore' is none of 'raise', 'skip'"),
        ({"missing_table": "x"}, ValueError, "missing_table='x' is none of 'skip', 'raise'"),
        ({"missing_columns": None}, ValueError, "missing_columns=None is none of 'insert', 'raise'"),
        ({"columns": [5]}, TypeError, "columns=[5]: a name or a list of names"),
        ({"resolve": 5}, TypeError, "resolve=5: a name or a list of names"),
        ({"index": 5}, TypeError, "index=5: the name of one column"),
        ({"schema_overrides": 5}, TypeError, "schema_overrides is a mapping"),
        ({"storage_options": 5}, TypeError, "storage_options is a mapping"),
        ({"storage_options": {"keey": "k"}}, TypeError, "storage_options has no 'keey'"),
    ],
)
@pytest.mark.parametrize("read", [read_dask, nwb_dask.read_table])
def test_an_option_with_a_wrong_value_is_named(
    read: Read, options: dict[str, Any], kind: type[Exception], said: str, two: list[Path]
) -> None:
    with pytest.raises(kind) as caught:
        read(two, "/units", **options)
    assert said in str(caught.value)


@pytest.mark.parametrize("table", [5, [5], None])
def test_a_table_that_is_no_name_is_refused(table: Any, two: list[Path]) -> None:
    with pytest.raises(TypeError, match=r"table=.*: a name or a list of names"):
        nwb_dask.read_table(two, table)


@pytest.mark.parametrize("table", ["", [], [""]])
def test_no_table_at_all_is_refused_and_not_the_root(table: Any, two: list[Path]) -> None:
    with pytest.raises(ValueError, match="names no table"):
        nwb_dask.read_table(two, table)


def test_columns_that_are_no_names_are_refused(two: list[Path]) -> None:
    with pytest.raises(TypeError, match="columns=5: a name or a list of names"):
        nwb_dask.read_table(two, "/units", columns=5)  # type: ignore[call-overload]  # what is tested


def test_an_engine_that_does_not_exist_is_refused(two: list[Path]) -> None:
    with pytest.raises(ValueError, match="engine='dask' is none of 'pandas', 'polars', 'arrow'"):
        nwb_dask.read_table(two, "/units", "dask")  # type: ignore[call-overload]  # what is tested


def test_an_index_is_refused_where_rows_have_no_labels(two: list[Path]) -> None:
    with pytest.raises(ValueError, match="index='id': only pandas has row labels, not polars"):
        nwb_dask.read_table(two, "/units", "polars", index="id")


@pytest.mark.parametrize("option", ["blocksize", "aggregate_files"])
@pytest.mark.parametrize("size", ["x", "", 0, -1])
def test_a_size_that_is_none_is_refused(option: str, size: object, two: list[Path]) -> None:
    with pytest.raises(ValueError, match="size in bytes"):
        dd.read_nwb(two, "/units", **{option: size})  # type: ignore[arg-type]  # what is tested


def test_a_type_that_does_not_exist_is_refused(two: list[Path]) -> None:
    with pytest.raises(SchemaConflictError, match="'int33' names no column type; give a pyarrow or numpy type"):
        read_arrow(two, "/units", schema_overrides={"rate": "int33"})
