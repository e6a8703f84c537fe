"""Spikes, events and trials: from frames of units and trials to counts and rates.

============ ==================================================================================
intervals    half-open intervals of time: merge, intersect, membership
bins         bins of equal width whose edges are what was typed
units        spike times and observed time of each row of a table of units
spikes       `bin_spikes`, `spikes_in_intervals`
per_interval `spikes_per_interval`: a row for each unit and interval
observed     `is_observed`
spans        spans of time that rows of a table ask for
frames       columns of pandas, polars and Arrow frames
events       `peri_event_counts`
psth         `psth`: rates around events, over the sessions of Dask DataFrames
pairing      partitions of two Dask DataFrames that hold the same sessions
============ ==================================================================================

What comes in are frames and arrays, never a file. Times are seconds from the reference time of their session.
"""

from __future__ import annotations

from nwb_dask.analysis.events import peri_event_counts
from nwb_dask.analysis.intervals import as_intervals, contains, covers, intersect_intervals, merge_intervals
from nwb_dask.analysis.observed import is_observed
from nwb_dask.analysis.per_interval import spikes_per_interval
from nwb_dask.analysis.psth import psth
from nwb_dask.analysis.spikes import bin_spikes, spikes_in_intervals

__all__ = [
    "as_intervals",
    "bin_spikes",
    "contains",
    "covers",
    "intersect_intervals",
    "is_observed",
    "merge_intervals",
    "peri_event_counts",
    "psth",
    "spikes_in_intervals",
    "spikes_per_interval",
]
