"""Values that libhdf5 has to read: text of variable length, references, sequences, compounds, other filters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from h5py import h5s, h5t, h5z, regionref_dtype

from nwb_dask.backends.hdf5.attributes import REFERENCE_IN_MEMORY, TEXT_IN_MEMORY
from nwb_dask.backends.hdf5.boxes import Box, box_shape, whole_box
from nwb_dask.backends.hdf5.index import OpenArray
from nwb_dask.backends.hdf5.references import ReferencePaths
from nwb_dask.backends.hdf5.spans import Spans, cut, join, rows
from nwb_dask.backends.hdf5.types import holds_objects, native_dtype
from nwb_dask.errors import UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, ElementType

# h5py's arrays are of types that are known only when the file is: object arrays, structured ones, numbers.
_Values = npt.NDArray[Any]

_RUN_BYTES = 64 << 20
"""Stored bytes of rows that are read at once and thinned out afterwards."""
_GAP_BYTES = 8192
"""Unwanted bytes that are read rather than asking libhdf5 once more, which takes as long as 500 short texts."""

_REGION_IN_MEMORY = h5t.py_create(regionref_dtype)
_PLUGINS = "hdf5plugin"


class _Part(NamedTuple):
    """Rows that follow each other, or a box of each."""

    start: int
    stop: int
    box: Box | None


def read_values(
    opened: OpenArray, entry: ArrayEntry, spans: Spans, references: ReferencePaths, box: Box | None = None
) -> _Values:
    """Return rows of a dataset, or a box of each, through libhdf5, as `File.read` gives them.

    Parameters
    ----------
    opened : OpenArray
        The dataset.
    entry : ArrayEntry
        Its description.
    spans : ndarray of int64, shape (n, 2)
        Tidy, see `spans.tidy`; not empty, except for a scalar.
    references : ReferencePaths
        Of the same file.
    box : Box, optional
        What is wanted of each row; by default all.
    """
    require_filters(entry)
    if entry.shape == ():
        return _read_block(opened, None, references)
    parts = []
    lengths = (entry.shape or ())[1:] if box is None else box_shape(box)
    for start, stop, inside in _runs(entry, spans, lengths, int(opened.tid.get_size())):
        block = _read_block(opened, _Part(start, stop, box), references)
        whole = len(inside) == 1 and inside[0, 1] - inside[0, 0] == stop - start
        parts.append(block if whole else block[rows(inside[:, 0] - start, inside[:, 1] - start)])
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def require_filters(entry: ArrayEntry) -> None:
    """Make the filters of a dataset known to libhdf5.

    Raises
    ------
    UnsupportedLayoutError
        If one is not to be had, with its number.
    """
    missing = [step for step in entry.filters if not h5z.filter_avail(step.id)]
    if not missing:
        return
    with suppress(ImportError):
        import_module(_PLUGINS)  # registers its filters with libhdf5
    for step in missing:
        if not h5z.filter_avail(step.id):
            name = f" ({step.name})" if step.name else ""
            message = f"its chunks are compressed with HDF5 filter {step.id}{name}, which is not installed"
            raise UnsupportedLayoutError(message, path=entry.path)


def to_native(stored: _Values, element: ElementType) -> _Values:
    """Return fixed-size elements in native byte order, and stored integers as booleans where they are."""
    if element.kind == "bool":
        return np.not_equal(stored, 0)
    if element.kind == "array" and element.base is not None:
        return to_native(stored, element.base)
    if element.kind == "compound":
        return stored.astype(native_dtype(element))
    dtype = stored.dtype
    return stored if dtype.isnative else stored.astype(dtype.newbyteorder("="))


def _runs(
    entry: ArrayEntry, spans: Spans, lengths: tuple[int, ...], item_bytes: int
) -> Iterator[tuple[int, int, Spans]]:
    """Yield rows to read at once, with the spans in them that are wanted; `lengths` are those of a row of the result.

    Chunks that have to be decoded are visited once, and those that hold no wanted row not at all.
    """
    unit = entry.chunks[0] if entry.chunks is not None and entry.filters else 1
    row_bytes = max(int(np.prod(lengths, dtype=np.float64)) * item_bytes, 1)
    step = unit * max(_RUN_BYTES // (row_bytes * unit), 1)
    begin, end = int(spans[0, 0]), int(spans[-1, 1])
    if (len(spans) == 1 and end - begin <= step) or (unit == 1 and (end - begin) * row_bytes <= _GAP_BYTES):
        # No gap between the spans is worth a second call.
        yield begin, end, spans
        return
    pieces = cut(spans, chunk_rows=step)
    wanted = np.stack((pieces.start + pieces.chunk * step, pieces.stop + pieces.chunk * step), axis=1)
    if unit == 1:
        joined = join(spans, gap=max(_GAP_BYTES // row_bytes, 1))
        group = np.searchsorted(joined[:, 0], wanted[:, 0], side="right")
        new = (np.diff(group) != 0) | (np.diff(pieces.chunk) != 0)
    else:
        # The same chunk as the piece before, or the next one.
        near = wanted[1:, 0] // unit - (wanted[:-1, 1] - 1) // unit <= 1
        new = ~near | (np.diff(pieces.chunk) != 0)
    first = np.concatenate(([0], np.flatnonzero(new) + 1))
    last = np.concatenate((first[1:], [len(wanted)]))
    for a, b in zip(first.tolist(), last.tolist(), strict=True):
        yield int(wanted[a, 0]), int(wanted[b - 1, 1]), wanted[a:b]


def _read_block(opened: OpenArray, rows_: _Part | None, references: ReferencePaths) -> _Values:
    """Return consecutive rows, or a scalar as one row."""
    element = opened.stored.element
    if element.kind == "string" and element.dtype is None:
        return _transfer(opened, rows_, np.dtype(object), TEXT_IN_MEMORY)
    if element.kind == "reference":
        addresses = _transfer(opened, rows_, np.dtype(np.uint64), h5t.STD_REF_OBJ)
        return references.paths(addresses, _transfer(opened, rows_, np.dtype(object), REFERENCE_IN_MEMORY))
    if element.kind == "region":
        found = _transfer(opened, rows_, np.dtype(object), _REGION_IN_MEMORY)
        return references.regions(found.reshape(-1)).reshape(found.shape)
    if opened.stored.exact and element.dtype is not None:
        return to_native(_transfer(opened, rows_, element.dtype, opened.tid), element)
    memory = opened.tid.dtype
    block = _transfer(opened, rows_, memory, h5t.py_create(memory))
    if not holds_objects(element):
        return to_native(block, element)
    return _converted(block, element, references, lambda name: _field_addresses(opened, rows_, name))


def _transfer(opened: OpenArray, rows_: _Part | None, dtype: np.dtype[np.generic], memory: h5t.TypeID) -> _Values:
    if rows_ is None:
        out = np.zeros(1, dtype)
        opened.did.read(h5s.ALL, h5s.ALL, out, memory)
        return out
    start, stop, box = rows_
    if opened.shape is not None and box is None and (start, stop) == (0, opened.shape[0]):
        out = np.zeros(opened.shape, dtype)
        opened.did.read(h5s.ALL, h5s.ALL, out, memory)
        return out
    space = opened.did.get_space()
    every = ((start, stop), *(whole_box(space.shape[1:]) if box is None else box))
    shape = box_shape(every)
    space.select_hyperslab(tuple(first for first, _ in every), shape)
    out = np.zeros(shape, dtype)
    opened.did.read(h5s.create_simple(shape), space, out, memory)
    return out


def _converted(
    block: _Values, element: ElementType, references: ReferencePaths, addresses: Callable[[str], _Values | None]
) -> _Values:
    """Return h5py's objects as `File.read` gives them."""
    if element.kind == "compound":
        out = np.empty(block.shape, native_dtype(element))
        for name, field in element.fields:
            if field.kind == "reference":
                known = addresses(name)
                followed = _followed(block[name], references) if known is None else known
                out[name] = references.paths(followed, block[name])
            else:
                out[name] = _converted(block[name], field, references, lambda _name: None)
        return out
    if element.kind == "region":
        return references.regions(block.reshape(-1)).reshape(block.shape)
    if element.kind == "sequence" and element.base is not None:
        flat = np.empty(block.size, object)
        for i, item in enumerate(block.reshape(-1)):
            # h5py 3.16 hands out the bytes of other byte orders as they are, and calls them native.
            flat[i] = to_native(np.asarray(item).view(element.base.dtype or item.dtype), element.base)
        return flat.reshape(block.shape)
    return block if holds_objects(element) else to_native(block, element)


def _field_addresses(opened: OpenArray, rows_: _Part | None, name: str) -> _Values:
    """Return the addresses in a reference field of a compound: libhdf5 reads fields by name."""
    memory = h5t.create(h5t.COMPOUND, 8)
    memory.insert(name.encode(), 0, h5t.STD_REF_OBJ)
    return _transfer(opened, rows_, np.dtype(np.uint64), memory)


def _followed(block: _Values, references: ReferencePaths) -> npt.NDArray[np.uint64]:
    """Return the addresses of references by opening what they point to, which is slow."""
    out = np.zeros(block.size, np.uint64)
    for i, reference in enumerate(block.reshape(-1)):
        if reference:
            out[i] = references.address(reference)
    return out.reshape(block.shape)
