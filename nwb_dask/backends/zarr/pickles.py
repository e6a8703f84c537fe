"""References in pickles, as hdmf-zarr up to 0.13 writes them; nothing that a pickle names is ever called.

A closed list of names stands for classes of this module, and a closed list of instructions is followed. No code of
numpy or hdmf-zarr sees what is in a pickle, and nothing is made larger than the pickle is long.
"""

from __future__ import annotations

import io
import pickle  # only its machine, with a closed list of instructions and names
from collections.abc import Callable
from math import prod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nwb_dask.errors import MalformedFileError, NWBDaskError, UnsupportedLayoutError
from nwb_dask.storage import Buffer

_MAX_BYTES = 1 << 28
_MAX_FIELDS = 1024
_ARRAY_STATE = 5
_PLAIN = frozenset("biufcSU")


class _Reference(dict[str, object]):
    """What stands for hdmf_zarr's ``ZarrReference``: a mapping with ``source`` and ``path``."""


class _Dtype:
    """What stands for ``numpy.dtype``."""

    def __init__(self, name: object, *_flags: object) -> None:
        if not isinstance(name, str) or not name[:1].isalpha():
            raise MalformedFileError("damaged: a pickle has a data type without a name")
        self.name = name
        self.order = "|"
        self.fields: list[tuple[str, _Dtype]] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < _ARRAY_STATE or state[1] not in ("<", ">", "|", "="):
            raise MalformedFileError("damaged: a pickle has a data type without its state")
        self.order = state[1]
        names, fields = state[3], state[4]
        if names is None:
            return
        if not isinstance(names, tuple) or not isinstance(fields, dict) or len(names) > _MAX_FIELDS:
            raise MalformedFileError("damaged: a pickle has a data type with damaged fields")
        self.fields = []
        for name in names:
            field = fields.get(name)
            if not isinstance(name, str) or not isinstance(field, tuple) or not isinstance(field[0], _Dtype):
                raise MalformedFileError("damaged: a pickle has a data type with damaged fields")
            self.fields.append((name, field[0]))

    def numpy(self) -> np.dtype[Any]:
        """Return the type."""
        if self.fields is not None:
            if any(one.fields is not None for _, one in self.fields):
                raise UnsupportedLayoutError("a pickle holds records inside of records")
            return np.dtype([(name, one.numpy()) for name, one in self.fields])
        if self.name[0] == "O":
            return np.dtype(object)
        if self.name[0] not in _PLAIN:
            raise UnsupportedLayoutError(f"a pickle holds elements of type {self.name[:20]!r}")
        try:
            return np.dtype(self.name).newbyteorder(self.order if self.order in "<>" else "=")  # type: ignore[arg-type]  # one of the three
        except TypeError as exc:
            raise MalformedFileError(f"damaged: a pickle holds elements of type {self.name[:20]!r}") from exc


class _Array:
    """What stands for ``numpy.ndarray``."""

    def __init__(self) -> None:
        self.values: npt.NDArray[Any] = np.empty(0, object)

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != _ARRAY_STATE or not isinstance(state[2], _Dtype):
            raise MalformedFileError("damaged: a pickle has an array without its state")
        _, shape, dtype, is_fortran, data = state
        if not isinstance(shape, tuple) or any(not isinstance(one, int) or one < 0 for one in shape):
            raise MalformedFileError("damaged: a pickle has an array with a damaged shape")
        found = dtype.numpy()
        n_items = prod(shape)
        if isinstance(data, list):
            # numpy lists objects in the order of the axes, whatever the order in memory.
            self.values = _objects(data, found, n_items).reshape(shape)
            return
        if isinstance(data, (bytes, bytearray)) and not found.hasobject and len(data) == n_items * found.itemsize:
            flat = np.frombuffer(data, found)
        else:
            raise MalformedFileError("damaged: a pickle has an array with other data than it declares")
        self.values = flat.reshape(shape, order="F" if is_fortran else "C")


def _objects(data: list[object], dtype: np.dtype[Any], n_items: int) -> npt.NDArray[Any]:
    """Return elements of a list: objects one by one, records as tuples of their fields."""
    if len(data) != n_items or not dtype.hasobject:
        raise MalformedFileError("damaged: a pickle has an array with other data than it declares")
    out = np.empty(n_items, dtype)
    for at, one in enumerate(data):
        out[at] = one
    return out


