"""Files that are cut off, damaged, or declare what they cannot hold: an error of ours, soon, in little memory."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_dask.backends import open_file
from nwb_dask.errors import MalformedFileError, NWBDaskError
from tests.backends.stores import open_local
from tests.backends.zoo import write_zoo

N_MUTATIONS, N_SLOW = 25, 75


@contextmanager
def little_memory(limit_bytes: int = 64 << 20) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit_bytes
    finally:
        tracemalloc.stop()


def write_plain(path: Path) -> bytes:
    with h5py.File(path, "w") as file:
        file["contiguous"] = np.arange(20_000)
        file.create_dataset("chunked", data=np.arange(20_000), chunks=(1000,))
        file.create_dataset("gzip", data=np.arange(20_000), chunks=(1000,), compression="gzip")
        file["text"] = [str(i) for i in range(2000)]
    return path.read_bytes()


@pytest.mark.parametrize("fraction", [0.0001, 0.01, 0.2, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_malformed(tmp_path: Path, fraction: float) -> None:
    body = write_plain(tmp_path / "f.h5")
    path = tmp_path / "cut.h5"
    path.write_bytes(body[: int(len(body) * fraction)])
    with open_local(path) as store, pytest.raises(MalformedFileError, match="truncated") as caught:
        open_file(store).index("/")
    assert caught.value.url == str(path)


def test_data_that_are_cut_off_are_truncated(tmp_path: Path) -> None:
    body = bytearray(write_plain(tmp_path / "f.h5"))
    with h5py.File(tmp_path / "f.h5") as file:
        names = ["contiguous", "chunked", "gzip"]
        last = {
            name: file[name].id.get_offset()
            or file[name].id.get_chunk_info(file[name].id.get_num_chunks() - 1).byte_offset
            for name in names
        }
    # The superblock is made to agree with the size (its end of file is at 40), so that libhdf5 opens the file.
    for name, offset in last.items():
        size = offset + 100
        short = body[:size]
        short[40:48] = size.to_bytes(8, "little")
        path = tmp_path / f"{name}.h5"
        path.write_bytes(short)
        with open_local(path) as store, open_file(store) as file:
            try:
                entry = file.index("/").arrays.get(f"/{name}")
            except MalformedFileError:
                continue
            if entry is not None:
                with pytest.raises(MalformedFileError):
                    file.read(entry)


@pytest.mark.parametrize("count", [N_MUTATIONS, pytest.param(N_SLOW, marks=pytest.mark.slow)])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_damaged_copies_give_errors_of_ours_and_end_soon(tmp_path: Path, libver: str, count: int) -> None:
    source = tmp_path / "f.h5"
    write_zoo(source, libver=libver, large=False)
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.backends.mutations", str(source), str(tmp_path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [*command, "0", str(count)], capture_output=True, text=True, check=False, cwd=root, timeout=300
    )
    assert done.returncode == 0, f"while reading copy {done.stdout.splitlines()[-1]}: {done.stderr[-2000:]}"
    results = [line.split() for line in done.stdout.splitlines()]
    assert len(results) == count
    assert sum(int(refused) for *_, refused in results) > 0


HUGE: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunked": {"chunks": (1000,)},
    "small_chunks": {"chunks": (1,)},
    "gzip": {"chunks": (1000,), "compression": "gzip"},
    "lzf": {"chunks": (1000,), "compression": "lzf"},
}


@pytest.mark.parametrize("layout", HUGE)
@pytest.mark.parametrize("dtype", ["f8", h5py.string_dtype(), h5py.ref_dtype], ids=["number", "text", "reference"])
def test_what_was_never_written_is_not_made_up_by_the_gigabyte(tmp_path: Path, layout: str, dtype: Any) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset("x", (1 << 40,), dtype, **HUGE[layout])
        if dtype == "f8" and layout != "contiguous":
            made[5] = 3.5
    with open_local(path) as store, open_file(store) as ours, little_memory():
        entry = ours.index("/").arrays["/x"]
        with pytest.raises(MalformedFileError, match="were ever written"):
            ours.read(entry)
        assert ours.read(entry, np.array([[4, 7]])).shape == (3,)


def test_a_shape_that_outgrows_the_file_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(1000, dtype="<i8")
        address = h5py.h5o.get_info(file["x"].id).addr
    body = bytearray(path.read_bytes())
    at = body.index((1000).to_bytes(8, "little"), address)
    for declared in (1 << 33, (1 << 64) - 1):
        # The extent, and the size of its storage (the next 8000 in the header).
        body[at : at + 8] = declared.to_bytes(8, "little")
        stored = body.index((8000).to_bytes(8, "little"), address) if declared == 1 << 33 else None
        if stored is not None:
            body[stored : stored + 8] = (declared * 8).to_bytes(8, "little")
        path.write_bytes(body)
        with open_local(path) as store, open_file(store) as file, little_memory():
            index = file.index("/")
            entry = index.arrays.get("/x")
            if entry is None:
                assert "/x" in index.problems
                continue
            with pytest.raises(MalformedFileError):
                file.read(entry)


def test_a_small_chunk_that_decompresses_to_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset("x", (1000,), "u1", chunks=(1000,), compression="gzip")
        bomb = h5py.File("b.h5", "w", driver="core", backing_store=False)
        big = bomb.create_dataset("x", data=np.zeros(200 << 20, "u1"), chunks=(200 << 20,), compression="gzip")
        made.id.write_direct_chunk((0,), big.id.read_direct_chunk((0,))[1])
        bomb.close()
    with open_local(path) as store, open_file(store) as file:
        entry = file.index("/").arrays["/x"]
        with little_memory(), pytest.raises(MalformedFileError, match="more than a chunk"):
            file.read(entry)


def test_an_error_names_the_file_and_the_object(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        x = file.create_dataset("g/x", data=np.arange(1000), chunks=(100,), compression="gzip")
        offset = x.id.get_chunk_info_by_coord((500,)).byte_offset
    body = bytearray(path.read_bytes())
    body[offset : offset + 4] = b"\xff" * 4
    path.write_bytes(body)
    with open_local(path) as store, open_file(store) as ours:
        entry = ours.index("/g").arrays["/g/x"]
        with pytest.raises(NWBDaskError, match="damaged") as caught:
            ours.read(entry)
    assert (caught.value.url, caught.value.path) == (str(path), "/g/x")
