"""The values of one HDF5 dataset, read by h5py and converted by numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from .values import Ragged, Struct, Text, Values


class UnreadableError(Exception):
    """The values of a dataset cannot be shown; the message says why."""


def pointed_at(file: h5py.File, reference: object) -> h5py.Group | h5py.Dataset | None:
    """Return the object that a reference points to; None for a null or dangling one."""
    if not isinstance(reference, h5py.Reference) or not reference:
        return None
    try:
        return file[reference]
    except (KeyError, ValueError, OSError, RuntimeError):
        return None


def read_raw(dataset: h5py.Dataset) -> object:
    """Return what h5py reads."""
    try:
        return dataset[()]
    except (OSError, KeyError, ValueError) as exc:
        raise UnreadableError(f"h5py cannot read it: {exc}") from exc


def read_dataset(dataset: h5py.Dataset) -> Values:
    """Return all values of a dataset."""
    if dataset.shape is None:
        raise UnreadableError("a null dataspace has no rows")
    raw = read_raw(dataset)
    return convert(raw if isinstance(raw, np.ndarray) else np.asarray(raw), dataset.dtype, dataset.file)


def convert(raw: npt.NDArray[Any], dtype: np.dtype[Any], file: h5py.File) -> Values:
    """Return values as h5py read them in the shape that the tables use."""
    if h5py.check_string_dtype(dtype):
        return _map(raw, _decoded)
    if h5py.check_ref_dtype(dtype) is h5py.Reference:
        return _map(raw, lambda reference: getattr(pointed_at(file, reference), "name", None))
    if (members := h5py.check_enum_dtype(dtype)) is not None:
        name_of = {code: name for name, code in members.items()}
        return Text(_map(raw, name_of.__getitem__).strings, tuple(members))
    if (base := h5py.check_vlen_dtype(dtype)) is not None:
        parts: list[npt.NDArray[Any]] = raw.reshape(-1).tolist()
        ends = np.cumsum([len(item) for item in parts]).astype(np.int64)
        flat = np.concatenate([*parts, np.empty((0,), base)]).astype(base)
        return Ragged(ends, convert(flat, base, file))
    if dtype.fields:
        return Struct({name: convert(raw[name], dtype.fields[name][0], file) for name in dtype.names or ()})
    if dtype.subdtype is not None:
        dtype = dtype.subdtype[0]
    if dtype.kind in "iufb" and dtype.itemsize <= 8:
        return raw.astype(dtype.newbyteorder("="))
    raise UnreadableError("region references" if h5py.check_ref_dtype(dtype) else f"type {dtype}")


def _map(raw: npt.NDArray[Any], function: Callable[[Any], str | None]) -> Text:
    found = np.empty(raw.size, dtype=object)
    found[:] = [function(item) for item in raw.reshape(-1)]
    return Text(found.reshape(raw.shape))


def _decoded(item: object) -> str:
    try:
        return item.decode() if isinstance(item, bytes) else str(item)
    except UnicodeDecodeError as exc:
        raise UnreadableError("bytes that are not UTF-8") from exc
