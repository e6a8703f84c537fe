"""Edges of bins against fractions, which have no rounding errors."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwb_dask.analysis.bins import Bins, bin_numbers, bins_within, multiple, rounding_error, window_bins


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**4), st.integers(0, 60), st.sampled_from([1, 10, 100, 1000]))
def test_edges_and_centres_are_the_decimals_that_are_meant(start: int, size: int, count: int, scale: int) -> None:
    bins = Bins(start / scale, size / scale, count)
    assert bins.edges.tolist() == [float(Fraction(start + k * size, scale)) for k in range(count + 1)]
    assert bins.centres.tolist() == [float(Fraction(2 * start + (2 * k + 1) * size, 2 * scale)) for k in range(count)]


def test_edges_of_a_window_are_what_one_would_type() -> None:
    bins = window_bins((-0.3, 0.4), 0.1)
    assert bins.edges.tolist() == [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4]
    assert bins.centres.tolist() == [-0.25, -0.15, -0.05, 0.05, 0.15, 0.25, 0.35]
    assert multiple(3, 0.1) == 0.3


def test_bins_that_are_no_short_fractions_still_ascend() -> None:
    bins = Bins(np.pi * 1e4, np.e / 1e3, 1000)
    np.testing.assert_allclose(np.diff(bins.edges), np.e / 1e3, rtol=1e-6)
    assert ((bins.centres > bins.edges[:-1]) & (bins.centres < bins.edges[1:])).all()


@pytest.mark.parametrize(
    ("start", "stop", "size", "expected"),
    [(0, 0.3, 0.1, 3), (-0.5, 1, 0.02, 75), (0, 1, 1 / 3, 3), (1e9, 1e9 + 7200, 0.001, 7_200_000), (0, 1, 0.4, 2.5)],
)
def test_whole_numbers_of_bins_are_found_in_spite_of_rounding(
    start: float, stop: float, size: float, expected: float
) -> None:
    assert bins_within(start, stop, size) == expected


@pytest.mark.parametrize("window", [(-0.5, 1.0), (0.0, 0.0), (1.0, 0.0)])
def test_a_window_that_is_no_whole_number_of_bins_is_an_error(window: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"not a whole number of bins of 0\.4 s; \("):
        window_bins(window, 0.4)


@pytest.mark.parametrize(("window", "size"), [((0, 1), 0), ((0, 1), -1), ((0, np.inf), 1), ((np.nan, 1), 1)])
def test_windows_and_bins_are_finite(window: tuple[float, float], size: float) -> None:
    with pytest.raises(ValueError, match="finite seconds"):
        window_bins(window, size)


def test_a_time_within_rounding_error_of_an_edge_is_in_the_bin_that_begins_there() -> None:
    edges = Bins(0.0, 0.1, 5).edges
    below = np.array([0.7 - 0.6, 0.1, 0.1 - 1e-9, 0.5 - 1e-17, 0.5, -1e-17, -1e-9])
    assert bin_numbers(below, edges, rounding_error(0.7)).tolist() == [1, 1, 0, 5, 5, 0, -1]
    assert 0.7 - 0.6 < 0.1
