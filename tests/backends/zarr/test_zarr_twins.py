"""One session as HDF5 and as Zarr, v2 by hdmf-zarr 0.13 and v3 by 0.14: described alike, object by object."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_dask.backends import File, open_file
from nwb_dask.index import FileIndex
from nwb_dask.storage import Access, open_store
from tests.backends.oracle import assert_same, what_h5py_says
from tests.backends.summary import STORES
from tests.backends.zarr.stores import INTEROP

HDF5 = INTEROP / "session.nwb"
TWINS = ["session_zarr2.nwb.zarr", "session_zarr3.nwb.zarr"]

pytestmark = pytest.mark.skipif(not HDF5.exists(), reason=f"NO SESSION at {INTEROP}: the containers are not compared")


def plain(value: object) -> object:
    return value.tolist() if isinstance(value, np.ndarray) else value


def attributes(entry: Any) -> dict[str, object]:
    return {key: plain(value) for key, value in entry.attributes.items()}


@pytest.fixture(scope="module")
def expected() -> FileIndex:
    with open_store(str(HDF5), Access()) as store, open_file(store) as file:  # type: ignore[arg-type]  # a path is a Url
        return file.index("/", recursive=True)


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest) -> Iterator[File]:
    path = str(INTEROP / request.param)
    with open_store(path, Access()) as store, open_file(store) as file:  # type: ignore[arg-type]  # a path is a Url
        yield file


def test_every_group_is_described_as_in_hdf5(twin: File, expected: FileIndex) -> None:
    found = twin.index("/", recursive=True)
    assert not found.problems
    assert list(found.groups) == list(expected.groups)
    for path, group in expected.groups.items():
        mine = found.groups[path]
        assert (mine.members, dict(mine.links)) == (group.members, dict(group.links)), path
        assert attributes(mine) == attributes(group), path


def test_every_array_is_described_as_in_hdf5(twin: File, expected: FileIndex) -> None:
    found = twin.index("/", recursive=True)
    assert found.arrays.keys() == expected.arrays.keys()
    for path, entry in expected.arrays.items():
        mine = found.arrays[path]
        assert (mine.element, mine.shape, mine.fill) == (entry.element, entry.shape, entry.fill), path
        assert attributes(mine) == attributes(entry), path


def test_every_part_of_the_tree_is_described_as_in_hdf5(twin: File, expected: FileIndex) -> None:
    with open_store(str(HDF5), Access()) as store, open_file(store) as file:  # type: ignore[arg-type]  # a path is a Url
        for path in expected.groups:
            mine, theirs = (one.index(path, names=["id", "data"], groups=False) for one in (twin, file))
            assert mine.arrays.keys() == theirs.arrays.keys(), path
            # Groups that are members may be there.
            assert path in mine.groups
            mine, theirs = (one.index(path) for one in (twin, file))
            assert mine.arrays.keys() == theirs.arrays.keys(), path
            assert mine.groups.keys() == theirs.groups.keys(), path


def test_all_values_are_those_that_h5py_reads(twin: File, record_property: Callable[[str, object], None]) -> None:
    index = twin.index("/", recursive=True)
    with h5py.File(HDF5) as file:
        for path, entry in index.arrays.items():
            assert_same(twin.read(entry), what_h5py_says(file[path]))
    text = f"{Path(twin.source.url).name}: {len(index.arrays)} arrays equal those that h5py reads of {HDF5.name}"
    record_property(STORES, json.dumps({"text": text}))
