"""Reads small datasets of a local file whole and together, where they are plain bytes or text in one piece.

So are most columns of tables and all that describes a session. `reading.Reader` reads these too, and everything else,
and says what is wrong with damaged ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.elements import Heap
from nwb_dask.backends.hdf5.object_attributes import PARSER_ERRORS, STORAGE_ERRORS
from nwb_dask.backends.protocol import ByteSource
from nwb_dask.index import ArrayEntry

_Values = npt.NDArray[np.generic]

_NUMBERS = frozenset({"int", "uint", "float", "complex", "enum"})
_MOST_BYTES = 1 << 20
"""Of all datasets together."""


def read_whole(store: ByteSource, heap: Callable[[], Heap], entries: Sequence[ArrayEntry]) -> list[_Values] | None:
    """Return all values of datasets, as `backends.File.read` gives them; None if one of them is not simple or sound.

    Parameters
    ----------
    store : ByteSource
        The file's bytes; a local file.
    heap : callable
        Gives the heap of the same file, when text is met.
    entries : sequence of ArrayEntry
        Those for which `is_simple`.

    Raises
    ------
    SourceUnavailableError, SourceChangedError
        If the file cannot be read any more.
    """
    counts = [prod(entry.shape or ()) for entry in entries]
    sizes = [n * entry.element.size for n, entry in zip(counts, entries, strict=True)]
    if sum(sizes) > _MOST_BYTES:
        return None
    begins = [entry.offset or 0 for entry in entries]
    try:
        parts = store.read([(begin, begin + size) for begin, size in zip(begins, sizes, strict=True)])
        are_text = [entry.element.dtype is None for entry in entries]
        stored = b"".join([part for part, is_text in zip(parts, are_text, strict=True) if is_text])
        n_texts = sum([n for n, is_text in zip(counts, are_text, strict=True) if is_text])
        texts = heap().texts(stored, n_texts) if n_texts else ()
    except STORAGE_ERRORS:
        raise
    except PARSER_ERRORS:
        return None
    out: list[_Values] = []
    at = 0
    for entry, part, n in zip(entries, parts, counts, strict=True):
        shape, dtype = entry.shape or (), entry.element.dtype
        if dtype is not None:
            out.append(np.frombuffer(part, dtype).reshape(shape))
            continue
        values = np.empty(n, object)
        values[:] = texts[at : at + n]
        at += n
        out.append(values.reshape(shape))
    return out


def is_simple(entry: ArrayEntry) -> bool:
    """Return whether the bytes of a dataset are its values, or text of variable length, and stand in one piece."""
    element, shape = entry.element, entry.shape
    if entry.layout != "contiguous" or entry.offset is None or entry.fill is not None or shape is None or 0 in shape:
        return False
    if element.kind == "string":
        return element.dtype is None and element.size > 0
    dtype = element.dtype
    return element.kind in _NUMBERS and element.exact and dtype is not None and dtype.isnative
