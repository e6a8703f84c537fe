from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import fsspec
import pytest

from nwb_dask.errors import SourceAccessError, SourceChangedError, SourceNotFoundError, SourceUnavailableError
from nwb_dask.index import Url
from nwb_dask.storage import export_secrets, make_access, open_bytes, trace
from nwb_dask.storage.engines.fsspec import _options, _time, _translate
from nwb_dask.storage.engines.protocol import Failure
from nwb_dask.testing import RangeServer
from tests.storage.serving import CONTENT, FAR, MIDDLE, NAME, OPENERS, expected_of, read

pytestmark = pytest.mark.usefixtures("no_cloud")


@pytest.fixture
def memory() -> Iterator[Any]:
    """A file system of which only fsspec knows, with the file in it."""
    fs = fsspec.filesystem("memory")
    fs.pipe("/lab/a.nwb", CONTENT)
    yield fs
    fs.rm("/lab", recursive=True)


@pytest.mark.parametrize("options", [{}, {"engine": "fsspec"}])
def test_a_file_system_that_only_fsspec_knows_is_read(memory: Any, options: dict[str, object]) -> None:
    with open_bytes(Url("memory://lab/a.nwb"), make_access(options)) as store:
        assert (store.size, store.source.identity.kind) == (len(CONTENT), "mtime")
        assert read(store, MIDDLE, FAR, (0, 5)) == expected_of(MIDDLE, FAR, (0, 5))


def test_a_file_that_is_written_anew_is_noticed(memory: Any) -> None:
    with open_bytes(Url("memory://lab/a.nwb"), make_access()) as store:
        time.sleep(0.01)
        memory.pipe("/lab/a.nwb", CONTENT[::-1])
        with pytest.raises(SourceChangedError):
            store.read([MIDDLE])


@pytest.mark.parametrize("path", ["lab/none.nwb", "lab"])
def test_what_is_no_file_is_not_found(memory: Any, path: str) -> None:
    with pytest.raises(SourceNotFoundError, match="nothing is at memory://"):
        open_bytes(Url(f"memory://{path}"), make_access())


def test_a_library_that_is_missing_is_named() -> None:
    # adlfs and gcsfs are no dependencies of this package.
    with pytest.raises(SourceUnavailableError, match=r"reading dropbox://a needs a library for fsspec: .*dropbox"):
        open_bytes(Url("dropbox://a"), make_access({"engine": "fsspec"}))


def test_the_version_is_asked_for_before_and_after_a_read(bucket_server: RangeServer) -> None:
    with trace() as opened, OPENERS["fsspec-http"](bucket_server) as store:
        assert [request.method for request in bucket_server.log] == ["HEAD", "GET", "GET", "HEAD"]
        assert opened.requests == 4
        bucket_server.reset()
        with trace() as traced:
            store.read([MIDDLE, FAR])
    assert [request.method for request in bucket_server.log] == ["GET", "GET", "HEAD"]
    assert (traced.requests, traced.rounds, traced.bytes) == (3, 2, 2048)


# --- Options


def options_of(url: str, given: dict[str, object], engine: str = "fsspec") -> dict[str, object]:
    return _options(url, make_access({"engine": engine, **given}))


def test_s3fs_gets_its_own_names_back() -> None:
    given: dict[str, object] = {
        "key": "k",
        "secret": "s",
        "token": "t",
        "anon": False,
        "endpoint_url": "http://h",
        "profile": "lab",
        "requester_pays": True,
        "client_kwargs": {"region_name": "r"},
    }
    pool = {"config_kwargs": {"max_pool_connections": 64}}
    assert options_of("s3://b/k", given, "s3fs") == {**given, **pool}


def test_options_that_only_the_file_system_knows_are_passed_on() -> None:
    given: dict[str, object] = {
        "config_kwargs": {"max_pool_connections": 5},
        "default_block_size": 1000,
        "client_kwargs": {"region_name": "r", "verify": False},
    }
    assert options_of("s3://b/k", given, "s3fs") == given


def test_options_that_only_the_file_system_knows_travel_as_secrets() -> None:
    access = make_access({"engine": "fsspec", "ssh_key": "hush"})
    assert "hush" not in repr(access)
    assert json.loads(export_secrets(access)[str(access.handle)]["fsspec:ssh_key"]) == "hush"


