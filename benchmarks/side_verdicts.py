"""Compares two answers leaf by leaf, and says who is right where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from benchmarks.peers.side_contest import ROWS
from benchmarks.side_oracle import column_digest, n_rows
from benchmarks.side_questions import Question

Value: TypeAlias = Any
Verdict = Literal["equal", "ours", "theirs", "missing", "other"]
"""``other``: both hold what the file holds, in another form."""

BY_RULE = " [by rule]"
"""Ends the reason of what looks like a known difference, and of which h5py was not asked."""
_EMPTY: Value = object()
_OF_ROWS = {"_nwb_path", "_table_path", "_table_index", "data", "timestamps"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One leaf that differs, and why."""

    verdict: Verdict
    reason: str
    where: str = ""
    ours: str = ""
    theirs: str = ""


def compare(question: Question, ours: Mapping[str, Value], theirs: Mapping[str, Value]) -> list[Difference]:
    """Return the differences of two answers to a question; none if they are equal."""
    if "error" in ours and "error" in theirs:
        return []
    if "error" in theirs:
        reason = f"it fails: {theirs['error']}: {_without_names(theirs['message'])}"
        return [Difference("ours", reason, theirs=theirs["message"])]
    if "error" in ours:
        return [Difference("missing", f"{ours['error']}: {_without_names(ours['message'])}", ours=ours["message"])]
    return [
        Difference(*_judged(question, where, one, other), "/".join(where), _shown(one), _shown(other))
        for where, one, other in _leaves(ours["answer"], theirs["answer"], ())
    ]


def _leaves(ours: Value, theirs: Value, where: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Value, Value]]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if {"type", "digest", "first"} <= set(ours) & set(theirs):
            yield from _column(ours, theirs, where)
            return
        for name in sorted({*ours, *theirs}):
            yield from _leaves(ours.get(name, _EMPTY), theirs.get(name, _EMPTY), (*where, name))
    elif ours is _EMPTY or theirs is _EMPTY or ours != theirs:
        yield where, ours, theirs


def _column(
    ours: dict[str, Value], theirs: dict[str, Value], where: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Value, Value]]:
    if ours["digest"] != theirs["digest"]:
        yield (*where, "values"), ours, theirs
    elif ours["type"] != theirs["type"]:
        yield (*where, "type"), ours["type"], theirs["type"]


def _judged(question: Question, where: tuple[str, ...], ours: Value, theirs: Value) -> tuple[Verdict, str]:
    for rule in (_by_oracle, _of_failures, _of_metadata, _of_tables, _of_objects):
        found = rule(question, where, ours, theirs)
        if found is not None:
            verdict, reason = found
            return (verdict, reason) if rule is _by_oracle else (verdict, reason.partition(" (h5py")[0] + BY_RULE)
    return "theirs", "not explained"


def _by_oracle(question: Question, where: tuple[str, ...], ours: Value, theirs: Value) -> tuple[Verdict, str] | None:
    """Ask h5py, where the answer is a table of one file."""
    table = _table(question, where)
    if table is None or not where or len(question.files) > 1:
        return None
    file = question.files[0]
    if where[-1] == "rows":
        counted = n_rows(file, table)
        counted = counted if counted is None or question.function != "scan_nwb" else min(counted, ROWS)
        if counted == ours:
            return "ours", "rows of a series lost: those of its shortest dataset are counted (h5py agrees with ours)"
        return ("theirs", "number of rows") if counted == theirs else None
    if where[-1] == "values":
        right = column_digest(file, table, where[-2])
        if right is None or right not in {ours["digest"], theirs["digest"]}:
            return None
        if ours["type"] == f"List({theirs['type']})" or where[-2] == "sex":
            return "other", "one value or a list of one"
        if right == theirs["digest"]:
            return "theirs", "values (h5py agrees with lazynwb)"
        if "object reference" in str(theirs["first"]):
            return "ours", "references come as the text `<HDF5 object reference>` (h5py: the paths of ours)"
        return "ours", "values (h5py agrees with ours)"
    return None


def _table(question: Question, where: tuple[str, ...]) -> str | None:
    if isinstance(question.path, str):
        return question.path
    if question.function == "convert_nwb_tables" and len(where) > 1 and where[0] == "tables":
        return where[1] if where[1].startswith("/") else None
    if question.function == "merge_array_column":
        return str(question.path[0])
    return None


def _of_metadata(question: Question, where: tuple[str, ...], ours: Value, theirs: Value) -> tuple[Verdict, str] | None:
    function, name = question.function, where[-1] if where else ""
    if function == "small" and name == "get_processpool_executor":
        return "ours", "its get_processpool_executor raises NameError (multiprocessing is not imported)"
    if function in {"get_metadata_df", "LazyNWB", "small"} and {"age__reference", "source_script_file_name"} & set(
        where
    ):
        return "ours", "attributes that are fields of the metadata (age__reference, file_name) are None in lazynwb"
    if function == "get_metadata_df" and name == "type":
        return "other", "a column without a value has type Null there, and its own type here"
    if function == "get_metadata_df" and name == "values" and len(question.files) > 1:
        return "ours", "rows in the order in which files were done, not in that of the sources"
    if function in {"LazyNWB", "small", "get_metadata_df"}:
        return _of_text(ours, theirs)
    return None


def _of_text(ours: Value, theirs: Value) -> tuple[Verdict, str] | None:
    text, other = (
        str(one["first"]) if isinstance(one, dict) and "first" in one else str(one) for one in (ours, theirs)
    )
    if "T00:00:00" in other and "T00:00:00" not in text:
        return "ours", "text that looks like a date is made one"
    if text.strip("[]'\"") == other.strip("[]'\""):
        return "other", "one value or a list of one"
    if "+00:00" in text and "+00:00" not in other:
        return "other", "a time without an offset is taken as UTC here, with a warning, and has none there"
    if text == "None":
        return "other", "links into other files are not followed here, by design"
    return None


