"""Local files: what the operating system says was read is what the question needs, and little more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.testing.files import Layout
from tests.budgets.conftest import Fresh
from tests.budgets.measure import Measured, measure, needs_counters
from tests.budgets.queries import ENGINES, FORMS, as_arrays, chosen
from tests.budgets.sessions import CHOICE, CHOSEN, LAYOUTS, N_UNITS, UNFILTERED, stored_bytes, values

pytestmark = needs_counters

PLAN_BYTES = {"pandas": 112_000, "polars": 112_000, "arrow": 112_000, "dask": 144_000}
"""Finding and describing a table of which nothing is known, and the columns of the filter: headers, names and
attributes of the columns asked for, which for dask are all; chunks that are looked up, in pages of 1 KiB.
Measured: 24 to 109 kB, and 62 to 140 kB."""
OPEN_BYTES = 44_000
"""Opening a file whose table is known, for the addresses of chunks. Measured: nothing for contiguous columns, 8 to
41 kB for chunks."""

COUNTS: dict[str, Callable[[Any], int]] = {
    "len": len,
    "len of a heavy column": lambda frame: len(frame.spike_times),
    "len of chosen columns": lambda frame: len(frame[["id", "waveform_mean"]]),
    "count": lambda frame: int(frame.id.count().compute()),
    "shape": lambda frame: int(frame.shape[0].compute()),
    "size of the index": lambda frame: int(frame.index.size.compute()),
}
SIGNATURE_BYTES = 8
"""By which HDF5 is told from what else a file may be, whenever one is opened."""

HEAVY = ("spike_times", "waveform_mean")


def warmed(fresh: Fresh, layout: Layout, call: Callable[[Any], Any]) -> tuple[Any, Measured[Any]]:
    """Measure a call on a new file, after one on another: the first one imports modules."""
    call(fresh(layout))
    path = fresh(layout)
    return path, measure(lambda: call(path))


def planned(fresh: Fresh, layout: Layout, query: Callable[[Any], Any]) -> tuple[Any, Measured[Any]]:
    """Measure a query over a frame that is planned already, after the same over another."""
    query(dd.read_nwb(fresh(layout), "/units"))
    path = fresh(layout)
    frame = dd.read_nwb(path, "/units")
    return path, measure(lambda: query(frame))


def assert_equal(got: Any, expected: Any) -> None:
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("column", HEAVY)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("engine", ENGINES)
def test_five_percent_of_the_units_cost_what_they_take(fresh: Fresh, engine: str, layout: Layout, column: str) -> None:
    path, used = warmed(fresh, layout, lambda path: chosen(engine, path, column, CHOICE))
    assert_equal(used.result, values(path, column, CHOSEN))
    assert used.bytes <= stored_bytes(path, column, CHOSEN) + PLAN_BYTES[engine]
    if layout in UNFILTERED:
        assert used.bytes < 0.1 * path.stat().st_size


@pytest.mark.parametrize("layout", ["default", "gzip"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_filter_has_the_same_budget(fresh: Fresh, form: str, layout: Layout) -> None:
    path, used = planned(fresh, layout, lambda frame: FORMS[form](frame).compute())
    spikes = used.result if isinstance(used.result, pd.Series) else used.result["spike_times"]
    assert_equal(as_arrays(spikes), values(path, "spike_times", CHOSEN))
    assert used.bytes <= stored_bytes(path, "spike_times", CHOSEN) + OPEN_BYTES


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("column", HEAVY)
def test_head_reads_the_first_rows_only(fresh: Fresh, layout: Layout, column: str) -> None:
    path, used = planned(fresh, layout, lambda frame: frame[["id", column]].head(5))
    assert_equal(as_arrays(used.result[column]), values(path, column, range(5)))
    assert used.bytes <= stored_bytes(path, column, range(5)) + OPEN_BYTES


@pytest.mark.parametrize("layout", LAYOUTS)
def test_head_of_a_filter_reads_the_first_rows_that_it_keeps(fresh: Fresh, layout: Layout) -> None:
    path, used = planned(fresh, layout, lambda frame: frame[frame.shank == 7].spike_times.head(3))
    assert_equal(as_arrays(used.result), values(path, "spike_times", CHOSEN[:3]))
    assert used.bytes <= stored_bytes(path, "spike_times", CHOSEN[:3]) + OPEN_BYTES


@pytest.mark.parametrize("layout", LAYOUTS)
def test_head_of_all_columns_reads_the_first_rows_of_each(fresh: Fresh, layout: Layout) -> None:
    path, used = planned(fresh, layout, lambda frame: frame.head(5))
    heavy = [stored_bytes(path, column, range(5)) for column in (*HEAVY, "snippets")]
    assert used.bytes <= sum(heavy) + PLAN_BYTES["dask"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("count", COUNTS)
def test_counting_rows_reads_nothing(fresh: Fresh, layout: Layout, count: str) -> None:
    # Now and then the process that runs the tests is sent a message meanwhile, which counts too.
    tries = [planned(fresh, layout, COUNTS[count])[1] for _ in range(3)]
    assert {used.result for used in tries} == {N_UNITS}
    assert min((used.bytes, used.calls) for used in tries) == (0, 0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_counting_chosen_rows_reads_the_columns_of_the_filter(fresh: Fresh, layout: Layout) -> None:
    path, used = planned(fresh, layout, lambda frame: len(frame[frame.shank == 7]))
    assert used.result == len(CHOSEN)
    assert used.bytes <= stored_bytes(path, "shank", range(N_UNITS)) + OPEN_BYTES


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("engine", ENGINES)
def test_one_scalar_column_costs_its_bytes(fresh: Fresh, engine: str, layout: Layout) -> None:
    def read(path: Any) -> Any:
        if engine == "dask":
            return dd.read_nwb(path, "/units").firing_rate.compute()
        return nwb_dask.read_table(path, "/units", engine, columns=["firing_rate"])["firing_rate"]  # type: ignore[call-overload]  # any engine

    path, used = warmed(fresh, layout, read)
    np.testing.assert_array_equal(np.asarray(used.result), values(path, "firing_rate", range(N_UNITS)))
    assert used.bytes <= stored_bytes(path, "firing_rate", range(N_UNITS)) + PLAN_BYTES[engine]


@pytest.mark.parametrize("columns", [["firing_rate"], ["spike_times"], ["depth", "snr", "waveform_mean"]])
def test_planned_contiguous_numbers_cost_no_metadata(fresh: Fresh, columns: list[str]) -> None:
    path, used = planned(fresh, "contiguous", lambda frame: frame[frame.shank == 7][columns].compute())
    every = range(N_UNITS)
    heavy = sum(stored_bytes(path, column, CHOSEN) for column in columns if column in HEAVY)
    # Values of the chosen rows; those that are close together may be read with what lies between.
    light = [column for column in columns if column not in HEAVY]
    light += ["spike_times_index"] if "spike_times" in columns else []
    least, most = (sum(stored_bytes(path, column, rows) for column in light) for rows in (CHOSEN, every))
    found = used.bytes - heavy - stored_bytes(path, "shank", every) - SIGNATURE_BYTES
    assert least <= found <= most


@pytest.mark.parametrize("layout", LAYOUTS)
def test_small_column_of_arrays_is_read_once_at_most(fresh: Fresh, layout: Layout) -> None:
    path, used = warmed(fresh, layout, lambda path: chosen("pandas", path, "snippets", CHOICE))
    assert_equal(used.result, values(path, "snippets", CHOSEN))
    # Up to 256 KiB in chunks are read whole while the file is open for the plan.
    rows = CHOSEN if layout == "contiguous" else range(N_UNITS)
    assert used.bytes <= stored_bytes(path, "snippets", rows) + PLAN_BYTES["pandas"]


def test_references_are_followed_for_the_chosen_rows_only(fresh: Fresh) -> None:
    _, used = warmed(fresh, "default", lambda path: chosen("pandas", path, "electrode_group", CHOICE))
    assert used.bytes <= PLAN_BYTES["pandas"]
