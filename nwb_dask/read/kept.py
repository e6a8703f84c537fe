"""Small columns that are read in the visit that plans, so that an eager read need not open the file twice."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from nwb_dask.backends import File
from nwb_dask.errors import NWBDaskError
from nwb_dask.index import ArrayEntry, Source
from nwb_dask.model import Column, Table
from nwb_dask.read.column import Ask
from nwb_dask.read.recent_values import RecentFile, chosen_rows

_COLUMN_BYTES = 1 << 18
_PLAIN_BYTES = 1 << 14
"""Of contiguous numbers, which stand where the plan says: more of them are read when it is known which rows."""
_TOTAL_BYTES = 1 << 26


class KeptValues:
    """Values of columns of many files, for the length of one eager read.

    It takes longer to open a file, and to find again what leads to the values, than to read a column of a few hundred
    rows.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[Source, str], npt.NDArray[np.generic]] = {}
        self._tables: dict[tuple[Source, str], Table] = {}
        self._left = _TOTAL_BYTES

    def keep(self, file: File, table: Table, names: Collection[str] | None = None) -> None:
        """Read the small columns of `table`, of those in `names` if given, which may be fewer than are described.

        If one cannot be read none is kept, and it raises when it is asked for.
        """
        self._tables[file.source, table.path] = table
        chosen: list[ArrayEntry] = []
        for name, column in table.columns.items():
            if names is not None and name not in names:
                continue
            entry, size = column.values, column.decoded_bytes
            if entry is not None and _is_worth_it(column) and size <= min(_most_bytes(entry), self._left):
                chosen.append(entry)
                self._left -= size
        try:
            found = RecentFile(file.source, file).read_many([(entry, None) for entry in chosen]) if chosen else []
        except NWBDaskError:
            found = []
        for entry, values in zip(chosen, found, strict=False):
            self._values[file.source, entry.path] = values

    def table(self, source: Source, path: str, names: Collection[str]) -> Table | None:
        """Return a table of which all columns in `names` are kept, or None."""
        table = self._tables.get((source, path))
        if table is None:
            return None
        columns = [column for name, column in table.columns.items() if name in names]
        entries = [entry for column in columns for entry in column.entries]
        is_whole = not any(column.problem for column in columns)
        return table if is_whole and all((source, entry.path) in self._values for entry in entries) else None

    def over(self, source: Source, file: RecentFile) -> KeptFile:
        """Return a reader that takes kept values from here, and others from `file`."""
        return KeptFile(source, file, self)

    def get(self, source: Source, path: str) -> npt.NDArray[np.generic] | None:
        """Return all rows of a dataset, or None if they are not kept."""
        return self._values.get((source, path))


class KeptFile:
    """Reads from a file what is not kept."""

    def __init__(self, source: Source, file: RecentFile, kept: KeptValues) -> None:
        self._source = source
        self._file = file
        self._kept = kept

    def holds(self, entry: ArrayEntry) -> bool:
        """Return whether all values of a dataset are at hand."""
        return self._kept.get(self._source, entry.path) is not None or self._file.holds(entry)

    def read_many(self, requests: Sequence[Ask]) -> list[npt.NDArray[np.generic]]:
        """Return rows of the first axis of each dataset."""
        kept = [self._kept.get(self._source, entry.path) for entry, _ in requests]
        left = [request for request, values in zip(requests, kept, strict=True) if values is None]
        found = iter(self._file.read_many(left) if left else ())
        return [
            next(found) if values is None else chosen_rows(values, spans)
            for (_, spans), values in zip(requests, kept, strict=True)
        ]


def _is_worth_it(column: Column) -> bool:
    return column.kind == "vector" and not column.problem and not column.field.heavy


def _most_bytes(entry: ArrayEntry) -> int:
    is_plain = entry.layout == "contiguous" and entry.element.dtype is not None
    return _PLAIN_BYTES if is_plain else _COLUMN_BYTES