def _of_tables(question: Question, where: tuple[str, ...], ours: Value, theirs: Value) -> tuple[Verdict, str] | None:
    if question.function == "get_table_length_from_metadata":
        if ours == 0:
            return "ours", "a series without data and timestamps has no rows"
        is_wrong = n_rows(question.files[0], question.path) == theirs
        return None if is_wrong else ("ours", "the length of a series is that of its shortest dataset there")
    if question.function == "get_sub_attrs":
        return _of_attributes(where, ours, theirs) if where else None
    pair = (str(ours), str(theirs))
    if where and where[-1] == "type":
        if "List" in pair[0] and "Array" in pair[1]:
            return "other", "a list here (as lazynwb's own schema says) and an array there, of the same values"
        if "object" in pair[1] or "Null" in pair[1]:
            return "other", f"values are the same, and the type is {_shown(ours)} and not {_shown(theirs)}"
        return "other", f"values are the same; type {_shown(ours)} here, {_shown(theirs)} there"
    if ours is _EMPTY:
        return _absent_here(question, where)
    if theirs is _EMPTY:
        return "ours", "left out there: what a soft link leads to, compound columns and text of variable length"
    found = _of_forms(question, where, *pair)
    if found is not None:
        return found
    if len(question.files) > 1:
        return "ours", "rows of many files in the order in which files were done, or cast to the type most files have"
    if "object reference" in pair[1]:
        return "ours", "references come as the text `<HDF5 object reference>` (h5py: the paths of ours)"
    return None


def _of_forms(question: Question, where: tuple[str, ...], ours: str, theirs: str) -> tuple[Verdict, str] | None:
    """Tell what is known by its look."""
    if where[-1:] == ("rows",) or (where[-1:] == ("values",) and where[-2] in _OF_ROWS):
        return "ours", "rows of a series lost: those of its shortest dataset are counted (h5py agrees with ours)"
    if "keywords" in where and len(ours) > len(theirs):
        return "ours", "the first of several keywords alone (h5py has those of ours)"
    if theirs == f"['{ours}']":
        return "ours", "text in an array of one comes as the array (MatNWB)"
    if "<dataset" in ours:
        return "other", "a dataset is shown, by its name"
    if where[-2:] == ("electrodes", "values"):
        return "other", "region references come as row numbers here, and as objects of h5py there"
    if question.function == "get_internal_paths":
        return "other", "series that a soft link leads to are listed under the link as well (NWB 1)"
    if "_schema" in question.function and (theirs == f"List({ours})" or ours.startswith("List(List")):
        return "ours", "series whose data have no rows, and 2-d values of metadata, have the wrong type there"
    if "_schema" in question.function and ours == "Null":
        return "other", "data in another file are not read here, and the column says so"
    if "sex" in where or (ours == f"List({theirs})"):
        return "other", "one value or a list of one"
    if question.function == "get_table_column_metadata":
        return "ours", "a series is taken for a row of metadata, or its empty data for samples, there"
    if question.function == "get_table_length_from_metadata":
        return "ours", "the length of a series is that of its shortest dataset there"
    return None


def _absent_here(question: Question, where: tuple[str, ...]) -> tuple[Verdict, str] | None:
    if question.function == "get_internal_path_info":
        return "ours", "ProcessingModules are listed there where their type is text of variable length"
    if question.function in {"get_sql_context", "convert_nwb_tables"} and len(where) < 3:  # a whole table
        return "other", "groups without a type whose path has units, trials ... in it count as tables there"
    return "other", "datasets of a group that are no columns of the table: scalars of a series, names not in colnames"


def _of_attributes(where: tuple[str, ...], ours: Value, theirs: Value) -> tuple[Verdict, str] | None:
    if where[-1] in {"DIMENSION_LIST", "REFERENCE_LIST"}:
        return "other", "HDF5's own attributes of dimension scales are not shown here; there they are unreadable text"
    if "object reference" in str(theirs):
        return "ours", "references come as the text `<HDF5 object reference>` (h5py: the paths of ours)"
    if ours is _EMPTY:
        return "other", "what a soft link leads to is shown where it is, and not again under the link"
    if theirs is _EMPTY:
        return "ours", "attributes of columns called *_index that index nothing are left out there"
    return None


def _of_failures(question: Question, where: tuple[str, ...], ours: Value, theirs: Value) -> tuple[Verdict, str] | None:
    if isinstance(theirs, str) and theirs.startswith("error"):
        return "ours", f"it fails ({theirs.removeprefix('error: ')})"
    if question.function == "convert_nwb_tables" and where == ("n_files",):
        return "ours", "fewer files are written: tables that fail are left out, or written over each other"
    if question.function == "get_metadata_df" and "Datetime" in str(ours) and "String" in str(theirs):
        return "other", "text that is no ISO 8601 date is null here, with a warning, and text there"
    return None


def _of_objects(question: Question, where: tuple[str, ...], ours: Value, theirs: Value) -> tuple[Verdict, str] | None:
    function = question.function
    if function == "get_internal_path_info" and where and where[-1] == "attrs":
        if isinstance(ours, list) and set(theirs) < set(ours):
            return "ours", "attributes with text of variable length are left out there (h5py has those of ours)"
        return None
    if where and where[-1] == "is_timeseries":
        return "ours", "a series whose timestamps are a soft link is none there"
    return None


def _shown(value: Value) -> str:
    text = "-" if value is _EMPTY else str(value)
    return text if len(text) < 120 else text[:120] + " ..."  # enough


def _without_names(message: str) -> str:
    return " ".join("…" if "/" in word else word for word in message.split())[:110]
