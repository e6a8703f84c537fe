"""Open HDF5 files: shared, given back, bounded, and closed before the interpreter ends."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from nwb_dask.backends import handles, open_file
from nwb_dask.backends.hdf5.boundary import Boundary
from nwb_dask.backends.hdf5.compose import Wanted
from nwb_dask.backends.hdf5.h5py_file import H5pyFile
from nwb_dask.errors import SourceUnavailableError
from nwb_dask.index import ArrayEntry
from nwb_dask.storage import Buffer
from tests.backends.stores import RemoteStore, open_local


def write(path: Path, value: int = 0) -> Path:
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(value, value + 100)
        file["text"] = ["a", "b"]
    return path


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    handles._handles.close_all()
    yield
    assert [handle for handle in handles._handles._open.values() if handle.users or handle.local] == []
    handles._handles.close_all()


class ByH5py(H5pyFile):
    """The file as h5py sees it, whether or not the own parser would do."""

    def array(self, path: str) -> ArrayEntry:
        return self.index("/", Wanted(None, None), names=None, recursive=False).arrays[path]

    def values(self, entry: ArrayEntry) -> npt.NDArray[np.generic]:
        return self.read(entry, np.array([[0, (entry.shape or (1,))[0]]]))


def n_open() -> int:
    return len(handles._handles._open)


def test_a_local_file_can_be_written_after_it_was_read(tmp_path: Path) -> None:
    path = write(tmp_path / "f.h5")
    with open_local(path) as store, open_file(store) as file:
        entry = file.index("/").arrays["/text"]
        file.read(entry)
    with h5py.File(path, "r+") as theirs:
        theirs["x"][0] = 7
    with open_local(path) as store, open_file(store) as file:
        assert file.read(file.index("/").arrays["/x"])[0] == 7


def test_a_local_file_is_closed_when_its_last_user_leaves(tmp_path: Path) -> None:
    path = write(tmp_path / "f.h5")
    with open_local(path) as store, closing(ByH5py(store)) as file:
        file.array("/x")
        with open_local(path) as again, closing(ByH5py(again)) as other:
            other.array("/x")
            assert n_open() == 1
        assert n_open() == 1
    assert n_open() == 0
    with h5py.File(path, "r+"):
        pass


def test_few_remote_files_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "MAX_REMOTE", 2)
    for i in range(5):
        with open_local(write(tmp_path / f"{i}.h5", i)) as store, closing(ByH5py(RemoteStore(store))) as file:
            file.array("/x")
    assert n_open() == 2


def test_a_remote_file_that_stayed_open_reads_through_the_next_store(tmp_path: Path) -> None:
    path = write(tmp_path / "f.h5")
    with open_local(path) as store, closing(ByH5py(RemoteStore(store))) as file:
        entry = file.array("/text")
    with open_local(path) as store, closing(ByH5py(RemoteStore(store))) as file:
        assert file.values(entry).tolist() == [b"a", b"b"]


def test_a_file_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    for value in (0, 50):
        write(tmp_path / "new.h5", value).replace(path)
        with open_local(path) as store, open_file(store) as file:
            assert file.read(file.index("/").arrays["/x"])[0] == value


@pytest.mark.parametrize("locking", [None, True, False, "best-effort"])
def test_a_file_that_the_user_has_open_is_read(tmp_path: Path, locking: bool | str | None) -> None:  # noqa: FBT001  # as h5py.File takes it
    path = write(tmp_path / "f.h5")
    for mode in ("r", "r+"):
        with h5py.File(path, mode, locking=locking) as theirs:
            with open_local(path) as store, open_file(store) as file:
                assert file.read(file.index("/").arrays["/text"]).tolist() == [b"a", b"b"]
            assert theirs["x"][3] == 3


def test_the_user_may_open_a_file_that_is_being_read(tmp_path: Path) -> None:
    path = write(tmp_path / "f.h5")
    with open_local(path) as store, open_file(store) as file:
        entry = file.index("/").arrays["/text"]
        with h5py.File(path) as theirs:
            assert theirs["x"][3] == 3
        assert file.read(entry).tolist() == [b"a", b"b"]


def test_threads_share_one_handle(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{i}.h5", i) for i in range(3)]

    def read(number: int) -> bool:
        path = paths[number % 3]
        with open_local(path) as store, open_file(RemoteStore(store) if number % 2 else store) as file:
            index = file.index("/")
            first = file.read(index.arrays["/x"])[0]
            return bool(first == number % 3) and file.read(index.arrays["/text"]).tolist() == [b"a", b"b"]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(200)))


def test_threads_share_one_file(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as theirs:
        theirs.create_dataset("x", data=np.arange(400_000), chunks=(20_000,), compression="gzip")
        theirs["text"] = [str(i) for i in range(500)]
    with open_local(path) as store, open_file(store) as file, ThreadPoolExecutor(6) as pool:
        entries = file.index("/").arrays

        def read(number: int) -> bool:
            rows = np.array([[number, number + 300]])
            text = file.read(entries["/text"], rows[:, :1] + [[0, 1]])
            return bool(file.read(entries["/x"], rows).sum() == np.arange(number, number + 300).sum()) and text == [
                str(number).encode()
            ]

        assert all(pool.map(read, range(0, 400, 2)))


def test_an_error_of_the_store_comes_through_h5py(tmp_path: Path) -> None:
    class Failing(RemoteStore):
        fail = False

        def read(self, ranges: object) -> list[Buffer]:
            if self.fail:
                raise SourceUnavailableError("the network is gone", url="s3://b/x")
            return super().read(ranges)  # type: ignore[arg-type]  # as it was given

    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as theirs:
        theirs["pad"] = np.zeros(1 << 20, np.uint8)
        theirs.create_dataset("text", data=["a" * 100] * 20_000)
        theirs["tail"] = np.zeros(1 << 20, np.uint8)
    with open_local(path) as opened:
        store = Failing(opened)
        with closing(ByH5py(store)) as file:
            entry = file.array("/text")
            store.fail = True
            with pytest.raises(SourceUnavailableError, match="the network is gone"), Boundary(str(path), None):
                file.values(entry)
            store.fail = False
            assert file.values(entry)[-1] == b"a" * 100


def test_the_interpreter_ends_well_with_remote_files_open(tmp_path: Path) -> None:
    path = write(tmp_path / "f.h5")
    program = f"""
