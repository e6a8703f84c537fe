"""Axes of every kind, cut in every way, with the labels that they must have."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from nwb_dask.adapters.xarray_backend.axes import ArrayAxis, SampledAxis, StoredAxis, TimeAxis, concat_axes
from nwb_dask.adapters.xarray_backend.time_index import TimeIndex
from tests.adapters.xarray_backend.stamps import ArrayStamps, Labels, Log, Rows, SimulatedStamps

RATES = (30_000.0, 1 / 3, 25.0, 30.000003, 1e-3, 29_999.954846, 1e7)
STARTS = (0.0, 12.345, -5.5, 1.7e9)

_numbers = itertools.count()


def axis_of(indexed: xr.DataArray | xr.Dataset) -> TimeAxis:
    """Return the axis of the coordinate ``time``."""
    index = indexed.xindexes["time"]
    assert isinstance(index, TimeIndex)
    return index.axis


def log_of(axis: TimeAxis) -> Log:
    """Return what was read for an axis; nothing for those that read nothing."""
    stamps = axis.stamps if isinstance(axis, StoredAxis) else None
    return stamps.log if isinstance(stamps, SimulatedStamps) else Log()


def random_axis(rng: np.random.Generator, *, most: int = 40) -> tuple[TimeAxis, Labels]:
    """Return an axis of up to `most` labels, cut up to three times, and its labels as numpy has them."""
    axis, labels = _uncut(rng, int(rng.integers(0, most + 1)))
    for _ in range(rng.integers(0, 4)):
        index = random_index(rng, len(labels))
        axis, labels = axis.take(index), labels[index]
    if rng.random() < 0.15:
        axis, labels = _pieced(rng, axis, labels)
    return axis, labels


def random_index(rng: np.random.Generator, n: int) -> slice | npt.NDArray[np.int64] | npt.NDArray[np.bool_]:
    """Return a slice, of any step, a mask or positions, mostly in order."""
    kind = rng.random()
    if kind < 0.75 or not n:
        ends = [None if rng.random() < 0.4 else int(rng.integers(-n - 2, n + 3)) for _ in range(2)]
        step = None if rng.random() < 0.6 else int(rng.choice([-3, -2, -1, 1, 2, 3]))
        return slice(ends[0], ends[1], step)
    if kind < 0.85:
        return rng.random(n) < 0.7
    positions = rng.integers(-n, n, int(rng.integers(0, n + 1)))
    if kind < 0.97:
        positions = np.sort(np.unique(positions % n))
    return positions[::-1] if rng.random() < 0.2 else positions


def random_labels(rng: np.random.Generator, labels: Labels, count: int) -> Labels:
    """Return values to look up: labels, their neighbours in float64, points between and beyond them."""
    known = labels[np.isfinite(labels)]
    if not len(known):
        return rng.normal(size=count)
    low, high = known.min(), known.max()
    span = max(high - low, 1e-3)
    chosen = rng.choice(known, count)
    found = np.select(
        [np.arange(count) % 6 == kind for kind in range(5)],
        [
            chosen,
            np.nextafter(chosen, np.inf),
            np.nextafter(chosen, -np.inf),
            (chosen + rng.choice(known, count)) / 2,
            rng.uniform(low - 0.3 * span, high + 0.3 * span, count),
        ],
        chosen,
    )
    return rng.permutation(found)


def _uncut(rng: np.random.Generator, n: int) -> tuple[TimeAxis, Labels]:
    kind = rng.integers(0, 3)
    if kind == 0:
        start, rate = float(rng.choice(STARTS)), float(rng.choice(RATES))
        return SampledAxis(start, rate, n), np.arange(n) / rate + start
    labels = _stamps(rng, n)
    if kind == 1:
        return ArrayAxis(labels), labels
    return StoredAxis(ArrayStamps(f"random {next(_numbers)}", labels, block=int(rng.integers(1, 9)))), labels


def _stamps(rng: np.random.Generator, n: int) -> Labels:
    steps = rng.uniform(0.9, 1.1, n) * 10 ** rng.uniform(-4, 1)
    if rng.random() < 0.3:
        steps[rng.random(n) < 0.1] *= 1000
    if rng.random() < 0.3:
        steps[rng.random(n) < 0.3] = 0
    labels: Labels = np.cumsum(steps) + float(rng.choice(STARTS))
    if rng.random() < 0.15:
        labels[n - int(rng.integers(0, n + 1)) // 3 :] = np.nan
    return labels


def _pieced(rng: np.random.Generator, axis: TimeAxis, labels: Labels) -> tuple[TimeAxis, Labels]:
    """Return some stretches of an axis, most often in order, sometimes with another axis behind."""
    n = len(labels)
    cuts = np.sort(rng.integers(0, n + 1, 6)).tolist()
    pairs = list(zip(cuts[::2], cuts[1::2], strict=True))
    if rng.random() < 0.2:
        pairs.reverse()
    pieces = [(axis.take(slice(a, b)), labels[a:b]) for a, b in pairs]
    if rng.random() < 0.4:
        pieces.append(random_axis(rng, most=5))
    return concat_axes(piece for piece, _ in pieces), np.concatenate([part for _, part in pieces])


def steady(rows: Rows) -> Labels:
    """Return times at 1 kHz."""
    return rows / 1000.0


def expected_search(labels: Labels, values: Labels, side: Any) -> Rows | None:
    """Return what numpy answers for labels that increase, or decrease; None for others."""
    increasing = np.sort(labels)
    if np.array_equal(labels, increasing, equal_nan=True):
        return np.searchsorted(labels, values, side)
    if np.array_equal(labels[::-1], increasing, equal_nan=True):
        return len(labels) - np.searchsorted(labels[::-1], values, "left" if side == "right" else "right")
    return None
