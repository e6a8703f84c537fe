"""Windows of hours of samples read the stored chunks that hold them, in one round where these are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt
import pytest

import nwb_dask
from nwb_dask.index import Url
from nwb_dask.model.series.values import Scale
from nwb_dask.plan.slab import Slab
from nwb_dask.read.open_files import MAX_OPEN, open_files
from nwb_dask.read.opening import open_source
from nwb_dask.read.slab import StoredStamps, read_slab
from nwb_dask.storage import make_access
from nwb_dask.testing import RangeServer
from tests.budgets.knowing import Knowledge
from tests.budgets.measure import measure, needs_counters
from tests.budgets.spending import Cost, at_most

RATE = 30_000
N_ROWS, N_CHANNELS = 2 * 3600 * RATE, 64
START = 3600 * RATE - RATE // 2
"""First row that is written, and from which a second is read."""
N_WRITTEN = 4 * RATE
OPEN = Path("/proc/self/fd")
PAGE = 64 * 1024
MERGED = 16 * 1024
"""Chunks near each other share a request, which may fetch so much in vain."""
STRUCTURE = 48 * 1024
"""Of a local file, where the chunks are: pages of 4 KiB on the way to them."""
SCALE = Scale(1.95e-7)
FACTORS = Scale(1.95e-7, 0.0, np.linspace(0.5, 2.0, N_CHANNELS))


class Writing(NamedTuple):
    """How samples are stored; all have about 3,300 chunks."""

    chunks: tuple[int, int] | None
    options: Mapping[str, Any]


WRITINGS: Mapping[str, Writing] = {
    "gzip": Writing((65_536, 64), {"compression": "gzip", "compression_opts": 1, "shuffle": True}),
    "columns": Writing((262_144, 16), {"compression": "gzip", "compression_opts": 1}),
    "plain": Writing((65_536, 64), {}),
}


@pytest.fixture(scope="module", params=WRITINGS)
def writing(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def path(writing: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hours of 64 channels at 30 kHz, of which four seconds are written."""
    path = tmp_path_factory.mktemp("series") / f"{writing}.nwb"
    chunks, options = WRITINGS[writing]
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "data", (N_ROWS, N_CHANNELS), "<i2", chunks=chunks, maxshape=(None, N_CHANNELS), **options
        )
        data[START : START + N_WRITTEN] = content()
    return path


def content() -> npt.NDArray[np.int16]:
    """Return the samples that are written."""
    return np.random.default_rng(0).integers(-300, 300, (N_WRITTEN, N_CHANNELS)).astype(np.int16)


@pytest.fixture(scope="module")
def server(path: Path) -> Iterator[RangeServer]:
    with RangeServer(path.parent) as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_is_open(knowledge: Knowledge) -> Iterator[None]:
    open_files.close_all()
    yield
    open_files.close_all()


def address(where: str, scale: Scale = SCALE, name: str = "/data") -> Slab:
    url, access = Url(where), make_access(None)
    with open_source(url, access) as file:
        entry = file.index(name).array(name)
        assert entry is not None
        return Slab.of(entry, url=url, name=where, identity=file.source.identity, access=access, scale=scale)


