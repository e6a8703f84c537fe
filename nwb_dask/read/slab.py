"""Reads parts of arrays by their address, on whatever process it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from nwb_dask.catalog import index_cache
from nwb_dask.errors import MalformedFileError, NWBDaskError, SourceChangedError, SourceUnavailableError
from nwb_dask.model.series.values import Scale
from nwb_dask.plan.selection import Block, Selection, plan_blocks
from nwb_dask.plan.slab import Slab, scaled_dtype
from nwb_dask.read.open_files import OpenFile, open_files
from nwb_dask.storage import Access

Values = npt.NDArray[Any]
_Doubles = npt.NDArray[np.float64]

_BATCH_BYTES = 64 << 20
"""Stored values of whole rows that are in memory beside the result: one round of requests, or a few stored chunks."""
_SCALED_BYTES = 1 << 20
"""Values that are scaled at once, in the precision of the scale: they stay in the processor's cache."""
_LABEL_BYTES = 64 << 10


def read_slab(slab: Slab, key: Any = ()) -> Values:  # noqa: ANN401  # whatever numpy takes
    """Return a part of an array.

    Only stored chunks that hold some of it are read, and of data that are not compressed little more than the part.
    Files stay open for the next read, a few dozen in a process, shared by its threads.

    Parameters
    ----------
    slab : Slab
        The array.
    key : tuple, or one of its items, or Selection
        See `plan.selection.Selection.of`; by default all.

    Returns
    -------
    ndarray
        Of ``slab.dtype``, in native byte order: stored numbers times factor plus offset, computed in the precision
        that the scale names, double as a rule, and rounded once; text as `str`. The caller's own.

    Raises
    ------
    IndexError
        If `key` reaches outside of the array.
    SourceChangedError
        If the file is not of the version that `slab` names.
    MalformedFileError
        If the data are damaged, or text is not UTF-8.
    UnsupportedLayoutError
        If the type, layout or filter is not read.
    SourceUnavailableError
        If the bytes cannot be had.
    """
    selection = key if isinstance(key, Selection) else Selection.of(key, slab.shape)
    if 0 in selection.ordered_shape:
        return np.empty(selection.shape, slab.dtype)
    access = slab.access if isinstance(slab.access, Access) else Access()
    try:
        opened = open_files.take(slab.url, slab.identity, access)
        try:
            return _read(opened, slab, selection)
        except (SourceChangedError, SourceUnavailableError):
            # Whoever asks next opens it again, perhaps with credentials that this process has got meanwhile.
            open_files.drop(opened)
            raise
        finally:
            open_files.give_back(opened)
    except NWBDaskError as error:
        if isinstance(error, SourceChangedError):
            index_cache().forget(slab.url)
        raise error.at(url=slab.name, path=slab.entry.path) from error.__cause__


def _read(opened: OpenFile, slab: Slab, selection: Selection) -> Values:
    entry = opened.located(slab.entry)
    if not slab.shape:
        scalar = np.empty(1, slab.dtype)
        _fill(scalar, opened.file.read(entry).reshape(1), slab, np.array(slab.scale.factor))
        return scalar.reshape(())
    itemsize = max(entry.element.size, 1) if entry.element.dtype is None else entry.element.dtype.itemsize
    opened.file.require_room(entry, selection.n_distinct * itemsize)
    native = entry.chunks if entry.layout == "chunked" else None
    out: Values | None = None
    for blocks in plan_blocks(selection, slab.shape, itemsize, native, max_bytes=_BATCH_BYTES):
        found = opened.file.read_many([(entry, block.spans, block.box) for block in blocks])
        opened.keep()
        if _is_all(found[0], slab, selection) and not opened.file.holds(entry):
            return found[0].reshape(selection.shape)
        out = np.empty(selection.ordered_shape, slab.dtype) if out is None else out
        ordered = selection.flipped(out)
        for block, values in zip(blocks, found, strict=True):
            _fill(ordered[block.places], block.pick(values), slab, _factors(slab.scale, block, selection))
    assert out is not None  # noqa: S101  # a selection of something has a block
    return selection.arranged(out)


def _is_all(found: Values, slab: Slab, selection: Selection) -> bool:
    """Return whether what was read is all that was selected, as it is wanted, in memory of its own."""
    is_plain = slab.scale.is_identity and slab.entry.element.kind != "string" and found.dtype == slab.dtype
    owner: object = found if found.base is None else found.base
    return (
        is_plain
        and found.shape == selection.ordered_shape
        and isinstance(owner, np.ndarray)
        and owner.flags.owndata
        and all(isinstance(axis.wanted, range) and not axis.is_reversed for axis in selection.axes)
    )


