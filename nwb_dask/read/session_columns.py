"""Columns that describe sessions: the metadata of files, for the rows of their tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import TypeAlias

import pyarrow as pa

from nwb_dask.errors import PathNotFoundError
from nwb_dask.model import Field
from nwb_dask.model.arrow_types import is_heavy
from nwb_dask.model.metadata import describe_troubles, metadata_table, record_columns
from nwb_dask.plan.constants import N_ROWS, SessionColumns
from nwb_dask.read.records import Record
from nwb_dask.read.warn import warn_user

SessionNames: TypeAlias = Sequence[str] | Mapping[str, str]
"""Names of `read_metadata` and ``n_rows``; or a mapping from the names that the columns shall have to these."""


def checked_session_columns(value: SessionNames) -> dict[str, str]:
    """Return the name of each column, and which metadata it has."""
    given: object = value
    if isinstance(given, str):
        given = (given,)
    pairs: list[tuple[object, object]] = [(given, given)]
    if isinstance(given, Iterable):
        pairs = [*given.items()] if isinstance(given, Mapping) else [(name, name) for name in given]
    if not all(isinstance(one, str) for pair in pairs for one in pair):
        message = (
            f"session_columns={value!r}: names of metadata are wanted, such as ['subject_id', 'session_id'], "
            "or a mapping of new names to these"
        )
        raise TypeError(message)
    return {str(shown): str(name) for shown, name in pairs}


def described(records: Sequence[tuple[str, Record]], wanted: Mapping[str, str], table: str) -> SessionColumns:
    """Return the metadata that is wanted of each file; values that do not come as the file has them are warned of.

    Parameters
    ----------
    records : sequence of (str, Record)
        Files by name, in order, with their metadata.
    wanted : mapping of str to str
        Name of a column -> name of the metadata.
    table : str
        To whose rows they are joined.

    Raises
    ------
    PathNotFoundError
        If there is no such metadata; the nearest names are said.
    """
    names = set(wanted.values()) - {N_ROWS}
    _check(names, tuple(record_columns(record for _, record in records).values()), table, records[0][0])
    values, fields, troubles = metadata_table(records, dates=True, names=names)
    if troubles:
        warn_user(describe_troubles(troubles))
    return _columns(values, fields, wanted)


def catalogued(values: pa.Table, wanted: Mapping[str, str], table: str, where: str) -> SessionColumns:
    """Return the metadata that is wanted of each file, from all metadata that a catalog has; see `described`."""
    _check(set(wanted.values()) - {N_ROWS}, tuple(values.column_names), table, where)
    fields = tuple(Field(one.name, one.type, nullable=True) for one in values.schema)
    return _columns(values, fields, wanted)


def _check(names: Iterable[str], known: Sequence[str], table: str, where: str) -> None:
    for name in sorted(set(names) - set(known)):
        near = get_close_matches(name, (*known, N_ROWS), n=3)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {', '.join(known)}, {N_ROWS}"
        raise PathNotFoundError(f"no metadata {name!r} for session_columns; {hint}", url=where, path=table)


def _columns(values: pa.Table, fields: Sequence[Field], wanted: Mapping[str, str]) -> SessionColumns:
    by_name = {field.name: field for field in fields} | {N_ROWS: Field(N_ROWS, pa.int64())}
    shown = tuple(
        replace(by_name[name], name=new, is_constant=True, heavy=is_heavy(by_name[name].type))
        for new, name in wanted.items()
    )
    stored = {new: values.column(name) for new, name in wanted.items() if name != N_ROWS}
    return SessionColumns(shown, pa.table(stored) if stored else None, dict(wanted))
