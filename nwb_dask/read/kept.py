"""Small columns that are read in the visit that plans, so that an eager read need not open the file twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nwb_dask.backends import File
from nwb_dask.errors import NWBDaskError
from nwb_dask.index import ArrayEntry, Source
from nwb_dask.model import Column, Table
from nwb_dask.plan.ragged import Spans, rows_of_spans
from nwb_dask.read.column import Ask

_COLUMN_BYTES = 1 << 18
_TOTAL_BYTES = 1 << 26


class KeptValues:
    """Values of columns of many files, for the length of one eager read.

    It takes longer to find again what leads to the values, once a file is closed, than to read a column of a few
    hundred rows: text, references, and whatever is in chunks. Contiguous numbers stand where the plan says, and are
    not kept.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[Source, str], npt.NDArray[np.generic]] = {}
        self._left = _TOTAL_BYTES

    def keep(self, file: File, table: Table) -> None:
        """Read the small columns of `table`; if one cannot be read none is kept, and it raises when it is asked for."""
        chosen: list[ArrayEntry] = []
        for column in table.columns.values():
            entry, size = column.values, column.decoded_bytes
            if entry is not None and _is_worth_it(column, entry) and size <= min(_COLUMN_BYTES, self._left):
                chosen.append(entry)
                self._left -= size
        try:
            found = file.read_many([(entry, None) for entry in chosen]) if chosen else []
        except NWBDaskError:
            found = []
        for entry, values in zip(chosen, found, strict=False):
            self._values[file.source, entry.path] = values

    def over(self, file: File) -> KeptFile:
        """Return `file` as a reader that takes kept values from here."""
        return KeptFile(file, self)

    def get(self, source: Source, path: str) -> npt.NDArray[np.generic] | None:
        """Return all rows of a dataset, or None if they are not kept."""
        return self._values.get((source, path))


class KeptFile:
    """Reads from an open file what is not kept."""

    def __init__(self, file: File, kept: KeptValues) -> None:
        self._file = file
        self._kept = kept

    def holds(self, entry: ArrayEntry) -> bool:
        """Return whether all values of a dataset are at hand."""
        return self._kept.get(self._file.source, entry.path) is not None or self._file.holds(entry)

    def read_many(self, requests: Sequence[Ask]) -> list[npt.NDArray[np.generic]]:
        """Return rows of the first axis of each dataset."""
        kept = [self._kept.get(self._file.source, entry.path) for entry, _ in requests]
        left = [request for request, values in zip(requests, kept, strict=True) if values is None]
        found = iter(self._file.read_many(left) if left else ())
        return [
            next(found) if values is None else _rows(values, spans)
            for (_, spans), values in zip(requests, kept, strict=True)
        ]


def _rows(values: npt.NDArray[np.generic], spans: Spans | None) -> npt.NDArray[np.generic]:
    if spans is None or (len(spans) == 1 and spans[0, 0] == 0 and spans[0, 1] == len(values)):
        return values
    return values[rows_of_spans(spans)]


def _is_worth_it(column: Column, entry: ArrayEntry) -> bool:
    plain = entry.layout == "contiguous" and entry.element.dtype is not None
    return column.kind == "vector" and not column.problem and not column.field.heavy and not plain
