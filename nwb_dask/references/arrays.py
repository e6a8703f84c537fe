"""A dataset as a Zarr array whose chunks are elsewhere, or in the document itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Literal

import numpy as np
import numpy.typing as npt

from nwb_dask.index import ArrayEntry, ChunkManifest, Placement
from nwb_dask.references.attributes import Json
from nwb_dask.references.codecs import COMPRESSORS, Codec
from nwb_dask.references.elements import fill_as_json

_LOWEST_SHARE = 4
"""Rows are cut into parts of one length if these are at least this part of what is wanted."""


@dataclass(frozen=True, slots=True, eq=False)
class ZarrArray:
    """An array as Zarr has it, and where its chunks are."""

    entry: ArrayEntry
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[np.generic]
    codecs: tuple[Codec, ...] = ()
    """In the order of writing."""
    order: Literal["C", "F"] = "C"
    fill: bytes | None = None
    """One element, which stands where no chunk is; None for zeros."""
    placement: Placement | None = None
    """Chunks that are elsewhere; None if the array is in one chunk here, or linked."""
    content: bytes | None = None
    """The only chunk, encoded."""
    fields: list[list[str]] = field(default_factory=list)
    """Names and types of the fields of a compound."""
    is_linked: bool = False
    """Whether it is to be read from the file itself."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Chunks along each axis."""
        return tuple([-(-length // chunk) for length, chunk in zip(self.shape, self.chunks, strict=True)])

    @property
    def n_chunks(self) -> int:
        """Chunks that are ranges of files."""
        return 0 if self.placement is None else len(self.placement.manifest.numbers)

    @property
    def n_inline(self) -> int:
        """Chunks whose bytes are here."""
        return int(self.content is not None) + (0 if self.placement is None else len(self.placement.inline))

    @property
    def is_complete(self) -> bool:
        """Whether no chunk is missing, so that the fill value means nothing."""
        return self.n_chunks + self.n_inline == prod(self.counts)

    def inline(self) -> Mapping[int, bytes]:
        """Return the chunks whose bytes are here, by number."""
        if self.content is not None:
            return {0: self.content}
        return {} if self.placement is None else self.placement.inline


def keys_of(array: ZarrArray, numbers: npt.NDArray[np.int64]) -> list[str]:
    """Return the names of chunks, ``0.3``; ``0`` for the chunk of an array without dimensions."""
    if not array.shape:
        return ["0"] * len(numbers)
    axes = [axis.tolist() for axis in np.unravel_index(numbers, array.counts)]
    return [".".join(map(str, place)) for place in zip(*axes, strict=True)]


def zarray(array: ZarrArray, *, has_compressor: bool, fill: Json) -> dict[str, Json]:
    """Return the metadata of an array, ``.zarray`` of Zarr version 2.

    Parameters
    ----------
    array : ZarrArray
        The array.
    has_compressor : bool
        Whether a compressor that comes last stands by itself, as libraries for Zarr write it, and not among the
        filters, as LINDI does. Both mean the same.
    fill : JSON
        What is written as the fill value.
    """
    steps = [dict(step) for step in array.codecs]
    compressor: Json = steps.pop() if has_compressor and steps and steps[-1]["id"] in COMPRESSORS else None
    return {
        "chunks": list[Json](array.chunks),
        "compressor": compressor,
        "dtype": array.dtype.str,
        "fill_value": fill,
        "filters": list[Json](steps) or None,
        "order": array.order,
        "shape": list[Json](array.shape),
        "zarr_format": 2,
    }


def fill_of(array: ZarrArray) -> Json:
    """Return the fill value of an array as JSON."""
    return fill_as_json(array.fill, array.dtype)


def split(array: ZarrArray, *, max_bytes: int, file_bytes: int | None) -> ZarrArray:
    """Return an array that lies in one piece in the file cut into chunks of rows, if it is large.

    Parameters
    ----------
    array : ZarrArray
        Any; most come back as they are.
    max_bytes : int
        Of a chunk.
    file_bytes : int or None
        Size of the file, for readers that want the last chunk as long as the others: it then reaches over what follows
        in the file, which belongs to rows past the shape. None for LINDI, which fills up a chunk that is too short.
    """
    found = array.placement
    whole = found is not None and len(found.manifest.numbers) == 1 and array.chunks == array.shape
    if (
        found is None
        or not whole
        or array.codecs
        or array.order == "F"
        or array.dtype.kind not in "iuf"
        or not array.shape
    ):
        return array
    row_bytes = prod(array.shape[1:]) * array.dtype.itemsize
    n_rows = array.shape[0]
    if n_rows * row_bytes <= max_bytes or not row_bytes:
        return array
    rows = max(max_bytes // row_bytes, 1)
    start = int(found.manifest.offsets[0])
    if file_bytes is not None and start + -(-n_rows // rows) * rows * row_bytes > file_bytes:
        even = max(number for number in range(1, rows + 1) if n_rows % number == 0)
        if even * _LOWEST_SHARE < rows:
            return array
        rows = even
    numbers = np.arange(-(-n_rows // rows))
    offsets = start + numbers * rows * row_bytes
    sizes = np.full(len(numbers), rows * row_bytes)
    if file_bytes is None:
        sizes[-1] = start + n_rows * row_bytes - offsets[-1]
    files = None if found.files is None else np.repeat(found.files, len(numbers))
    manifest = ChunkManifest(numbers, offsets, sizes, np.zeros(len(numbers), np.uint32))
    return replace(array, chunks=(rows, *array.shape[1:]), placement=Placement(manifest, found.urls, files))
