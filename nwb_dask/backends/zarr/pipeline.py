"""From the stored bytes of a chunk to its elements. Pure, and safe in any thread.

References
----------
Zarr storage specification version 2, *Chunks* and *Filters*; Zarr core specification version 3.1, *Codecs*.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from numcodecs.registry import get_codec

from nwb_dask.backends.zarr import checks
from nwb_dask.backends.zarr.codecs import BYTES, decode_bytes
from nwb_dask.backends.zarr.documents import Codec, Json
from nwb_dask.backends.zarr.objects import OBJECTS, decode_objects
from nwb_dask.errors import MalformedFileError, NWBDaskError, UnsupportedLayoutError
from nwb_dask.storage import Buffer

Elements: TypeAlias = "npt.NDArray[Any]"

NUMBERS = frozenset({"astype", "bitround", "delta", "fixedscaleoffset", "packbits", "quantize"})
"""Codecs of numcodecs that take arrays of numbers for such."""
_BYTE_ORDER = frozenset({"bytes", "endian"})
_ENCODED = {"astype": "encode_dtype", "delta": "astype", "fixedscaleoffset": "astype"}
"""Options that say of which type the elements are that a codec for numbers writes."""
_NUMERIC = re.compile(r"[<>|=]?[biufc][0-9]{1,2}|u?int[0-9]{1,2}|float[0-9]{1,2}|bool")
_NOTHING = frozenset({"bytes", "endian", "transpose"})
"""Codecs that change neither the number of bytes nor what they mean by themselves."""
_SAME_LENGTH = frozenset({"shuffle", *_NOTHING})
_WITH_SHAPE = frozenset({"json2", "msgpack2", "pickle"})
_MAX_OBJECT_BYTES = 1 << 30
"""Of a chunk of text or other objects, whose size is not declared."""
_SPARE_BYTES = 1 << 16
_SPARE = 16
_FAILURES = (ValueError, TypeError, RuntimeError, OverflowError, LookupError, AttributeError)


class Pipeline:
    """The codecs of the chunks of one array.

    Parameters
    ----------
    codecs : sequence of Codec
        In the order of writing.
    dtype : dtype
        Of the elements.
    chunks : tuple of int
        Shape of a chunk.
    order : "C" or "F"
        Of the elements in a chunk.

    Raises
    ------
    UnsupportedLayoutError
        If one of the codecs is not known; it is named.
    """

    def __init__(
        self, codecs: Sequence[Codec], dtype: np.dtype[Any], chunks: tuple[int, ...], order: Literal["C", "F"]
    ) -> None:
        for one in codecs:
            if one.id not in BYTES and one.id not in OBJECTS and one.id not in NUMBERS | _NOTHING:
                raise UnsupportedLayoutError(f"its codec {one.id[:60]!r} is not read")
        if dtype.hasobject and not any(one.id in OBJECTS for one in codecs):
            raise UnsupportedLayoutError("it holds objects, and no codec says how")
        self.codecs = tuple(codecs)
        self.chunks = chunks
        self._axes = [_axes(one.options, len(chunks)) for one in codecs if one.id == "transpose"]
        self._order = order
        # These codecs write nested lists or an array, of which the axes are those of the chunk in any order.
        self._keeps_axes = any(one.id in _WITH_SHAPE for one in codecs) and not self._axes
        self.dtype = _stored_dtype(dtype, codecs)
        self.chunk_bytes = prod(chunks) * dtype.itemsize

    @property
    def is_raw(self) -> bool:
        """Whether the stored bytes are the elements, in the order of the axes, so that a part can be read alone."""
        return (
            not self.dtype.hasobject
            and all(one.id in {"bytes", "endian"} for one in self.codecs)
            and (self._order == "C" or len(self.chunks) < 2)  # noqa: PLR2004  # the same
        )

    def decode(self, data: Buffer) -> Elements:
        """Return the elements of a chunk, of the shape of a chunk; a view of `data` where nothing had to be undone.

        Raises
        ------
        MalformedFileError
            If it is damaged.
        UnsupportedLayoutError
            If it holds what is not read.
        """
        found: Buffer | Elements = data
        for at in range(len(self.codecs) - 1, -1, -1):
            found = self._undo(at, found)
        if isinstance(found, np.ndarray) and found.dtype.hasobject:
            return found.reshape(self.chunks) if self._keeps_axes else self._arranged(found)
        return self._arranged(self._elements(_as_bytes(found)))

    def _undo(self, at: int, data: Buffer | Elements) -> Buffer | Elements:
        codec = self.codecs[at]
        if codec.id in _BYTE_ORDER and any(one.id in NUMBERS for one in self.codecs[:at]):
            return self._ordered(at, data)
        if codec.id in _NOTHING:
            return data
        if codec.id in BYTES:
            return decode_bytes(codec, _as_bytes(data), self._most(at))
        if codec.id in OBJECTS:
            return decode_objects(codec, _as_bytes(data), prod(self.chunks), self.dtype)
        try:
            made = get_codec({"id": codec.id, **numeric_options(codec.options)})
            decoded: Elements = np.asarray(made.decode(_as_bytes(data)))
        except NWBDaskError:
            raise
        except _FAILURES as exc:
            raise MalformedFileError(f"damaged: codec {codec.id!r} cannot undo a chunk: {exc}") from exc
        return decoded

    def _ordered(self, at: int, data: Buffer | Elements) -> Buffer | Elements:
        """Return what codecs for numbers wrote, in the byte order that they know, from that of the stored bytes."""
        endian = endian_of(self.codecs[at])
        encoded = encoded_dtype(self.dtype, self.codecs[:at])
        if endian is None or encoded.itemsize == 1:
            return data
        body = _as_bytes(data)
        if len(body) % encoded.itemsize:
            raise MalformedFileError(f"damaged: a chunk of {len(body)} bytes holds elements of {encoded.itemsize}")
        return np.frombuffer(body, encoded.newbyteorder(endian)).astype(encoded)

    def _most(self, at: int) -> int:
        """Return the most bytes that undoing a codec may give: those of a chunk, unless others come before it."""
        if self.dtype.hasobject:
            return _MAX_OBJECT_BYTES
        if all(one.id in _SAME_LENGTH for one in self.codecs[:at]):
            return self.chunk_bytes
        return self.chunk_bytes * _SPARE + _SPARE_BYTES

    def _elements(self, data: Buffer) -> Elements:
        if len(data) != self.chunk_bytes:
            raise MalformedFileError(f"damaged: a chunk holds {len(data)} bytes in place of {self.chunk_bytes}")
        return np.frombuffer(data, self.dtype)

    def _arranged(self, flat: Elements) -> Elements:
        """Return elements in the order of the axes."""
        if self._order == "F":
            return flat.reshape(self.chunks[::-1]).T
        shapes = [self.chunks]
        for axes in self._axes:
            shapes.append(tuple([shapes[-1][axis] for axis in axes]))
        out = flat.reshape(shapes[-1])
        for axes in reversed(self._axes):
            out = out.transpose(np.argsort(axes))
        return out


def _as_bytes(data: Buffer | Elements) -> Buffer:
    if isinstance(data, np.ndarray):
        return np.ascontiguousarray(data).reshape(-1).view(np.uint8).data
    return data


def _axes(options: Mapping[str, Json], n_axes: int) -> tuple[int, ...]:
    order = options.get("order")
    if order in ("C", "F"):
        return tuple(range(n_axes)) if order == "C" else tuple(range(n_axes))[::-1]
    found = checks.lengths(order, "the order of its axes")
    if sorted(found) != list(range(n_axes)):
        raise MalformedFileError(f"damaged: the order of its axes is {found}")
    return found


def _stored_dtype(dtype: np.dtype[Any], codecs: Sequence[Codec]) -> np.dtype[Any]:
    """Return a type with the byte order that a codec states, if one does, of what is no codec's result."""
    for at, one in enumerate(codecs):
        endian = endian_of(one) if one.id in _BYTE_ORDER else None
        if endian is not None and not any(before.id in NUMBERS for before in codecs[:at]):
            return dtype.newbyteorder(endian)
    return dtype


def endian_of(codec: Codec) -> Literal["<", ">"] | None:
    """Return the byte order that a codec states, if it does."""
    endian = codec.options.get("endian")
    if endian is None:
        return None
    if endian not in ("little", "big"):
        raise MalformedFileError(f"damaged: its byte order is {str(endian)[:40]!r}")
    return "<" if endian == "little" else ">"


def encoded_dtype(dtype: np.dtype[Any], codecs: Sequence[Codec]) -> np.dtype[Any]:
    """Return the type of what codecs for numbers make of elements (zarr-python, ``zarr/codecs/numcodecs``)."""
    for one in codecs:
        if one.id == "packbits":
            dtype = np.dtype(np.uint8)
        declared = numeric_options(one.options).get(_ENCODED.get(one.id, ""))
        if declared is not None:
            dtype = np.dtype(declared)
    return dtype


def numeric_options(options: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return the options of a codec for numbers, of which all types have to be such."""
    for key in ("dtype", "astype", "encode_dtype", "decode_dtype"):
        value = options.get(key)
        if value is not None and not (isinstance(value, str) and _NUMERIC.fullmatch(value)):
            raise MalformedFileError(f"damaged: a codec is for elements of type {str(value)[:40]!r}")
    return options
