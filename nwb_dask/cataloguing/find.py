"""Which sessions of a catalog have what a user looks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nwb_dask.catalog.shared import SharedCatalog
from nwb_dask.errors import PathNotFoundError

_Mask = npt.NDArray[np.bool_]

UNITS, ELECTRODES = "/units", "/general/extracellular_ephys/electrodes"
AREAS: Mapping[str, frozenset[str]] = {
    ELECTRODES: frozenset({"location"}),
    UNITS: frozenset({"location", "area", "brain_area", "brain_region", "structure", "electrodes.location"}),
}
"""Columns that name brain areas, by table: that of electrodes is of the NWB core schema, the others are customs."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of sessions, all of it."""

    area: str | Sequence[str] | None = None
    has: str | Sequence[str] | None = None
    min_units: int | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


def find_sessions(catalog: SharedCatalog, wanted: Wanted) -> npt.NDArray[np.int64]:
    """Return the numbers of the sessions that have what is wanted and could be read, in order."""
    sessions = catalog.table("sessions")
    kept: _Mask = pc.is_null(sessions.column("error")).to_numpy(zero_copy_only=False)
    for name, value in wanted.metadata.items():
        kept = kept & _has_value(sessions, name, value, catalog.name)
    for one in _several(wanted.has):
        kept = kept & _has_object(catalog, str(one))
    if wanted.min_units is not None:
        kept = kept & _has_units(catalog, wanted.min_units)
    if wanted.area is not None:
        kept = kept & _has_area(catalog, {str(one).casefold() for one in _several(wanted.area)})
    return np.flatnonzero(kept).astype(np.int64)


def _several(value: object) -> tuple[object, ...]:
    if value is None:
        return ()
    is_many = isinstance(value, Iterable) and not isinstance(value, str | bytes)
    return tuple(value) if is_many else (value,)  # type: ignore[arg-type]  # iterable


def _has_value(sessions: pa.Table, name: str, value: object, where: str) -> _Mask:
    if name not in sessions.column_names:
        near = get_close_matches(name, sessions.column_names, n=3)
        hint = (
            f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {', '.join(sessions.column_names)}"
        )
        raise PathNotFoundError(f"the sessions of the catalog {where} have no column {name!r}; {hint}")
    wanted = _several(value)

    def fits(found: object) -> bool:
        if isinstance(found, list):
            return any(map(fits, found))
        if isinstance(found, str):
            return any(isinstance(one, str) and (one == found or fnmatchcase(found, one)) for one in wanted)
        return found is not None and found in wanted

    return _each(sessions.column(name), fits)


def _each(column: pa.ChunkedArray, fits: Callable[[object], bool]) -> _Mask:
    return np.fromiter(map(fits, column.to_pylist()), np.bool_, len(column))


def _has_object(catalog: SharedCatalog, wanted: str) -> _Mask:
    """Return which sessions have a table with rows, or a series, of a path, name or type."""
    found = np.zeros(catalog.n_sessions, np.bool_)
    for table in ("tables", "series"):
        rows = catalog.whole_table(table)
        numbers = catalog.session_numbers(table)
        kept = numbers >= 0
        if table == "tables":
            kept &= rows.column("n_rows").to_numpy() > 0
        path_or_type = _codes_that(rows, "path", lambda path: _is_called(path, wanted))
        for column in ("neurodata_type", *(("core_type",) if table == "series" else ())):
            path_or_type |= _codes_that(rows, column, lambda kind: kind == wanted)
        found[numbers[kept & path_or_type]] = True
    return found


def _is_called(path: str, wanted: str) -> bool:
    return path == wanted or fnmatchcase(path, wanted) or fnmatchcase(path.rpartition("/")[2], wanted.strip("/"))


def _codes_that(rows: pa.Table, column: str, fits: Callable[[str], bool]) -> _Mask:
    """Return for which rows the text of a dictionary column fits; each text is asked once."""
    array = rows.column(column).combine_chunks()
    answers = np.array([one is not None and fits(one) for one in array.dictionary.to_pylist()] + [False], np.bool_)
    codes = pc.fill_null(array.indices, len(answers) - 1).to_numpy(zero_copy_only=False)
    mask: _Mask = answers[codes]
    return mask


def _has_units(catalog: SharedCatalog, least: int) -> _Mask:
    rows, numbers = catalog.whole_table("tables"), catalog.session_numbers("tables")
    kept = (numbers >= 0) & _codes_that(rows, "path", lambda path: path == UNITS)
    kept &= rows.column("n_rows").to_numpy() >= least
    found = np.full(catalog.n_sessions, least <= 0)
    found[numbers[kept]] = True
    return found


def _has_area(catalog: SharedCatalog, areas: set[str]) -> _Mask:
    rows, numbers = catalog.whole_table("columns"), catalog.session_numbers("columns")
    kept = np.zeros(len(rows), np.bool_)
    for table, names in AREAS.items():
        is_table = _codes_that(rows, "path", lambda path, table=table: path == table)  # type: ignore[misc]  # bound now
        kept |= is_table & _codes_that(rows, "column", lambda name, names=names: name in names)  # type: ignore[misc]  # bound now
    places = np.flatnonzero(kept & (numbers >= 0))
    values = rows.column("values").take(pa.array(places)).to_pylist()
    found = np.zeros(catalog.n_sessions, np.bool_)
    for number, held in zip(numbers[places], values, strict=True):
        if held and any(one.casefold() in areas for one in held):
            found[number] = True
    return found
