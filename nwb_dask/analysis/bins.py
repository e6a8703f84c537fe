"""Bins of time of equal width, half-open, whose edges are the numbers that were typed.

Two things of floating-point numbers would put spikes into wrong bins. Edges added up, or multiplied, drift from the
decimals that are meant: ``3 * 0.1`` is above 0.3. And a time relative to an event carries the rounding error of both:
``0.7 - 0.6`` is below 0.1. So edges are computed as fractions and rounded once, and a time that is nearer to an edge
than the rounding error of its terms counts as on the edge, that is, in the bin that begins there. For all other times
the answer is that of `numpy.histogram`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Seconds: TypeAlias = "float | npt.NDArray[np.float64]"

_LARGEST_DENOMINATOR = 1_000_000
_EXACT = 2**53
_ROUNDING = 4 * float(np.finfo(np.float64).eps)
"""Relative: half a unit in the last place for each of the terms, edge and difference, and as much again."""


def rounding_error(scale: Seconds) -> npt.NDArray[np.float64]:
    """Return by how much sums and differences of times may be wrong, in seconds.

    Parameters
    ----------
    scale : float or ndarray
        Absolute value of the largest term, in seconds.
    """
    return _ROUNDING * np.asarray(scale, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Bins:
    """Bins ``[start + k * size, start + (k + 1) * size)`` for k from 0 to `count`."""

    start: float
    """Seconds."""
    size: float
    """Seconds."""
    count: int

    def __post_init__(self) -> None:
        """Refuse what is no sequence of bins."""
        if not (math.isfinite(self.start) and math.isfinite(self.size)) or self.size <= 0 or self.count < 0:
            raise ValueError(f"no bins: start {self.start!r} s, bin_size {self.size!r} s, number {self.count!r}")

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        """Bounds in seconds, shape (count + 1,)."""
        return _after(self.start, self.size, 2 * np.arange(self.count + 1))

    @property
    def centres(self) -> npt.NDArray[np.float64]:
        """Middles in seconds, shape (count,)."""
        return _after(self.start, self.size, 2 * np.arange(self.count) + 1)


def bin_numbers(
    times: npt.NDArray[np.float64], edges: npt.NDArray[np.float64], tolerance: Seconds
) -> npt.NDArray[np.intp]:
    """Return the bin of each time: -1 before the first, the number of bins after the last and for NaN.

    Parameters
    ----------
    times : ndarray of float64
        Seconds.
    edges : ndarray of float64
        Of `Bins`.
    tolerance : float or ndarray
        Seconds by which a time may be too small: its `rounding_error`.
    """
    return np.searchsorted(edges, times + tolerance, side="right") - 1


def multiple(number: int, size: float) -> float:
    """Return so many times `size`, rounded once: 3 times 0.1 is 0.3."""
    if abs(number) >= _EXACT:
        return number * size
    return float(_after(0.0, size, np.array([2 * number]))[0])


def _after(start: float, size: float, halves: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the times so many half bins after the start, rounded once if start and size are short fractions."""
    begin, step = _fraction(start), _fraction(size)
    if begin is not None and step is not None:
        numerator, each = 2 * begin.numerator * step.denominator, step.numerator * begin.denominator
        denominator = 2 * begin.denominator * step.denominator
        largest = abs(numerator) + int(np.abs(halves).max(initial=0)) * each
        if largest < _EXACT and denominator < _EXACT:
            return np.asarray((numerator + halves * each) / denominator, dtype=np.float64)
    return np.asarray(start + halves * (size / 2), dtype=np.float64)


def _fraction(value: float) -> Fraction | None:
    """Return the short fraction that `value` is the nearest number to, None if there is none."""
    fraction = Fraction(value).limit_denominator(_LARGEST_DENOMINATOR)
    return fraction if float(fraction) == value else None


def bins_within(start: float, stop: float, size: float) -> float:
    """Return how many bins go into ``[start, stop)``; a whole number if it is one but for rounding errors."""
    if not (math.isfinite(start) and math.isfinite(stop) and math.isfinite(size)) or size <= 0:
        raise ValueError(f"times and bin_size are finite seconds, bin_size above 0; not {start!r}, {stop!r}, {size!r}")
    n_bins = (stop - start) / size
    if not math.isfinite(n_bins):
        raise ValueError(f"from {start!r} to {stop!r} s there are more bins of {size!r} s than can be counted")
    nearest = float(round(n_bins))
    error = _ROUNDING * (abs(nearest) + max(abs(start), abs(stop)) / size)
    return nearest if abs(n_bins - nearest) <= error else n_bins


def window_bins(window: tuple[float, float], bin_size: float) -> Bins:
    """Return the bins of a window around an event.

    Parameters
    ----------
    window : (float, float)
        Start and stop in seconds relative to the event, half-open.
    bin_size : float
        Seconds.

    Raises
    ------
    ValueError
        If the window is not a whole number of bins, or empty: spikes at its end would be left out silently.
    """
    start, stop = (float(bound) for bound in window)
    size = float(bin_size)
    n_bins = bins_within(start, stop, size)
    if n_bins <= 0 or not n_bins.is_integer():
        whole = max(math.floor(n_bins), 1)
        raise ValueError(
            f"window ({start!r}, {stop!r}) is not a whole number of bins of {size!r} s; "
            f"({start!r}, {start + whole * size:.12g}) is"
        )
    return Bins(start, size, int(n_bins))
