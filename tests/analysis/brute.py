"""Spike counts without any of the package's own code: one comparison for each spike, event and bin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def histogram(times: npt.ArrayLike, edges: Sequence[float]) -> npt.NDArray[np.int64]:
    """Counts in half-open bins; the last bin of numpy's own is closed, so that one more is added."""
    counts = np.histogram(np.asarray(times, dtype=np.float64), [*edges, np.inf])[0][:-1]
    return counts.astype(np.int64)


def is_observed(start: float, stop: float, intervals: npt.ArrayLike | None) -> bool:
    """Whether one of the intervals, none of which overlap or touch, holds all of the bin; None observes always."""
    if intervals is None:
        return True
    return any(first <= start and stop <= last for first, last in np.asarray(intervals, dtype=float).reshape(-1, 2))


def counts_around(
    times: npt.ArrayLike, events: Sequence[float], edges: Sequence[float], intervals: npt.ArrayLike | None = None
) -> npt.NDArray[np.float64]:
    """Counts of one unit, shape (events, bins), NaN where it was not observed or there is no event."""
    spikes = np.asarray(times, dtype=np.float64)
    counts = np.full((len(events), len(edges) - 1), np.nan)
    for row, event in enumerate(events):
        if np.isnan(event):
            continue
        counts[row] = histogram(spikes - event, edges)
        for number in range(counts.shape[1]):
            if not is_observed(event + edges[number], event + edges[number + 1], intervals):
                counts[row, number] = np.nan
    return counts
