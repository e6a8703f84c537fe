"""Secrets given to nwb_dask are in nothing that is sent, shown, logged, raised or written, on a cluster of dask."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from distributed import Client
from distributed.protocol import pickle

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.adapters.browse import Session
from nwb_dask.backends.hdf5 import file as hdf5
from nwb_dask.errors import NWBDaskError, SkippedFilesWarning, SourceAccessError, UnsupportedLayoutError
from nwb_dask.storage import Access, make_access
from nwb_dask.storage.access import find_headers, find_secrets
from nwb_dask.testing import RangeServer
from nwb_dask.testing.files import write_session
from tests.faults.canaries import (
    BASIC,
    CANARIES,
    HTTP,
    QUERY,
    S3,
    begin_log,
    end_log,
    leaks,
    leaks_of_error,
    leaks_of_expression,
    leaks_of_files,
)
from tests.sessions.functions import count

BUCKET = "bucket"


@dataclass(frozen=True)
class Place:
    """A session behind a server that wants to be told who asks."""

    server: RangeServer
    sources: list[str]
    options: Mapping[str, object]
    out: Path

    def refuse(self) -> None:
        """Answer 403 from now on."""
        for path in (f"{BUCKET}/s0.nwb", BUCKET):
            self.server.inject(path, "status", status=403, code="AccessDenied")


WAYS: Mapping[str, tuple[Callable[[RangeServer], str], Mapping[str, object]]] = {
    "headers and a signed URL": (lambda server: server.url(f"{BUCKET}/s0.nwb") + QUERY, HTTP),
    "a password": (lambda server: server.url(f"{BUCKET}/s0.nwb"), BASIC),
    "keys of S3": (lambda _: f"s3://{BUCKET}/s0.nwb", S3),
}


@pytest.fixture(scope="module")
def session_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A session whose spikes are too many to be kept with its index."""
    path = tmp_path_factory.mktemp("written") / "s0.nwb"
    return write_session(path, n_units=6, spikes_per_unit=800, n_trials=0, n_samples=0, n_electrodes=0).read_bytes()


@pytest.fixture(
    params=[name if name == "headers and a signed URL" else pytest.param(name, marks=pytest.mark.slow) for name in WAYS]
)
def place(request: pytest.FixtureRequest, session_bytes: bytes, tmp_path: Path) -> Iterator[Place]:
    url_of, options = WAYS[request.param]
    folder = tmp_path / "served" / BUCKET
    folder.mkdir(parents=True)
    (folder / "s0.nwb").write_bytes(session_bytes)
    out = tmp_path / "out"
    out.mkdir()
    with RangeServer(folder.parent) as server:
        s3 = {"endpoint_url": server.base_url, "region": "us-east-1"} if options is S3 else {}
        kept = {"chunk_cache": "on", "chunk_cache_dir": str(out / "bytes"), "chunk_cache_max_age": 3600.0}
        yield Place(server, [url_of(server)], {**options, **s3, **kept}, out)


@pytest.fixture
def logs(client: Client) -> Iterator[Callable[[], list[str]]]:
    """What client, scheduler and workers have logged since the test began; to be asked once."""

    def collect() -> list[str]:
        lines = end_log() + [line for lines in client.run(end_log).values() for line in lines]
        lines += map(str, client.get_events().items())
        return [*lines, str(client.get_scheduler_logs()), str(client.get_worker_logs())]

    # The scheduler is in this process.
    begin_log()
    client.run(begin_log)
    yield collect
    end_log()
    client.run(end_log)


def sent_to_workers(client: Client) -> list[bytes]:
    """Return the tasks that the scheduler holds, pickled."""
    found: list[bytes] = client.run_on_scheduler(
        lambda dask_scheduler: [pickle.dumps((task.key, task.run_spec)) for task in dask_scheduler.tasks.values()]
    )
    return found


def caches() -> Path:
    return Path(os.environ["NWB_DASK_CACHE_DIR"])


def only_query(place: Place) -> set[str]:
    """Return what tasks must know: a signed URL is what they read."""
    return {"query"} if QUERY in place.sources[0] else set()


def test_frames_of_dask_keep_secrets(place: Place, client: Client, logs: Callable[[], list[str]]) -> None:
    frame = dd.read_nwb(place.sources, "/units", storage_options=place.options)
    good = frame[frame.quality == "good"][["spike_times", "quality"]]
    held = good.persist()
    assert len(held) == len(good.compute())
    assert leaks(*sent_to_workers(client)) <= only_query(place)
    for one in (frame, good):
        assert leaks_of_expression(one.expr) <= only_query(place)
        assert not leaks(repr(one), one._repr_html_(), repr(one.dask), one.nwb.explain(), one.nwb.tasks().to_string())
        assert not leaks(one.expr.tree_repr(), one.expr._name, one.optimize().expr.tree_repr(), one.nwb.partitions)
    assert all(client.run(_has_secrets, frame.expr.operand("scan").access).values())
    held.to_parquet(place.out / "frame")
    assert not leaks(*logs())
    assert not leaks_of_files(place.out, caches())


def _has_secrets(access: Access) -> bool:
    return bool(find_secrets(access))


