"""What is on axes, and what the files hold of which it is drawn: read by h5py."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

Floats: TypeAlias = npt.NDArray[np.float64]

WINDOW = (-0.5, 1.0)
BIN = 0.25
EDGES = [-0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0]
CENTRES = [-0.375, -0.125, 0.125, 0.375, 0.625, 0.875]
LFP_RATE = 1250.0
LFP_START = 0.5
LFP_SAMPLES = 100_003


def spikes_of(path: Path) -> list[Floats]:
    """Spike times of each unit."""
    with h5py.File(path) as file:
        times, ends = file["units/spike_times"][:], file["units/spike_times_index"][:]
    return [np.asarray(one) for one in np.split(times, ends)[:-1]]


def column_of(path: Path, name: str) -> list[Any]:
    """A column of a table, text as text."""
    with h5py.File(path) as file:
        dataset = file[name]
        found: list[Any] = (dataset.asstr() if h5py.check_string_dtype(dataset.dtype) else dataset)[:].tolist()
    return found


def volts_of(path: Path) -> Floats:
    """The LFP, in the precision that small integers are read in."""
    with h5py.File(path) as file:
        stored = file["acquisition/lfp/data"][:]
    found: Floats = (stored * 1e-6).astype(np.float32).astype(np.float64)
    return found


def ticks_of(line: Line2D) -> list[tuple[float, float]]:
    """Time and row of each tick of a raster."""
    x, y = (np.asarray(one, dtype=np.float64).reshape(-1, 3) for one in line.get_data())
    assert np.isnan(x[:, 2]).all()
    assert (x[:, 0] == x[:, 1]).all()
    assert np.allclose(y[:, 1] - y[:, 0], 0.8)
    return list(zip(x[:, 0].tolist(), y[:, :2].mean(axis=1).round(9).tolist(), strict=True))


def row_names(axes: Axes) -> list[str]:
    """What is written along the y axis."""
    return [label.get_text() for label in axes.get_yticklabels()]


def legend_of(axes: Axes) -> tuple[str, list[str]]:
    """Title and entries."""
    legend = axes.get_legend()
    assert legend is not None
    return legend.get_title().get_text(), [text.get_text() for text in legend.get_texts()]


def shades_of(axes: Axes) -> list[Floats]:
    """The corners of all polygons of each shaded area, shape (n, 2)."""
    return [np.concatenate([np.asarray(path.vertices) for path in area.get_paths()]) for area in axes.collections]


def boxes(values: Floats, times: Floats, n: int) -> set[tuple[float, float]]:
    """The corners of the span of each `n` samples, from the first of them to the next."""
    corners = set()
    for first in range(0, len(values), n):
        block = values[first : first + n]
        end = times[first + n] if first + n < len(times) else times[-1]
        corners |= {(x, y) for x in (times[first], end) for y in (block.min(), block.max())}
    return corners


def assert_corners(found: Floats, wanted: set[tuple[float, float]]) -> None:
    """The same corners, but for rounding."""
    assert {(round(float(x), 6), round(float(y), 6)) for x, y in found} == {
        (round(float(x), 6), round(float(y), 6)) for x, y in wanted
    }


def rates_around(spikes: Floats, events: list[float]) -> Floats:
    """Rates in Hz, shape (events, bins), by comparing each spike with each bin."""
    rates = np.zeros((len(events), len(CENTRES)))
    for row, event in enumerate(events):
        for k in range(len(CENTRES)):
            rates[row, k] = ((spikes >= event + EDGES[k]) & (spikes < event + EDGES[k + 1])).sum() / BIN
    return rates


def assert_mean_and_error(axes: Axes, number: int, samples: Floats) -> None:
    """Line and shade of a group are mean and standard error of samples, shape (n, bins)."""
    x, y = (np.asarray(one, np.float64) for one in axes.lines[number].get_data())
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    np.testing.assert_allclose(x, CENTRES)
    np.testing.assert_allclose(y, samples.mean(axis=0))
    corners = shades_of(axes)[number]
    for k, centre in enumerate(CENTRES):
        edges = corners[np.isclose(corners[:, 0], centre), 1]
        np.testing.assert_allclose([edges.min(), edges.max()], [y[k] - error[k], y[k] + error[k]])
