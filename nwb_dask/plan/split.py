"""Which pieces make a partition: one file+table pair each, split when huge, packed when tiny. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

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


def split_piece(piece: Piece, decoded_bytes: int, *, block_bytes: int) -> tuple[Piece, ...]:
    """Return the piece as runs of rows of at most `block_bytes` decoded bytes, at least one row each."""
    n_rows = piece.stop - piece.start
    if decoded_bytes <= block_bytes or n_rows < 2:  # noqa: PLR2004  # one row cannot be split
        return (piece,)
    step = max(1, n_rows * block_bytes // decoded_bytes)
    starts = range(piece.start, piece.stop, step)
    return tuple(replace(piece, start=start, stop=min(start + step, piece.stop)) for start in starts)


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
