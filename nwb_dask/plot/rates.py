"""`psth`: mean rates around events, with their standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import dask
import dask.dataframe as dd
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from nwb_dask.analysis.units import SESSION, require_columns
from nwb_dask.plot.axes import Labels, axes_or_new, colors, grouped, legend, name_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats: TypeAlias = npt.NDArray[np.float64]
By: TypeAlias = "str | Sequence[str] | Labels | None"
Rates: TypeAlias = "xr.DataArray | pd.DataFrame | dd.DataFrame"

_RATES = ("unit", "time", "n_trials", "rate")
"""What `nwb_dask.analysis.psth` calls its columns."""


def psth(
    counts_or_rates: Rates,
    *,
    by: By = None,
    over: Literal["trial", "unit"] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw mean rates around events, shaded by their standard errors, and return the axes.

    Bins that are NaN are missing: they count neither as zero nor in the number of trials or units.

    Parameters
    ----------
    counts_or_rates : DataArray, or DataFrame of pandas or Dask
        Counts of `nwb_dask.analysis.peri_event_counts`, dims (unit, trial, time), of which unit or trial may be gone.
        Or rates of `nwb_dask.analysis.psth`, of any number of sessions; of a Dask DataFrame each partition is reduced
        where it is computed.
    by : str, sequence of str, or one value for each trial
        One line for each value. Of counts: the name of a coordinate of trials or of units, or a value for each trial.
        Of rates: one or more columns, such as those that were given to `nwb_dask.analysis.psth`.
    over : {"trial", "unit"}, optional
        What the standard error is of. Counts are averaged over the others first, and then over ``"trial"``, which is
        the default, or ``"unit"``. Rates are of units: the trials of all conditions of one line are pooled in each.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        With a line for each group, at the centres of the bins, and the mean plus and minus one standard error (sample
        standard deviation / sqrt(n)), which is not drawn where n is 1.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    PathNotFoundError
        If a frame lacks a column.
    ValueError
        If counts have no dim ``time`` or no dim `over`, `by` fits nothing, or rows of one unit are in several
        partitions of a Dask DataFrame.
    """
    if isinstance(counts_or_rates, xr.DataArray):
        lines = lines_of_counts(counts_or_rates, by, over or "trial")
    else:
        if over == "trial":
            raise ValueError("over='trial' needs the counts of each trial, of peri_event_counts; rates are of units")
        lines = lines_of_rates(counts_or_rates, by)
    axes = axes_or_new(ax)
    for color, line in zip(colors(len(lines)), lines, strict=True):
        axes.plot(line.time, line.mean, color=color, label=line.name or None)
        low, high = line.mean - line.error, line.mean + line.error
        axes.fill_between(line.time, low, high, color=color, alpha=0.3, linewidth=0)
    axes.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
    axes.set(xlabel="time from the event [s]", ylabel="rate [Hz]")
    axes.margins(x=0)
    if by is not None and lines:
        legend(axes, by)
    return axes


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """The rates of one group."""

    name: str
    """Empty if it is the only one."""
    time: Floats
    """Centres of the bins, seconds."""
    n: Floats
    """How many trials or units are known in each bin."""
    mean: Floats
    """Hz."""
    squares: Floats
    """Sum of their squared deviations from the mean."""

    @property
    def error(self) -> Floats:
        """Standard error of the mean in Hz; NaN of less than two."""
        variance = np.divide(self.squares, self.n - 1, out=np.full(len(self.n), np.nan), where=self.n > 1)
        error: Floats = np.sqrt(variance / np.maximum(self.n, 1))
        return error


def lines_of_counts(counts: xr.DataArray, by: By, over: str) -> list[Line]:
    """Return a line for each group of trials or units; see `psth`."""
    dims = {over, "time"}
    if not dims <= set(counts.dims) <= {"unit", "trial", "time"}:
        raise ValueError(
            f"counts have the dims {over} and time, and none beside unit, trial and time; "
            f"these have {', '.join(map(str, counts.dims))}"
        )
    dim, labels = _groups_of_counts(counts, by)
    rates = counts.astype(np.float64).transpose(over, ..., "time") / _bin_size(counts)
    found = []
    for name, members in grouped(labels, counts.sizes.get(dim, 0)):
        part = rates if labels is None else rates.isel({dim: members})
        samples = np.asarray(part.values)
        if samples.ndim > len(dims):
            _, samples, _ = _moments(samples.swapaxes(0, 1))
        n, mean, squares = _moments(samples)
        found.append(Line(name, np.asarray(counts["time"].values, np.float64), n, mean, squares))
    return found