def test_polars_scans_and_conversions_keep_secrets(place: Place, logs: Callable[[], list[str]]) -> None:
    scan = nwb_dask.scan_nwb(place.sources, "/units", storage_options=place.options)
    assert not leaks(repr(scan), scan.explain(), scan.explain(optimized=False), scan._repr_html_())
    assert scan.collect().height
    for format_ in ("parquet", "csv"):
        done = nwb_dask.convert(
            place.sources, place.out / format_, format=format_, storage_options=place.options, progress=False
        )
        assert not leaks(repr(done))
    assert not leaks(*logs())
    assert not leaks_of_files(place.out, caches())


def test_functions_over_sessions_keep_secrets(place: Place, client: Client, logs: Callable[[], list[str]]) -> None:
    results = nwb_dask.map_sessions(count, place.sources, storage_options=place.options)
    assert not leaks(repr(results), *results.keys, results.name)
    report = results.to_parquet(place.out / "counted")
    assert not leaks(repr(report), *map(repr, report.done))
    lazy = results.to_dask_dataframe()
    assert len(lazy.persist()) == 1
    assert leaks_of_expression(lazy.expr) | leaks(*sent_to_workers(client)) <= only_query(place)
    assert leaks(pickle.dumps(results)) <= only_query(place)
    assert not leaks(*logs())
    assert not leaks_of_files(place.out, caches())


def test_catalogs_keep_secrets(place: Place, client: Client, logs: Callable[[], list[str]]) -> None:
    made = nwb_dask.build_catalog(
        place.sources, place.out / "catalog", client=client, storage_options=place.options, progress=False
    )
    assert not len(made.failed)
    catalog = nwb_dask.open_catalog(place.out / "catalog", sources=place.sources, storage_options=place.options)
    assert not leaks(repr(catalog), catalog._repr_html_(), catalog.sessions.to_string(), repr(catalog.find()))
    frame = dd.read_nwb(catalog, "/units", storage_options=place.options)
    assert len(frame.compute())
    assert leaks_of_expression(frame.expr) <= only_query(place)
    assert not leaks(*logs())
    assert not leaks_of_files(place.out, caches())


def test_refusals_keep_secrets(place: Place, client: Client, logs: Callable[[], list[str]]) -> None:
    options = {**place.options, "chunk_cache": "off"}
    planned = dd.read_nwb(place.sources, "/units", storage_options=options)
    results = nwb_dask.map_sessions(count, place.sources, storage_options=options)
    place.refuse()
    asked: list[Callable[[], object]] = [
        planned.spike_times.compute,
        lambda: dd.read_nwb(place.sources, "/units", storage_options=options),
        lambda: nwb_dask.scan_nwb(place.sources, "/units", storage_options=options).collect(),
        lambda: nwb_dask.convert(place.sources, place.out / "tables", storage_options=options, progress=False),
        results.compute,
        results.to_dask_dataframe,
    ]
    for one in asked:
        with pytest.raises(SourceAccessError) as caught:
            one()
        assert not leaks_of_error(caught.value)
    with pytest.warns(SkippedFilesWarning) as warned:
        report = results.to_parquet(place.out / "counted")
    assert report.quarantine["error"].tolist() == ["SourceAccessError"]
    made = nwb_dask.build_catalog(
        place.sources, place.out / "catalog", client=client, storage_options=options, progress=False
    )
    assert len(made.failed) == 1
    assert not leaks(repr(report), report.quarantine.to_string(), made.failed.to_string(), *map(str, warned))
    assert not leaks(*logs())
    assert not leaks_of_files(place.out, caches())


def leaky(session: Session) -> dict[str, str]:
    """Write a secret where none belongs."""
    found = str(find_headers(make_access(session.storage_options)))
    logging.getLogger("nwb_dask.leaky").debug("read with %s", found)
    return {"headers": found}


def test_a_function_that_leaks_is_found(
    session_bytes: bytes, tmp_path: Path, client: Client, logs: Callable[[], list[str]]
) -> None:
    (tmp_path / "s0.nwb").write_bytes(session_bytes)
    with RangeServer(tmp_path) as server:
        source = server.url("s0.nwb")
        results = nwb_dask.map_sessions(leaky, [source], storage_options=HTTP)
        results.to_parquet(tmp_path / "out")
        careless = dd.from_map(lambda _, options: pd.DataFrame({"n": [len(options)]}), [1], options=HTTP)
        error = NWBDaskError("refused")
        error.__context__ = ValueError(f"with {CANARIES['password']}")
    assert leaks_of_files(tmp_path / "out") == {"header"}
    assert leaks(*logs()) == {"header"}
    assert leaks_of_expression(careless.expr) == {"header"}
    assert leaks_of_error(error) == {"password"}


def test_what_is_read_by_h5py_is_logged_by_its_name(
    session_bytes: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise UnsupportedLayoutError("not covered")

    monkeypatch.setattr(hdf5.Hdf5File, "_index", refuse)
    (tmp_path / "s0.nwb").write_bytes(session_bytes)
    with RangeServer(tmp_path) as server, caplog.at_level(logging.DEBUG, "nwb_dask"):
        url = server.url("s0.nwb")
        assert len(nwb_dask.read_table(url + QUERY, "/units", columns=["id"])) == 6
    assert "is read by h5py" in caplog.text
    assert url in caplog.text
    assert not leaks(caplog.text)
