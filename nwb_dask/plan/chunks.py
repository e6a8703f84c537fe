"""How an array is cut into parts that are read as tasks. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import TypeAlias

from nwb_dask.index import ArrayEntry

Chunks: TypeAlias = "tuple[tuple[int, ...], ...]"
"""Lengths of the parts along each axis, as dask has them."""

_HUGE = 2
"""A stored chunk of so many times the size that is aimed at is worth a word."""


def plan_chunks(
    shape: Sequence[int],
    itemsize: int,
    native: Sequence[int] | None,
    *,
    target_bytes: int,
    time_axis: int = 0,
) -> Chunks:
    """Return lengths of parts of about `target_bytes`, made of whole stored chunks.

    A part grows along the other axes before it grows in time, and among these along the last first, in which
    neighbours are stored. So a window of time is in few parts, and no stored chunk is in two of them.

    Parameters
    ----------
    shape : sequence of int
        Of the array.
    itemsize : int
        Bytes of an element in memory, once it is decoded and scaled.
    native : sequence of int or None
        Shape of a stored chunk, see `native_chunks`. None for data that can be read in any part: then parts are of
        whole rows as far as these are shorter than `target_bytes`.
    target_bytes : int
        No part is larger, unless a single stored chunk is; see `explain_huge_chunks`.
    time_axis : int
        Axis along which parts grow last.

    Returns
    -------
    tuple of tuple of int
        For each axis lengths that add up to that of `shape`; ``(0,)`` for an axis of length 0. All but the last are
        equal.
    """
    unit = _unit(shape, native)
    last = [time_axis % len(shape)] if shape else []
    lengths = list(unit)
    for axis in [axis for axis in reversed(range(len(shape))) if axis not in last] + last:
        across = prod(lengths) // lengths[axis]
        most = target_bytes // max(itemsize * across, 1)
        if shape[axis] <= most:
            lengths[axis] = max(shape[axis], 1)
            continue
        n_units = max(-(-shape[axis] // unit[axis]), 1)
        n_together = max(most // unit[axis], 1)
        if axis not in last:
            # Parts of like size: 5 and 5 of 10 rather than 9 and 1.
            n_together = -(-n_units // -(-n_units // n_together))
        lengths[axis] = n_together * unit[axis]
    return tuple(_cut(length, step) for length, step in zip(shape, lengths, strict=True))


def native_chunks(entry: ArrayEntry, itemsize: int, *, target_bytes: int) -> tuple[int, ...] | None:
    """Return the shape of what `plan_chunks` must keep in one part: a stored chunk.

    None for data in one piece, and for chunks larger than `target_bytes` that are not compressed: any part of these can
    be read by itself.
    """
    if entry.layout != "chunked" or entry.chunks is None:
        return None
    is_split = not entry.filters and prod(_unit(entry.shape or (), entry.chunks)) * itemsize > target_bytes
    return None if is_split else entry.chunks


def explain_huge_chunks(
    shape: Sequence[int], itemsize: int, native: Sequence[int] | None, *, target_bytes: int
) -> str | None:
    """Return a sentence for users about stored chunks that are much larger than `target_bytes`; None if they are not.

    A chunk that is compressed is decoded whole for any part of it, so that smaller parts would only decode it more
    often.
    """
    n_bytes = prod(_unit(shape, native)) * max(itemsize, 1)
    if native is None or n_bytes <= _HUGE * target_bytes:
        return None
    lengths = " x ".join(str(length) for length in _unit(shape, native))
    return (
        f"it is stored in chunks of {lengths} values, {n_bytes / 2**20:,.0f} MiB each in memory, and a part of one "
        "takes as long to read as all of it"
    )


def _unit(shape: Sequence[int], native: Sequence[int] | None) -> tuple[int, ...]:
    """Return the shape of the smallest part: one stored chunk, as far as it lies in the array."""
    if native is None:
        return (1,) * len(shape)
    if len(native) != len(shape) or min(native, default=1) < 1:
        raise ValueError(f"chunks of {tuple(native)} for a shape of {tuple(shape)}")
    return tuple(max(min(chunk, length), 1) for chunk, length in zip(native, shape, strict=True))


def _cut(length: int, step: int) -> tuple[int, ...]:
    if not length:
        return (0,)
    return tuple(stop - start for start, stop in pairwise([*range(0, length, step), length]))
