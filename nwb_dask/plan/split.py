"""Which pieces make a partition: one file+table pair each, split when huge, packed when tiny. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import prod

import numpy as np
import numpy.typing as npt

from nwb_dask.model.columns import Column
from nwb_dask.plan.chunks import native_chunks
from nwb_dask.plan.partition import Piece

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def parse_bytes(size: float | str) -> int:
    """Return a number of bytes from a number or from text such as ``"100 MB"`` or ``"64MiB"``.

    Raises
    ------
    ValueError
        If it is neither, or not positive.
    """
    if isinstance(size, str):
        found = re.fullmatch(r"\s*([0-9.]+)\s*([a-zA-Z]*)\s*", size)
        if found is None or found[2].lower() not in _UNITS:
            message = f"{size!r} is no size in bytes; write for example '100 MB'"
            raise ValueError(message)
        size = float(found[1]) * _UNITS[found[2].lower()]
    if size < 1:
        message = f"a size in bytes is at least 1, not {size!r}"
        raise ValueError(message)
    return int(size)


def split_piece(piece: Piece, decoded_bytes: int, *, block_bytes: int, chunk_rows: int = 1) -> tuple[Piece, ...]:
    """Return the piece as runs of rows of at most `block_bytes` decoded bytes, at least one row each.

    Runs begin at multiples of `chunk_rows` if so many rows are no more than `block_bytes`.
    """
    n_rows = piece.stop - piece.start
    if decoded_bytes <= block_bytes or n_rows < 2:  # noqa: PLR2004  # one row cannot be split
        return (piece,)
    step = max(1, n_rows * block_bytes // decoded_bytes)
    unit = chunk_rows if chunk_rows <= step else 1
    first = piece.start // unit * unit
    starts = [max(start, piece.start) for start in range(first, piece.stop, step // unit * unit)]
    return tuple(replace(piece, start=start, stop=stop) for start, stop in pairwise([*starts, piece.stop]))


def rows_per_chunk(columns: Iterable[Column], *, block_bytes: int) -> int:
    """Return the rows that a stored chunk of the largest column has in which rows lie one after the other; 1 for none.

    A chunk that two partitions share is read and decoded by both. Ragged columns have no part in this: which rows a
    chunk of theirs belongs to is written in their index, which a plan does not read.
    """
    largest: tuple[int, int] = (0, 1)
    for column in columns:
        entry = None if column.indexes or column.problem or column.kind not in {"vector", "field"} else column.values
        if entry is None or entry.shape is None or not entry.shape or not entry.shape[0]:
            continue
        row_bytes = max(column.decoded_bytes // entry.shape[0], 1)
        chunks = native_chunks(entry, row_bytes // max(prod(entry.shape[1:]), 1), target_bytes=block_bytes)
        if chunks is not None:
            largest = max(largest, (column.decoded_bytes, min(chunks[0], entry.shape[0])))
    return largest[1]


def pack_bounds(decoded_bytes: Sequence[int], *, partition_bytes: int | None) -> npt.NDArray[np.int64]:
    """Return the bounds of partitions over pieces in order.

    Parameters
    ----------
    decoded_bytes : sequence of int
        Size of each piece.
    partition_bytes : int or None
        Neighbours share a partition while their sum stays within this; None gives each its own.

    Returns
    -------
    ndarray of int64, shape (n_partitions + 1,)
        Partition i is the pieces ``[bounds[i], bounds[i + 1])``.
    """
    if partition_bytes is None:
        return np.arange(len(decoded_bytes) + 1, dtype=np.int64)
    bounds, held = [0], 0
    for number, size in enumerate(decoded_bytes):
        if number > bounds[-1] and held + size > partition_bytes:
            bounds.append(number)
            held = 0
        held += size
    if decoded_bytes:
        bounds.append(len(decoded_bytes))
    return np.asarray(bounds, np.int64)
