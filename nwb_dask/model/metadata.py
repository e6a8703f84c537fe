"""What describes a session: the fields of the root, ``/general`` and ``/general/subject`` of many files. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import pyarrow as pa

from nwb_dask.model.field import NWB_PATH, Field
from nwb_dask.model.unify import common_type

SUBJECT = "/general/subject"
SUBJECT_PREFIX = "subject_"

_N_SHOWN = 3
_TEXT = pa.string()
_MOMENT = pa.timestamp("us", tz="UTC")


class Key(NamedTuple):
    """Where a value is: the group, and the name in it."""

    group: str
    name: str


def _keys(group: str, names: str) -> tuple[Key, ...]:
    return tuple(Key(group, name) for name in names.split())


STANDARD = (
    *_keys("/", "identifier nwb_version session_description session_start_time timestamps_reference_time"),
    *_keys("/", "file_create_date"),
    *_keys("/general", "session_id experimenter experiment_description institution lab keywords notes protocol"),
    *_keys("/general", "pharmacology slices stimulus surgery virus data_collection related_publications"),
    *_keys("/general", "source_script source_script_file_name"),
    *_keys(SUBJECT, "subject_id species sex age age__reference date_of_birth genotype strain weight description"),
)
"""Fields that the NWB core schema names; ``<dataset>_<attribute>`` as pynwb calls those that are attributes."""

_STANDARD = frozenset(STANDARD)

LISTS = frozenset({"file_create_date", "experimenter", "keywords", "related_publications"})
"""Those that are lists (NWB core schema); old files hold a single text there."""

DATES = frozenset({"session_start_time", "timestamps_reference_time", "file_create_date", "date_of_birth"})
"""Those that are ISO 8601 text."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as one file has it."""

    type: pa.DataType
    value: object
    """As Python has it; lists are lists."""
    problem: str = ""
    """Why it cannot be read; `value` is then None."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A value that does not come as the file has it."""

    column: str
    reason: str
    file: str
    shown: str
    """The value, shortened."""


def column_names(keys: Iterable[Key]) -> dict[Key, str]:
    """Return the columns of `keys`, those of `STANDARD` first; no two have the same name.

    A field of the root and of ``/general`` has its own name, one of the subject begins with ``subject_``. A name
    that an earlier one has, or that says where a row is from, gives way to the path: ``/general/identifier``.
    """
    order = {key: number for number, key in enumerate(STANDARD)}
    depth = {"/": 0, "/general": 1}

    def place(key: Key) -> tuple[int, int, bool]:
        is_prefixed = key.name.startswith(SUBJECT_PREFIX)
        return order.get(key, len(order)), depth.get(key.group, len(depth)), not is_prefixed

    ordered = sorted(dict.fromkeys(keys), key=place)
    names: dict[Key, str] = {}
    taken = {NWB_PATH}
    for key in ordered:
        name = key.name
        if key.group == SUBJECT and not name.startswith(SUBJECT_PREFIX):
            name = SUBJECT_PREFIX + name
        names[key] = f"{key.group.rstrip('/')}/{key.name}" if name in taken else name
        taken.add(names[key])
    return names


def record_columns(records: Iterable[Mapping[Key, Cell]]) -> dict[Key, str]:
    """Return the columns of the metadata of several files: those of `STANDARD`, then what some file has besides."""
    return column_names([*STANDARD, *(key for record in records for key in record)])


def normal_cell(key: Key, cell: Cell) -> Cell:
    """Return the value of a standard field as a list if it is one by the schema, and else as a single value.

    An array of one element counts as the element; one of none is absent.
    """
    if cell.problem or key not in _STANDARD or (cell.type is _TEXT and key.name not in LISTS):
        return cell
    is_list = pa.types.is_large_list(cell.type)
    if key.name in LISTS:
        value = cell.value if is_list or cell.value is None else [cell.value]
        return Cell(cell.type if is_list else pa.large_list(cell.type), value)
    if is_list and isinstance(cell.value, list) and len(cell.value) < 2:  # noqa: PLR2004  # one or none
        return normal_cell(key, Cell(cell.type.value_type, cell.value[0] if cell.value else None))
    return cell


def parse_date(text: str) -> datetime | None:
    """Return the moment that ISO 8601 text says, with its offset if it has one; None if it is no such text."""
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        return None


def session_values(record: Mapping[Key, Cell]) -> tuple[dict[str, object], dict[str, object]]:
    """Return the values of one session by name, and those of its subject; what cannot be read is left out.

    Dates are `datetime.datetime` with the offset that the file gives, and text where they are no ISO 8601. Lists are
    the caller's own: those of the record are kept for others.
    """
    session: dict[str, object] = {}
    subject: dict[str, object] = {}
    for key, cell in record.items():
        if not cell.problem:
            value = normal_cell(key, cell).value
            parsed = _parsed(value) if key.name in DATES and key in _STANDARD else deepcopy(value)
            (subject if key.group == SUBJECT else session)[key.name] = parsed
    return session, subject


def _parsed(value: object) -> object:
    if isinstance(value, list):
        return [_parsed(item) for item in value]
    return (parse_date(value) or value) if isinstance(value, str) else value