import threading
from pathlib import Path
from tests.backends.stores import RemoteStore, open_local
from tests.backends.test_handles import ByH5py
def use():
    file = ByH5py(RemoteStore(open_local(Path({str(path)!r}))))
    file.values(file.array("/text"))
    kept.append(file)
kept = []
threads = [threading.Thread(target=use) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(kept))
"""
    for _ in range(2):
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
        assert (done.returncode, done.stdout.strip()) == (0, "4"), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="fork is safe on Linux only")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_opens_files_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path / "f.h5")
    with open_local(path) as store, open_file(store) as file:
        file.index("/")
        context = multiprocessing.get_context("fork")
        child = context.Process(target=_read_in_child, args=(path,))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        assert file.read(file.index("/").arrays["/x"])[5] == 5


def _read_in_child(path: Path) -> None:
    assert n_open() == 0
    with open_local(path) as store, open_file(store) as file:
        assert file.read(file.index("/").arrays["/text"]).tolist() == [b"a", b"b"]


def test_a_damaged_file_that_libhdf5_cannot_close_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Stubborn:
        valid = True

        def _close_open_objects(self, _kinds: int) -> None:
            raise RuntimeError("Can't decrement id ref count")

    with open_local(write(tmp_path / "f.h5")) as store, closing(ByH5py(store)) as file:
        entry = file.array("/x")
        assert file.values(entry).size == 100
        handle = next(iter(handles._handles._open.values()))
        fid = handle.fid
        monkeypatch.setattr(handle, "fid", Stubborn())
        with caplog.at_level("DEBUG"):
            file.close()
    assert n_open() == 0
    assert "Can't decrement id ref count" in caplog.text
    fid.close()