def _factors(scale: Scale, block: Block, selection: Selection) -> _Doubles:
    """Return what the values of a block are multiplied by, along the axis that it belongs to."""
    if scale.per_channel is None:
        return np.array(scale.factor)
    axis = scale.axis
    places = np.asarray(selection.axes[axis].wanted[block.places[axis]])
    factors = np.asarray(scale.factor * scale.per_channel[places], np.float64)
    return factors.reshape([-1 if number == axis else 1 for number in range(len(selection.axes))])


def _fill(target: Values, part: Values, slab: Slab, factors: _Doubles) -> None:
    """Put stored elements into the result as values."""
    if slab.entry.element.kind == "string":
        target[...] = _texts(part)
    elif slab.scale.is_identity:
        target[...] = part
    else:
        _scale(target, part, factors, slab.scale)


def _scale(target: Values, part: Values, factors: _Doubles, scale: Scale) -> None:
    """Put stored numbers into the result, scaled in the precision of `scale` and rounded once, some rows at a time."""
    wide = np.result_type(part.dtype, scale.precision)
    step = max(_SCALED_BYTES // max(prod(part.shape[1:]) * wide.itemsize, 1), 1)
    scratch = None if target.dtype == wide else np.empty((min(step, len(part)), *part.shape[1:]), wide)
    is_by_row = factors.ndim > 0 and len(factors) > 1
    # An offset of zero makes zero of minus zero, of which positive factors and integers make none.
    is_shifted = scale.offset != 0 or part.dtype.kind not in "iub" or not (factors > 0).all()
    for at in range(0, len(part), step):
        rows, into = part[at : at + step], target[at : at + step]
        wider = into if scratch is None else scratch[: len(rows)]
        # Faster than a multiplication that converts.
        np.copyto(wider, rows, casting="same_kind")
        np.multiply(wider, factors[at : at + step] if is_by_row else factors, out=wider, dtype=wide)
        if is_shifted:
            np.add(wider, scale.offset, out=wider)
        if scratch is not None:
            into[...] = wider


def _texts(part: Values) -> Values:
    out = np.empty(part.size, object)
    try:
        out[:] = [one.decode() if isinstance(one, bytes) else "" for one in part.reshape(-1).tolist()]
    except UnicodeDecodeError as exc:
        raise MalformedFileError(f"holds text that is not UTF-8: {exc.reason}") from exc
    return out.reshape(part.shape)


@dataclass(frozen=True, slots=True)
class StoredStamps:
    """Stored timestamps by their address, read in blocks.

    Equal if the same data are meant; pickles small. Reading opens the file through those that are open.

    Parameters
    ----------
    slab : Slab
        1-d numbers: seconds from the session's reference time.
    """

    slab: Slab

    def __post_init__(self) -> None:
        if self.slab.ndim != 1:
            message = f"{self.slab.entry.path} has the shape {self.slab.shape}, and timestamps have one dimension"
            raise MalformedFileError(message, url=self.slab.name, path=self.slab.entry.path)
        entry, scale = self.slab.entry, self.slab.scale
        slab = replace(self.slab, dtype=scaled_dtype(entry.element, scale, np.dtype(np.float64)))
        if slab.dtype != np.float64:
            message = f"{entry.path} holds no numbers, and timestamps are seconds"
            raise MalformedFileError(message, url=slab.name, path=entry.path)
        object.__setattr__(self, "slab", slab)

    @property
    def n(self) -> int:
        """Number of timestamps."""
        return self.slab.shape[0]

    def __dask_tokenize__(self) -> tuple[object, ...]:
        """Return what tells these timestamps from others, in every process."""
        return ("nwb_dask.StoredStamps", self.slab.token)

    @property
    def block(self) -> int:
        """Timestamps to read at once: 64 KiB of them or more, of compressed data whole chunks."""
        n_labels = _LABEL_BYTES // np.dtype(np.float64).itemsize
        entry = self.slab.entry
        if not entry.chunks or (not entry.filters and entry.chunks[0] > n_labels):
            # Of chunks that are not compressed any part can be read by itself.
            return n_labels
        return -(-n_labels // entry.chunks[0]) * entry.chunks[0]

    def read(self, start: int, stop: int) -> npt.NDArray[np.float64]:
        """Return the timestamps ``[start, stop)``, the caller's own; raises as `read_slab`.

        Raises
        ------
        IndexError
            If there are not so many.
        """
        if not 0 <= start <= stop <= self.n:
            raise IndexError(f"timestamps {start} to {stop} of {self.n}")
        found: npt.NDArray[np.float64] = read_slab(self.slab, slice(start, stop))
        return found
