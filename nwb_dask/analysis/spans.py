"""Spans of time that rows of a table ask for: between columns, between expressions, or around a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from nwb_dask.analysis.bins import rounding_error
from nwb_dask.analysis.frames import Frame, Rows, arrow_column, length, names_of
from nwb_dask.analysis.units import require_columns

Expression: TypeAlias = "str | pl.Expr"
Bounds: TypeAlias = "tuple[Expression, Expression]"

START_STOP: Bounds = ("start_time", "stop_time")


@dataclass(frozen=True, slots=True)
class Span:
    """What to ask of each row of intervals."""

    name: str
    start: pl.Expr
    stop: pl.Expr
    align: pl.Expr
    window: tuple[float, float] | None


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """The answer, one element for each row of a session."""

    starts: npt.NDArray[np.float64]
    stops: npt.NDArray[np.float64]
    align: npt.NDArray[np.float64]
    tolerance: npt.NDArray[np.float64]

    @property
    def are_known(self) -> npt.NDArray[np.bool_]:
        """Whether the span of a row is one at all."""
        return ~(np.isnan(self.starts) | np.isnan(self.stops) | np.isnan(self.align))


def make_spans(
    bounds: Bounds | Mapping[str, Bounds],
    align_to: Expression | None,
    window: tuple[float, float] | None,
    name: str,
) -> list[Span]:
    """Return what bounds or a window mean; `name` is what one pair of bounds is called."""
    align = pl.lit(0.0) if align_to is None else _expression(align_to)
    if window is not None:
        if align_to is None or bounds != START_STOP:
            raise ValueError("a window is around the times in align_to: give align_to, and no bounds")
        if not window[0] < window[1]:
            raise ValueError(f"a window is from a start to a later stop, not {window!r}")
        return [Span(name, align, align, align, (float(window[0]), float(window[1])))]
    several = bounds if isinstance(bounds, Mapping) else {name: bounds}
    if not several:
        raise ValueError("bounds name no interval")
    return [Span(key, _expression(start), _expression(stop), align, None) for key, (start, stop) in several.items()]


def _expression(given: Expression) -> pl.Expr:
    return pl.col(given) if isinstance(given, str) else given


def names_of_spans(spans: Sequence[Span]) -> list[str]:
    """Return the columns that the spans are made of."""
    expressions = [expression for span in spans for expression in (span.start, span.stop, span.align)]
    return list(dict.fromkeys(name for expression in expressions for name in expression.meta.root_names()))


def columns_of_spans(frame: Frame, spans: Sequence[Span]) -> pl.DataFrame:
    """Return what the spans need of a frame, and a column that is always there."""
    wanted = names_of_spans(spans)
    require_columns(names_of(frame), wanted, "intervals")
    return pl.DataFrame(
        [pl.Series("", np.arange(length(frame))), *(pl.Series(n, arrow_column(frame, n)) for n in wanted)]
    )


def evaluated(frame: pl.DataFrame, span: Span, rows: Rows) -> Times:
    """Return the times of these rows, NaN for null, from a frame of `columns_of_spans`.

    Raises
    ------
    TypeError
        If an expression gives no numbers.
    """
    here = frame[rows].with_columns(start=span.start, stop=span.stop, align=span.align)
    for name in ("start", "stop", "align"):
        if not (here[name].dtype.is_numeric() or here[name].dtype == pl.Null):
            raise TypeError(f"the {name} of {span.name!r} is a number of seconds, not of dtype {here[name].dtype}")
    starts, stops, align = (
        here[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in ("start", "stop", "align")
    )
    if span.window is None:
        return Times(starts, stops, align, np.zeros(len(rows)))
    start, stop = span.window
    return Times(starts + start, stops + stop, align, rounding_error(np.abs(align) + max(abs(start), abs(stop))))
