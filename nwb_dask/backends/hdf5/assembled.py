"""Values of datasets whose data are in raw files, or in other datasets."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt
from h5py import h5d, h5p

from nwb_dask.backends.hdf5.array_read import plan_read
from nwb_dask.backends.hdf5.boxes import Box, box_shape, whole_box
from nwb_dask.backends.hdf5.elements import decode, is_decodable
from nwb_dask.backends.hdf5.raw_files import RawFiles
from nwb_dask.backends.hdf5.spans import Spans, count, rows
from nwb_dask.backends.hdf5.types import holds_objects, native_dtype
from nwb_dask.backends.hdf5.virtual import SAME_FILE, Indices, Piece, Transfer, plan_transfer, read_pieces, whole
from nwb_dask.backends.protocol import File
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry

_Values = npt.NDArray[np.generic]
Opener = Callable[[str, str], AbstractContextManager[File]]

_MAX_BYTES = 1 << 30
"""Rows of a virtual dataset that are made up without a question about the files behind it."""
_DEFLATION = 1100
"""More than this many times its size no chunk of zlib grows."""


def read_raw(entry: ArrayEntry, spans: Spans, box: Box | None, files: RawFiles) -> _Values:
    """Return rows of a dataset whose bytes are in raw files, or a box of each.

    Raises
    ------
    UnsupportedLayoutError
        If its elements are not of a fixed size, or are numbers that need converting.
    MalformedFileError
        If the raw files are too short.
    """
    if holds_objects(entry.element) or not is_decodable(entry.element):
        raise UnsupportedLayoutError("elements of this type are not read from raw files", path=entry.path)
    shape = entry.shape or ()
    row_bytes = prod(shape[1:]) * entry.element.size
    n_bytes = row_bytes * (shape[0] if shape else 1)
    if len(spans):
        files.require(int(spans[0, 0]) * row_bytes, int(spans[-1, 1]) * row_bytes)
    placed = replace(entry, layout="contiguous", offset=0, stored_bytes=n_bytes)
    stored = plan_read(placed, spans, None, file_bytes=n_bytes, box=box).run(files.read, is_local=False)
    values = decode(stored, entry.element, None, {})
    return values if shape else values.reshape(values.shape[1:])


def read_virtual(
    entry: ArrayEntry, spans: Spans, box: Box | None, properties: h5p.PropDCID, opened: Opener, *, room: int
) -> _Values:
    """Return rows of a virtual dataset, or a box of each: every part from where it is, the rest as the fill value.

    libhdf5 gives the fill value for files and datasets that are not there; here they are an error.

    Parameters
    ----------
    entry : ArrayEntry
        Its description.
    spans, box : ndarray of int64, Box or None
        What is wanted: tidy.
    properties : PropDCID
        How it was created.
    opened : callable
        Gives the file of a part, checked, from its name and the path of the dataset.
    room : int
        Bytes of the file itself.

    Raises
    ------
    UnsupportedLayoutError
        If its shape depends on other files, or a part is of another type.
    MalformedFileError
        If its parts do not fit, or more is declared than the files can hold.
    """
    shape = entry.shape or ()
    lengths = shape[1:] if box is None else box_shape(box)
    pieces = read_pieces(properties)
    dtype = native_dtype(entry.element)
    n_bytes = count(spans) * prod(lengths) * max(dtype.itemsize, 1)
    _require_room(pieces, opened, n_bytes, room)
    out = _filled(dtype, (count(spans), *lengths), properties)
    if not shape or not out.size:
        return out if shape else out.reshape(())
    inner = whole_box(shape[1:]) if box is None else box
    wanted = [rows(spans[:, 0], spans[:, 1]), *(np.arange(start, stop, dtype=np.int64) for start, stop in inner)]
    for piece in pieces:
        _place(out, entry, piece, wanted, opened)
    return out


def require_virtual_room(properties: h5p.PropDCID, opened: Opener, n_bytes: int, *, room: int) -> None:
    """Raise if a virtual dataset cannot have `n_bytes`; see `read_virtual`."""
    _require_room(read_pieces(properties), opened, n_bytes, room)


def _require_room(pieces: tuple[Piece, ...], opened: Opener, n_bytes: int, room: int) -> None:
    if n_bytes <= _MAX_BYTES:
        return
    for name, path in {one.filename: one.path for one in pieces}.items():
        if name != SAME_FILE:
            with opened(name, path) as file:
                room += file.source.identity.size
    if n_bytes > _MAX_BYTES + _DEFLATION * room:
        raise MalformedFileError(f"{n_bytes} bytes are declared and files of {room} bytes cannot hold them")


def _filled(dtype: np.dtype[np.generic], shape: tuple[int, ...], properties: h5p.PropDCID) -> _Values:
    """Return an array of the fill value."""
    full = (*shape, *dtype.shape)
    if dtype.hasobject:
        return np.full(full, None if dtype.names else b"", dtype.base)
    out = np.zeros(full, dtype.base)
    if dtype.names is None and not dtype.shape and properties.fill_value_defined() == h5d.FILL_VALUE_USER_DEFINED:
        fill = np.zeros((), dtype.base)
        properties.get_fill_value(fill)
        if fill != np.zeros((), dtype.base):
            out[...] = fill
    return out


def _place(out: _Values, entry: ArrayEntry, piece: Piece, wanted: list[Indices], opened: Opener) -> None:
    """Put what a part gives into what is wanted."""
    if piece.source is not None:
        transfer = plan_transfer(piece.virtual, piece.source, wanted)
        if transfer is None:
            return
    with opened(piece.filename, entry.path) as file:
        found = file.index(piece.path).arrays.get("/" + piece.path.strip("/"))
        if found is None or not found.shape:
            raise MalformedFileError(
                f"it is virtual, and {piece.path} of {piece.filename!r} is no array", path=entry.path
            )
        _check_type(entry, found, piece)
        transfer = plan_transfer(piece.virtual, piece.source or whole(found.shape), wanted)
        if transfer is None:
            return
        values = _taken(file, found, transfer)
    out[np.ix_(*transfer.out)] = values.reshape(*transfer.shape, *out.shape[len(wanted) :])


def _check_type(entry: ArrayEntry, found: ArrayEntry, piece: Piece) -> None:
    wanted, given = native_dtype(entry.element), native_dtype(found.element)
    is_same = entry.element.kind == found.element.kind and wanted == given
    is_wider = not (wanted.hasobject or wanted.names) and wanted.kind in "iuf" and given.kind in "iuf"
    if holds_objects(entry.element) and (entry.element.kind != "string" or found.element.kind != "string"):
        raise UnsupportedLayoutError("it is virtual and holds references or sequences, which is not read")
    if not is_same and not (is_wider and np.can_cast(given, wanted, "safe")):
        message = f"it is virtual, and {piece.path} of {piece.filename!r} is of another type, which is not converted"
        raise UnsupportedLayoutError(message, path=entry.path)


def _taken(file: File, found: ArrayEntry, transfer: Transfer) -> _Values:
    """Return the elements of a source that are wanted."""
    shape = found.shape or ()
    if len(shape) != len(transfer.source) or any(
        one.size and (one.min() < 0 or one.max() >= length) for one, length in zip(transfer.source, shape, strict=True)
    ):
        raise MalformedFileError(f"it is virtual, and a part reaches outside of {found.path} of shape {shape}")
    first, *others = transfer.source
    chosen = np.unique(first)
    breaks = np.flatnonzero(np.diff(chosen) > 1) + 1
    spans = np.array([[part[0], part[-1] + 1] for part in np.split(chosen, breaks)], np.int64)
    box = tuple([(int(one.min()), int(one.max()) + 1) for one in others])
    values = file.read(found, spans, box)
    index = [np.searchsorted(chosen, first), *(one - start for one, (start, _) in zip(others, box, strict=True))]
    return values[tuple(index)] if transfer.is_folded else values[np.ix_(*index)]