def test_options_that_are_no_plain_data_are_refused_without_showing_them() -> None:
    class Hush:
        def __repr__(self) -> str:
            return "hush"

    with pytest.raises(TypeError, match=r"storage_options\['session'\] must be plain data") as caught:
        make_access({"engine": "s3fs", "session": Hush()})
    assert "hush" not in str(caught.value)


def test_unknown_options_are_refused_where_no_file_system_gets_them() -> None:
    with pytest.raises(TypeError, match="no 'default_block_size'"):
        make_access({"default_block_size": 1000})


@pytest.mark.parametrize(
    ("url", "given", "expected"),
    [
        ("s3://b/k?versionId=v", {"anon": True}, {"anon": True, "version_aware": True}),
        ("gs://b/k", {"anon": True}, {"token": "anon"}),
        ("gs://b/k", {"service_account": "/k.json", "project": "p"}, {"token": "/k.json", "project": "p"}),
        ("az://c/k", {"account_name": "a", "sas_key": "s"}, {"account_name": "a", "sas_token": "s"}),
        ("abfss://c@a.dfs.core.windows.net/k", {"account_key": "s"}, {"account_name": "a", "account_key": "s"}),
        ("sftp://h/k", {"username": "me", "password": "p"}, {"username": "me", "password": "p"}),
        ("https://h/k", {"headers": {"X": "v"}}, {"encoded": True, "headers": {"X": "v"}}),
    ],
)
def test_file_systems_get_their_own_names_back(url: str, given: dict[str, object], expected: dict[str, object]) -> None:
    found = options_of(url, given)
    found.pop("config_kwargs", None)
    assert found == expected


def test_options_that_do_not_fit_are_an_error_that_does_not_show_them(bucket_server: RangeServer) -> None:
    access = make_access({"engine": "fsspec", "client_kwargs": {"no_such_option": "hush"}})
    with pytest.raises(SourceUnavailableError) as caught:
        open_bytes(Url(bucket_server.url(NAME)), access)
    assert "hush" not in str(caught.value)


# --- What libraries say


class _HttpError(Exception):
    def __init__(self, code: object) -> None:
        super().__init__("https://host/a.nwb?sig=hush")
        self.code = code


class _NoCredentialsError(Exception):
    """As botocore names it."""


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (FileNotFoundError("hush"), Failure("status", 404)),
        (PermissionError("hush"), Failure("refused", said="PermissionError")),
        (_NoCredentialsError("hush"), Failure("refused", said="_NoCredentialsError")),
        (_HttpError(503), Failure("status", 503)),
        (_HttpError("503"), Failure("odd", said="_HttpError")),
        (TimeoutError("hush"), Failure("timeout")),
        (ConnectionResetError("hush"), Failure("broken", said="ConnectionResetError")),
        (KeyError("hush"), Failure("odd", said="KeyError")),
    ],
)
def test_exceptions_of_file_systems_are_understood_without_their_text(exc: Exception, expected: Failure) -> None:
    assert _translate(exc) == expected


def test_times_are_read_in_every_way_that_they_are_written() -> None:
    moment = "2023-11-14T22:13:20+00:00"
    written = [1_700_000_000, 1_700_000_000.0, moment, "2023-11-14T22:13:20Z", "Tue, 14 Nov 2023 22:13:20 GMT"]
    assert {str(found.isoformat()) for found in map(_time, written) if found is not None} == {moment}
    assert _time("some day") is None
    assert _time(None) is None


def test_a_refusal_by_s3_is_said(bucket_server: RangeServer) -> None:
    bucket_server.require_signature(NAME)
    with pytest.raises(SourceAccessError, match="was refused"):
        OPENERS["s3fs"](bucket_server)


def test_s3fs_is_imported_only_if_it_is_chosen(bucket_server: RangeServer) -> None:
    code = f"""
import sys
from nwb_dask.storage import make_access, open_bytes
access = make_access({{"anon": True, "endpoint_url": {bucket_server.base_url!r}}})
open_bytes("s3://{NAME}", access)
assert not {{"fsspec", "s3fs", "remfile", "requests"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
