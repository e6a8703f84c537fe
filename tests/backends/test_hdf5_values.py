"""Whatever a dataset is, its rows are those that h5py reads."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nwb_dask.backends import File, open_file
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import FileIndex
from tests.backends.oracle import Array, assert_same, every_dataset, what_h5py_says
from tests.backends.stores import RemoteStore, open_local
from tests.backends.zoo import write_zoo

VARIANTS: dict[str, dict[str, Any]] = {
    "earliest": {"libver": "earliest"},
    "v110": {"libver": ("v110", "v110")},
    "latest": {"libver": "latest"},
    "user_block": {"libver": "earliest", "userblock_size": 1024},
    "user_block_latest": {"libver": "latest", "userblock_size": 512},
    "paged": {"libver": "latest", "fs_strategy": "page", "fs_page_size": 4096},
    "ordered": {"track_order": True},
}


@pytest.fixture(scope="module", params=VARIANTS)
def zoo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("zoo") / f"{request.param}.h5"
    write_zoo(path, **VARIANTS[request.param])
    return path


@pytest.fixture(scope="module")
def plain_zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("zoo") / "zoo.h5"
    write_zoo(path)
    return path


@pytest.fixture(scope="module")
def opened(plain_zoo: Path) -> Iterator[tuple[File, FileIndex, dict[str, Array]]]:
    with h5py.File(plain_zoo) as file:
        expected = {dataset.name: what_h5py_says(dataset) for dataset in every_dataset(file)}
    with open_local(plain_zoo) as store, open_file(store) as ours:
        yield ours, ours.index("/", recursive=True), expected


def test_every_dataset_has_the_values_of_h5py(zoo: Path) -> None:
    with h5py.File(zoo) as file, open_local(zoo) as store, open_file(store) as ours:
        index = ours.index("/", recursive=True)
        assert index.problems == {}
        datasets = list(every_dataset(file))
        assert {dataset.name for dataset in datasets} == set(index.arrays)
        for dataset in datasets:
            assert_same(ours.read(index.arrays[dataset.name]), what_h5py_says(dataset))


def test_every_dataset_has_the_values_of_h5py_through_a_store_without_path(zoo: Path) -> None:
    with h5py.File(zoo) as file, open_local(zoo) as store, open_file(RemoteStore(store)) as ours:
        index = ours.index("/", recursive=True)
        for dataset in every_dataset(file):
            assert_same(ours.read(index.arrays[dataset.name]), what_h5py_says(dataset))


def test_random_rows_of_every_dataset_are_those_of_h5py(zoo: Path) -> None:
    rng = np.random.default_rng(1)
    with h5py.File(zoo) as file, open_local(zoo) as store, open_file(store) as ours:
        index = ours.index("/", recursive=True)
        for dataset in every_dataset(file):
            if not dataset.shape:
                continue
            expected, n_rows = what_h5py_says(dataset), dataset.shape[0]
            for n_cuts in (0, 2, 4, 10):
                cuts = np.sort(rng.integers(0, n_rows + 1, n_cuts))
                spans = cuts.reshape(-1, 2).astype(np.int64)
                rows = [row for start, stop in spans.tolist() for row in range(start, stop)]
                assert_same(ours.read(index.arrays[dataset.name], spans), expected[rows])


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_rows_of_any_dataset_are_those_of_h5py(
    opened: tuple[File, FileIndex, dict[str, Array]], data: st.DataObject
) -> None:
    file, index, expected = opened
    path = data.draw(st.sampled_from(sorted(p for p, entry in index.arrays.items() if entry.shape)))
    n_rows = (index.arrays[path].shape or (0,))[0]
    cuts = data.draw(st.lists(st.integers(0, n_rows), max_size=30).filter(lambda cuts: len(cuts) % 2 == 0))
    spans = np.array(sorted(cuts), np.int64).reshape(-1, 2)
    rows = [row for start, stop in spans.tolist() for row in range(start, stop)]
    assert_same(file.read(index.arrays[path], spans), expected[path][rows])


def test_entries_read_in_another_process_without_an_index(plain_zoo: Path) -> None:
    with h5py.File(plain_zoo) as file:
        with open_local(plain_zoo) as store, open_file(store) as ours:
            entries = pickle.loads(pickle.dumps(ours.index("/", recursive=True))).arrays
        with open_local(plain_zoo) as store, open_file(store) as ours:
            for dataset in every_dataset(file):
                assert_same(ours.read(entries[dataset.name]), what_h5py_says(dataset))


def test_spans_outside_the_rows_are_the_callers_mistake(opened: tuple[File, FileIndex, dict[str, Array]]) -> None:
    file, index, _ = opened
    entry = index.arrays["/layouts/rows_plain"]
    for spans in ([[0, 54]], [[-1, 3]], [[5, 9], [8, 10]], [[5, 4]]):
        with pytest.raises(IndexError, match="spans of 53 rows"):
            file.read(entry, np.array(spans, np.int64))


def test_data_in_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("external", (4,), "<i4", external=[(str(tmp_path / "raw"), 0, 16)])
        layout = h5py.VirtualLayout((4,), "<i4")
        layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
        file.create_virtual_dataset("virtual", layout)
    with open_local(path) as store, open_file(store) as ours:
        index = ours.index("/")
        for name in ("external", "virtual"):
            with pytest.raises(UnsupportedLayoutError, match=f"/{name} has its data in other files"):
                ours.read(index.arrays[f"/{name}"])


def test_a_filter_that_nobody_has_is_named(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.arange(9), chunks=(9,), compression="lzf")
        file.create_dataset("fine", data=np.arange(9))
    # Filter 32000 is lzf; 311 is nobody's.
    path.write_bytes(path.read_bytes().replace((32000).to_bytes(2, "little"), (311).to_bytes(2, "little")))
    with open_local(path) as store, open_file(store) as ours:
        index = ours.index("/")
        with pytest.raises(UnsupportedLayoutError, match="filter 311") as caught:
            ours.read(index.arrays["/x"])
        assert caught.value.path == "/x"
        assert ours.read(index.arrays["/fine"]).tolist() == list(range(9))


def test_types_that_are_not_read_say_why(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file["extended"] = np.arange(3, dtype=np.longdouble)
        file.create_dataset("nested", (2,), h5py.vlen_dtype(h5py.vlen_dtype(np.dtype("i4"))))
    with open_local(path) as store, open_file(store) as ours:
        index = ours.index("/")
        assert index.arrays["/extended"].element.reason == "floating point of 128 bits in an extended format"
        for entry in index.arrays.values():
            assert entry.element.kind == "unsupported"
            with pytest.raises(UnsupportedLayoutError, match="is not read"):
                ours.read(entry)


def test_a_wrong_checksum_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        x = file.create_dataset("x", data=np.arange(100), chunks=(50,), fletcher32=True)
        offset = x.id.get_chunk_info_by_coord((50,)).byte_offset
    body = bytearray(path.read_bytes())
    body[offset + 8] ^= 1
    path.write_bytes(body)
    with open_local(path) as store, open_file(store) as ours:
        entry = ours.index("/").arrays["/x"]
        assert ours.read(entry, np.array([[3, 40]])).tolist() == list(range(3, 40))
        with pytest.raises(MalformedFileError, match="checksum"):
            ours.read(entry)