def metadata_table(
    records: Sequence[tuple[str, Mapping[Key, Cell]]], *, dates: bool, names: Collection[str] | None = None
) -> tuple[pa.Table, tuple[Field, ...], list[Trouble]]:
    """Return one row per record, with the origin first, and what could not be taken as it is.

    Parameters
    ----------
    records : sequence of (str, mapping)
        Files by name, in order, with their values.
    dates : bool
        Whether text of `DATES` becomes moments in UTC.
    names : collection of str, optional
        Only these columns.

    Returns
    -------
    table : pa.Table
        Has every field of `STANDARD`, in any file or not. One type per column: that of all files, if they have one
        without loss, and text if not.
    fields : tuple of Field
        Of the columns of `table`.
    troubles : list of Trouble
        Values that are null because they cannot be read or are no dates, and those that were changed.
    """
    files = [name for name, _ in records]
    fields = [Field(NWB_PATH, pa.string())]
    arrays = [pa.array(files, pa.string())]
    troubles: list[Trouble] = []
    for key, name in record_columns(record for _, record in records).items():
        if names is not None and name not in names:
            continue
        cells = [normal_cell(key, record[key]) if key in record else None for _, record in records]
        column = _Column(name, files, troubles)
        is_date = dates and key.name in DATES and key in _STANDARD
        values = column.moments(cells, is_list=key.name in LISTS) if is_date else column.values(cells, key)
        fields.append(Field(name, values.type, nullable=True))
        arrays.append(values)
    return pa.Table.from_arrays(arrays, [field.name for field in fields]), tuple(fields), troubles


@dataclass(frozen=True, slots=True)
class _Column:
    """Puts the values of one column together."""

    name: str
    files: Sequence[str]
    troubles: list[Trouble]

    def values(self, cells: Sequence[Cell | None], key: Key) -> pa.Array:
        """Return the values in a type that holds all of them."""
        readable = self._readable(cells)
        # Most cells share one type, and to compare types takes longer than to tell objects apart.
        types = {id(cell.type): cell.type for cell in readable if cell is not None}
        kinds = list(dict.fromkeys(plain_type(one) for one in types.values()))
        merged = kinds[0] if kinds else default_type(key)
        for kind in kinds[1:]:
            merged = None if merged is None else common_type(merged, kind)
        plain = [None if cell is None else cell.value for cell in readable]
        if merged is not None:
            try:
                return pa.array(plain, default_type(key) if pa.types.is_null(merged) else merged)
            except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
                pass  # such as an integer that the type of the others does not hold
        for file, value in zip(self.files, plain, strict=True):
            if value is not None and not isinstance(value, str):
                self._note("differs in type between files and is text in all", file, value)
        is_list = any(isinstance(value, list) for value in plain)
        return pa.array([_as_text(value, is_list=is_list) for value in plain], _listed(_TEXT, is_list=is_list))

    def moments(self, cells: Sequence[Cell | None], *, is_list: bool) -> pa.Array:
        """Return dates in UTC, null where there is none."""
        plain = [None if cell is None else cell.value for cell in self._readable(cells)]
        moments = [
            [self._moment(file, item) for item in value] if isinstance(value, list) and is_list
            else None if value is None else self._moment(file, value)
            for file, value in zip(self.files, plain, strict=True)
        ]  # fmt: skip
        return pa.array(moments, _listed(_MOMENT, is_list=is_list))

    def _moment(self, file: str, value: object) -> datetime | None:
        moment = parse_date(value) if isinstance(value, str) else None
        if moment is not None and moment.tzinfo is None:
            if isinstance(value, str) and len(value.strip()) > len("2024-01-31"):
                self._note("has no offset from UTC and is taken as UTC", file, value)
            moment = moment.replace(tzinfo=UTC)
        try:
            if moment is not None:
                return moment.astimezone(UTC)
        except OverflowError:
            pass  # before the year 1 or after 9999
        self._note("is no ISO 8601 date and is null (parse_dates=False gives the text)", file, value)
        return None

    def _readable(self, cells: Sequence[Cell | None]) -> list[Cell | None]:
        for file, cell in zip(self.files, cells, strict=True):
            if cell is not None and cell.problem:
                self._note("cannot be read and is null", file, cell.problem)
        return [None if cell is None or cell.problem else cell for cell in cells]

    def _note(self, reason: str, file: str, value: object) -> None:
        self.troubles.append(Trouble(self.name, reason, file, _shortened(value)))


def describe_troubles(troubles: Iterable[Trouble]) -> str:
    """Say of each column of metadata what happened to it, and in which files; columns of the same fate share a line."""
    found: dict[tuple[str, str], list[Trouble]] = {}
    for trouble in troubles:
        found.setdefault((trouble.column, trouble.reason), []).append(trouble)
    lines: dict[str, list[str]] = {}
    for (column, reason), those in found.items():
        lines.setdefault(f"{reason}: {_files(those)}", []).append(column)
    listed = "\n".join(f"  {', '.join(columns)} {line}" for line, columns in lines.items())
    return f"metadata that does not come as the files have it:\n{listed}"


def _files(found: Sequence[Trouble]) -> str:
    shown = ", ".join(f"{one.shown!r} in {one.file}" for one in found[:_N_SHOWN])
    return shown + (f" and {len(found) - _N_SHOWN} more" if len(found) > _N_SHOWN else "")


def default_type(key: Key) -> pa.DataType:
    """Return the type of a column that no file has."""
    return _listed(_TEXT, is_list=key.name in LISTS and key in _STANDARD)


def plain_type(data_type: pa.DataType) -> pa.DataType:
    """Return the type as a column of metadata has it: categories are text."""
    if pa.types.is_large_list(data_type):
        return pa.large_list(plain_type(data_type.value_type))
    if pa.types.is_dictionary(data_type):
        return _TEXT
    return pa.float32() if pa.types.is_float16(data_type) else data_type


def _listed(data_type: pa.DataType, *, is_list: bool) -> pa.DataType:
    return pa.large_list(data_type) if is_list else data_type


def _as_text(value: object, *, is_list: bool) -> object:
    if value is None:
        return None
    if is_list:
        return [None if item is None else str(item) for item in (value if isinstance(value, list) else [value])]
    return str(value)


def _shortened(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    longest = 60
    return text if len(text) <= longest else text[:longest] + " ..."
