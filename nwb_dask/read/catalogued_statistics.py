"""What a catalog says of the values in pieces of a scan, put together for a column when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nwb_dask.catalog.shared import SharedCatalog
from nwb_dask.model import Field
from nwb_dask.plan.statistics import UNKNOWN_COUNT, ColumnStatistics

_Rows = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class KnownPieces:
    """Pieces of tables of a catalog; one entry per piece in all."""

    sessions: _Rows
    """Number of the session."""
    paths: Sequence[str]
    """Paths that occur."""
    path_codes: _Rows
    """Which of `paths` the table has."""
    starts: _Rows
    stops: _Rows
    has: Mapping[str, _Mask]
    """Column -> whether the table has it."""


class CatalogStatistics(Mapping[str, ColumnStatistics]):
    """Statistics by column of the pieces of a scan; see `plan.statistics.Statistics`."""

    def __init__(self, catalog: SharedCatalog, pieces: KnownPieces, fields: Sequence[Field]) -> None:
        self._catalog = catalog
        self._pieces = pieces
        self._fields = {one.name: one for one in fields if bound_type(one.type) is not None}
        self._found: dict[str, ColumnStatistics] = {}
        self._keys: tuple[pa.Table, _Rows] | None = None

    def __getitem__(self, name: str) -> ColumnStatistics:
        """Return what is known of a column."""
        if name not in self._found:
            self._found[name] = self._of(self._fields[name])
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the columns of which something may be known."""
        return iter(self._fields)

    def __len__(self) -> int:
        """Return their number."""
        return len(self._fields)

    def _of(self, field: Field) -> ColumnStatistics:
        pieces, kind = self._pieces, bound_type(field.type)
        rows, first, counts = self._ranges(field.name)
        known = _ranges_of(rows, kind)
        step = range_rows(self._catalog)
        begin = np.minimum(pieces.starts // step, counts)
        end = np.minimum(-(-pieces.stops // step), counts)
        lengths = np.maximum(end - begin, 0)
        bounds = np.concatenate(([0], np.cumsum(lengths)))
        within = np.arange(bounds[-1]) - np.repeat(bounds[:-1], lengths)
        places = np.repeat(first + begin, lengths) + within
        found = known.take(places).merged(bounds.astype(np.int64))
        row_start, row_stop = (rows.column(name).to_numpy() for name in ("row_start", "row_stop"))
        some = lengths > 0
        is_whole = some.copy()
        is_whole[some] = (row_start[places[bounds[:-1][some]]] == pieces.starts[some]) & (
            row_stop[places[bounds[1:][some] - 1]] == pieces.stops[some]
        )
        return _of_pieces(found, field, pieces, some, is_whole)

    def _ranges(self, name: str) -> tuple[pa.Table, _Rows, _Rows]:
        """Return what is known of ranges of a column, where those of each piece begin, and how many there are."""
        table, keys = self._keyed()
        column = table.column("column").combine_chunks()
        code = pc.index(column.dictionary, name).as_py()
        rows = np.flatnonzero((column.indices.to_numpy() == code) & (keys >= 0))
        rows = rows[np.argsort(keys[rows], kind="stable")]
        wanted = self._pieces.sessions * len(self._pieces.paths) + self._pieces.path_codes
        first, last = (np.searchsorted(keys[rows], wanted, side) for side in ("left", "right"))
        return table.take(pa.array(rows)), first.astype(np.int64), (last - first).astype(np.int64)

    def _keyed(self) -> tuple[pa.Table, _Rows]:
        """Return ``columns``, and for each row the number that its table has; -1 for tables that are not read."""
        if self._keys is None:
            table = self._catalog.whole_table("columns")
            numbers = self._catalog.session_numbers("columns")
            paths = table.column("path").combine_chunks()
            places = {path: code for code, path in enumerate(self._pieces.paths)}
            codes = np.array([places.get(path, -1) for path in paths.dictionary.to_pylist()] or [-1], np.int64)
            of_rows = codes[paths.indices.to_numpy()] if len(paths) else np.empty(0, np.int64)
            keys = np.where((numbers >= 0) & (of_rows >= 0), numbers * len(places) + of_rows, -1)
            self._keys = (table, keys)
        return self._keys


def range_rows(catalog: SharedCatalog) -> int:
    """Return the rows of a range that a catalog says something of."""
    return max(1, int(str(catalog.options.get("range_rows", 1 << 16))))


def bound_type(kind: pa.DataType) -> pa.DataType | None:
    """Return the type of bounds of a column of some type; None if there are none."""
    if pa.types.is_boolean(kind):
        return pa.bool_()
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_string(kind) or (pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type)):
        return pa.string()
    return None


def _ranges_of(rows: pa.Table, kind: pa.DataType | None) -> ColumnStatistics:
    """Return what is known of each range, in the type in which values are read; nothing of ranges of another type."""
    suffix = "text" if kind == pa.string() else "int"
    low, high = (rows.column(f"{end}_{suffix}").combine_chunks() for end in ("min", "max"))
    n_rows = rows.column("row_stop").to_numpy() - rows.column("row_start").to_numpy()
    n_null, n_nan = (rows.column(name).to_numpy() for name in ("n_null", "n_nan"))
    if kind == pa.float64():
        wide = (rows.column(f"{end}_float").combine_chunks() for end in ("min", "max"))
        # Integers are read as floats where another file has floats; rounding keeps their order.
        low, high = (
            pc.coalesce(one, whole.cast(kind, safe=False)) for one, whole in zip(wide, (low, high), strict=True)
        )
    elif kind == pa.bool_():
        low, high = (pc.greater(one, 0) for one in (low, high))
    low, high = low.cast(kind), high.cast(kind)
    is_known = pc.is_valid(low).to_numpy(zero_copy_only=False) | (n_null + n_nan == n_rows)
    values = rows.column("values").combine_chunks().cast(pa.large_list(pa.string())) if kind == pa.string() else None
    return ColumnStatistics(low, high, n_null, n_nan, values, is_known)


def _of_pieces(
    found: ColumnStatistics, field: Field, pieces: KnownPieces, some: _Mask, is_whole: _Mask
) -> ColumnStatistics:
    """Return the statistics with those of pieces without ranges: all rows are null where a file lacks the column."""
    n_rows = pieces.stops - pieces.starts
    has = pieces.has.get(field.stored, np.zeros(len(n_rows), np.bool_))
    unknown = ~some & has
    n_null, n_nan = (np.where(is_whole | (one == 0), one, UNKNOWN_COUNT) for one in (found.n_null, found.n_nan))
    n_null = np.where(~has, n_rows, np.where(unknown, UNKNOWN_COUNT, n_null))
    n_nan = np.where(~has, 0, np.where(unknown, UNKNOWN_COUNT, n_nan))
    values = found.values
    if values is not None:
        values = pc.if_else(pa.array(some), values, pa.nulls(len(values), values.type))
    return ColumnStatistics(found.minimum, found.maximum, n_null, n_nan, values, ~has | (found.is_known & ~unknown))