def stored(path: Path, rows: slice, channels: slice) -> list[tuple[int, int]]:
    """Return the half-open bytes of the chunks that hold a window, as libhdf5 says."""
    with h5py.File(path) as file:
        data = file["data"]
        high, wide = data.chunks
        corners = [
            (row, channel)
            for row in range(rows.start // high * high, rows.stop, high)
            for channel in range(channels.start // wide * wide, channels.stop, wide)
        ]
        found = [data.id.get_chunk_info_by_coord(corner) for corner in corners]
    return sorted((one.byte_offset, one.byte_offset + one.size) for one in found)


def n_bytes(ranges: list[tuple[int, int]]) -> int:
    return sum(stop - start for start, stop in ranges)


SECOND = slice(START, START + RATE)
ALL = slice(0, N_CHANNELS)
FEW = slice(33, 36)


@needs_counters
def test_a_second_of_a_local_series_reads_the_chunks_that_hold_it(path: Path, writing: str) -> None:
    slab = address(str(path))
    read_slab(slab, slice(0, 1))
    open_files.close_all()
    held = n_bytes(stored(path, SECOND, ALL))
    most = min(held, RATE * N_CHANNELS * 2) if writing == "plain" else held
    first = measure(lambda: read_slab(slab, SECOND))
    np.testing.assert_array_equal(first.result, (content()[:RATE] * np.float64(1.95e-7)).astype(np.float32))
    assert first.bytes <= most + STRUCTURE
    # The file is still open, and what was learned of it is known.
    again = measure(lambda: read_slab(slab, SECOND))
    assert again.bytes == most
    assert again.calls <= len(stored(path, SECOND, ALL))


@needs_counters
def test_few_channels_of_a_local_series_read_their_chunk_columns(path: Path, writing: str) -> None:
    slab = address(str(path), FACTORS)
    read_slab(slab, (SECOND, FEW))
    found = measure(lambda: read_slab(slab, (SECOND, FEW)))
    expected = content()[:RATE, FEW] * (FACTORS.factor * np.linspace(0.5, 2.0, N_CHANNELS)[FEW]) + 0.0
    np.testing.assert_array_equal(found.result, expected.astype(np.float32))
    held = n_bytes(stored(path, SECOND, FEW))
    assert found.bytes <= held
    assert (found.bytes == held) == (writing != "plain")


def test_a_second_of_a_remote_series_takes_one_round_where_its_chunks_are_known(
    path: Path, server: RangeServer, knowledge: Knowledge, writing: str
) -> None:
    slab = address(server.url(path.name))
    # Found: the root of the index and its nodes, which are near each other; then the data.
    with at_most(server, Cost(4, 30, n_bytes(stored(path, SECOND, ALL)) + 12 * PAGE)):
        expected = read_slab(slab, SECOND)
    np.testing.assert_array_equal(expected, (content()[:RATE] * np.float64(1.95e-7)).astype(np.float32))
    # As in a process that starts now, on the same machine.
    open_files.close_all()
    knowledge.keep_what_is_on_disk()
    for key in (SECOND, slice(START + 2 * RATE, START + 3 * RATE), (SECOND, FEW)):
        rows, channels = key if isinstance(key, tuple) else (key, ALL)
        held = stored(path, rows, channels)
        with at_most(server, Cost(1, 12, n_bytes(held) + MERGED)):
            read_slab(slab, key)
        open_files.close_all()


def test_few_channels_of_a_remote_series_read_their_chunk_columns(path: Path, server: RangeServer) -> None:
    slab = address(server.url(path.name))
    read_slab(slab, slice(START, START + 1))
    held = n_bytes(stored(path, SECOND, FEW))
    with at_most(server, Cost(1, 12, held)):
        got = read_slab(slab, (SECOND, FEW))
    np.testing.assert_array_equal(got, (content()[:RATE, FEW] * np.float64(1.95e-7)).astype(np.float32))


def test_listed_channels_read_the_chunk_columns_that_hold_them_in_one_round(
    path: Path, server: RangeServer, writing: str
) -> None:
    slab = address(server.url(path.name))
    read_slab(slab, slice(START, START + 1))
    held = n_bytes(stored(path, SECOND, slice(2, 3))) + n_bytes(stored(path, SECOND, slice(60, 61)))
    budget = held if writing == "columns" else n_bytes(stored(path, SECOND, ALL))
    with at_most(server, Cost(1, 20, budget + MERGED)):
        got = read_slab(slab, (SECOND, [60, 2]))
    np.testing.assert_array_equal(got, (content()[:RATE, [60, 2]] * np.float64(1.95e-7)).astype(np.float32))


def test_samples_that_were_never_written_read_nothing_of_data(path: Path, server: RangeServer) -> None:
    slab = address(server.url(path.name))
    read_slab(slab, slice(START, START + 1))
    with at_most(server, Cost(0, 0, 0)):
        assert not read_slab(slab, slice(0, RATE)).any()


def test_addresses_and_their_reprs_ask_nothing(path: Path, server: RangeServer) -> None:
    slab = address(server.url(path.name))
    with at_most(server, Cost(0, 0, 0)):
        assert "data" in repr(slab)
        assert slab.nbytes == N_ROWS * N_CHANNELS * 4
        assert hash(slab) == hash(address_again(slab))


def address_again(slab: Slab) -> Slab:
    return Slab.of(slab.entry, url=slab.url, name=slab.name, identity=slab.identity, access=slab.access, scale=SCALE)


@needs_counters
@pytest.mark.parametrize("options", [{"chunks": (131_072,), "compression": "gzip"}, {"chunks": (1_000_000,)}], ids=str)
def test_a_block_of_stamps_reads_what_holds_it(tmp_path: Path, options: dict[str, Any]) -> None:
    n = 200_000_000
    with h5py.File(tmp_path / "stamps.nwb", "w") as file:
        made = file.create_dataset("t", (n,), "<f8", maxshape=(None,), **options)
        made[1_000_000:1_200_000] = np.arange(200_000) / 30_000
    stamps = StoredStamps(address(str(tmp_path / "stamps.nwb"), Scale(), "/t"))
    at = 1_048_576 // stamps.block * stamps.block
    stamps.read(at, at + 1)
    found = measure(lambda: stamps.read(at, at + stamps.block))
    with h5py.File(tmp_path / "stamps.nwb") as file:
        np.testing.assert_array_equal(found.result, file["t"][at : at + stamps.block])
        size = (
            file["t"].id.get_chunk_info_by_coord((at // stamps.block * stamps.block,)).size if len(options) > 1 else 0
        )
    assert found.bytes == (size or stamps.block * 8)
    assert found.bytes <= 1 << 20


def n_open() -> int:
    return len(list(OPEN.iterdir()))


@pytest.mark.skipif(not OPEN.exists(), reason="only Linux shows which files are open")
def test_two_hundred_files_do_not_stay_open(tmp_path: Path) -> None:
    slabs = []
    for number in range(200):
        with h5py.File(tmp_path / f"{number}.nwb", "w") as file:
            file.create_dataset("data", data=np.full((100, 4), number, "<i2"), chunks=(10, 4), compression="gzip")
        slabs.append(address(str(tmp_path / f"{number}.nwb")))
    before = n_open()
    most = 0
    for number, slab in enumerate(slabs):
        assert (read_slab(slab, (slice(3, 50), 2)) == np.float32(number * 1.95e-7)).all()
        most = max(most, n_open())
    assert MAX_OPEN <= most - before <= MAX_OPEN + 2
    open_files.close_all()
    assert n_open() <= before


def test_a_file_that_is_open_is_read_again_without_a_look_at_its_structure(path: Path) -> None:
    slab = address(str(path))
    with nwb_dask.trace() as first:
        read_slab(slab, slice(START, START + 10))
    with nwb_dask.trace() as second:
        read_slab(slab, slice(START, START + 10))
    assert second.requests == len(stored(path, slice(START, START + 10), ALL))
    assert second.requests < first.requests
