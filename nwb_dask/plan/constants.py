"""Values that describe sessions, one row per piece of a scan: known of all its rows without opening it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nwb_dask.model.field import Field

N_ROWS = "n_rows"
"""Name of what is no metadata of a file: the number of rows of the table."""

_LAST_MARK = "\0"
"""Added to the last label it gives the next text in order."""


@dataclass(frozen=True, slots=True)
class SessionColumns:
    """What describes the sessions of several files, to be joined to the rows of their tables."""

    fields: tuple[Field, ...]
    values: pa.Table | None = field(repr=False)
    """One row per file, with a column for each field but the numbers of rows; None if there is no such field."""
    names: Mapping[str, str]
    """Name of a field -> name of the metadata, or `N_ROWS`."""

    def of_pieces(self, files: Sequence[int], n_rows: Sequence[int]) -> pa.Table:
        """Return one row per piece, given the file of each by number and the rows of its table."""
        chosen = None if self.values is None else self.values.take(pa.array(files, pa.int64()))
        arrays = [
            pa.chunked_array([pa.array(n_rows, pa.int64())])
            if chosen is None or self.names[one.name] == N_ROWS
            else chosen.column(one.name)
            for one in self.fields
        ]
        names = [one.name for one in self.fields]
        return pa.Table.from_arrays(arrays, names).combine_chunks()


def values_of(constants: pa.Table) -> dict[str, list[object]]:
    """Return the values by column, lists as tuples: they can be hashed."""
    return {
        name: [tuple(value) if isinstance(value, list) else value for value in column.to_pylist()]
        for name, column in zip(constants.column_names, constants.columns, strict=True)
    }


def known_values(constants: pa.Table) -> dict[str, list[object]]:
    """Return the values of those columns that `prune.may_match` takes."""
    narrow = (pa.types.is_float16, pa.types.is_float32)
    chosen = [
        one.name
        for one in constants.schema
        if not (pa.types.is_nested(one.type) or any(is_(one.type) for is_ in narrow))
    ]
    return values_of(constants.select(chosen))


def divisions_of(labels: Sequence[object], bounds: npt.NDArray[np.int64]) -> tuple[object, ...] | None:
    """Return the labels at which partitions begin, and one that is greater than all, as dask has divisions.

    The last one is no label: dask takes the last division into the partition before it, so that the last two sessions
    would share one where frames are aligned.

    Parameters
    ----------
    labels : sequence of length n_pieces
        Text or integers.
    bounds : ndarray of int64, shape (n_partitions + 1,)
        Partition i is the pieces ``[bounds[i], bounds[i + 1])``.

    Returns
    -------
    tuple of length n_partitions + 1, or None
        None if some label is absent or of another type, labels decrease, or two partitions share one.
    """
    kind = type(labels[0]) if labels else None
    if kind not in {str, int} or len(bounds) < 2 or not all(type(one) is kind for one in labels):  # noqa: PLR2004  # one partition
        return None
    starts = {int(bound) for bound in bounds[1:-1]}
    if not (np.diff(bounds) > 0).all():
        return None
    for number, (one, other) in enumerate(pairwise(labels), start=1):
        if other < one or (other == one and number in starts):  # type: ignore[operator]  # both of one kind
            return None
    last = labels[-1]
    return (*(labels[int(bound)] for bound in bounds[:-1]), last + (1 if isinstance(last, int) else _LAST_MARK))  # type: ignore[operator]  # likewise


def digest_of(constants: pa.Table) -> bytes:
    """Return a digest of names, types and values, whatever the chunks and dictionaries."""
    digest = hashlib.blake2b(repr(str(constants.schema)).encode(), digest_size=16)
    for column in constants.columns:
        # Moments as numbers: the time zone of `datetime` is an object of one library or another.
        plain = column.cast(_without_moments(column.type))
        digest.update(repr(plain.to_pylist()).encode())
    return digest.digest()


def as_bytes(table: pa.Table) -> bytes:
    """Return a table as one compressed Arrow stream."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def from_bytes(data: bytes) -> pa.Table:
    """Return the table that `as_bytes` wrote."""
    return pa.ipc.open_stream(data).read_all()


def _without_moments(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_large_list(type_):
        return pa.large_list(_without_moments(type_.value_type))
    return pa.int64() if pa.types.is_timestamp(type_) else type_
