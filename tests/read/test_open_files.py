"""Files that stay open are the ones that were planned, few, and nobody is in their way."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from nwb_dask.errors import (
    PathNotFoundError,
    SourceAccessError,
    SourceChangedError,
    SourceNotFoundError,
)
from nwb_dask.index import FilePath
from nwb_dask.model.series.values import Scale
from nwb_dask.read.open_files import MAX_OPEN, OpenFiles, open_files
from nwb_dask.read.slab import read_slab
from nwb_dask.storage import make_access
from nwb_dask.testing import RangeServer
from tests.read.slabs import LAYOUTS, SCALES, SHAPE, made, physical, write_slabs


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slabs(tmp_path_factory.mktemp("slabs") / "slabs.h5")


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    """Ports and names of files return."""
    yield
    open_files.close_all()


@pytest.mark.parametrize("is_remote", [False, True])
def test_eight_threads_read_one_file_at_once(path: Path, is_remote: bool) -> None:  # noqa: FBT001  # a parameter
    with RangeServer(path.parent) as server, h5py.File(path) as file:
        where = server.url(path.name) if is_remote else str(path)
        slabs = {layout: made(where, f"/{layout}<i2", SCALES["channels"]) for layout in LAYOUTS}
        open_files.close_all()
        expected = {layout: physical(file[layout + "<i2"][()], SCALES["channels"]) for layout in LAYOUTS}
        rng = np.random.default_rng(2)
        asked = [(layout, sorted(rng.integers(0, 62, 2).tolist())) for layout in LAYOUTS for _ in range(20)]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda one: read_slab(slabs[one[0]], slice(*one[1])), asked))
        for got, (layout, rows) in zip(found, asked, strict=True):
            np.testing.assert_array_equal(got, expected[layout][slice(*rows)].astype(np.float32))
        assert len(open_files) == 1


def test_a_file_that_was_replaced_is_not_read(tmp_path: Path) -> None:
    target = tmp_path / "f.h5"
    for number, options in enumerate(({}, {"chunks": (10,), "compression": "gzip"})):
        with h5py.File(target, "w") as file:
            file.create_dataset("x", data=np.arange(100), **options)
        slab = made(target, "/x")
        assert read_slab(slab, 5) == 5
        with h5py.File(tmp_path / "new.h5", "w") as file:
            file.create_dataset("x", data=np.arange(100) + number + 1, **options)
        (tmp_path / "new.h5").replace(target)
        with pytest.raises(SourceChangedError) as caught:
            read_slab(slab, 5)
        assert caught.value.path == "/x"
        assert read_slab(made(target, "/x"), 5) == 6 + number


def test_a_file_that_was_written_to_is_not_read(tmp_path: Path) -> None:
    target = tmp_path / "f.h5"
    with h5py.File(target, "w") as file:
        file["x"] = np.arange(100)
    slab = made(target, "/x")
    assert read_slab(slab, 5) == 5
    with h5py.File(target, "r+") as file:
        file["x"][5] = 7
    os.utime(target, ns=(0, 1))
    with pytest.raises(SourceChangedError):
        read_slab(slab, 5)
    target.unlink()
    with pytest.raises(SourceNotFoundError):
        read_slab(slab, 5)


def test_a_remote_file_that_was_replaced_is_not_read(tmp_path: Path) -> None:
    with RangeServer(tmp_path) as server:
        for options in ({}, {"chunks": (100,), "compression": "gzip"}):
            with h5py.File(tmp_path / "f.h5", "w") as file:
                file.create_dataset("x", data=np.arange(300_000), **options)
            slab = made(server.url("f.h5"), "/x")
            assert read_slab(slab, 5) == 5
            with h5py.File(tmp_path / "f.h5", "w") as file:
                file.create_dataset("x", data=np.arange(300_000) + 1, **options)
            with pytest.raises(SourceChangedError):
                read_slab(slab, 299_999)
            assert read_slab(made(server.url("f.h5"), "/x"), 299_999) == 300_000


def test_a_dataset_of_another_shape_was_planned_for_another_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("x", data=np.arange(100), chunks=(10,))
    slab = made(tmp_path / "f.h5", "/x")
    # As of a file that only h5py reads, which is looked at again.
    slab = replace(slab, entry=replace(slab.entry, chunk_index=None))
    with pytest.raises(SourceChangedError, match="another shape"):
        read_slab(replace(slab, entry=replace(slab.entry, shape=(99,))), 0)
    with pytest.raises(PathNotFoundError):
        read_slab(replace(slab, entry=replace(slab.entry, path=FilePath("/y"))), 0)


def test_no_more_than_a_few_dozen_files_stay_open(tmp_path: Path) -> None:
    slabs = []
    for number in range(MAX_OPEN + 20):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset("x", data=np.arange(10) + number, chunks=(5,))
        slabs.append(made(tmp_path / f"{number}.h5", "/x"))
    for _ in range(2):
        for number, slab in enumerate(slabs):
            assert read_slab(slab, 9) == 9 + number
            assert len(open_files) <= MAX_OPEN
    assert len(open_files) == MAX_OPEN
    open_files.close_all()
    assert len(open_files) == 0


def test_files_in_use_are_not_closed_for_others(path: Path) -> None:
    files = OpenFiles()
    slab = made(path, "/rows<i2")
    access = make_access(None)
    first = files.take(slab.url, slab.identity, access)
    assert files.take(slab.url, slab.identity, access) is first
    files.drop(first)
    files.give_back(first)
    # Still open for the other user.
    assert first.file.read(first.located(slab.entry)).shape == SHAPE
    second = files.take(slab.url, slab.identity, access)
    assert second is not first
    files.give_back(first)
    assert second.file.read(second.located(slab.entry)).shape == SHAPE
    files.give_back(second)
    files.close_all()


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Integers of 17 bits, which only libhdf5 reads; it would keep others from opening the file for writing."""
    element = h5py.h5t.STD_I32LE.copy()
    element.set_precision(17)
    with h5py.File(tmp_path / "odd.h5", "w") as file:
        x = h5py.h5d.create(file.id, b"x", element, h5py.h5s.create_simple((1000, 2)))
        x.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(2000, dtype="<i4").reshape(1000, 2))
    return tmp_path / "odd.h5"


