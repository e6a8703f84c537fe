"""Any answer may fail, at any moment: what is read is exact, and the run ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nwb_dask.dataframe as dd
from nwb_dask.testing import TRANSIENT, RangeServer
from tests.faults.network import END_SECONDS, NAME, QUESTIONS, SPIKES, Ask, both_doors, write_large
from tests.faults.reading import values

ENGINES = ("http", "obstore", "fsspec", "remfile")
LAYOUTS = ("contiguous", "gzip")
SEEDS = range(3)
N_FAULTS = 4


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("chance")
    return {layout: write_large(folder / f"{layout}.nwb", layout) for layout in LAYOUTS}


@pytest.fixture
def server(layouts: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[RangeServer]:
    # Nothing that an earlier run has left on disk may answer.
    monkeypatch.setenv("NWB_DASK_CACHE", "off")
    with RangeServer(tmp_path) as server:
        yield server


def fresh(server: RangeServer, file: Path, number: int) -> str:
    """Return the name of the file under which nobody has read it."""
    name = f"{number}-{NAME}"
    (server.folder / name).hardlink_to(file)
    return name


@both_doors
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_with_a_tenth_of_responses_failing_all_answers_are_exact(
    server: RangeServer, layouts: dict[str, Path], ask: Ask, layout: str, seed: int
) -> None:
    server.random_failures(0.1, TRANSIENT, seed=seed)
    began, number = time.monotonic(), 0
    while server.n_faults < N_FAULTS:
        for question in QUESTIONS.values():
            url = server.url(fresh(server, layouts[layout], number))
            assert ask(url, question) == question.by_h5py(layouts[layout])
            number += 1
        assert time.monotonic() - began < END_SECONDS


@pytest.mark.parametrize("engine", ENGINES)
def test_with_a_tenth_of_responses_failing_any_engine_gives_exact_answers(
    server: RangeServer, layouts: dict[str, Path], monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setenv("NWB_DASK_ENGINE", engine)
    server.random_failures(0.1, TRANSIENT, seed=11)
    expected = SPIKES.by_h5py(layouts["gzip"])["spike_times"]
    began, number = time.monotonic(), 0
    while server.n_faults < N_FAULTS:
        names = [fresh(server, layouts["gzip"], number + i) for i in range(3)]
        frame: Any = dd.read_nwb([server.url(name) for name in names], SPIKES.table)
        got = frame[["spike_times"]].compute(scheduler="threads")
        assert values(got, "spike_times") == 3 * expected
        number += 3
        assert time.monotonic() - began < END_SECONDS


def test_with_a_tenth_of_responses_failing_a_bucket_is_listed_and_read(
    layouts: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NWB_DASK_CACHE", "off")
    (tmp_path / "lab").mkdir()
    for i in range(3):
        (tmp_path / "lab" / f"{i}.nwb").hardlink_to(layouts["contiguous"])
    with RangeServer(tmp_path) as server:
        server.random_failures(0.1, TRANSIENT, seed=3)
        access = {"anon": True, "endpoint_url": server.base_url, "region": "us-east-1"}
        expected = SPIKES.by_h5py(layouts["contiguous"])["spike_times"]
        began = time.monotonic()
        while server.n_faults < N_FAULTS:
            frame: Any = dd.read_nwb("s3://lab/", SPIKES.table, storage_options=access)
            got = frame[["spike_times"]].compute(scheduler="threads")
            assert values(got, "spike_times") == 3 * expected
            assert time.monotonic() - began < END_SECONDS
