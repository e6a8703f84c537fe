"""Frames of real files on workers in other processes: the same answers, and secrets that no graph holds."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dask_dataframe  # noqa: ICN001  # dd is ours here
import pandas as pd
import pytest
from distributed import Client, LocalCluster

import nwb_dask.dataframe as dd
from nwb_dask.adapters.cluster_secrets import share_secrets
from nwb_dask.adapters.dask_frame.expr import ReadNWB
from nwb_dask.errors import PathNotFoundError, PredicateError
from nwb_dask.storage import make_access
from nwb_dask.storage.access import find_secrets
from nwb_dask.testing.files import write_session

N_UNITS = 8


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sessions")
    return [write_session(folder / f"ses-{i}.nwb", seed=i, n_units=N_UNITS, spikes_per_unit=5) for i in range(3)]


@pytest.fixture
def units(files: list[Path]) -> dd.DataFrame:
    return dd.read_nwb(files, "/units")


@pytest.fixture
def in_memory(units: dd.DataFrame) -> pd.DataFrame:
    with dask.config.set(scheduler="synchronous"):
        frame: pd.DataFrame = units.compute()
    return frame


def good(d: Any) -> Any:
    return d[(d.quality == "good") & (d.id > 1)]


QUERIES: dict[str, Callable[[Any], Any]] = {
    "filter": lambda d: good(d).spike_times,
    "query": lambda d: d.query("quality == 'good' and id > 1").spike_times,
    "groupby": lambda d: good(d).groupby("quality").id.sum(),
    "merge": lambda d: good(d)[["id", "_nwb_path", "spike_times"]].merge(
        d[["id", "_nwb_path", "quality"]], on=["id", "_nwb_path"]
    ),
    "sort": lambda d: good(d)[["id", "quality", "spike_times"]].sort_values("id"),
    "cumsum": lambda d: good(d).id.cumsum(),
    "reduction in the filter": lambda d: d[d.id > d.id.mean()][["id", "spike_times"]],
}


def check(result: Any, expected: Any) -> None:
    if isinstance(expected, pd.DataFrame):
        by = [name for name in ("_nwb_path", "id") if name in expected]
        lengths = (one.assign(spike_times=one.spike_times.nwb.lengths()) for one in (result, expected))
        left, right = (one.sort_values([*by, "spike_times"]).reset_index(drop=True) for one in lengths)
        pd.testing.assert_frame_equal(left, right)
    else:
        pd.testing.assert_series_equal(result, expected)


@pytest.mark.parametrize("query", QUERIES)
def test_workers_answer_as_pandas(client: Client, units: dd.DataFrame, in_memory: pd.DataFrame, query: str) -> None:
    check(QUERIES[query](units).compute(), QUERIES[query](in_memory))


def test_processes_answer_as_pandas(units: dd.DataFrame, in_memory: pd.DataFrame) -> None:
    with dask.config.set(scheduler="processes", num_workers=2):
        check(QUERIES["filter"](units).compute(), QUERIES["filter"](in_memory))


def test_persisted_frames_stay_with_the_workers(client: Client, units: dd.DataFrame, in_memory: pd.DataFrame) -> None:
    persisted = good(units).persist()
    check(persisted.spike_times.compute(), QUERIES["filter"](in_memory))
    (other,) = dask.persist(units[units._nwb_path == units._nwb_path.head(1).iloc[0]])
    assert len(other) == N_UNITS


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # dask 2026.8 with pandas 3.1
def test_parquet_written_by_workers_reads_back(
    client: Client, units: dd.DataFrame, in_memory: pd.DataFrame, tmp_path: Path
) -> None:
    good(units)[["id", "quality", "spike_times"]].to_parquet(tmp_path / "out")
    back = dask_dataframe.read_parquet(tmp_path / "out").compute()
    expected = good(in_memory)
    assert back.id.tolist() == expected.id.tolist()
    assert [list(one) for one in back.spike_times] == [list(one) for one in expected.spike_times]


def test_order_is_the_same_every_time(client: Client, units: dd.DataFrame, in_memory: pd.DataFrame) -> None:
    for _ in range(5):
        pd.testing.assert_frame_equal(good(units)[["id", "_nwb_path"]].compute(), good(in_memory)[["id", "_nwb_path"]])


def test_errors_of_workers_are_ours(client: Client, tmp_path: Path) -> None:
    path = write_session(tmp_path / "gone.nwb", n_units=3)
    frame = dd.read_nwb(path, "/units")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"gone\.nwb"):
        frame.compute()


def test_secrets_reach_the_workers_and_no_graph(client: Client, files: list[Path]) -> None:
    options = {"key": "AKIDEXAMPLE", "secret": "hidden-one"}
    frame = dd.read_nwb(files, "/units", storage_options=options)
    access = frame.expr.operand("scan").access
    assert set(client.run(lambda: find_secrets(access)["secret"]).values()) == {"hidden-one"}
    sent = pickle.dumps(frame[frame.id > 1].optimize()) + pickle.dumps(dict(frame.optimize().dask))
    assert b"hidden-one" not in sent
    assert "hidden-one" not in repr(frame.expr) + frame._name
    assert len(frame.compute()) == 3 * N_UNITS


@pytest.mark.slow
@pytest.mark.parametrize("where", ["processes", "threads"])
def test_secrets_reach_workers_that_come_later(where: str) -> None:
    access = make_access({"key": "AKIDEXAMPLE", "secret": "hidden-two"})
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=where == "processes", dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as own,
    ):
        assert share_secrets(access)
        cluster.scale(2)
        own.wait_for_workers(2)
        assert list(own.run(lambda: find_secrets(access)["secret"]).values()) == ["hidden-two"] * 2


def test_sharing_secrets_says_whether_it_did(client: Client) -> None:
    assert share_secrets(make_access({"key": "A", "secret": "B"}))
    assert not share_secrets(make_access({"anon": True}))
    assert not share_secrets(None)


def test_module_is_dask_dataframe_and_more() -> None:
    assert dd.DataFrame is dask_dataframe.DataFrame
    assert vars(dask_dataframe)["read_nwb"] is dd.read_nwb
    assert {"read_nwb", "from_pandas", "utils", "concat"} <= set(dir(dd))
    assert dd.utils is dask_dataframe.utils
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = dd.no_such_name


def test_columns_and_filters_of_read_nwb(files: list[Path], in_memory: pd.DataFrame) -> None:
    with dask.config.set(scheduler="synchronous"):
        frame = dd.read_nwb(files, "/units", columns=["spike_times", "id"], filters=[("quality", "==", "good")])
        expected = in_memory[in_memory.quality == "good"]
        pd.testing.assert_series_equal(frame.spike_times.compute(), expected.spike_times)
        assert list(frame.columns) == ["spike_times", "id", "_nwb_path", "_table_path", "_table_index"]
        narrow = dd.read_nwb(files, "/units", columns=["id"], include_path_columns=False, filters="quality == 'good'")
        assert list(narrow.columns) == ["id"]
        assert narrow.id.compute().tolist() == expected.id.tolist()
        named = dd.read_nwb(files, "/units", columns=["quality"], index="id", include_path_columns=False)
        assert named.compute().index.tolist() == in_memory.id.tolist()


def test_file_of_the_filter_may_be_relative(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files[0].parent)
    frame = dd.read_nwb([one.name for one in files], "/units")
    kept = frame[frame._nwb_path == "ses-1.nwb"]
    assert kept.optimize().npartitions == 1
    with dask.config.set(scheduler="synchronous"):
        assert set(kept._nwb_path.compute()) == {str(files[1])}


def test_blocks_and_packs_of_files_give_the_same_rows(files: list[Path], in_memory: pd.DataFrame) -> None:
    with dask.config.set(scheduler="synchronous"):
        for options in ({"blocksize": 2_000}, {"aggregate_files": "1 GB"}):
            frame = dd.read_nwb(files, "/units", **options)
            assert frame.npartitions != len(files)
            pd.testing.assert_frame_equal(good(frame).compute(), good(in_memory))
            assert len(frame) == len(in_memory)


def test_wrong_names_are_refused_at_once(files: list[Path]) -> None:
    with pytest.raises(PathNotFoundError, match="spike_times"):
        dd.read_nwb(files, "/units", columns=["spike_time"])
    with pytest.raises(PathNotFoundError, match="units"):
        dd.read_nwb(files, "/unit")
    with pytest.raises(PredicateError, match="spike_times"):
        dd.read_nwb(files, "/units", filters="spike_times > 3")


def test_frame_is_a_read_and_nothing_else(units: dd.DataFrame) -> None:
    assert isinstance(units.expr, ReadNWB)