def test_a_local_file_may_be_written_to_between_reads(odd: Path) -> None:
    assert read_slab(made(odd, "/x"), (slice(None, 3), 1)).tolist() == [1, 3, 5]
    assert len(open_files) == 0
    with h5py.File(odd, "r+") as file:
        file["y"] = 1


def test_no_thread_closes_a_file_that_another_reads_through_libhdf5(odd: Path) -> None:
    slab = made(odd, "/x", Scale(0.5))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda row: read_slab(slab, (slice(row, row + 10), 0)), range(0, 900, 3)))
    for row, got in zip(range(0, 900, 3), found, strict=True):
        np.testing.assert_array_equal(got, np.arange(row, row + 10.0))
    assert len(open_files) == 0


def test_after_a_failure_a_file_is_opened_again(path: Path) -> None:
    with RangeServer(path.parent) as server:
        slab = made(server.url(path.name), "/contiguous<i2")
        server.inject(path.name, "status", status=403, times=1)
        with pytest.raises(SourceAccessError):
            read_slab(slab, 3)
        assert len(open_files) == 0
        assert read_slab(slab, 3).shape == SHAPE[1:]
        assert len(open_files) == 1


def test_a_process_that_was_forked_reads_too(path: Path, tmp_path: Path) -> None:
    slab = made(path, "/tiles<i2", SCALES["channels"])
    (tmp_path / "slab").write_bytes(pickle.dumps(slab))
    code = """if True:
        import os, pickle, sys, warnings
        from nwb_dask.read.open_files import open_files
        from nwb_dask.read.slab import read_slab
        warnings.simplefilter("ignore", DeprecationWarning)
        slab = pickle.load(open(sys.argv[1], "rb"))
        expected = read_slab(slab)
        child = os.fork()
        if child == 0:
            was_empty = len(open_files) == 0
            os._exit(0 if was_empty and (read_slab(slab) == expected).all() else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert len(open_files) == 1
        assert (read_slab(slab) == expected).all()
    """
    subprocess.run([sys.executable, "-c", code, tmp_path / "slab"], check=True, timeout=60)
