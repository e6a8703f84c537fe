from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nwb_dask.errors import (
    MalformedFileError,
    SourceAccessError,
    SourceChangedError,
    SourceNotFoundError,
    SourceUnavailableError,
)
from nwb_dask.index import Identity, Url
from nwb_dask.storage import Store, make_access, open_bytes

ACCESS = make_access()
CONTENT = os.urandom(100_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a.nwb"
    file.write_bytes(CONTENT)
    return file


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with open_bytes(Url(str(path)), ACCESS) as opened:
        yield opened


def test_ranges_are_the_bytes_of_the_file_in_the_order_asked(store: Store) -> None:
    ranges = [(90_000, 100_000), (0, 1), (5, 5), (10, 20_000), (15, 30)]
    assert [bytes(one) for one in store.read(ranges)] == [CONTENT[start:stop] for start, stop in ranges]


def test_identity_is_modification_time_inode_change_time_and_size(store: Store, path: Path) -> None:
    status = path.stat()
    value = f"{status.st_mtime_ns}:{status.st_ino}:{status.st_ctime_ns}"
    assert store.source.identity == Identity("mtime", value, len(CONTENT))
    assert (store.size, store.local_path) == (len(CONTENT), str(path))


def test_file_url_is_percent_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a b+c#ü%?.nwb"
    path.write_bytes(b"abc")
    with open_bytes(Url(path.as_uri()), ACCESS) as store:
        assert store.local_path == str(path)
        assert store.read([(0, 3)]) == [b"abc"]


def test_range_past_the_end_says_that_the_file_is_truncated(store: Store) -> None:
    with pytest.raises(MalformedFileError, match="truncated: bytes 99999 to 100001"):
        store.read([(99_999, 100_001)])


def test_huge_declared_range_is_refused_before_memory_is_taken(store: Store) -> None:
    with pytest.raises(MalformedFileError, match="truncated"):
        store.read([(0, 1 << 60)])


@pytest.mark.parametrize("bad", [(-1, 5), (5, 3)])
def test_range_that_is_none_is_refused(store: Store, bad: tuple[int, int]) -> None:
    with pytest.raises(MalformedFileError, match="not a range"):
        store.read([bad])


def test_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="no such file") as caught:
        open_bytes(Url(str(tmp_path / "none.nwb")), ACCESS)
    assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_says_that_it_is_not_permitted(path: Path) -> None:
    path.chmod(0)
    with pytest.raises(SourceAccessError, match="not permitted"):
        open_bytes(Url(str(path)), ACCESS)


def test_fifo_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.nwb")
    with pytest.raises(SourceUnavailableError, match="not a regular file"):
        open_bytes(Url(str(tmp_path / "a.nwb")), ACCESS)


def test_unknown_scheme_is_refused_with_the_way_out() -> None:
    with pytest.raises(SourceUnavailableError, match="give a path"):
        open_bytes(Url("gopher://host/a.nwb"), ACCESS)


def test_expected_version_opens(store: Store) -> None:
    with open_bytes(store.source.url, ACCESS, store.source.identity) as again:
        assert again.source == store.source


def test_replaced_file_is_not_the_expected_one(store: Store, path: Path) -> None:
    other = path.with_name("new")
    other.write_bytes(CONTENT)
    other.replace(path)
    with pytest.raises(SourceChangedError, match="plan again"):
        open_bytes(store.source.url, ACCESS, store.source.identity)


def test_file_written_to_while_open_is_noticed_by_the_next_read(store: Store, path: Path) -> None:
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(1, 1))
    with pytest.raises(SourceChangedError):
        store.read([(0, 10)])


def test_file_cut_while_open_is_noticed(store: Store, path: Path) -> None:
    path.write_bytes(CONTENT[:10])
    with pytest.raises(SourceChangedError):
        store.read([(0, 100)])


def test_closed_store_closes_its_descriptor_once(path: Path) -> None:
    store = open_bytes(Url(str(path)), ACCESS)
    descriptor = store._fd  # type: ignore[attr-defined]  # of LocalStore
    store.close()
    store.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_reading_a_closed_store_fails(store: Store) -> None:
    store.close()
    with pytest.raises(SourceUnavailableError):
        store.read([(0, 1)])
