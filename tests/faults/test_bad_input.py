"""Files that are no NWB, are cut off, or cannot be had."""

from __future__ import annotations

import errno
import os
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

import nwb_dask
from nwb_dask.errors import (
    MalformedFileError,
    NWBDaskError,
    PathNotFoundError,
    SourceAccessError,
    SourceNotFoundError,
    SourceUnavailableError,
    UnsupportedLayoutError,
)
from nwb_dask.testing import RangeServer
from tests.faults.reading import QUERY, SECRET, Read, check_error, every_door, every_engine

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
NOT_HDF5 = {
    "text": (b"subject;session\nmouse;1\n", "text"),
    "empty": (b"", "empty"),
    "page": (b"<!DOCTYPE html><html><body>Please log in</body></html>", "HTML page"),
    "picture": (PNG, "not an HDF5 file"),
    "zeros": (bytes(4096), "zeros"),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    with RangeServer(tmp_path) as server:
        yield server


@every_door
@pytest.mark.parametrize(("content", "looks"), NOT_HDF5.values(), ids=NOT_HDF5.keys())
def test_a_file_that_is_no_hdf5_is_said_to_be_what_it_looks_like(
    read: Read, content: bytes, looks: str, tmp_path: Path
) -> None:
    path = tmp_path / "a file.nwb"
    path.write_bytes(content)
    with pytest.raises(MalformedFileError, match=looks) as caught:
        read(path, "/units")
    check_error(caught.value, kind=MalformedFileError, builtin=ValueError, names=path)


@pytest.mark.parametrize(("content", "looks"), NOT_HDF5.values(), ids=NOT_HDF5.keys())
def test_what_a_server_sends_instead_of_a_file_is_named_without_the_signature(
    content: bytes, looks: str, tmp_path: Path, server: RangeServer
) -> None:
    (tmp_path / "remote.nwb").write_bytes(content)
    with pytest.raises(MalformedFileError, match=looks) as caught:
        nwb_dask.read_table(server.url("remote.nwb") + QUERY, "/units")
    check_error(caught.value, kind=MalformedFileError, builtin=ValueError, names=server.url("remote.nwb"))


@every_door
@pytest.mark.parametrize("share", [0.00002, 0.0001, 0.001, 0.01, 0.3, 0.7, 0.999, 1])
def test_a_truncated_file_is_malformed_at_any_length(read: Read, share: float, session: Path) -> None:
    content = session.read_bytes()
    session.write_bytes(content[: min(int(len(content) * share), len(content) - 1)])
    with pytest.raises(MalformedFileError, match=r"truncated|damaged") as caught:
        read(session, "/units")
    check_error(caught.value, kind=MalformedFileError, builtin=ValueError, names=session)


def test_a_truncated_remote_file_is_named_without_the_signature(session: Path, server: RangeServer) -> None:
    session.write_bytes(session.read_bytes()[:20_000])
    with pytest.raises(MalformedFileError, match="truncated") as caught:
        nwb_dask.read_table(server.url(session.name) + QUERY, "/units")
    check_error(caught.value, kind=MalformedFileError, builtin=ValueError, names=server.url(session.name))


@every_engine
def test_an_hdf5_file_without_nwb_says_so(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "plain.nwb"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(5)
    with pytest.raises(PathNotFoundError, match="holds no NWB table") as caught:
        read(path, "/units")
    check_error(caught.value, kind=PathNotFoundError, builtin=KeyError, names=path)


def test_the_tree_of_an_hdf5_file_without_nwb_shows_no_table(tmp_path: Path) -> None:
    path = tmp_path / "plain.nwb"
    with h5py.File(path, "w") as file:
        file.create_group("data")["x"] = np.arange(5)
    opened = nwb_dask.open_nwb(path)
    assert opened.tables == ("/",)
    assert "without a version" in repr(opened)


@every_door
def test_a_missing_file_is_not_found(read: Read, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError) as caught:
        read(tmp_path / "absent.nwb", "/units")
    check_error(caught.value, kind=SourceNotFoundError, builtin=FileNotFoundError, names=tmp_path / "absent.nwb")


@every_engine
def test_a_missing_file_among_good_ones_is_named(read: Read, session: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError) as caught:
        read([session, tmp_path / "absent.nwb", session], "/units")
    check_error(caught.value, kind=SourceNotFoundError, builtin=FileNotFoundError, names=tmp_path / "absent.nwb")


@every_door
def test_a_link_to_nothing_is_not_found(read: Read, tmp_path: Path) -> None:
    (tmp_path / "link.nwb").symlink_to(tmp_path / "absent.nwb")
    with pytest.raises(SourceNotFoundError) as caught:
        read(tmp_path / "link.nwb", "/units")
    check_error(caught.value, kind=SourceNotFoundError, builtin=FileNotFoundError, names=tmp_path / "link.nwb")


@every_door
@pytest.mark.parametrize("pattern", ["", "*.nwb", "**/*.nwb", "session-?.nwb"])
def test_a_folder_or_glob_without_files_says_what_was_looked_for(read: Read, pattern: str, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"no file matches|has no \*\.nwb") as caught:
        read(str(tmp_path / pattern), "/units")
    assert str(tmp_path) in str(caught.value)


@every_door
@pytest.mark.parametrize("source", [[], ""])
def test_no_source_at_all_is_not_found(read: Read, source: object) -> None:
    with pytest.raises(SourceNotFoundError, match="no sources"):
        read(source, "/units")


@pytest.mark.parametrize("source", [5, None, [None], {"a": 1}])
def test_a_source_that_is_no_path_says_what_a_source_is(source: object) -> None:
    with pytest.raises(TypeError, match="a source is a path, a URL, or a list"):
        nwb_dask.read_table(source, "/units")


@every_door
def test_a_zarr_directory_is_unsupported_and_not_corrupt(read: Read, tmp_path: Path) -> None:
    (tmp_path / "store.nwb").mkdir()
    with pytest.raises(UnsupportedLayoutError, match="Zarr") as caught:
        read(tmp_path / "store.nwb", "/units")
    check_error(caught.value, kind=UnsupportedLayoutError, builtin=NotImplementedError, names=tmp_path / "store.nwb")


@every_door
def test_a_pipe_is_refused_without_waiting_for_it(read: Read, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.nwb")
    with pytest.raises(SourceUnavailableError, match="not a regular file") as caught:
        read(tmp_path / "pipe.nwb", "/units")
    check_error(caught.value, kind=SourceUnavailableError, builtin=OSError, names=tmp_path / "pipe.nwb")


@every_door
def test_a_file_that_may_not_be_read_is_an_access_error(read: Read, session: Path) -> None:
    session.chmod(0)
    if os.access(session, os.R_OK):
        pytest.skip("PERMISSIONS ARE NOT TESTED: this user (root?) may read any file")
    with pytest.raises(SourceAccessError) as caught:
        read(session, "/units")
    check_error(caught.value, kind=SourceAccessError, builtin=PermissionError, names=session)


def test_a_folder_that_may_not_be_listed_is_an_access_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    listed = os.scandir

    def refuse(folder: str) -> object:
        if folder == str(locked):
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return listed(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(SourceAccessError) as caught:
        nwb_dask.read_table(tmp_path, "/units", errors="skip")
    check_error(caught.value, kind=SourceAccessError, builtin=PermissionError, names=locked)


def test_a_host_that_refuses_connections_is_unavailable() -> None:
    with socket.socket() as held:
        # Bound and not listening: nobody else can take the port, and nobody answers.
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}/session.nwb"
        with pytest.raises(SourceUnavailableError, match="cannot connect") as caught:
            nwb_dask.read_table(url + QUERY, "/units")
    check_error(caught.value, kind=SourceUnavailableError, builtin=OSError, names=url)


@pytest.mark.parametrize(
    ("status", "kind", "builtin"),
    [
        (404, SourceNotFoundError, FileNotFoundError),
        (410, SourceNotFoundError, FileNotFoundError),
        (401, SourceAccessError, PermissionError),
        (403, SourceAccessError, PermissionError),
        (500, SourceUnavailableError, OSError),
    ],
)
def test_what_a_server_answers_decides_the_error(
    status: int, kind: type[NWBDaskError], builtin: type[Exception], session: Path, server: RangeServer
) -> None:
    server.inject(session.name, "status", status=status)
    with pytest.raises(kind) as caught:
        nwb_dask.open_nwb(server.url(session.name) + QUERY)
    check_error(caught.value, kind=kind, builtin=builtin, names=server.url(session.name))


def test_a_refusal_says_where_credentials_go(session: Path, server: RangeServer) -> None:
    server.inject(session.name, "status", status=403)
    with pytest.raises(SourceAccessError, match="storage_options"):
        nwb_dask.read_table(server.url(session.name), "/units")


@pytest.mark.parametrize("url", [f"gopher://user:{SECRET}@host/x.nwb{QUERY}", "nonsense://x"])
def test_a_scheme_that_is_not_read_is_named_without_secrets(url: str) -> None:
    with pytest.raises(SourceUnavailableError, match="URLs are not read; give a path") as caught:
        nwb_dask.read_table(url, "/units")
    check_error(caught.value, kind=SourceUnavailableError, builtin=OSError, names=url.partition("://")[0])


def test_a_session_is_one_file_and_the_error_for_two_keeps_their_signatures(server: RangeServer) -> None:
    urls = [server.url(name) + QUERY for name in ("a.nwb", "b.nwb")]
    with pytest.raises(ValueError, match="opens one file, and 2 are given") as caught:
        nwb_dask.open_nwb(urls)
    assert SECRET not in str(caught.value)


def test_a_question_mark_in_a_local_name_is_part_of_it(written: bytes, tmp_path: Path) -> None:
    path = tmp_path / "really?.nwb"
    path.write_bytes(written[:5000])
    with pytest.raises(MalformedFileError, match="truncated") as caught:
        nwb_dask.read_table(path, "/units")
    assert caught.value.url == str(path)


def test_bad_files_raise_errors_and_no_warnings(tmp_path: Path) -> None:
    (tmp_path / "text.nwb").write_bytes(b"text")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(MalformedFileError):
            nwb_dask.read_table(tmp_path, "/units")
