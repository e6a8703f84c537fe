"""Values as bytes and back, exactly: text, numbers, references, arrays of any type. Nothing is ever unpickled.

msgpack has text, bytes, 64-bit integers, float64, booleans, None and arrays, which stand for tuples. The rest is an
extension type: its number says what it is, and its bytes are packed by the same rules.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from math import prod
from typing import Any, TypeAlias

import msgpack  # type: ignore[import-untyped]  # has neither annotations nor stubs
import numpy as np
import numpy.typing as npt

from nwb_dask.errors import MalformedFileError
from nwb_dask.index import Reference

# Arrays of bytes, numbers, objects and structures go through the same functions.
_Array = npt.NDArray[Any]

Packable: TypeAlias = object
"""What msgpack packs, tuples, `Reference`, and numpy arrays and scalars."""

_NUMBERS, _OBJECTS, _COMPOUND, _REFERENCE, _COMPLEX, _BIG_INTEGER, _SCALAR = range(1, 8)

_MAX_DEPTH = 16
_MAX_ARRAY_BYTES = 1 << 26
# Extended precision is missing: its bytes mean something else on another machine that shares the folder.
_PLAIN = re.compile(r"[<>|](?:[biu][1248]|f[248]|c8|c16|[SUV]\d{1,9})")
_HALVES = struct.Struct("<dd")


def pack(value: Packable) -> bytes:
    """Return `value` as bytes.

    Raises
    ------
    TypeError
        If it holds what cannot be brought back exactly.
    """
    # Strict types: a subclass of str or float would come back as its base. Lone surrogates stand for bytes of
    # names that are not UTF-8.
    packed: bytes = msgpack.packb(value, default=_default, strict_types=True, unicode_errors="surrogatepass")
    return packed


def unpack(data: bytes) -> Any:  # noqa: ANN401  # the caller knows what it packed, and checks it
    """Return what `pack` packed; arrays are read-only unless they hold objects.

    Raises
    ------
    Exception
        Of any kind, if `data` is not from `pack`. No more is allocated than a small multiple of its length.
    """
    return msgpack.unpackb(data, use_list=False, ext_hook=_extension, unicode_errors="surrogatepass")


def _default(value: object) -> object:
    if type(value) is tuple:
        return list(value)
    if type(value) is np.ndarray:
        return _pack_array(value)
    if type(value) is Reference:
        return msgpack.ExtType(_REFERENCE, pack((value.path, value.address)))
    if type(value) is complex:
        return msgpack.ExtType(_COMPLEX, _HALVES.pack(value.real, value.imag))
    if type(value) is int:
        return msgpack.ExtType(_BIG_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))
    if isinstance(value, np.generic) and value.dtype.names is None:
        return msgpack.ExtType(_SCALAR, pack(np.asarray(value)))
    raise TypeError(f"values of type {type(value).__name__} are not kept")


def _extension(code: int, data: bytes) -> object:
    if code == _REFERENCE:
        return Reference(*unpack(data))
    if code == _COMPLEX:
        return complex(*_HALVES.unpack(data))
    if code == _BIG_INTEGER:
        return int.from_bytes(data, "little", signed=True)
    if code == _SCALAR:
        return unpack(data)[()]
    reader = _ARRAYS.get(code)
    if reader is None:
        raise MalformedFileError(f"damaged: a value of the unknown kind {code}")
    return reader(*unpack(data))


def _pack_array(array: _Array) -> msgpack.ExtType:
    if array.dtype.names:
        # Field by field: what lies between fields is memory that nobody wrote.
        fields = tuple([array[name] for name in array.dtype.names])
        return msgpack.ExtType(_COMPOUND, pack((pack_dtype(array.dtype), array.shape, fields)))
    if array.dtype == np.dtype(object):
        return msgpack.ExtType(_OBJECTS, pack((array.shape, tuple(array.ravel().tolist()))))
    return msgpack.ExtType(_NUMBERS, pack((pack_dtype(array.dtype), array.shape, array.tobytes())))


def _numbers(form: object, shape: tuple[int, ...], data: bytes) -> _Array:
    dtype = unpack_dtype(form)
    if dtype.hasobject or prod(shape) * dtype.itemsize != len(data):
        raise MalformedFileError("damaged: an array is not as long as its shape says")
    return np.ndarray(shape, dtype, buffer=data)


def _objects(shape: tuple[int, ...], items: tuple[object, ...]) -> _Array:
    # Item by item: assigned as a whole, arrays of equal length would become rows.
    return np.fromiter(items, np.dtype(object), len(items)).reshape(shape)


def _compound(form: object, shape: tuple[int, ...], fields: tuple[_Array, ...]) -> _Array:
    dtype = unpack_dtype(form)
    names = dtype.names or ()
    if len(names) != len(fields) or any(field.shape[: len(shape)] != shape for field in fields):
        raise MalformedFileError("damaged: the fields of a compound are not as its type says")
    if not fields or prod(shape) * dtype.itemsize > _MAX_ARRAY_BYTES:
        raise MalformedFileError("damaged: a compound is larger than what is kept")
    out = np.zeros(shape, dtype)
    for name, field in zip(names, fields, strict=True):
        if out[name].shape != field.shape or out[name].dtype != field.dtype:
            raise MalformedFileError("damaged: a field of a compound is not as its type says")
        out[name][...] = field
    return out


_ARRAYS: dict[int, Callable[..., _Array]] = {_NUMBERS: _numbers, _OBJECTS: _objects, _COMPOUND: _compound}


def pack_dtype(dtype: np.dtype[Any], depth: int = 0) -> Packable:
    """Return a numpy type as text and tuples: byte order, offsets and total size included, metadata not.

    Raises
    ------
    TypeError
        If it is of a kind that no file has.
    """
    if depth > _MAX_DEPTH:
        raise TypeError(f"types nested deeper than {_MAX_DEPTH} are not kept")
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return (pack_dtype(base, depth + 1), shape)
    if dtype.names and dtype.fields is not None:
        members = [(name, *dtype.fields[name][:2]) for name in dtype.names]
        return tuple([(name, pack_dtype(one, depth + 1), offset) for name, one, offset in members]), dtype.itemsize
    if dtype == np.dtype(object):
        return "O"
    if dtype.names is not None or not _PLAIN.fullmatch(dtype.str):
        raise TypeError(f"arrays of {dtype} are not kept")
    return dtype.str


def unpack_dtype(form: Any, depth: int = 0) -> np.dtype[Any]:  # noqa: ANN401  # from outside: any shape of it
    """Return the numpy type that `pack_dtype` described.

    Raises
    ------
    MalformedFileError, ValueError, TypeError
        If nothing is described.
    """
    if depth > _MAX_DEPTH:
        raise MalformedFileError("damaged: a type is nested too deep")
    if isinstance(form, str):
        if form != "O" and not _PLAIN.fullmatch(form):
            raise MalformedFileError(f"damaged: no type is called {form!r}")
        return np.dtype(form)
    first, second = form
    if isinstance(second, tuple):
        return np.dtype((unpack_dtype(first, depth + 1), second))
    names, formats, offsets = zip(*first, strict=True)
    members = [unpack_dtype(one, depth + 1) for one in formats]
    described = {"names": list(names), "formats": members, "offsets": list(offsets), "itemsize": second}
    return np.dtype(described)  # type: ignore[call-overload, no-any-return]  # numpy's stub wants the literal dict
