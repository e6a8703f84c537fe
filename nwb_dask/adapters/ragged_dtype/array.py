"""The pandas extension type of ragged, n-dimensional, compound and binary columns."""
# ruff: noqa: ANN401, ARG002, ARG003, FBT001, FBT002  # the signatures are those of pandas' ExtensionArray

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NoReturn, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pandas.api.extensions import ExtensionArray, ExtensionDtype, register_extension_dtype
from pandas.api.indexers import check_array_indexer

from nwb_dask.adapters.ragged_dtype.elements import elements_of, is_missing, object_array, sample, to_arrow
from nwb_dask.adapters.ragged_dtype.flat import flat_array
from nwb_dask.adapters.ragged_dtype.numpy_names import numpy_name
from nwb_dask.adapters.ragged_dtype.rows import explode, from_start, same_rows
from nwb_dask.adapters.ragged_dtype.summary import summarize
from nwb_dask.adapters.ragged_dtype.type_names import canonical_type, format_type, is_binary, is_list, parse_type

Class: TypeAlias = type[Any]
ArrayClass: TypeAlias = "type[NWBArray]"

_ITERATED_ROWS = 1024


@register_extension_dtype
class NWBDtype(ExtensionDtype):
    """The pandas dtype of a nested or binary Arrow type, called ``nwb[list<double>]``.

    ``str`` gives another name, ``object,float64``: it is what Arrow writes into files, and readers without this package
    must be able to pass over it (see `numpy_names`).

    Parameters
    ----------
    arrow_type : pa.DataType or str
        A list, large_list, fixed_size_list, struct or binary type, or its name in the grammar of `type_names`.

    Raises
    ------
    TypeError
        If the type is flat: pandas has dtypes for those.
    """

    na_value = pd.NA
    kind = "O"
    name: str = "nwb"  # type: ignore[misc]  # pandas-stubs says ClassVar; parametrized dtypes set it per instance
    type: Class = object  # type: ignore[misc]  # as above
    _metadata: ClassVar[tuple[str, ...]] = ("arrow_type",)

    def __init__(self, arrow_type: pa.DataType | str) -> None:
        type_ = canonical_type(parse_type(arrow_type) if isinstance(arrow_type, str) else arrow_type)
        if not (pa.types.is_nested(type_) or is_binary(type_)):
            raise TypeError(f"dtype nwb holds nested and binary values, not {type_}")
        self.arrow_type = type_
        self.name = f"nwb[{format_type(type_)}]"
        self.type = dict if pa.types.is_struct(type_) else bytes if is_binary(type_) else np.ndarray

    @classmethod
    def construct_array_type(cls) -> ArrayClass:
        """Return the array class of this dtype."""
        return NWBArray

    @classmethod
    def construct_from_string(cls, string: object) -> NWBDtype:
        """Return the dtype of that name; TypeError if it is the name of something else."""
        if not isinstance(string, str) or not (string.startswith("nwb[") and string.endswith("]")):
            raise TypeError(f"Cannot construct a 'NWBDtype' from {string!r}")
        return cls(string[4:-1])

    def __from_arrow__(self, array: pa.Array | pa.ChunkedArray) -> NWBArray:
        """Return the Arrow values as an array of this dtype, without a copy where the types agree."""
        return NWBArray(array, self)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle as the class and the name, so that a worker imports this module and registers the dtype."""
        return NWBDtype, (format_type(self.arrow_type),)

    def __hash__(self) -> int:
        return hash((NWBDtype, self.arrow_type))

    def __repr__(self) -> str:
        return self.name

    def __str__(self) -> str:
        return numpy_name(self.arrow_type)

    def __format__(self, format_spec: str) -> str:
        return format(self.name, format_spec)


class NWBArray(ExtensionArray):
    """Rows of a nested or binary Arrow type.

    Slices share the Arrow buffers, which are never changed: an assignment builds another Arrow array. Elements are
    numpy objects (see `elements`); the arrays among them are read-only views.

    Parameters
    ----------
    values : pa.Array, pa.ChunkedArray or NWBArray
        The rows.
    dtype : NWBDtype, optional
        The dtype wanted; by default that of the values.
    """

    _readonly: bool = False

    def __init__(self, values: pa.Array | pa.ChunkedArray | NWBArray, dtype: NWBDtype | None = None) -> None:
        storage = values.storage if isinstance(values, NWBArray) else values
        self._dtype = NWBDtype(storage.type) if dtype is None else dtype
        if not storage.type.equals(self._dtype.arrow_type):
            storage = storage.cast(self._dtype.arrow_type)
        self._storage = from_start(storage if isinstance(storage, pa.ChunkedArray) else pa.chunked_array([storage]))

    @property
    def storage(self) -> pa.ChunkedArray:
        """The Arrow values."""
        return self._storage

    @property
    def dtype(self) -> NWBDtype:
        """The dtype with its Arrow type."""
        return self._dtype

    @property
    def nbytes(self) -> int:
        """Bytes of the rows held, not of the buffers they are a slice of."""
        return int(self._storage.nbytes)

    def __len__(self) -> int:
        return len(self._storage)

    def _like(self, storage: pa.Array | pa.ChunkedArray) -> Self:
        return type(self)(storage, self._dtype)

    @classmethod
    def nonempty(cls, dtype: NWBDtype, rows: int = 2) -> NWBArray:
        """Return sample rows without nulls, as dask asks of dtypes to find out what a function returns."""
        return cls(pa.array([sample(dtype.arrow_type)] * rows, dtype.arrow_type), dtype)

    @classmethod
    def _from_sequence(cls, scalars: Any, *, dtype: Any = None, copy: bool = False) -> Self:
        dtype = _wanted_dtype(dtype)
        values = getattr(scalars, "array", scalars)
        if isinstance(values, NWBArray | pa.Array | pa.ChunkedArray):
            return cls(values, dtype)
        return cls(to_arrow(values, None if dtype is None else dtype.arrow_type), dtype)

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[NWBArray]) -> Self:
        return cls(_concat(to_concat), to_concat[0].dtype)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, tuple):
            item = _without_ellipsis(item)
        if isinstance(item, int | np.integer):
            return self._element(int(item))
        if isinstance(item, slice):
            result = self._like(self._slice(item))
        else:
            key = check_array_indexer(self, item)
            selected = self._storage.filter(pa.array(key)) if key.dtype == bool else self._take(key)
            result = self._like(selected)
        result._readonly = self._readonly  # noqa: SLF001  # pandas' own flag of read-only views
        return result

    def _slice(self, item: slice) -> pa.ChunkedArray:
        start, stop, step = item.indices(len(self))
        if step != 1:
            return self._take(np.arange(start, stop, step))
        return self._storage.slice(start, max(stop - start, 0))

    def _element(self, row: int) -> object:
        position = row + len(self) if row < 0 else row
        if not 0 <= position < len(self):
            raise IndexError(f"index {row} is out of bounds for {len(self)} rows")
        # A slice of one row lies in one chunk, but empty chunks may come with it.
        return next(elements_of(chunk)[0] for chunk in self._storage.slice(position, 1).chunks if len(chunk))

    def _take(self, rows: npt.NDArray[np.integer[Any]]) -> pa.ChunkedArray:
        rows = np.asarray(rows, dtype=np.int64)
        return self._storage.take(pa.array(np.where(rows < 0, rows + len(self), rows)))

    def __iter__(self) -> Iterator[Any]:
        for chunk in self._storage.chunks:
            for start in range(0, len(chunk), _ITERATED_ROWS):
                yield from elements_of(chunk.slice(start, _ITERATED_ROWS))

    def take(self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None) -> Self:
        """Return the rows at `indices`; with `allow_fill`, -1 gives `fill_value`, null by default."""
        rows = np.asarray(indices, dtype=np.int64)
        if not len(self) and (rows >= 0).any():
            raise IndexError("cannot do a non-empty take from an empty axes.")
        if not allow_fill:
            if len(rows) and (rows.min() < -len(self) or rows.max() >= len(self)):
                raise IndexError(f"index out of bounds for {len(self)} rows")
            return self._like(self._take(rows))
        if (rows < -1).any():
            raise ValueError("negative indices other than -1 are not allowed with allow_fill")
        missing = rows < 0
        if is_missing(fill_value):
            return self._like(self._storage.take(pa.array(rows, mask=missing)))
        filled = _concat([self, self._from_sequence([fill_value], dtype=self._dtype)])
        return self._like(filled.take(pa.array(np.where(missing, len(self), rows))))

    def isna(self) -> npt.NDArray[np.bool_]:
        """Return which rows are null; an empty list is not."""
        return np.asarray(self._storage.is_null().to_numpy(), dtype=bool)

    def copy(self) -> Self:
        """Return another array over the same buffers: they never change."""
        return self._like(self._storage)

    def __setitem__(self, key: Any, value: Any) -> None:
        if self._readonly:
            raise ValueError("Cannot modify read-only array")
        if isinstance(key, tuple):
            key = _without_ellipsis(key)
        if not isinstance(key, int | np.integer | slice):
            key = check_array_indexer(self, key)
        rows = np.arange(len(self))
        count = np.size(rows[key])
        one = isinstance(key, int | np.integer) or is_missing(value) or isinstance(value, dict | bytes)
        new = self._from_sequence([value] if one else value, dtype=self._dtype)
        if len(new) not in {1, count}:
            raise ValueError(f"cannot set {count} rows from a sequence of {len(new)} elements")
        # Arrow arrays are immutable: the values are appended and the rows picked from both.
        rows[key] = len(self) + (np.arange(count) if len(new) == count and np.ndim(rows[key]) else 0)
        self._storage = _concat([self, new]).take(pa.array(rows))

    def equals(self, other: object) -> bool:
        """Whether the other array has the same dtype and the same rows, NaN being equal to NaN."""
        if not isinstance(other, NWBArray) or other.dtype != self._dtype or len(other) != len(self):
            return False
        return same_rows(_whole(self._storage), _whole(other.storage))

    def __eq__(self, other: object) -> NoReturn:
        self._refuse("be compared", "compare lengths, `.nwb.lengths()`, or values, `.explode()`; whole: `.equals()`")

    def __ne__(self, other: object) -> NoReturn:
        self._refuse("be compared", "compare lengths, `.nwb.lengths()`, or values, `.explode()`; whole: `.equals()`")

    __hash__ = None  # type: ignore[assignment]  # arrays change; object declares a method

    def _refuse(self, what: str, instead: str) -> NoReturn:
        raise TypeError(f"rows of dtype {self._dtype} cannot {what}: {instead}")

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return a 1-d object array of the elements; another `dtype` must accept these objects."""
        result = object_array(list(self))
        return result if dtype is None else np.asarray(result, dtype=dtype, copy=copy)

    def __arrow_array__(self, type: pa.DataType | None = None) -> pa.ChunkedArray:  # noqa: A002  # Arrow's name
        """Return the Arrow values."""
        return self._storage if type is None else self._storage.cast(type)

    def map(self, mapper: Any, na_action: Any = None) -> Any:
        """Return what `mapper` makes of each row; of no rows, objects, where pandas would give arrays of this dtype."""
        return super().map(mapper, na_action=na_action) if len(self) else np.empty(0, dtype=object)

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """Return the elements as objects, as another nested type, or refuse."""
        target = pd.api.types.pandas_dtype(dtype)
        if isinstance(target, NWBDtype):
            return self.copy() if copy and target == self._dtype else type(self)(self, target)
        if _holds_nested(target):
            return self.copy()
        if target == np.dtype(object):
            return np.asarray(self)
        if isinstance(target, pd.ArrowDtype):
            return pd.arrays.ArrowExtensionArray(self._storage.cast(target.pyarrow_dtype))
        return self._refuse(f"become {target}", "`.explode()` gives the values, `.astype(object)` the arrays")

    def _require_binary(self, what: str) -> None:
        """Refuse for arrays what pandas would answer by identity: no two of them would ever be equal."""
        if not is_binary(self._dtype.arrow_type):
            self._refuse(what, "use another column, `.nwb.lengths()` or the values, `.explode()`")

    def _values_for_factorize(self) -> tuple[npt.NDArray[Any], Any]:
        self._require_binary("be grouped, joined or told apart")
        return object_array([None if value is pd.NA else value for value in self]), None

    @classmethod
    def _from_factorized(cls, values: Any, original: NWBArray) -> Self:
        return cls._from_sequence(values, dtype=original.dtype)

    def factorize(self, use_na_sentinel: bool = True) -> tuple[npt.NDArray[np.intp], Self]:
        """Return codes and unique values of a binary column; other columns raise TypeError."""
        codes, uniques = pd.factorize(self._values_for_factorize()[0], use_na_sentinel=use_na_sentinel)
        return codes, self._from_factorized(uniques, self)

    def _values_for_argsort(self) -> npt.NDArray[Any]:
        self._require_binary("be ordered")
        return object_array([b"" if value is pd.NA else value for value in self])

    def unique(self) -> Self:
        """Return the distinct byte strings; other columns raise TypeError, as in all methods that compare rows."""
        return self.factorize(use_na_sentinel=False)[1]

    def duplicated(self, keep: Any = "first") -> npt.NDArray[np.bool_]:
        """Return which byte strings came before."""
        return np.asarray(pd.Series(self._values_for_factorize()[0]).duplicated(keep))

    def value_counts(self, dropna: bool = True) -> pd.Series[int]:
        """Return how often each byte string occurs."""
        return pd.Series(self._values_for_factorize()[0]).value_counts(dropna=dropna)

    def isin(self, values: Any) -> npt.NDArray[np.bool_]:
        """Return which byte strings are among `values`."""
        return np.asarray(pd.Series(self._values_for_factorize()[0]).isin(list(values)))

    def searchsorted(self, value: Any, side: Any = "left", sorter: Any = None) -> Any:
        """Return where byte strings would have to be inserted to keep the order."""
        return self._values_for_argsort().searchsorted(value, side=side, sorter=sorter)

    def _explode(self) -> tuple[Any, npt.NDArray[np.uint64]]:
        """Return the values of all lists, null for an empty one, and how many each row gave."""
        if not is_list(self._dtype.arrow_type):
            return self.copy(), np.ones(len(self), dtype=np.uint64)
        values, counts = explode(_whole(self._storage))
        is_flat = not (pa.types.is_nested(values.type) or is_binary(values.type))
        return (flat_array(values) if is_flat else type(self)(values)), counts

    def _formatter(self, boxed: bool = False) -> Callable[[Any], str | None]:
        return summarize

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the rows of this slice alone: Arrow itself pickles the whole buffers behind it."""
        return _from_stream, (_to_stream(self._storage),)

    def __dask_tokenize__(self) -> tuple[str, str, str]:
        """Return a token of the rows, however they are chunked."""
        stream = _to_stream(_whole(self._storage))
        return "NWBArray", self._dtype.name, hashlib.blake2b(stream, digest_size=16).hexdigest()


def _holds_nested(dtype: object) -> bool:
    """Whether this is an `NWBDtype` or the `StoredDtype` of its name in files."""
    return isinstance(dtype, ExtensionDtype) and dtype.construct_array_type() is NWBArray


def _wanted_dtype(dtype: Any) -> NWBDtype | None:
    """Return the dtype asked for, None where the rows decide."""
    target = pd.api.types.pandas_dtype(dtype) if isinstance(dtype, str) else dtype
    if target is not None and not _holds_nested(target):
        raise TypeError(f"rows of arrays cannot have the dtype {target}")
    return target if isinstance(target, NWBDtype) else None


def _concat(arrays: Sequence[NWBArray]) -> pa.ChunkedArray:
    chunks = [chunk for array in arrays for chunk in array.storage.chunks if len(chunk)]
    return pa.chunked_array(chunks, arrays[0].dtype.arrow_type)


def _whole(storage: pa.ChunkedArray) -> pa.Array:
    """Return all rows in one array, without a copy if they are in one chunk."""
    if storage.num_chunks == 1:
        return storage.chunk(0)
    return pa.concat_arrays(storage.chunks) if storage.num_chunks else pa.array([], storage.type)


def _to_stream(rows: pa.Array | pa.ChunkedArray) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    table = pa.table([rows], names=["rows"])
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _from_stream(stream: pa.Buffer) -> NWBArray:
    table = pa.ipc.open_stream(stream).read_all()
    return NWBArray(table.column(0))


def _without_ellipsis(item: tuple[Any, ...]) -> Any:
    """Return the one index of a tuple such as ``(..., 3)``."""
    rest = [part for part in item if part is not Ellipsis]
    if len(rest) > 1 or len(item) > len(rest) + 1:
        raise IndexError("too many indices for array.")
    return rest[0] if rest else slice(None)
