"""Words for differences: those that are meant, and what lazynwb does where h5py has what nwb_dask says.

Nothing here decides who is right: `design` is asked of leaves where h5py has been asked already, or asks it itself.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from benchmarks import side_objects as objects
from benchmarks.side_objects import ABSENT
from benchmarks.side_oracle import AnyOf, ColumnOf, Refused, tables_of
from benchmarks.side_questions import Question

Value: TypeAlias = Any


def design(question: Question, where: tuple[str, ...], ours: Value, theirs: Value, want: Value) -> str:
    """Return why two answers differ that both say what h5py has, or that h5py allows; "" if they do not."""
    if (ours is ABSENT) != (theirs is ABSENT) and where:
        linked = _of_links(question, where, ours)
        if linked:
            return linked
    if isinstance(want, Refused) and (isinstance(ours, str) or ours is ABSENT):
        return f"an error says what cannot be read, and why: {want.reason}"
    if isinstance(want, ColumnOf) and _are_same_values(ours, theirs, want):
        return _of_types(str(ours["type"]), str(theirs["type"]))
    if question.function == "get_metadata_df" and isinstance(ours, dict) and "Datetime" in str(ours["type"]):
        is_right = isinstance(want, ColumnOf) and ours["digest"] in want.digests
        text = (
            "dates are moments: in UTC where the file has no offset, and null where it has no ISO 8601, with a warning"
        )
        return text if is_right and isinstance(theirs, dict) and len(question.files) == 1 else ""
    if ours is ABSENT and want is ABSENT and theirs is not ABSENT:
        return _of_members(question, where)
    if "schema" in question.function and isinstance(want, AnyOf) and {ours, theirs} <= set(want.leaves):
        return "the same type; lists, or arrays of fixed width"
    return ""


def _of_links(question: Question, where: tuple[str, ...], ours: Value) -> str:
    """Return what is meant of an object that only one of two answers lists."""
    file, path = question.files[0], f"/{where[0].strip('/')}"
    is_of_paths = question.function in {"get_internal_paths", "get_internal_path_info"}
    if is_of_paths and ours is ABSENT and objects.type_of(file, path) == "ProcessingModule":
        return "a ProcessingModule is no object of its own; there it is one where its type has variable length"
    if question.function == "get_sub_attrs" and where[-1] in objects.LIBRARY:
        return "HDF5's own attributes of dimension scales are not shown"
    if (is_of_paths or question.function == "get_sub_attrs") and objects.is_behind_soft_link(file, path):
        return "groups that a soft link leads to are listed where they are, and datasets under the link as well"
    return ""


def _are_same_values(ours: Value, theirs: Value, want: ColumnOf) -> bool:
    both = [one["digest"] for one in (ours, theirs) if isinstance(one, dict) and "digest" in one]
    return len(both) == 2 and set(both) <= set(want.digests)  # of both


def _of_types(ours: str, theirs: str) -> str:
    if ours == theirs:
        return "a subject in another file is not followed, for links into other files are not"
    if "Null" in theirs or "object" in theirs:
        return "the same values; a column without a value has its own type, and there Null"
    if ours.count("List") != theirs.count("List") and "Array" in ours + theirs:
        return "the same values; lists, as its own schema says, and there arrays"
    if "Datetime" in ours:
        return "the same values; dates are moments in UTC, and there text or without a zone"
    return "the same values; as wide as the file has them, or another type of pandas or polars"


def _of_members(question: Question, where: tuple[str, ...]) -> str:
    if question.function in {"get_sql_context", "convert_nwb_tables"} and len(where) < 3:  # a table
        return "a short name that several tables have is the path here; groups that are no tables are none"
    if where[-1] == "_nwb_path_right":
        return "a second `_nwb_path`, which joins leave behind"
    return "members that are no columns: not in colnames, or scalars and other lengths beside the samples of a series"


def why(question: Question, where: tuple[str, ...], theirs: Value) -> str:
    """Return what lazynwb does where h5py has what nwb_dask says."""
    first = str(theirs.get("first", "")) if isinstance(theirs, dict) else str(theirs)
    function, last, is_many = question.function, where[-1] if where else "", len(question.files) > 1
    is_of_columns = function == "get_table_column_metadata" or "schema" in function
    known = (
        (first.startswith("error"), f"it fails ({first.removeprefix('error: ')})"),
        ("object reference" in first, "references are the text `<HDF5 object reference>`"),
        (theirs is ABSENT, _left_out(function, where)),
        (last == "rows", "rows of a series are lost: those of its shortest dataset are counted"),
        (last == "n_files", "tables that fail are not written, or written over each other"),
        (function == "get_metadata_df" and is_many, "rows in the order in which files were done"),
        (bool({"age__reference", "source_script_file_name"} & set(where)), "fields that are attributes are None"),
        (last == "attrs", "attributes with text of variable length are left out"),
        (last == "is_timeseries", "a series whose timestamps are a soft link is none"),
        (function == "get_table_length_from_metadata", "the length of a series is that of its shortest dataset"),
        (is_of_columns, "a series is taken for a row of metadata, or its type is wrong"),
        (is_many, "rows in the order in which files were done, or cast to the type that most files have"),
        ("keywords" in where, "the first of several keywords alone"),
        (_is_of_series(question), "values of a series, cut to its shortest dataset"),
    )
    return next((text for holds, text in known if holds), "other values")


def _left_out(function: str, where: tuple[str, ...]) -> str:
    if function in {"get_sql_context", "convert_nwb_tables"} and ("columns" not in where):
        return "tables that fail, or have the short name of another, are left out"
    if function == "get_sub_attrs":
        return "attributes of columns called *_index that index nothing are left out"
    return "left out: compound columns, text of variable length, what a soft link leads to"


def _is_of_series(question: Question) -> bool:
    table = tables_of(question.files[0]).get(question.path) if isinstance(question.path, str) else None
    return table is not None and table.kind == "series"
