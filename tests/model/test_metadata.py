"""Metadata of many sessions as columns, without a file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwb_dask.model.metadata import (
    STANDARD,
    SUBJECT,
    Cell,
    Key,
    column_names,
    metadata_table,
    parse_date,
    session_values,
)

LAB, WEIGHT = Key("/general", "lab"), Key(SUBJECT, "weight")
START, CREATED, BIRTH = Key("/", "session_start_time"), Key("/", "file_create_date"), Key(SUBJECT, "date_of_birth")
TEXTS = pa.large_list(pa.string())


def text(value: str) -> Cell:
    return Cell(pa.string(), value)


def column(key: Key, *cells: Cell | None, dates: bool = True) -> tuple[list[Any], pa.DataType, list[tuple[str, str]]]:
    """Return the values and the type of one column, and of each trouble the file and the reason."""
    records: list[tuple[str, dict[Key, Cell]]] = [
        (str(number), {} if cell is None else {key: cell}) for number, cell in enumerate(cells)
    ]
    table, fields, troubles = metadata_table(records, dates=dates)
    name = column_names([*STANDARD, key])[key]
    assert [(field.name, field.type) for field in fields] == [(one.name, one.type) for one in table.schema]
    assert table["_nwb_path"].to_pylist() == [name for name, _ in records]
    return table[name].to_pylist(), table.schema.field(name).type, [(one.file, one.reason) for one in troubles]


def test_every_standard_field_is_a_column_whether_a_file_has_it_or_not() -> None:
    table, fields, troubles = metadata_table([("a", {})], dates=True)
    assert table.column_names == ["_nwb_path", *column_names(STANDARD).values()]
    assert all(field.nullable for field in fields[1:])
    assert not troubles
    assert table.num_rows == 1
    assert table.schema.field("keywords").type == TEXTS
    assert table.schema.field("subject_date_of_birth").type == pa.timestamp("us", "UTC")
    assert metadata_table([], dates=True)[0].schema == table.schema


names = st.sampled_from(["identifier", "subject_id", "id", "age", "subject_age", "_nwb_path", "other"])
keys = st.builds(Key, st.sampled_from(["/", "/general", SUBJECT]), names)


@given(st.lists(keys, unique=True))
def test_no_two_fields_have_the_same_column(found: list[Key]) -> None:
    named = column_names([*STANDARD, *found])
    assert set(named) == {*STANDARD, *found}
    assert len({*named.values(), "_nwb_path"}) == len(named) + 1
    assert {key: named[key] for key in STANDARD} == column_names(STANDARD)


@given(st.permutations([Key("/", "x"), Key("/general", "x"), Key(SUBJECT, "x"), Key(SUBJECT, "subject_x")]))
def test_the_names_of_columns_do_not_depend_on_which_file_comes_first(found: list[Key]) -> None:
    named = column_names(found)
    assert named[Key("/", "x")] == "x"
    assert named[Key("/general", "x")] == "/general/x"
    assert (named[Key(SUBJECT, "subject_x")], named[Key(SUBJECT, "x")]) == ("subject_x", f"{SUBJECT}/x")


OFFSETS = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)


@given(st.datetimes(timezones=OFFSETS | st.none()))
def test_any_moment_survives_as_text_in_iso_8601(moment: datetime) -> None:
    assert parse_date(moment.isoformat()) == moment


@pytest.mark.parametrize("value", ["", "yesterday", "Sat Jul 04 2015 15:42:02", "2020-13-01", "1.0"])
def test_text_that_is_no_date_is_null_and_told(value: str) -> None:
    values, kind, troubles = column(START, text(value), text("2020-01-01T00:00:00+01:00"), None)
    assert values == [None, datetime(2019, 12, 31, 23, tzinfo=UTC), None]
    assert kind == pa.timestamp("us", "UTC")
    assert [(file, "no ISO 8601" in reason) for file, reason in troubles] == [("0", True)]


def test_a_date_that_no_utc_calendar_has_is_null_and_told() -> None:
    values, _, troubles = column(START, text("0001-01-01T00:00:00+10:00"))
    assert values == [None]
    assert len(troubles) == 1


def test_a_day_is_its_first_moment_and_a_number_is_no_date() -> None:
    values, _, troubles = column(BIRTH, text("2020-01-01"), Cell(pa.float64(), 3.0))
    assert values == [datetime(2020, 1, 1, tzinfo=UTC), None]
    assert [file for file, _ in troubles] == ["1"]


def test_one_bad_date_of_a_list_loses_no_other() -> None:
    values, _, troubles = column(CREATED, Cell(TEXTS, ["2020-01-01T00:00:00Z", "soon"]), text("2020-01-01T00:00:00Z"))
    assert values == [[datetime(2020, 1, 1, tzinfo=UTC), None], [datetime(2020, 1, 1, tzinfo=UTC)]]
    assert len(troubles) == 1


def test_dates_stay_text_if_they_are_not_to_be_parsed() -> None:
    values, kind, troubles = column(START, text("soon"), text("2020-01-01"), dates=False)
    assert (values, kind, troubles) == (["soon", "2020-01-01"], pa.string(), [])


def test_numbers_widen_and_text_beside_numbers_makes_text() -> None:
    values, kind, troubles = column(WEIGHT, Cell(pa.int32(), 3), Cell(pa.float32(), 0.5), None)
    assert (values, kind, troubles) == ([3.0, 0.5, None], pa.float64(), [])
    values, kind, troubles = column(WEIGHT, Cell(pa.int32(), 3), text("3 g"))
    assert (values, kind) == (["3", "3 g"], pa.string())
    assert [file for file, _ in troubles] == ["0"]


def test_an_integer_that_no_common_type_holds_makes_text() -> None:
    values, kind, _ = column(WEIGHT, Cell(pa.uint64(), 2**63), Cell(pa.int64(), -1))
    assert (values, kind) == ([str(2**63), "-1"], pa.string())


def test_a_list_beside_a_number_makes_lists_of_text() -> None:
    key = Key("/general", "other")
    values, kind, _ = column(key, Cell(TEXTS, ["a", "b"]), Cell(pa.int64(), 3))
    assert (values, kind) == ([["a", "b"], ["3"]], TEXTS)


def test_a_value_that_cannot_be_read_is_null_and_told() -> None:
    values, _, troubles = column(LAB, Cell(pa.null(), None, "damaged"), text("lab"))
    assert values == [None, "lab"]
    assert troubles == [("0", "cannot be read and is null")]


def test_values_of_one_session_keep_offsets_and_text_that_is_no_date() -> None:
    session, subject = session_values(
        {
            START: text("2020-01-01T00:00:00+01:00"),
            CREATED: text("soon"),
            BIRTH: text("2020-01-01"),
            LAB: Cell(TEXTS, ["one"]),
            WEIGHT: Cell(pa.null(), None, "damaged"),
        }
    )
    start = session["session_start_time"]
    assert isinstance(start, datetime)
    assert start.isoformat() == "2020-01-01T00:00:00+01:00"
    assert (session["file_create_date"], session["lab"]) == (["soon"], "one")
    assert subject == {"date_of_birth": datetime(2020, 1, 1)}  # noqa: DTZ001  # a day has no offset
