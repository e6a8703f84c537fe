"""Reads that are too large for one batch, and the threads that decode them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_dask.backends.hdf5 import chunk_rows, odd_filters
from nwb_dask.index import ArrayEntry, ChunkManifest
from nwb_dask.storage import Buffer
from tests.backends.described import Array, Image, content, write


@pytest.mark.parametrize("options", [{"chunks": (4, 25), "compression": "gzip"}, {"chunks": (4, 25)}, {}], ids=str)
def test_a_large_read_comes_in_batches_that_together_are_its_ranges(tmp_path: Path, options: dict[str, Any]) -> None:
    data = np.random.default_rng(0).integers(0, 1 << 30, (400, 25), dtype="<i4")
    image, entry, manifest, _ = write(tmp_path / "x.h5", lambda file: file.create_dataset("x", data=data, **options))
    plan = image.plan(entry, [(0, 400)], manifest)
    got = plan.run(image.fetch, is_local=False, max_bytes=3000)
    assert (got == data).all()
    assert all(sum(stop - start for start, stop in call) <= 3000 for call in image.calls)
    assert plan.n_bytes // 3000 < len(image.calls) < plan.n_bytes // 1500
    assert sum(stop - start for call in image.calls for start, stop in call) == plan.n_bytes


def large_gzip(path: Path) -> tuple[Image, ArrayEntry, ChunkManifest | None, Array]:
    data = np.random.default_rng(0).integers(0, 1 << 20, 4_000_000, dtype="<i4")
    return write(
        path,
        lambda file: file.create_dataset("x", data=data, chunks=(400_000,), compression="gzip", compression_opts=1),
    )


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode in threads on a machine of one processor too."""
    pool = ThreadPoolExecutor(2)
    monkeypatch.setattr(chunk_rows, "decoding_threads", lambda: pool)


@pytest.mark.usefixtures("two_threads")
def test_threads_that_decode_also_read_a_local_file(tmp_path: Path) -> None:
    image, entry, manifest, values = large_gzip(tmp_path / "x.h5")
    got = image.plan(entry, [(0, len(values))], manifest).run(image.fetch, is_local=True)
    assert (got == values).all()
    assert threading.get_ident() not in image.threads
    image.threads.clear()
    got = image.plan(entry, [(0, len(values))], manifest).run(image.fetch, is_local=False, max_bytes=1 << 20)
    assert (got == values).all()
    assert image.threads == {threading.get_ident()}


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("is_local", [True, False])
def test_when_a_read_fails_nothing_goes_on_behind_it(tmp_path: Path, is_local: bool) -> None:  # noqa: FBT001  # a parameter
    image, entry, manifest, values = large_gzip(tmp_path / "x.h5")
    under_way = [0]
    lock = threading.Lock()

    def fetch(ranges: Sequence[tuple[int, int]]) -> list[Buffer]:
        with lock:
            under_way[0] += 1
            n_before = len(image.calls)
            got = image.fetch(ranges)
        try:
            if n_before == 3:
                raise ConnectionError
            return got
        finally:
            with lock:
                under_way[0] -= 1

    plan = image.plan(entry, [(0, len(values))], manifest)
    with pytest.raises(ConnectionError):
        plan.run(fetch, is_local=is_local, max_bytes=1 << 20)
    n_calls = len(image.calls)
    assert under_way == [0]
    assert n_calls < len(plan.ranges)
    assert len(image.calls) == n_calls


@pytest.mark.usefixtures("two_threads")
def test_libhdf5_decodes_on_the_thread_that_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = content("<i4", (800_000,))
    image, entry, manifest, values = write(
        tmp_path / "x.h5", lambda file: file.create_dataset("x", data=data, chunks=(50_000,), compression="lzf")
    )
    seen: set[int] = set()
    decode = odd_filters.decode_with_libhdf5

    def noted(*args: Any, **options: Any) -> Any:
        seen.add(threading.get_ident())
        return decode(*args, **options)

    monkeypatch.setattr(chunk_rows, "decode_with_libhdf5", noted)
    assert (image.plan(entry, [(7, 700_000)], manifest).run(image.fetch, is_local=True) == values[7:700_000]).all()
    assert seen == {threading.get_ident()}


def test_a_process_that_was_forked_decodes_too(tmp_path: Path) -> None:
    data = content("<i4", (2_000_000,))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=data, chunks=(100_000,), compression="gzip", compression_opts=1)
    code = """if True:
        import os, sys, warnings
        import h5py, numpy as np
        from nwb_dask.backends.hdf5.array_read import plan_read
        from tests.backends.described import describe, locate
        warnings.simplefilter("ignore", DeprecationWarning)
        with h5py.File(sys.argv[1]) as file:
            entry, manifest, values = describe(file["x"]), locate(file["x"]), file["x"][()]
        image = open(sys.argv[1], "rb").read()
        def fetch(ranges):
            return [image[start:stop] for start, stop in ranges]
        def reads():
            plan = plan_read(entry, np.array([[0, len(values)]]), manifest, file_bytes=len(image))
            return (plan.run(fetch, is_local=True) == values).all()
        assert reads()
        child = os.fork()
        if child == 0:
            os._exit(0 if reads() else 1)
        assert os.waitpid(child, 0)[1] == 0
    """
    subprocess.run([sys.executable, "-c", code, tmp_path / "x.h5"], check=True, timeout=60)
