"""Added datasets: numpy values into a draft, and the ways in which they grow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nwb_dask.amending.codecs import array_metadata, storable
from nwb_dask.amending.draft import Draft
from nwb_dask.amending.values import COMPOUND, SCALAR, compound_json, data_json
from nwb_dask.errors import OutputError
from nwb_dask.index import Reference

Chosen: TypeAlias = Any
"""What numpy takes between brackets."""

_LITTLE = 1000
"""Bytes below which compression is left out: such values become part of the document."""


def as_values(data: object) -> npt.NDArray[Any]:
    """Return data as an array; text as objects, whatever its length, and a reference as one object."""
    if isinstance(data, Reference):
        out = np.empty((), dtype=object)
        out[()] = data
        return out
    found = np.asarray(data)
    return found.astype(object) if found.dtype.kind == "U" else found


def add_array(
    draft: Draft,
    path: str,
    data: object,
    *,
    attributes: Mapping[str, object] | None = None,
    chunks: tuple[int, ...] | None = None,
    gzip: int | None = None,
    shuffle: bool = False,
) -> None:
    """Add a dataset with its values.

    Parameters
    ----------
    draft : Draft
        Where to.
    path : str
        Where it goes; groups above it are made.
    data : array_like
        Numbers, booleans, text, `Reference`, or a structured array of these. A scalar becomes a dataset of shape ().
    attributes : mapping, optional
        Its attributes.
    chunks : tuple of int, optional
        Shape of a chunk. By default whole rows of at most 4 MiB.
    gzip : int, optional
        Level of compression, where the values are more than 1000 bytes; none by default.
    shuffle : bool
        Whether bytes of numbers are sorted by their significance before.

    Raises
    ------
    OutputError
        If something is at `path`.
    FormatError
        If LINDI has no place for the values.
    """
    values = as_values(data)
    dtype = storable(values.dtype, path)
    if values.nbytes < _LITTLE and not dtype.hasobject:
        gzip, shuffle = None, False
    create_array(
        draft, path, values.shape, values.dtype, attributes=attributes, chunks=chunks, gzip=gzip, shuffle=shuffle
    )
    try:
        write_box(draft, path, (0,) * max(values.ndim, 1), values if values.ndim else values.reshape(1))
    except BaseException:
        draft.delete(path)
        raise


def create_array(
    draft: Draft,
    path: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    *,
    attributes: Mapping[str, object] | None = None,
    chunks: tuple[int, ...] | None = None,
    gzip: int | None = None,
    shuffle: bool = False,
) -> None:
    """Add a dataset without values, to be written to piece by piece; as `add_array`."""
    if chunks is not None and len(chunks) != len(shape):
        raise ValueError(f"chunks={chunks!r} of {path} are not of the {len(shape)} dimensions of its shape {shape}")
    special: dict[str, object] = {}
    if not shape:
        special[SCALAR] = True
    if dtype.names is not None:
        special[COMPOUND] = compound_json(np.empty(0, dtype=dtype))
    metadata = array_metadata(shape, storable(dtype, path), chunks, gzip=gzip, shuffle=shuffle)
    draft.create_array(path, metadata, attributes or {}, special)


def write_box(draft: Draft, path: str, start: tuple[int, ...], values: npt.NDArray[Any]) -> None:
    """Write values into the box of an added dataset that begins at `start`.

    Raises
    ------
    OutputError
        If the dataset is one of the original, which is referred to and never written to.
    """
    _refuse_original(draft, path)
    stored: npt.NDArray[Any] = values
    metadata = draft.array(path)
    if np.dtype(metadata["dtype"]).hasobject:
        if values.dtype.names is not None:
            before = draft.attributes(path).get(COMPOUND)
            if (made := compound_json(values, before)) != before:
                draft.set_special(path, COMPOUND, made)
        stored = data_json(values, draft.reference_json, path)
    draft.pending.write(path.strip("/"), start, stored)


def resize(draft: Draft, path: str, shape: tuple[int, ...]) -> None:
    """Let an added dataset have another shape of as many dimensions; what is outside of it is gone."""
    _refuse_original(draft, path)
    metadata = draft.array(path)
    before = tuple(metadata["shape"])
    if SCALAR in draft.attributes(path) or len(shape) != len(before):
        raise OutputError(f"{path} of shape {before} cannot become {shape}", url=str(draft.output.path), path=path)
    if any(new < old for new, old in zip(shape, before, strict=True)):
        kept = draft.pending.read(path.strip("/"), (0,) * len(shape), tuple(map(min, shape, before)))
        draft.forget_chunks(path)
        draft.set_array(path, {**metadata, "shape": list(shape)})
        draft.pending.write(path.strip("/"), (0,) * len(shape), kept)
    else:
        draft.set_array(path, {**metadata, "shape": list(shape)})


def append(draft: Draft, path: str, rows: object) -> None:
    """Add rows at the end of an added dataset."""
    values = as_values(rows)
    shape = tuple(draft.array(path)["shape"])
    if values.shape[1:] != shape[1:] or not values.ndim:
        message = f"rows of shape {values.shape[1:]} do not fit {path} of shape {shape}"
        raise OutputError(message, url=str(draft.output.path), path=path)
    resize(draft, path, (shape[0] + len(values), *shape[1:]))
    write_box(draft, path, (shape[0], *(0,) * len(shape[1:])), values)


def _refuse_original(draft: Draft, path: str) -> None:
    if not draft.is_own(path):
        raise OutputError(
            f"{path} is data of the original, which {draft.output.path} refers to and never changes; "
            f"delete it here and add it anew, or add another beside it",
            url=str(draft.output.path),
            path=path,
        )


def write_selection(draft: Draft, path: str, args: Chosen, data: object) -> None:
    """Write values to what `args` select of an added dataset, as ``dataset[args] = data`` of h5py does."""
    values = as_values(data)
    if SCALAR in draft.attributes(path):
        write_box(draft, path, (0,), values.reshape(1))
        return
    shape = tuple(draft.array(path)["shape"])
    box = _box(args if isinstance(args, tuple) else (args,), shape)
    if box is not None:
        start, lengths, kept = box
        write_box(draft, path, start, np.broadcast_to(values, kept).reshape(lengths))
        return
    # Positions of what is selected, in the order in which values go there.
    places = np.arange(np.prod(shape, dtype=np.int64)).reshape(shape)[args]
    given = np.broadcast_to(values, places.shape)
    for place, one in zip(places.reshape(-1).tolist(), given.reshape(-1), strict=True):
        at = tuple(int(number) for number in np.unravel_index(place, shape))
        piece = np.empty((1,) * len(shape), dtype=given.dtype)
        piece.reshape(-1)[0] = one
        write_box(draft, path, at, piece)


def _box(
    args: tuple[object, ...], shape: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None:
    """Return start and lengths of the box that integers and slices select, and its lengths without the integers.

    None if something else is selected.
    """
    if any(one is Ellipsis for one in args):
        at = next(n for n, one in enumerate(args) if one is Ellipsis)
        args = (*args[:at], *(slice(None),) * (len(shape) - len(args) + 1), *args[at + 1 :])
    args = (*args, *(slice(None),) * (len(shape) - len(args)))
    if len(args) > len(shape):
        raise IndexError(f"{len(args)} indices for {len(shape)} dimensions")
    start, lengths, kept = [], [], []
    for one, size in zip(args, shape, strict=True):
        if isinstance(one, (int, np.integer)) and not isinstance(one, bool):
            if not -size <= one < size:
                raise IndexError(f"index {one} is outside of {size}")
            start.append(int(one) % size)
            lengths.append(1)
        elif isinstance(one, slice) and one.step in {None, 1}:
            first, last, _ = one.indices(size)
            start.append(first)
            lengths.append(max(last - first, 0))
            kept.append(lengths[-1])
        else:
            return None
    return tuple(start), tuple(lengths), tuple(kept)
