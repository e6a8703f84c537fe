"""Loops over rows of what is not HDF5: as many requests as there are chunks, not rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

import nwb_dask
from nwb_dask.testing import RangeServer

INTEROP = Path(__file__).parents[3] / "shared" / "data" / "interop"
RECORDED_AT = "http://127.0.0.1:8765/session.nwb"
"""Where the LINDI document says that the HDF5 file is."""
FORMS = {"session.lindi.json": 8, "session_zarr2.nwb.zarr": 8, "session_zarr3.nwb.zarr": 8}
"""Form -> requests that 20 rows of spikes may take, one by one, and each seventh spike after them."""

pytestmark = pytest.mark.skipif(not INTEROP.exists(), reason="the session in all forms is not here")


@pytest.fixture
def served() -> Iterator[RangeServer]:
    with (
        RangeServer(INTEROP) as server,
        nwb_dask.options(remap={RECORDED_AT: server.url("session.nwb")}, allow_hosts=["127.0.0.1"]),
    ):
        yield server


@pytest.mark.parametrize("form", FORMS)
def test_rows_that_are_asked_for_one_by_one_are_read_together(form: str, served: RangeServer) -> None:
    with h5py.File(INTEROP / "session.nwb") as expected, nwb_dask.open_h5(served.url(form)) as file:
        served.reset()
        ends = file["units/spike_times_index"]
        starts = [0, *ends[:-1]]
        found = [file["units/spike_times"][start:stop] for start, stop in zip(starts, ends, strict=True)]
        one_by_one = [file["units/spike_times"][at] for at in range(0, len(file["units/spike_times"]), 7)]
        assert served.n_requests <= FORMS[form]
        spikes = expected["units/spike_times"]
        np.testing.assert_array_equal(np.concatenate(found), spikes[:])
        np.testing.assert_array_equal(one_by_one, spikes[::7])


@pytest.mark.parametrize("form", FORMS)
def test_what_was_read_ahead_cannot_be_changed_by_its_user(form: str, served: RangeServer) -> None:
    with nwb_dask.open_h5(served.url(form)) as file:
        first = file["units/spike_times"][:5]
        kept = first.copy()
        first[:] = -1
        np.testing.assert_array_equal(file["units/spike_times"][:5], kept)
