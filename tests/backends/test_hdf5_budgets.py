"""No more of a file is read than the rows that are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from nwb_dask.backends import open_file
from tests.backends.stores import CountingStore, RemoteStore, open_local

N_ROWS = 200_000


def scattered_spans(fraction: float) -> npt.NDArray[np.int64]:
    """Return spans of 100 rows that make up a fraction of all rows."""
    starts = np.arange(0, N_ROWS, int(100 / fraction), dtype=np.int64)
    return np.stack((starts, starts + 100), axis=1)


def write_column(path: Path, **options: Any) -> npt.NDArray[np.float64]:
    data = np.cumsum(np.random.default_rng(0).exponential(size=N_ROWS)).round(3)
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=data, **options)
    return data


@pytest.mark.parametrize("options", [{}, {"chunks": (30_000,)}, {"chunks": (N_ROWS,)}, {"chunks": (7,)}])
def test_rows_of_plain_data_are_read_and_nothing_else(tmp_path: Path, options: dict[str, Any]) -> None:
    data = write_column(tmp_path / "f.h5", **options)
    spans = scattered_spans(0.05)
    with open_local(tmp_path / "f.h5") as opened:
        store = CountingStore(opened)
        with open_file(store) as file:
            entry = file.index("/").arrays["/x"]
            store.ranges.clear()
            got = file.read(entry, spans)
    expected = np.concatenate([data[start:stop] for start, stop in spans.tolist()])
    np.testing.assert_array_equal(got, expected)
    assert store.n_data_bytes == expected.nbytes
    assert store.n_data_bytes < 0.1 * data.nbytes


def test_rows_of_one_tile_are_read_without_the_rest_of_it(tmp_path: Path) -> None:
    data = np.arange(1000 * 64.0).reshape(1000, 64)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("x", data=data, chunks=(500, 32))
    with open_local(tmp_path / "f.h5") as opened:
        store = CountingStore(opened)
        with open_file(store) as file:
            entry = file.index("/").arrays["/x"]
            store.ranges.clear()
            np.testing.assert_array_equal(file.read(entry, np.array([[490, 510]])), data[490:510])
    assert store.n_data_bytes == 20 * 64 * 8


def test_only_the_touched_chunks_of_compressed_data_are_read(tmp_path: Path) -> None:
    data = write_column(tmp_path / "f.h5", chunks=(10_000,), compression="gzip", shuffle=True)
    spans = np.array([[5, 10], [9_990, 10_010], [155_000, 155_001]], np.int64)
    with h5py.File(tmp_path / "f.h5") as theirs:
        touched = [theirs["x"].id.get_chunk_info_by_coord((row,)) for row in (0, 10_000, 150_000)]
    with open_local(tmp_path / "f.h5") as opened:
        store = CountingStore(opened)
        with open_file(store) as file:
            entry = file.index("/").arrays["/x"]
            store.ranges.clear()
            got = file.read(entry, spans)
    np.testing.assert_array_equal(got, np.concatenate([data[a:b] for a, b in spans.tolist()]))
    assert store.data_ranges == [(info.byte_offset, info.byte_offset + info.size) for info in touched]


def test_planned_contiguous_data_are_read_without_opening_the_file(tmp_path: Path) -> None:
    data = write_column(tmp_path / "f.h5")
    with open_local(tmp_path / "f.h5") as opened:
        with open_file(opened) as file:
            entry = file.index("/").arrays["/x"]
        store = RemoteStore(opened)
        with open_file(store) as file:
            np.testing.assert_array_equal(file.read(entry, np.array([[10, 20]])), data[10:20])
    assert store.n_bytes == 80


def test_spans_of_a_row_at_a_time_are_read_in_one_call(tmp_path: Path) -> None:
    data = write_column(tmp_path / "f.h5", chunks=(1000,))
    rows = np.arange(0, N_ROWS, 17, dtype=np.int64)

    class OneCall(CountingStore):
        calls = 0

        def read(self, ranges: Any) -> Any:
            n_before = len(self.data_ranges)
            found = super().read(ranges)
            self.calls += len(self.data_ranges) > n_before
            return found

    with open_local(tmp_path / "f.h5") as opened:
        store = OneCall(opened)
        with open_file(store) as file:
            entry = file.index("/").arrays["/x"]
            store.calls = 0
            np.testing.assert_array_equal(file.read(entry, np.stack((rows, rows + 1), axis=1)), data[rows])
    assert store.calls == 1
    assert store.n_data_bytes <= 2 * rows.size * 8


def test_nothing_is_read_for_no_rows(tmp_path: Path) -> None:
    write_column(tmp_path / "f.h5", chunks=(1000,), compression="gzip")
    with open_local(tmp_path / "f.h5") as opened:
        store = CountingStore(opened)
        with open_file(store) as file:
            entry = file.index("/").arrays["/x"]
            store.ranges.clear()
            assert file.read(entry, np.empty((0, 2), np.int64)).shape == (0,)
            assert file.read(entry, np.array([[7, 7]])).shape == (0,)
    assert store.ranges == []


def test_describing_many_chunks_does_not_read_their_index(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("x", data=np.arange(100_000), chunks=(2,))
    with open_local(tmp_path / "f.h5") as opened:
        store = RemoteStore(opened)
        with open_file(store) as ours:
            assert ours.index("/").arrays["/x"].stored_bytes == 800_000
    assert store.n_bytes < 0.3 * store.size
