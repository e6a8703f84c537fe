"""Axes to draw on, and what is written around them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.typing import ColorType

Labels: TypeAlias = "Sequence[Hashable] | npt.NDArray[Any] | pd.Series[Any]"
"""One value for each row."""

_MOST_NAMES = 30
"""Rows that are named one by one; of more, ten or so are."""
_N_COLORS = 10
"""Of matplotlib's cycle; more groups are coloured along a scale."""


def axes_or_new(ax: Axes | None) -> Axes:
    """Return `ax`, or the axes of a new figure; ImportError says how to get matplotlib."""
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot as plt  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install nwb-dask[plot]") from error
    _, axes = plt.subplots(layout="constrained")
    return axes


def colors(count: int) -> list[ColorType]:
    """Return colours that tell so many groups apart."""
    if count <= _N_COLORS:
        return [f"C{number}" for number in range(count)]
    from matplotlib import colormaps  # noqa: PLC0415  # an extra

    return [tuple(color) for color in colormaps["viridis"](np.linspace(0, 1, count)).tolist()]


def name_rows(axes: Axes, levels: npt.NDArray[Any], names: npt.NDArray[Any]) -> None:
    """Write the names of rows at their levels on the y axis, some of them if they are many."""
    step = 1 if len(names) <= _MOST_NAMES else -(-len(names) // 10)
    axes.set_yticks(levels[::step], [str(name) for name in names[::step]])


def legend(axes: Axes, by: object, **place: Any) -> None:  # noqa: ANN401  # matplotlib's own options
    """Write what the groups are called, under the name of what makes them, if it has one."""
    title = by if isinstance(by, str) else getattr(by, "name", None)
    axes.legend(title=title, **place)


def grouped(labels: Labels | None, count: int) -> list[tuple[str, npt.NDArray[np.intp]]]:
    """Return name and rows of each group of `count` rows, groups in the order of their values, the missing ones last.

    Without labels all rows are one group without a name.
    """
    if labels is None:
        return [("", np.arange(count))]
    codes, values = pd.Series(labels).factorize(sort=True)
    named = [*((name_of(value), code) for code, value in enumerate(values)), (name_of(None), -1)]
    found = [(name, np.flatnonzero(codes == code)) for name, code in named]
    return [(name, rows) for name, rows in found if len(rows)]


def name_of(value: object) -> str:
    """Return what a group with this value is called, never nothing."""
    if value is None or value is pd.NA or value != value:  # noqa: PLR0124  # NaN
        return "(missing)"
    return str(value) or "(empty)"
