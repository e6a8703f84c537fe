"""Codecs of objects: text, bytes and other values of variable length, and what is in a pickle. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgpack  # type: ignore[import-untyped]  # it has no annotations
import numpy as np
import numpy.typing as npt
from numcodecs.vlen import VLenBytes

from nwb_dask.backends.zarr import checks
from nwb_dask.backends.zarr.documents import Codec, Json
from nwb_dask.backends.zarr.pickles import load_array
from nwb_dask.errors import MalformedFileError
from nwb_dask.storage import Buffer

Objects: TypeAlias = "npt.NDArray[Any]"

_LENGTH_BYTES = 4
_TRAILER = 2
_bytes_codec = VLenBytes()


def decode_objects(codec: Codec, data: Buffer, n_items: int, dtype: np.dtype[Any]) -> Objects:
    """Return the objects of a chunk.

    Parameters
    ----------
    codec : Codec
        One of `OBJECTS`.
    data : buffer
        What it wrote.
    n_items : int
        Elements of a chunk.
    dtype : dtype
        Of the array: objects, or records with some.

    Returns
    -------
    ndarray of `dtype`, shape (n_items,)
        In the order of storage. Text is `bytes`.

    Raises
    ------
    MalformedFileError
        If it is damaged, or holds another number of elements.
    UnsupportedLayoutError
        If it holds something that is not admitted.
    """
    found = OBJECTS[codec.id](data, n_items)
    if found.size != n_items:
        raise MalformedFileError(f"damaged: a chunk holds {found.size} elements in place of {n_items}")
    if (found.dtype.names is None) != (dtype.names is None):
        raise MalformedFileError(f"damaged: a chunk holds {found.dtype} in place of {dtype}")
    return found.reshape(-1)


def _vlen(data: Buffer, n_items: int) -> Objects:
    """Return texts or bytes: their number, then each behind its length, in four bytes, little-endian."""
    if len(data) < _LENGTH_BYTES or int.from_bytes(bytes(data[:_LENGTH_BYTES]), "little") != n_items:
        raise MalformedFileError("damaged: a chunk of text holds another number of elements than it should")
    if (len(data) - _LENGTH_BYTES) // _LENGTH_BYTES < n_items:
        raise MalformedFileError("damaged: a chunk of text is incomplete")
    try:
        found: Objects = _bytes_codec.decode(data)
    except (ValueError, TypeError, RuntimeError, IndexError) as exc:
        raise MalformedFileError(f"damaged: a chunk of text is incomplete: {exc}") from exc
    return found


def _json(data: Buffer, n_items: int) -> Objects:
    return _listed(checks.parse_json(data, "a chunk"), n_items)


def _msgpack(data: Buffer, n_items: int) -> Objects:
    try:
        found = msgpack.unpackb(bytes(data), raw=False, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException) as exc:
        raise MalformedFileError(f"damaged: a chunk is no msgpack: {exc}") from exc
    return _listed(found, n_items)


def _listed(found: Json, n_items: int) -> Objects:
    """Return the elements of a list that ends with their type and their shape, as numcodecs writes it."""
    items = checks.sequence(found, "a chunk")
    if len(items) < _TRAILER:
        raise MalformedFileError("damaged: a chunk has neither type nor shape")
    shape = checks.lengths(
        list(items[-1]) if isinstance(items[-1], (list, tuple)) else items[-1], "the shape of a chunk"
    )
    flat = list(items[:-_TRAILER])
    for _ in shape[1:]:
        if not all(isinstance(one, list) for one in flat):
            raise MalformedFileError("damaged: the rows of a chunk are no lists")
        flat = [item for row in flat for item in row]
        if len(flat) > n_items:
            raise MalformedFileError(f"damaged: a chunk holds more than {n_items} elements")
    out = np.empty(len(flat), object)
    for at, item in enumerate(flat):
        out[at] = item
    return out


def _pickle(data: Buffer, n_items: int) -> Objects:
    return load_array(data, n_items)


OBJECTS: Mapping[str, Callable[[Buffer, int], Objects]] = {
    "json2": _json,
    "msgpack2": _msgpack,
    "pickle": _pickle,
    "vlen-bytes": _vlen,
    "vlen-utf8": _vlen,
}
"""Codecs that make bytes of objects, by their id."""
