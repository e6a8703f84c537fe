"""Functions over sessions that are far away, behind a server that fails, and results in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import nwb_dask
from nwb_dask.adapters.browse import Session
from nwb_dask.errors import SkippedFilesWarning
from nwb_dask.storage import trace
from nwb_dask.testing import RangeServer
from tests.sessions.functions import count, last_spike

CANARY = "canary-in-the-mine"


@pytest.fixture
def server(sessions: Path) -> Iterator[RangeServer]:
    with RangeServer(sessions) as found:
        yield found


def urls(server: RangeServer) -> list[str]:
    return [server.url(f"s{i}.nwb") for i in range(3)]


def test_resuming_asks_once_for_each_file(server: RangeServer, tmp_path: Path) -> None:
    results = nwb_dask.map_sessions(last_spike, urls(server), client="threads")
    results.to_parquet(tmp_path / "out")
    with trace() as traced:
        assert len(results.to_parquet(tmp_path / "out").skipped) == 3
    assert sum(requests for requests, _ in traced.by_url.values()) == 3
    assert sum(n_bytes for _, n_bytes in traced.by_url.values()) == 0


def test_a_server_that_fails_now_and_then_changes_nothing(server: RangeServer, sessions: Path, tmp_path: Path) -> None:
    expected = list(nwb_dask.map_sessions(last_spike, sessions, client="threads").compute()["last"])
    server.random_failures(0.1, seed=4)
    report = nwb_dask.map_sessions(last_spike, urls(server), client="threads").to_parquet(tmp_path / "out")
    assert not report.quarantined
    assert pd.read_parquet(tmp_path / "out")["last"].tolist() == expected


def test_a_remote_file_that_changes_is_listed_and_taken_by_the_next_run(
    server: RangeServer, sessions: Path, tmp_path: Path
) -> None:
    def func(session: Session) -> dict[str, int]:
        if len(session.units) == 4:
            (sessions / "s1.nwb").write_bytes((sessions / "s2.nwb").read_bytes())
        return count(session)

    with pytest.warns(SkippedFilesWarning):
        report = nwb_dask.map_sessions(func, urls(server), client="threads").to_parquet(tmp_path / "out")
    assert [(one.source, one.error) for one in report.quarantined] == [(urls(server)[1], "SourceChangedError")]
    assert pd.read_parquet(tmp_path / "out")["n"].tolist() == [3, 5]
    again = nwb_dask.map_sessions(func, urls(server), client="threads").to_parquet(tmp_path / "out")
    assert (len(again.done), len(again.skipped)) == (1, 2)
    assert pd.read_parquet(tmp_path / "out")["n"].tolist() == [3, 5, 5]


def test_secrets_are_in_nothing_that_is_written(server: RangeServer, tmp_path: Path) -> None:
    def func(session: Session) -> None:
        raise ValueError(f"refused: {dict(session.storage_options or {})} {CANARY} https://h/x?sig=hush")

    options = {"headers": {"Authorization": CANARY}}
    results = nwb_dask.map_sessions(func, urls(server), storage_options=options, client="threads")
    with pytest.warns(SkippedFilesWarning) as caught:
        report = results.to_parquet(tmp_path / "out")
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("out*/**/*") if path.is_file())
    said = repr(report) + report.quarantine.to_string() + repr(results) + "".join(str(one.message) for one in caught)
    assert len(report.quarantined) == 3
    assert CANARY.encode() not in written + said.encode()
    assert b"hush" not in written + said.encode()


@pytest.mark.slow
def test_results_go_to_a_bucket(sessions: Path, tmp_path: Path) -> None:
    import botocore.session as botocore_session  # noqa: PLC0415  # a second to load
    import moto.server as moto_server  # noqa: PLC0415  # the same

    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    options = {"key": "AKIAXYZZY", "secret": CANARY, "endpoint_url": endpoint, "region": "us-east-1"}
    try:
        client = botocore_session.Session().create_client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="AKIAXYZZY",
            aws_secret_access_key=CANARY,
        )
        client.create_bucket(Bucket="lab")
        results = nwb_dask.map_sessions(count, sessions, client="threads")
        report = results.to_parquet("s3://lab/out", storage_options=options)
        keys = [one["Key"] for one in client.list_objects_v2(Bucket="lab")["Contents"]]
        parts = [key for key in keys if key.startswith("out/")]
        assert len(parts) == len(report.done) == 3
        for number, key in enumerate(parts):
            (tmp_path / f"{number}.parquet").write_bytes(client.get_object(Bucket="lab", Key=key)["Body"].read())
        assert [pd.read_parquet(tmp_path / f"{i}.parquet")["n"].tolist() for i in range(3)] == [[3], [4], [5]]
        assert all(CANARY.encode() not in client.get_object(Bucket="lab", Key=key)["Body"].read() for key in keys)
        assert len(results.to_parquet("s3://lab/out", storage_options=options).skipped) == 3
        assert len(nwb_dask.read_report("s3://lab/out", storage_options=options).done) == 3
        client.close()
    finally:
        server.stop()
