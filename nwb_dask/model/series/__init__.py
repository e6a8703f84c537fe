"""The NWB meaning of TimeSeries: which groups are one, and what their dims, times and labels are. Pure."""

from __future__ import annotations

from nwb_dask.model.series.build import build_series, linked_paths, readable_data, small_arrays
from nwb_dask.model.series.find import find_series_paths, series_type
from nwb_dask.model.series.members import Members
from nwb_dask.model.series.types import core_type, is_core, parse_types
from nwb_dask.model.series.units import known_unit
from nwb_dask.model.series.values import (
    Attribute,
    Label,
    SampledTiming,
    Scale,
    Series,
    StoredTiming,
    Timing,
)

__all__ = [
    "Attribute",
    "Label",
    "Members",
    "SampledTiming",
    "Scale",
    "Series",
    "StoredTiming",
    "Timing",
    "build_series",
    "core_type",
    "find_series_paths",
    "is_core",
    "known_unit",
    "linked_paths",
    "parse_types",
    "readable_data",
    "series_type",
    "small_arrays",
]
