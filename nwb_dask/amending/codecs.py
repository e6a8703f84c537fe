"""Numpy arrays as the chunks of Zarr v2 arrays that LINDI reads, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import h5py
import numcodecs
import numpy as np
import numpy.typing as npt

from nwb_dask.backends.zarr import parse_array_v2
from nwb_dask.backends.zarr.pipeline import Pipeline
from nwb_dask.errors import FormatError
from nwb_dask.index import FilePath

CHUNK_BYTES = 4 << 20
"""Size of a chunk that nobody chose."""
_MOST_TEXTS = 1 << 16
"""Values in a chunk of text that nobody chose."""
_MOST_CHUNK_BYTES = (4 << 30) - 1
_NUMBERS = "biuf"


def array_metadata(
    shape: tuple[int, ...],
    dtype: np.dtype[np.generic],
    chunks: tuple[int, ...] | None,
    *,
    gzip: int | None,
    shuffle: bool,
) -> dict[str, Any]:
    """Return the ``.zarray`` of an array.

    Parameters
    ----------
    shape : tuple of int
        () for a scalar, which is stored as ``[1]``.
    dtype : dtype
        As `storable` gave it; ``object`` is stored as JSON.
    chunks : tuple of int, optional
        Of as many dimensions as `shape`. By default whole rows of at most 4 MiB.
    gzip : int, optional
        Level of compression; none by default.
    shuffle : bool
        Whether bytes of numbers are sorted by their significance before.
    """
    filters: list[Mapping[str, Any]] = []
    if dtype.hasobject:
        filters.append(numcodecs.JSON().get_config())
    elif shuffle and dtype.itemsize > 1:
        filters.append({"id": "shuffle", "elementsize": dtype.itemsize})
    fills: Mapping[str, object] = {"S": "", "O": "", "b": False, "f": 0.0}
    return {
        "zarr_format": 2,
        "shape": list(shape or (1,)),
        "chunks": list((chunks if shape else None) or choose_chunks(shape, dtype)),
        "dtype": dtype.str,
        "compressor": None if gzip is None else {"id": "zlib", "level": gzip},
        "filters": filters or None,
        "fill_value": fills.get(dtype.kind, 0),
        "order": "C",
    }


def choose_chunks(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> tuple[int, ...]:
    """Return chunks of whole rows of at most 4 MiB, or of 65536 values of text; never empty."""
    if not shape:
        return (1,)
    row = max(math.prod(shape[1:]), 1)
    rows = _MOST_TEXTS // row if dtype.hasobject else CHUNK_BYTES // (row * dtype.itemsize)
    return (max(min(rows, shape[0]), 1), *(max(one, 1) for one in shape[1:]))


def encode_chunk(meta: Mapping[str, Any], values: npt.NDArray[np.generic]) -> bytes:
    """Return a chunk of values as stored; they have the shape of a chunk."""
    dtype = np.dtype(meta["dtype"])
    found: Any = values if dtype.hasobject else np.asarray(values, dtype, order=meta.get("order") or "C")
    for step in _steps(meta):
        found = numcodecs.get_codec(dict(step)).encode(found)
    return found.tobytes("A") if isinstance(found, np.ndarray) else bytes(found)


def decode_chunk(meta: Mapping[str, Any], data: bytes) -> npt.NDArray[np.generic]:
    """Return the values of a chunk as its ``.zarray`` describes it, of the shape of a chunk and writable.

    A file that is amended may come from anybody: it is read by the codecs, and in the bounds, of Zarr stores.

    Raises
    ------
    MalformedFileError
        If it is damaged, or more than a chunk.
    UnsupportedLayoutError
        If its codecs are not read.
    """
    found = parse_array_v2(FilePath("/"), meta, {})
    values = Pipeline(found.codecs, found.dtype, found.chunks, found.order).decode(data)
    return np.array(values, order=found.order).reshape(tuple(meta["chunks"]))


def check_metadata(meta: Mapping[str, Any]) -> None:
    """Raise `MalformedFileError` or `UnsupportedLayoutError` unless a ``.zarray`` is one that is read."""
    parse_array_v2(FilePath("/"), meta, {})


def blank_chunk(meta: Mapping[str, Any], name: str) -> npt.NDArray[np.generic]:
    """Return a chunk that was never written.

    Raises
    ------
    FormatError
        If it is of 4 GiB or more, as none of HDF5 is.
    """
    n_bytes = math.prod(meta["chunks"]) * np.dtype(meta["dtype"]).itemsize
    if n_bytes > _MOST_CHUNK_BYTES:
        raise FormatError(f"{name}: its chunks have {n_bytes} bytes, and those of HDF5 less than 4 GiB")
    return np.full(tuple(meta["chunks"]), blank_value(meta), dtype=meta["dtype"])


def blank_value(meta: Mapping[str, Any]) -> float | str:
    """Return what stands where no chunk was written."""
    found: float | str = meta.get("fill_value") or 0
    return found


def storable(dtype: np.dtype[np.generic], name: str) -> np.dtype[np.generic]:
    """Return the dtype in which LINDI stores values of this one; ``object`` for text, references and compounds.

    Raises
    ------
    FormatError
        If it has no place there: complex numbers, times, raw bytes.
    """
    marks: Mapping[str, object] = dtype.metadata or {}
    if marks.get("ref") is h5py.RegionReference:
        raise FormatError(
            f"{name}: LINDI has no place for references to regions; a DynamicTableRegion is rows and a table"
        )
    is_text = marks.get("vlen", str) in {str, bytes}
    if dtype.names is not None or (dtype.kind in "OU" and is_text):
        return np.dtype(object)
    if dtype.kind in _NUMBERS or (dtype.kind == "S" and dtype.itemsize):
        return dtype
    raise FormatError(f"{name}: LINDI has no place for values of type {dtype}; convert them to numbers or text")


def _steps(meta: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return filters and compressor in the order of writing."""
    return [*(meta.get("filters") or []), *([meta["compressor"]] if meta.get("compressor") else [])]
