"""The ephys sessions are what budgets and benchmarks take them for; h5py says what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_dask.testing.ephys import LFP_PATH, LFP_START, PRESENCE_RATIO, QUALITY, STIMULI, EphysLayout, write_ephys

LAYOUTS: tuple[EphysLayout, ...] = ("contiguous", "chunked", "gzip")
SIZES: dict[str, Any] = {
    "seconds": 10.0, "n_units": 20, "n_spikes": 3000, "n_trials": 12, "n_presentations": 8, "lfp_shape": (2000, 4),
    "lfp_chunk": (500, 2),
}  # fmt: skip


@pytest.fixture(scope="module", params=LAYOUTS)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[EphysLayout, Path]:
    layout: EphysLayout = request.param
    return layout, write_ephys(tmp_path_factory.mktemp("ephys") / f"{layout}.nwb", layout=layout, **SIZES)


def test_the_columns_are_stored_as_the_layout_says(written: tuple[EphysLayout, Path]) -> None:
    layout, path = written
    with h5py.File(path) as file:
        for name in ("units/spike_times", "units/quality", "units/id", "intervals/trials/start_time"):
            assert (file[name].chunks is not None) == (layout != "contiguous"), name
            assert file[name].compression == ("gzip" if layout == "gzip" else None), name
        lfp = file[f"{LFP_PATH}/data"]
        assert (lfp.chunks, lfp.compression, lfp.shuffle) == ((500, 2), "gzip", True)


def test_a_tenth_of_the_units_is_good_and_present(written: tuple[EphysLayout, Path]) -> None:
    with h5py.File(written[1]) as file:
        is_good = file["units/quality"].asstr()[:] == QUALITY
        is_present = file["units/presence_ratio"][:] > PRESENCE_RATIO
    assert (is_good & is_present).sum() == 2
    assert is_good.sum() > 2


def test_every_spike_belongs_to_one_unit_and_the_times_of_each_unit_rise(written: tuple[EphysLayout, Path]) -> None:
    with h5py.File(written[1]) as file:
        ends, times = file["units/spike_times_index"][:].astype(int), file["units/spike_times"][:]
    assert (len(ends), ends[-1], len(times)) == (20, 3000, 3000)
    assert all((np.diff(of_unit) >= 0).all() for of_unit in np.split(times, ends[:-1]))


def test_the_session_has_the_objects_of_a_published_one(written: tuple[EphysLayout, Path]) -> None:
    names: list[str] = []
    with h5py.File(written[1]) as file:
        file.visit(names.append)
        assert len(names) == 399
        assert len(file["intervals/trials"]) == 44
        assert set(file["intervals"]) == {"trials", *(f"{name}_presentations" for name in STIMULI)}
        assert file[f"{LFP_PATH}/starting_time"][()] == LFP_START


def test_the_same_arguments_write_the_same_values(written: tuple[EphysLayout, Path], tmp_path: Path) -> None:
    layout, path = written
    again = write_ephys(tmp_path / "again.nwb", layout=layout, **SIZES)
    other = write_ephys(tmp_path / "other.nwb", layout=layout, seed=1, **SIZES)
    with h5py.File(path) as first, h5py.File(again) as second, h5py.File(other) as third:
        for name in ("units/spike_times", "intervals/trials/event_03_time", f"{LFP_PATH}/data"):
            np.testing.assert_array_equal(first[name][:], second[name][:])
            assert not np.array_equal(first[name][:], third[name][:], equal_nan=True)