def _reconstruct(kind: object, *_shape_and_type: object) -> _Array:
    if kind is not _Array:
        raise UnsupportedLayoutError("a pickle holds something else than an array")
    return _Array()


def _scalar(dtype: object, data: object = None) -> object:
    if not isinstance(dtype, _Dtype):
        raise MalformedFileError("damaged: a pickle has a number without a type")
    found = dtype.numpy()
    if found.hasobject or not isinstance(data, bytes) or len(data) != found.itemsize:
        raise MalformedFileError("damaged: a pickle has a number of another length than its type")
    return np.frombuffer(data, found)[0].item()


_NAMES: dict[tuple[str, str], object] = {
    ("hdmf_zarr.utils", "ZarrReference"): _Reference,
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    **{
        (f"numpy.{core}.multiarray", name): found
        for core in ("core", "_core")
        for name, found in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
}
_CALLABLE: tuple[Callable[..., object], ...] = (_Reference, _Dtype, _reconstruct, _scalar)

_INSTRUCTIONS = (
    *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.MEMOIZE, pickle.BINPUT, pickle.LONG_BINPUT),
    *(pickle.BINGET, pickle.LONG_BINGET, pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.REDUCE, pickle.BUILD),
    *(pickle.NEWOBJ, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT, pickle.BININT1, pickle.BININT2),
    *(pickle.LONG1, pickle.BINFLOAT, pickle.BINUNICODE, pickle.SHORT_BINUNICODE, pickle.BINBYTES),
    *(pickle.SHORT_BINBYTES, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.EMPTY_TUPLE),
    *(pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS),
    *(pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS),
)


# The machine that is written in C makes room for whatever number an instruction has.
_Base: Any = pickle._Unpickler  # noqa: SLF001  # see above


class _Machine(_Base):  # type: ignore[misc]  # it has no annotations
    """Follows the instructions of a pickle that are on the list."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {code[0]: _Base.dispatch[code[0]] for code in _INSTRUCTIONS}
    stack: list[object]

    def find_class(self, module: str, name: str) -> object:
        found = _NAMES.get((module, name))
        if found is None:
            raise UnsupportedLayoutError(f"a pickle names {module[:60]}.{name[:60]}, which is not admitted")
        return found

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        admitted = [one for one in _CALLABLE if one is self.stack[-1]]
        if not admitted or not isinstance(arguments, tuple):
            raise UnsupportedLayoutError("a pickle calls what is not admitted")
        self.stack[-1] = admitted[0](*arguments)

    def load_newobj(self) -> None:
        arguments = self.stack.pop()
        if self.stack.pop() is not _Reference or arguments != ():
            raise UnsupportedLayoutError("a pickle makes an object that is not admitted")
        self.stack.append(_Reference())

    def load_build(self) -> None:
        state = self.stack.pop()
        made = self.stack[-1]
        if isinstance(made, (_Array, _Dtype)):
            made.__setstate__(state)
        elif not isinstance(made, _Reference):
            raise UnsupportedLayoutError("a pickle changes an object that is not admitted")

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.BUILD[0]] = load_build


_DAMAGE = (
    *(pickle.UnpicklingError, EOFError, ArithmeticError, LookupError, TypeError, ValueError),
    *(AttributeError, MemoryError, RecursionError),
)
"""What following a damaged pickle raises."""


def load_array(data: Buffer, n_items: int) -> npt.NDArray[Any]:
    """Return the array in a pickle, of references, text, numbers, or records of these.

    Parameters
    ----------
    data : buffer
        The pickle.
    n_items : int
        Elements that it should hold.

    Raises
    ------
    MalformedFileError
        If it is damaged, or larger than such an array can be.
    UnsupportedLayoutError
        If it names, makes or calls anything that is not on the list.
    """
    if len(data) > _MAX_BYTES:
        raise MalformedFileError(f"damaged: a pickle of {len(data)} bytes")
    try:
        found = _Machine(io.BytesIO(bytes(data))).load()
    except NWBDaskError:
        raise
    except _DAMAGE as exc:
        raise MalformedFileError(f"damaged: a pickle cannot be followed: {type(exc).__name__}") from exc
    if not isinstance(found, _Array) or found.values.size != n_items:
        raise MalformedFileError(f"damaged: a pickle holds no array of {n_items} elements")
    return found.values