def _groups_of_counts(counts: xr.DataArray, by: By) -> tuple[str, Labels | None]:
    """Return the dim that is grouped, and a value for each place of it."""
    if by is None:
        return "trial", None
    if isinstance(by, str):
        if by not in counts.coords or counts.coords[by].dims not in (("unit",), ("trial",)):
            raise ValueError(f"by={by!r} is no coordinate of the units or of the trials; there are {_known(counts)}")
        return str(counts.coords[by].dims[0]), counts.coords[by].values
    if len(by) != counts.sizes.get("trial"):
        raise ValueError(f"by has {len(by)} values, and the counts have {counts.sizes.get('trial', 'no')} trials")
    return "trial", by


def _known(counts: xr.DataArray) -> str:
    return ", ".join(str(name) for name, one in counts.coords.items() if one.dims in (("unit",), ("trial",))) or "none"


def _bin_size(counts: xr.DataArray) -> float:
    """Return the width of the bins in seconds."""
    time = counts["time"]
    if "bin_size" in time.attrs:
        return float(time.attrs["bin_size"])
    if time.size < 2:  # noqa: PLR2004  # between two
        raise ValueError("the counts do not say how long their only bin is; set counts.time.attrs['bin_size']")
    return float(np.median(np.diff(time.values)))


def _moments(samples: Floats) -> tuple[Floats, Floats, Floats]:
    """Return along the first axis, without what is NaN, number, mean (NaN of none) and sum of squared deviations."""
    known = ~np.isnan(samples)
    n = known.sum(axis=0).astype(np.float64)
    total = np.where(known, samples, 0.0).sum(axis=0)
    mean = np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)
    return n, mean, (np.where(known, samples - mean, 0.0) ** 2).sum(axis=0)


def lines_of_rates(rates: pd.DataFrame | dd.DataFrame, by: By) -> list[Line]:
    """Return a line for each group of the conditions; see `psth`."""
    columns = [by] if isinstance(by, str) else [str(name) for name in by] if by is not None else []
    require_columns(rates.columns, [*_RATES, *columns], "rates")
    if isinstance(rates, dd.DataFrame):
        parts = list(dask.compute(*(dask.delayed(_reduced)(part, columns) for part in rates.to_delayed())))
    else:
        parts = [_reduced(rates, columns)]
    if sum(len(part.units) for part in parts) > len(frozenset().union(*(part.units for part in parts))):
        raise ValueError("rows of one unit are in several partitions; pass rates.compute()")
    reduced = pd.concat([part.bins for part in parts], ignore_index=True)
    keys = [*columns, "time"]
    reduced["total"] = reduced["n"] * reduced["mean"].fillna(0.0)
    grouping = reduced.groupby(keys, dropna=False, observed=True)
    n = grouping["n"].transform("sum")
    # Sums of squares about the means of the parts, moved to the mean of all (Chan, Golub and LeVeque 1979).
    away = (reduced["mean"] - grouping["total"].transform("sum") / n).fillna(0.0)
    reduced["squares"] += reduced["n"] * away**2
    sums = reduced.groupby(keys, dropna=False, observed=True, as_index=False)[["n", "total", "squares"]].sum()
    parted = sums.groupby(columns, dropna=False, observed=True) if columns else [((), sums)]
    return [_line(", ".join(map(name_of, key)), one) for key, one in parted]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What is kept of one partition of rates."""

    bins: pd.DataFrame
    """One row for each group and bin: n, mean and squares of the rates of units."""
    units: frozenset[Any]


def _reduced(rates: pd.DataFrame, columns: list[str]) -> _Part:
    """Return number, mean and squares of units in each group and bin; runs where the rates are computed."""
    unit = [name for name in (SESSION, "unit") if name in rates.columns]
    keys = [*columns, "time"]
    of_unit = list(dict.fromkeys([*unit, *keys]))
    # The trials of all conditions of a group are pooled in each unit.
    weighted = rates[of_unit].assign(n_trials=rates["n_trials"], total=rates["rate"].fillna(0.0) * rates["n_trials"])
    pooled = weighted.groupby(of_unit, dropna=False, observed=True, as_index=False).sum()
    pooled["rate"] = (pooled["total"] / pooled["n_trials"]).where(pooled["n_trials"] > 0)
    grouping = pooled.groupby(keys, dropna=False, observed=True)["rate"]
    pooled["squares"] = (pooled["rate"] - grouping.transform("mean")) ** 2
    named = {"n": ("rate", "count"), "mean": ("rate", "mean"), "squares": ("squares", "sum")}
    bins = pooled.groupby(keys, dropna=False, observed=True, as_index=False).agg(**named)
    return _Part(bins, frozenset(rates[unit].drop_duplicates().itertuples(index=False, name=None)))


def _line(name: str, bins: pd.DataFrame) -> Line:
    n, total = bins["n"].to_numpy(np.float64), bins["total"].to_numpy(np.float64)
    mean = np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)
    return Line(name, bins["time"].to_numpy(np.float64), n, mean, bins["squares"].to_numpy(np.float64))
