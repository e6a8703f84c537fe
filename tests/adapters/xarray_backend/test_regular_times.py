"""Stored times are taken for those of a clock only where they are, to within a fraction of a sample."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from nwb_dask.adapters.xarray_backend.axes import (
    ArrayAxis,
    ConcatAxis,
    SampledAxis,
    StoredAxis,
    regular,
    regularize,
    segments,
)
from nwb_dask.errors import IrregularTimesError
from tests.adapters.xarray_backend.stamps import ArrayStamps, Labels, SimulatedStamps


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regular, "_PIECE", 1000)


def jittered(n: int, rate: float, start: float = 5.0, sigma: float = 0.01) -> Labels:
    rng = np.random.default_rng(n)
    return np.arange(n) / rate + start + rng.normal(0, sigma / rate, n)


def test_regular_stamps_become_a_clock_of_a_round_rate() -> None:
    labels = np.arange(50_000) / 1250.0 + 3.25
    found = regularize(StoredAxis(ArrayStamps("round", labels)))
    assert found == SampledAxis(3.25, 1250.0, 50_000)
    np.testing.assert_array_equal(found.labels(), labels)


def test_jitter_is_taken_off_within_the_tolerance() -> None:
    labels = jittered(20_000, 30.0)
    found = regularize(ArrayAxis(labels))
    assert isinstance(found, SampledAxis)
    assert found.n == len(labels)
    assert np.abs(found.labels() - labels).max() <= 0.1 / 30
    assert found.rate == pytest.approx(30.0, rel=1e-4)


@pytest.mark.parametrize("cuts", [[7_000], [1000, 2000], [999, 1001, 5000], [1, 9999]])
def test_gaps_part_the_clock_where_they_are(cuts: list[int]) -> None:
    labels = np.arange(10_000) / 100.0
    for cut in cuts:
        labels[cut:] += 12.3
    axis = StoredAxis(ArrayStamps(f"gaps {cuts}", labels))
    found = segments(axis)
    bounds = [0, *cuts, 10_000]
    assert [(one.start, one.stop) for one in found] == list(pairwise(bounds))
    assert [(one.first, one.last) for one in found] == [(labels[a], labels[b - 1]) for a, b in pairwise(bounds)]
    clock = regularize(axis)
    assert isinstance(clock, ConcatAxis)
    assert clock.is_free
    assert [piece.n for piece in clock.pieces] == np.diff(bounds).tolist()
    np.testing.assert_allclose(clock.labels(), labels, rtol=0, atol=1e-9)


def test_missing_frame_is_a_gap() -> None:
    labels = np.delete(np.arange(5000) / 30.0, [1200, 3400])
    assert [one.stop for one in segments(ArrayAxis(labels))] == [1200, 3399, 4998]


def drifting(n: int) -> Labels:
    steps = np.linspace(1.0, 1.05, n) / 100
    return np.cumsum(steps)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (drifting(5000), "is more than 0.1 of a period"),
        (jittered(5000, 30.0, sigma=0.15), "more than"),
        (np.cumsum(np.random.default_rng(0).exponential(1, 5000)), "have no rate"),
        (np.arange(5000.0)[::-1], "do not increase"),
        (np.repeat(np.arange(2500.0), 2), "have no rate|do not increase"),
        (np.append(np.arange(5000.0), np.nan), "do not increase"),
        (np.where(np.arange(5000) == 2500, 0, np.arange(5000.0)), "do not increase"),
        (np.append(np.arange(1500.0), 1498.0), "do not increase"),
    ],
)
def test_times_without_a_rate_are_refused_and_never_moved(labels: Labels, reason: str) -> None:
    with pytest.raises(IrregularTimesError, match=reason):
        regularize(ArrayAxis(labels))


def test_clock_that_is_one_already_is_returned_as_it_is() -> None:
    clock = SampledAxis(1.0, 2.0, 100)
    assert regularize(clock) is clock
    single = StoredAxis(ArrayStamps("single", np.array([4.0])))
    assert regularize(single) is single
    with pytest.raises(IrregularTimesError, match="1 times"):
        segments(single)


def test_stamps_are_read_twice_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regular, "_PIECE", 1 << 18)
    stamps = SimulatedStamps("pieces", 2_000_000, 8192, lambda rows: rows / 30_000.0 + 100.0 * (rows >= 700_000))
    found = regularize(StoredAxis(stamps))
    assert isinstance(found, ConcatAxis)
    assert [piece.n for piece in found.pieces] == [700_000, 1_300_000]
    assert stamps.log.n_bytes < 2.2 * 2_000_000 * 8
    assert max(stop - start for start, stop in stamps.log.reads) <= 1 << 18
