"""Real files by many writers: every dataset has the values that h5py reads."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from nwb_dask.backends import open_file
from nwb_dask.index import ArrayEntry
from tests.backends.oracle import assert_attributes, assert_same, every_dataset, what_h5py_says
from tests.backends.stores import open_local
from tests.left import one_of_each_folder

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
FILES = sorted(p for p in REAL.rglob("*") if p.is_file() and p.suffix in {".nwb", ".h5", ".hdf5"})
# `test_parser_equals_h5py` compares the same of all of them, and by the low level of h5py; here it is the high level.
SOME = pytest.mark.parametrize("path", one_of_each_folder(FILES, ids=[str(path.relative_to(REAL)) for path in FILES]))
# What is read of the largest datasets: the first and the last rows.
MAX_BYTES = 8 << 20


def test_the_real_files_are_there() -> None:
    if not FILES:
        pytest.skip(f"NO REAL FILES at {REAL}: nothing is compared with real data")
    assert len(FILES) > 50


@SOME
def test_every_dataset_of_a_real_file_has_the_values_of_h5py(path: Path) -> None:
    if not h5py.is_hdf5(path):
        pytest.skip(f"{path.name} is no HDF5")
    with h5py.File(path) as file, open_local(path) as store, open_file(store) as ours:
        index = ours.index("/", recursive=True)
        for dataset in every_dataset(file):
            entry = index.arrays[dataset.name]
            assert entry.element.kind != "unsupported", entry.element.reason
            if dataset.size is None or dataset.size * dataset.dtype.itemsize <= MAX_BYTES:
                assert_same(ours.read(entry), what_h5py_says(dataset))
            else:
                compare_ends(dataset, ours.read(entry, ends(entry)))


@SOME
def test_every_object_of_a_real_file_is_described_as_h5py_sees_it(path: Path) -> None:
    with h5py.File(path) as file, open_local(path) as store, open_file(store) as ours:
        index = ours.index("/", recursive=True)
        # Dimension scales: attributes of object references in sequences and compounds.
        assert {name.partition("@")[2] for name in index.problems} <= {"DIMENSION_LIST", "REFERENCE_LIST"}
        found: dict[str, h5py.Group | h5py.Dataset] = {"/": file}
        file.visititems(lambda name, item: found.setdefault(f"/{name}", item) and None)
        groups = {name: item for name, item in found.items() if isinstance(item, h5py.Group)}
        assert set(groups) == set(index.groups)
        for name, group in groups.items():
            assert index.groups[name].members == tuple(group)
            assert_attributes(index.groups[name].attributes, group, file)
        for name, dataset in found.items():
            if isinstance(dataset, h5py.Dataset):
                entry = index.arrays[name]
                assert (entry.shape, entry.chunks) == (dataset.shape, dataset.chunks)
                assert_attributes(entry.attributes, dataset, file)


def ends(entry: ArrayEntry) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    n_rows = (entry.shape or (0,))[0]
    return np.array([[0, min(5, n_rows)], [max(n_rows - 5, 5), n_rows]], np.int64)


def compare_ends(dataset: h5py.Dataset, ours: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> None:
    theirs = np.concatenate([dataset[:5], dataset[max(len(dataset) - 5, 5) :]])
    np.testing.assert_array_equal(ours, theirs)
