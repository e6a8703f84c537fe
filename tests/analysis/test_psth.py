"""Rates of many sessions against numpy's histogram of what was written, and what is read to find them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd
import pytest

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.adapters.ragged_dtype import NWBDtype
from nwb_dask.analysis import bin_spikes, peri_event_counts, psth, spikes_in_intervals
from nwb_dask.errors import PathNotFoundError
from tests.analysis.brute import counts_around
from tests.analysis.rates import ASK, BIN, EDGES, WINDOW, check, expected_rates
from tests.analysis.sessions import Session


@pytest.fixture
def units(files: list[Path]) -> dd.DataFrame:
    return dd.read_nwb(files, "/units")


@pytest.fixture
def trials(files: list[Path]) -> dd.DataFrame:
    return dd.read_nwb(files, "/intervals/trials")


@pytest.fixture
def expected(sessions: list[Session]) -> pd.DataFrame:
    return expected_rates(sessions, "response_time", ["condition"])


@pytest.mark.parametrize("align", ["response_time", "start_time"])
@pytest.mark.parametrize("by", [None, "condition", ["condition", "block"]], ids=["all", "one", "two"])
def test_rates_are_those_of_a_histogram_for_each_unit_and_trial(
    units: dd.DataFrame, trials: dd.DataFrame, sessions: list[Session], align: str, by: str | list[str] | None
) -> None:
    rates = psth(units, trials, **(ASK | {"align": align, "by": by}))
    names = [by] if isinstance(by, str) else by or []
    reference = expected_rates(sessions, align, names)
    assert reference["count"].sum() > 1000
    check(rates.compute(), reference)


def test_rates_of_frames_in_memory_are_the_same(
    units: dd.DataFrame, trials: dd.DataFrame, expected: pd.DataFrame
) -> None:
    check(psth(units.compute(), trials.compute(), **ASK), expected)


def test_dtypes_are_known_before_anything_is_computed(units: dd.DataFrame, trials: dd.DataFrame) -> None:
    rates = psth(units, trials, unit_columns=["area", "depth", "spike_times"], **ASK)
    computed = rates.compute()
    pd.testing.assert_series_equal(computed.dtypes, rates.dtypes)
    assert [str(computed[name].dtype) for name in ("unit", "time", "count", "n_trials", "rate", "n_without_event")] == [
        "int64", "float64", "int64", "int64", "float64", "int64",
    ]  # fmt: skip


def test_building_opens_no_file_and_computes_nothing(
    units: dd.DataFrame, trials: dd.DataFrame, no_compute: None
) -> None:
    with nwb_dask.trace() as reads:
        rates = psth(units[units.area == "a"], trials, **ASK)
        assert rates.optimize().__dask_graph__()
        assert repr(rates)
    assert reads.requests == 0


def test_only_the_columns_that_are_needed_are_read(units: dd.DataFrame, trials: dd.DataFrame) -> None:
    rates = psth(units[units.area == "a"], trials[trials.block < 3], unit_columns=["depth"], **ASK)
    reads = {read.table: read for read in rates.nwb.explain().reads}
    assert set(reads) == {"/units", "/intervals/trials"}
    assert set(reads["/units"].columns) == {"_nwb_path", "id", "obs_intervals", "spike_times", "depth"}
    assert reads["/units"].predicate == "area == 'a'"
    assert set(reads["/intervals/trials"].columns) == {"_nwb_path", "response_time", "condition"}
    assert reads["/intervals/trials"].predicate == "block < 3"
    assert not any(read.residual for read in reads.values())


def test_a_session_is_one_task_so_that_spikes_stay_where_they_are_read(
    units: dd.DataFrame, trials: dd.DataFrame
) -> None:
    rates = psth(units, trials, **ASK)
    graph = rates.optimize().__dask_graph__()
    # Units without trials and trials without units are not read.
    assert len(graph) == rates.npartitions == 4
    assert max(len(pickle.dumps(task)) for task in graph.values()) < 10_000


def test_a_hundred_sessions_make_a_hundred_tasks(files: list[Path], tmp_path: Path) -> None:
    copies = [tmp_path / f"copy-{number:03}.nwb" for number in range(100)]
    for copy in copies:
        copy.write_bytes(files[0].read_bytes())
    units, trials = dd.read_nwb(copies, "/units"), dd.read_nwb(copies, "/intervals/trials")
    assert len(psth(units, trials, **ASK).optimize().__dask_graph__()) == 100


def test_one_partition_reads_one_session(units: dd.DataFrame, trials: dd.DataFrame, files: list[Path]) -> None:
    first = psth(units, trials, **ASK).partitions[0]
    assert set(first.nwb.partitions.file) == {str(files[0])}
    assert set(first.compute()._nwb_path) == {str(files[0])}


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_schedulers_of_this_process_give_the_same(
    units: dd.DataFrame, trials: dd.DataFrame, expected: pd.DataFrame, scheduler: str
) -> None:
    check(psth(units, trials, **ASK).compute(scheduler=scheduler), expected)


def test_rates_are_a_dask_frame_like_any_other(
    units: dd.DataFrame, trials: dd.DataFrame, expected: pd.DataFrame
) -> None:
    means = psth(units, trials, unit_columns=["area"], **ASK).groupby(["condition", "time"]).rate.mean().compute()
    pd.testing.assert_series_equal(
        means.sort_index(), expected.groupby(["condition", "time"]).rate.mean(), check_index_type=False
    )


def test_filters_on_units_trials_and_sessions_leave_the_rest(
    units: dd.DataFrame, trials: dd.DataFrame, sessions: list[Session], files: list[Path]
) -> None:
    def chosen(session: Session) -> Session:
        kept = [number for number in range(len(session.ids)) if number % 2 == 0]
        return Session(
            session.path,
            [session.ids[number] for number in kept],
            [session.spikes[number] for number in kept],
            session.observed and [session.observed[number] for number in kept],
            session.trials[session.trials.block > 0],
        )

    reference = expected_rates([chosen(session) for session in sessions], "start_time", ["condition"])
    ask = ASK | {"align": "start_time"}
    check(psth(units[units.area == "a"], trials[trials.block > 0], **ask).compute(), reference)
    one = units[(units.area == "a") & (units._nwb_path == str(files[5]))]
    rates = psth(one, trials[trials.block > 0], **ask)
    assert rates.npartitions == 1
    check(rates.compute(), reference[reference._nwb_path == str(files[5])].reset_index(drop=True))


def test_units_split_by_rows_are_matched_with_the_trials_of_their_session(
    files: list[Path], trials: dd.DataFrame, expected: pd.DataFrame
) -> None:
    units = dd.read_nwb(files, "/units", blocksize=20_000)
    rates = psth(units, trials, **ASK)
    assert rates.npartitions > 4
    check(rates.compute(), expected)


def test_several_sessions_in_a_partition_are_told_apart(files: list[Path], expected: pd.DataFrame) -> None:
    units, trials = (dd.read_nwb(files, table, aggregate_files="1 GB") for table in ("/units", "/intervals/trials"))
    assert units.npartitions == trials.npartitions == 1
    check(psth(units, trials, **ASK).compute(), expected)


def test_sources_in_another_order_are_matched_by_session(
    files: list[Path], units: dd.DataFrame, expected: pd.DataFrame
) -> None:
    check(psth(units, dd.read_nwb(files[::-1], "/intervals/trials"), **ASK).compute(), expected)


@pytest.mark.parametrize("split", [1, 3])
def test_trials_in_memory_or_in_one_partition_go_to_all(
    files: list[Path], units: dd.DataFrame, trials: dd.DataFrame, expected: pd.DataFrame, split: int
) -> None:
    units = dd.read_nwb(files, "/units").repartition(npartitions=split)
    check(psth(units, trials.compute(), **ASK).compute(), expected)
    check(psth(units, trials.repartition(npartitions=1), **ASK).compute(), expected)


def test_sessions_without_anything_in_common_have_no_rates(files: list[Path]) -> None:
    rates = psth(dd.read_nwb(files[:2], "/units"), dd.read_nwb(files[3:5], "/intervals/trials"), **ASK)
    computed = rates.compute()
    assert len(computed) == 0
    pd.testing.assert_series_equal(computed.dtypes, rates.dtypes)


UNPAIRED = {
    "persisted": lambda units, trials: (units.persist(), trials),
    "persisted trials": lambda units, trials: (units, trials.persist()),
    "repartitioned": lambda units, trials: (units.repartition(npartitions=2), trials),
    "from memory": lambda units, trials: (units, dd.from_pandas(trials.compute(), npartitions=3)),
    "whole units": lambda units, trials: (units.repartition(npartitions=1), trials),
}


@pytest.mark.parametrize("how", UNPAIRED)
def test_partitions_of_unknown_sessions_are_an_error_that_names_the_way_out(
    units: dd.DataFrame, trials: dd.DataFrame, expected: pd.DataFrame, how: str
) -> None:
    units, trials = UNPAIRED[how](units, trials)
    with pytest.raises(ValueError, match=r"pass trials\.repartition\(npartitions=1\)"):
        psth(units, trials, **ASK)
    check(psth(units, trials.repartition(npartitions=1), **ASK).compute(), expected)


def test_trials_of_a_session_in_several_partitions_are_an_error_that_names_the_way_out(
    files: list[Path], units: dd.DataFrame, expected: pd.DataFrame
) -> None:
    trials = dd.read_nwb(files, "/intervals/trials", blocksize=200)
    with pytest.raises(ValueError, match=r"trials are in \d+ partitions.*trials\.repartition\(npartitions=1\)"):
        psth(units, trials, **ASK)
    check(psth(units, trials.repartition(npartitions=1), **ASK).compute(), expected)


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # dask 2026.8 with pandas 3.1
@pytest.mark.parametrize("which", ["units", "trials"])
def test_rows_that_have_moved_since_they_were_read_are_an_error_and_never_missing(
    units: dd.DataFrame, trials: dd.DataFrame, which: str
) -> None:
    if which == "units":
        units = units[["_nwb_path", "id", "spike_times"]].shuffle("id", npartitions=units.npartitions)
    else:
        trials = trials.shuffle("response_time", npartitions=trials.npartitions)
    with pytest.raises(ValueError, match=rf"{which} were shuffled.*trials\.repartition\(npartitions=1\)"):
        psth(units, trials, **ASK).compute()


def test_conditions_may_be_missing_values() -> None:
    units = pd.DataFrame({"spike_times": [[1.1]]})
    trials = pd.DataFrame({"start_time": [1.0, 1.0, 2.0], "reward": pd.array([1, None, None], dtype="Int64")})
    rates = psth(units, trials, align="start_time", window=(0, 1), bin_size=1, by="reward")
    assert rates.reward.tolist() == [1, pd.NA]
    assert rates["count"].tolist() == [1, 1]
    assert rates.n_trials.tolist() == [1, 2]
    assert "_nwb_path" not in rates


@pytest.mark.parametrize("dtype", ["str", "string", "category", "object", "float64"])
def test_missing_conditions_of_any_dtype_are_a_condition_of_their_own(dtype: str) -> None:
    values: list[Any] = [2.0, None, 1.0, None] if dtype == "float64" else ["b", None, "a", None]
    trials = pd.DataFrame({"start_time": [1.0] * 4, "by": pd.Series(values, dtype=dtype)})
    rates = psth(pd.DataFrame({"spike_times": [[]]}), trials, align="start_time", window=(0, 1), bin_size=1, by="by")
    assert rates.n_trials.tolist() == [1, 1, 2]
    assert rates.by.isna().tolist() == [False, False, True]
    assert rates.by[:2].tolist() == ([1.0, 2.0] if dtype == "float64" else ["a", "b"])
    assert rates.by.dtype == trials.by.dtype


def test_units_without_spike_times_have_no_trials_and_those_without_spikes_have_rates_of_zero() -> None:
    units = pd.DataFrame({"id": [7, 8], "spike_times": pd.Series([None, []], dtype=NWBDtype("list<double>"))})
    rates = psth(units, pd.DataFrame({"go": [1.0, 2.0]}), align="go", window=(0, 1), bin_size=1)
    assert rates.unit.tolist() == [7, 8]
    assert rates.n_trials.tolist() == [0, 2]
    np.testing.assert_array_equal(rates.rate, [np.nan, 0])


def test_rates_of_one_unit_become_an_array() -> None:
    trials = pd.DataFrame({"go": [1.0, 2.0, 3.0], "side": ["l", "r", "l"]})
    spikes = [0.9, 1.2, 2.2, 3.1]
    rates = psth(
        pd.DataFrame({"spike_times": [spikes]}), trials, align="go", window=(-0.5, 0.5), bin_size=0.5, by="side"
    )
    array = rates.set_index(["side", "time"]).rate.to_xarray()
    counts = peri_event_counts([spikes], trials.go, window=(-0.5, 0.5), bin_size=0.5)[0]
    np.testing.assert_array_equal(array.sel(side="l"), counts[[0, 2]].mean("trial") / 0.5)
    np.testing.assert_array_equal(array.sel(side="r"), counts[1] / 0.5)


def test_many_trials_in_conditions_of_their_own() -> None:
    random = np.random.default_rng(1)
    trials = pd.DataFrame({"go": random.uniform(0, 100, 300), "number": np.arange(300)})
    spikes = random.uniform(0, 100, 5000)
    rates = psth(pd.DataFrame({"spike_times": [spikes]}), trials, align="go", window=WINDOW, bin_size=BIN, by="number")
    np.testing.assert_array_equal(
        rates["count"].to_numpy().reshape(300, -1), counts_around(spikes, list(trials.go), EDGES)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"align": "respons_time"}, "no column 'respons_time' in trials; did you mean 'response_time'"),
        ({"by": ["condition", "color"]}, "no column 'color' in trials"),
        ({"unit_columns": ["areas"]}, "no column 'areas' in units; did you mean 'area'"),
    ],
)
def test_a_column_that_is_not_there_is_an_error(
    units: dd.DataFrame, trials: dd.DataFrame, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(PathNotFoundError, match=message):
        psth(units, trials, **(ASK | change))


@pytest.mark.parametrize(
    "change", [{"by": ["condition", "condition"]}, {"unit_columns": ["_nwb_path"]}, {"by": "time"}]
)
def test_columns_that_would_be_there_twice_are_an_error(
    units: dd.DataFrame, trials: dd.DataFrame, change: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="two columns"):
        psth(units, trials, **(ASK | change))


def test_a_window_of_broken_bins_is_an_error(units: dd.DataFrame, trials: dd.DataFrame) -> None:
    with pytest.raises(ValueError, match="not a whole number of bins"):
        psth(units, trials, **(ASK | {"bin_size": 0.2}))


def test_frames_that_do_not_say_their_session_are_an_error(
    files: list[Path], units: dd.DataFrame, trials: dd.DataFrame
) -> None:
    nameless = dd.read_nwb(files, "/units", include_path_columns=False)
    with pytest.raises(ValueError, match=r"units have no column '_nwb_path'.*include_path_columns=True"):
        psth(nameless, trials, **ASK)
    with pytest.raises(ValueError, match="which rows belong together is unknown"):
        psth(units.compute(), trials.compute().drop(columns="_nwb_path"), **ASK)


def test_units_of_a_null_session_are_an_error_and_not_left_out() -> None:
    units = pd.DataFrame({"_nwb_path": ["a", None], "spike_times": [[1.0], [2.0]]})
    trials = pd.DataFrame({"_nwb_path": ["a"], "go": [1.0]})
    with pytest.raises(ValueError, match="1 units have a null '_nwb_path'"):
        psth(units, trials, align="go", window=(0, 1), bin_size=1)


def test_lazy_trials_of_units_in_memory_are_an_error(units: dd.DataFrame, trials: dd.DataFrame) -> None:
    with pytest.raises(TypeError, match=r"trials\.compute\(\)"):
        psth(units.compute(), trials, **ASK)


@pytest.mark.parametrize("kind", ["lazy", "one partition", "in memory"])
def test_spikes_in_the_trials_of_many_sessions(
    units: dd.DataFrame, trials: dd.DataFrame, sessions: list[Session], kind: str
) -> None:
    within = {"lazy": trials, "one partition": trials.repartition(npartitions=1), "in memory": trials.compute()}[kind]
    kept = spikes_in_intervals(units, within)
    assert kept.npartitions == units.npartitions
    computed = kept.compute()
    pd.testing.assert_series_equal(computed.dtypes, kept.dtypes)
    pd.testing.assert_frame_equal(computed, spikes_in_intervals(units.compute(), trials.compute()))
    rows = iter(computed.spike_times)
    for session in sessions:
        bounds = session.trials[["start_time", "stop_time"]].to_numpy()
        for spikes in session.spikes:
            inside = [spike for spike in spikes if any(start <= spike < stop for start, stop in bounds)]
            np.testing.assert_array_equal(next(rows), inside)
    assert next(rows, None) is None


def test_spikes_in_intervals_read_what_is_used_of_them(
    units: dd.DataFrame, trials: dd.DataFrame, no_compute: None
) -> None:
    for kept in (spikes_in_intervals(units, trials), spikes_in_intervals(units, [[0, 10]])):
        reads = {read.table: read for read in kept[["area", "spike_times"]].nwb.explain().reads}
        assert set(reads["/units"].columns) == {"_nwb_path", "area", "obs_intervals", "spike_times"}
        if "/intervals/trials" in reads:
            assert set(reads["/intervals/trials"].columns) == {"_nwb_path", "start_time", "stop_time"}


def test_the_same_intervals_hold_for_every_session(units: dd.DataFrame, sessions: list[Session]) -> None:
    kept = spikes_in_intervals(units, [[20, 40], [30, 50]]).compute()
    expected = [[spike for spike in spikes if 20 <= spike < 50] for session in sessions for spikes in session.spikes]
    assert [row.tolist() for row in kept.spike_times] == expected


def test_a_session_of_a_file_is_binned_like_any_other(units: dd.DataFrame, sessions: list[Session]) -> None:
    counts = bin_spikes(units.partitions[0].compute(), bin_size=10, start_time=0, stop_time=200)
    assert counts.unit.values.tolist() == sessions[0].ids
    np.testing.assert_array_equal(counts[0], np.histogram(sessions[0].spikes[0], np.arange(0, 201, 10))[0])
    assert np.isnan(counts[3]).all()
    with pytest.raises(ValueError, match="5 sessions"):
        bin_spikes(units.compute(), bin_size=10)


def test_results_have_names_that_do_not_depend_on_the_process(units: dd.DataFrame, trials: dd.DataFrame) -> None:
    with dask.config.set({"tokenize.ensure-deterministic": True}):
        names = {psth(units, trials, **ASK).expr._name for _ in range(2)}
        assert len(names) == 1
        assert psth(units, trials, **(ASK | {"align": "start_time"})).expr._name not in names
