"""The rate of times that are stored, and their gaps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nwb_dask.adapters.xarray_backend.axes.axis import Labels, TimeAxis
from nwb_dask.adapters.xarray_backend.axes.concat import concat_axes
from nwb_dask.adapters.xarray_backend.axes.sampled import SampledAxis
from nwb_dask.errors import IrregularTimesError

_PIECE = 1 << 20
_GAP = 0.5
"""Of a period: a step that differs more from the usual one ends a segment."""
_MAX_GAPS = 0.01
"""Of all steps: times with more gaps have no rate."""
_DIGITS = 9
"""Significant digits of the rate that is tried beside the fitted one: clocks are set to round numbers."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of samples without a gap: the positions ``[start, stop)``."""

    start: int
    stop: int
    first: float
    """Seconds: the label of the first sample."""
    last: float
    """Seconds: the label of the last sample."""


def segments(axis: TimeAxis) -> tuple[Segment, ...]:
    """Return the stretches of an axis between its gaps, reading all labels once, in pieces.

    A gap is a step that differs by more than half of the usual one, the median of the first million.

    Raises
    ------
    IrregularTimesError
        If there are fewer than two labels, if they do not increase, or if more than one step in a hundred is a gap.
    """
    if axis.n < 2:  # noqa: PLR2004  # between two
        raise IrregularTimesError(f"{axis.n} times have no rate")
    found: list[Segment] = []
    period = math.nan
    begin, first, before = 0, math.nan, math.nan
    for at, labels in _pieces(axis):
        if not at:
            period, first = float(np.median(np.diff(labels))), float(labels[0])
        steps = np.diff(labels, prepend=before) if at else np.diff(labels)
        # NaN fails both comparisons.
        if not (period > 0 and (steps > 0).all()):
            raise IrregularTimesError("the times do not increase, so that they have no rate")
        gaps = np.flatnonzero(~(np.abs(steps - period) <= _GAP * period)) + (0 if at else 1)
        for gap in gaps.tolist():
            last = float(labels[gap - 1]) if gap else before
            found.append(Segment(begin, at + gap, first, last))
            begin, first = at + gap, float(labels[gap])
        if len(found) > max(_MAX_GAPS * axis.n, 1):
            raise IrregularTimesError(
                f"more than {_MAX_GAPS:.0%} of the times are not {period:g} s after the one before: they have no rate"
            )
        before = float(labels[-1])
    return (*found, Segment(begin, axis.n, first, before))


def regularize(axis: TimeAxis, *, tolerance: float = 0.1) -> TimeAxis:
    """Return an axis of sampled stretches whose labels are those of `axis`, to within a fraction of a period.

    All labels are read, twice; afterwards none is needed.

    Parameters
    ----------
    axis : TimeAxis
        Times that are taken to be those of a clock with a rate, interrupted by gaps.
    tolerance : float
        Greatest error of a label, as a fraction of the period of its stretch.

    Returns
    -------
    SampledAxis or ConcatAxis of SampledAxis
        One for each stretch. An axis that is sampled already, or has less than two labels, is returned as it is.

    Raises
    ------
    IrregularTimesError
        If the times do not increase, have too many gaps, or are further from every rate than `tolerance`. Times are
        never moved silently.
    """
    if axis.rate is not None or axis.n < 2:  # noqa: PLR2004  # between two
        return axis
    found = segments(axis)
    usual = _usual_rate(found)
    return concat_axes(_fit(axis, segment, usual, tolerance) for segment in found)


def _usual_rate(found: tuple[Segment, ...]) -> float:
    longest = max(found, key=lambda one: one.stop - one.start)
    return _rate(longest) or 1.0


def _rate(segment: Segment) -> float | None:
    steps = segment.stop - segment.start - 1
    return steps / (segment.last - segment.first) if steps else None


def _fit(axis: TimeAxis, segment: Segment, usual: float, tolerance: float) -> SampledAxis:
    """Return the sampled axis that is nearest to a stretch: at the fitted rate, or at one of fewer digits."""
    n = segment.stop - segment.start
    fitted = _rate(segment) or usual
    tried = [SampledAxis(segment.first, rate, n) for rate in dict.fromkeys((float(f"{fitted:.{_DIGITS}g}"), fitted))]
    worst = np.zeros(len(tried))
    for at, labels in _pieces(axis, segment.start, segment.stop):
        begin = at - segment.start
        errors = [np.abs(one.labels(begin, begin + len(labels)) - labels).max() for one in tried]
        worst = np.maximum(worst, errors)
    best = int(np.argmin(worst))
    if not worst[best] * fitted <= tolerance:
        raise IrregularTimesError(
            f"times of samples {segment.start} to {segment.stop} are up to {worst[best]:.3g} s from those at "
            f"{fitted:.{_DIGITS}g} Hz, which is more than {tolerance:g} of a period; use time='lazy'"
        )
    return tried[best]


def _pieces(axis: TimeAxis, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, Labels]]:
    stop = axis.n if stop is None else stop
    for at in range(start, stop, _PIECE):
        yield at, axis.labels(at, min(at + _PIECE, stop))
