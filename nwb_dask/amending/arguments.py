"""What arguments of h5py mean: values, types, and how datasets are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from nwb_dask.amending.arrays import as_values
from nwb_dask.errors import FormatError
from nwb_dask.h5.references import PathReference
from nwb_dask.index import Reference

Given: TypeAlias = Any
"""Whatever callers of h5py give."""

_GZIP_LEVEL = 4
"""What h5py takes if none is given."""
_MOST_GZIP = 9
_ABSENT = (None, False)
_HARMLESS = frozenset({"maxshape", "fillvalue", "track_times", "track_order", "fill_time"})
"""Arguments of ``create_dataset`` that mean nothing here: every added dataset can grow."""


def storage_of(options: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return what arguments of h5py say of storage.

    Raises
    ------
    FormatError
        If LINDI has nothing of the kind.
    """
    left = {name: value for name, value in options.items() if name not in _HARMLESS}
    chunks, kind, level = left.pop("chunks", None), left.pop("compression", None), left.pop("compression_opts", None)
    shuffle = bool(left.pop("shuffle", False))
    others = [name for name, value in left.items() if not any(value is one for one in _ABSENT)]
    if others:
        raise FormatError(f"{path}: {others[0]}= has no place in an amended file; leave it out")
    if kind is True or kind == "gzip":
        gzip: int | None = _GZIP_LEVEL if level is None else int(level)
    elif isinstance(kind, int) and not isinstance(kind, bool) and 0 <= kind <= _MOST_GZIP:
        gzip = kind
    elif kind is None or kind is False:
        gzip = None
    else:
        raise FormatError(f"{path}: compression={kind!r} is not written; compression='gzip' is")
    return {"chunks": None if chunks in {None, True, False} else tuple(chunks), "gzip": gzip, "shuffle": shuffle}


def fitting_chunks(chunks: tuple[int, ...] | None, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return chunks no larger than the data: what Zarr stores is whole chunks."""
    return chunks and tuple(max(min(one, size), 1) for one, size in zip(chunks, shape, strict=True))


def dtype_of(dtype: Given) -> np.dtype[Any]:
    """Return what an argument means as a type; h5py's default is float."""
    if dtype is str:
        made: np.dtype[Any] = h5py.string_dtype()
        return made
    return np.dtype("f4") if dtype is None else np.dtype(dtype)


def typed_values(data: Given, dtype: Given) -> npt.NDArray[Any]:
    """Return data as an array of the type that is asked for."""
    values = as_values(from_h5py(data, None if dtype is None else dtype_of(dtype)))
    if dtype is None or values.dtype.hasobject:
        return values
    made = dtype_of(dtype)
    return values.astype(object if made.kind in "OU" else made)


def from_h5py(value: Given, dtype: np.dtype[Any] | None = None) -> Given:
    """Return values with h5py's references as our own.

    Parameters
    ----------
    value : object
        One value, or a sequence or array of them.
    dtype : numpy dtype, optional
        Of records, which a list of tuples does not tell.
    """
    if isinstance(value, PathReference):
        return Reference(value.path)
    if isinstance(value, h5py.Reference):
        raise FormatError("a reference into another file has no meaning here")
    if dtype is not None and dtype.names is not None:
        records = np.asarray(value, dtype=dtype)
        out = np.empty(records.shape, dtype=dtype)
        for name in dtype.names:
            out[name] = from_h5py(records[name]) if dtype[name].hasobject else records[name]
        return out
    if isinstance(value, (list, tuple, np.ndarray)):
        found = np.asarray(value)
        if found.dtype.kind != "O":
            return found
        objects = np.empty(found.shape, dtype=object)
        for at, one in enumerate(found.reshape(-1)):
            objects.reshape(-1)[at] = from_h5py(one)
        return objects
    return value
