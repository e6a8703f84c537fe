"""Small datasets of local files that this process has read lately, so that the next query need not open the file.

What is known of remote files is kept by the index cache, with their small values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from nwb_dask.backends import File
from nwb_dask.catalog import recent_values
from nwb_dask.index import ArrayEntry, Source
from nwb_dask.plan.ragged import Spans, rows_of_spans
from nwb_dask.read.column import Ask
from nwb_dask.storage import is_local, is_unchanged, local_path
from nwb_dask.storage import is_settled as is_settled_identity

_COLUMN_BYTES = 1 << 18
_KEY_BYTES = 500
_ASKED_IN_PART = "asked in part"
"""Kept in place of values of which only some rows were asked for."""
_TEXT_BYTES = 60
"""What a text takes in memory beside its characters."""
_KINDS = frozenset({"int", "uint", "float", "bool", "enum", "string", "reference"})

Values = npt.NDArray[np.generic]


class RecentFile:
    """Reads from a file what has not been read lately of the same version of it.

    Parameters
    ----------
    source : Source
        The file and its version.
    file : File, optional
        Where to read the rest; may be None where `take` has found all.
    """

    def __init__(self, source: Source, file: File | None) -> None:
        self._source = source
        self._file = file
        self._held: dict[str, Values] = {}
        self._may_be_kept = is_local(source.url) and is_settled(source)

    def take(self, entries: Iterable[ArrayEntry]) -> bool:
        """Return whether all values of `entries` are at hand and the file, which is not opened, is unchanged."""
        url = self._source.url
        return all(self._recent(entry) is not None for entry in entries) and (
            is_local(url) and is_unchanged(local_path(url), self._source.identity)
        )

    def holds(self, entry: ArrayEntry) -> bool:
        """Return whether all values of a dataset are at hand."""
        return self._recent(entry) is not None or (self._file is not None and self._file.holds(entry))

    def read_many(self, requests: Sequence[Ask]) -> list[Values]:
        """Return rows of the first axis of each dataset; those that are kept cannot be written to."""
        known = [self._recent(entry) for entry, _ in requests]
        left = [request for request, values in zip(requests, known, strict=True) if values is None]
        kept = [self._is_kept(entry, spans) for entry, spans in left]
        asks = [(entry, None if whole else spans) for (entry, spans), whole in zip(left, kept, strict=True)]
        found = self._file.read_many(asks) if asks and self._file is not None else []
        for (entry, _), whole, values in zip(left, kept, found, strict=True):
            if whole:
                self._keep(entry, values)
        rest = iter(
            chosen_rows(values, spans) if whole else values
            for (_, spans), whole, values in zip(left, kept, found, strict=True)
        )
        return [
            next(rest) if values is None else chosen_rows(values, spans)
            for (_, spans), values in zip(requests, known, strict=True)
        ]

    def _recent(self, entry: ArrayEntry) -> Values | None:
        held = self._held.get(entry.path)
        if held is not None:
            return held
        found = recent_values.get((self._source, entry.path))
        if not isinstance(found, np.ndarray):
            return None
        self._held[entry.path] = found
        return found

    def _keep(self, entry: ArrayEntry, values: Values) -> None:
        kept = values if values.base is None else values.copy()
        kept.flags.writeable = False
        n_bytes = kept.nbytes
        if kept.dtype.kind == "O":
            n_bytes += sum(_TEXT_BYTES + len(str(item)) for item in kept.reshape(-1))
        recent_values.put((self._source, entry.path), kept, n_bytes)

    def _is_kept(self, entry: ArrayEntry, spans: Spans | None) -> bool:
        """Return whether the whole dataset is read and kept: all of it is asked for, or a part for the second time."""
        if entry.element.kind not in _KINDS or not entry.shape or not self._may_be_kept:
            return False
        if entry.home is not None or entry.layout in ("external", "virtual"):
            # The version of the file says nothing of others that have not been opened yet.
            return False
        if int(np.prod(entry.shape, dtype=np.float64)) * max(entry.element.size, 1) > _COLUMN_BYTES:
            return False
        if spans is None or _covers(spans, entry.shape[0]):
            return True
        key = (self._source, entry.path)
        is_asked_again = recent_values.get(key) is not None
        recent_values.put(key, _ASKED_IN_PART, _KEY_BYTES)
        return is_asked_again


def is_settled(source: Source) -> bool:
    """Return whether what is read of this version of a file may be kept: the file cannot change under the same name."""
    return source.identity.kind in {"version", "etag"} or is_settled_identity(source.identity)


def chosen_rows(values: Values, spans: Spans | None) -> Values:
    """Return rows of the first axis; None for all."""
    if spans is None or _covers(spans, len(values)):
        return values
    return values[rows_of_spans(spans)]


def _covers(spans: Spans, n_rows: int) -> bool:
    return len(spans) == 1 and spans[0, 0] == 0 and spans[0, 1] == n_rows
