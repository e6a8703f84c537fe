"""Times of samples that need not be in memory: immutable, sliced by arithmetic, searched as numpy searches labels.

======== ====================================================================
axis     `TimeAxis`, what all of them answer
run      evenly spaced row numbers, which is what slices leave of a clock
sampled  `SampledAxis`: a start and a rate
stored   `StoredAxis`: rows of a dataset, named by `Stamps`
blocks   the search for a time in a dataset, block by block
memory   `ArrayAxis`: labels in memory
take     `TakeAxis`: chosen rows of another axis
concat   `ConcatAxis` and `concat_axes`: one axis after the other
lookup   `find_positions`: exact, nearest, pad, backfill, as pandas has them
same     `same_labels`: whether two axes have equal labels
joined   `joined_window`: the common or the whole stretch of one clock
regular  `segments` and `regularize`: the rate of stored stamps, and their gaps
======== ====================================================================

They use numpy and know nothing of xarray.
"""

from __future__ import annotations

from nwb_dask.adapters.xarray_backend.axes.axis import Side, Stamps, TimeAxis
from nwb_dask.adapters.xarray_backend.axes.concat import ConcatAxis, concat_axes
from nwb_dask.adapters.xarray_backend.axes.joined import joined_window, positions_in_window
from nwb_dask.adapters.xarray_backend.axes.lookup import Method, find_positions
from nwb_dask.adapters.xarray_backend.axes.memory import ArrayAxis
from nwb_dask.adapters.xarray_backend.axes.regular import Segment, regularize, segments
from nwb_dask.adapters.xarray_backend.axes.same import same_labels
from nwb_dask.adapters.xarray_backend.axes.sampled import SampledAxis
from nwb_dask.adapters.xarray_backend.axes.stored import StoredAxis
from nwb_dask.adapters.xarray_backend.axes.take import TakeAxis

__all__ = [
    "ArrayAxis",
    "ConcatAxis",
    "Method",
    "SampledAxis",
    "Segment",
    "Side",
    "Stamps",
    "StoredAxis",
    "TakeAxis",
    "TimeAxis",
    "concat_axes",
    "find_positions",
    "joined_window",
    "positions_in_window",
    "regularize",
    "same_labels",
    "segments",
]
