"""Small datasets of local files that are read whole, and what is remembered of bytes that recur, against h5py."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

import nwb_dask
import nwb_dask.catalog
from nwb_dask.backends import open_file
from nwb_dask.errors import MalformedFileError
from nwb_dask.testing.performance_sessions import write_performance_sessions
from tests.backends.stores import open_local

VALUES = {
    "text": "a text",
    "empty_text": "",
    "texts": ["one", "", "drei äöü", "one"],
    "table_of_texts": np.array([["a", "b"], ["c", "d"]], object),
    "floats": np.linspace(0, 1, 7),
    "big_endian": np.arange(5, dtype=">i4"),
    "bytes": np.array([3, 255], np.uint8),
    "flags": np.array([True, False, True]),
    "none": np.empty(0, np.int64),
    "scalar": np.float32(2.5),
    "complex": np.array([1 + 2j]),
    "fixed_text": np.array([b"ab", b"c"]),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "values.h5"
    with h5py.File(found, "w") as file:
        for name, values in VALUES.items():
            is_text = np.asarray(values).dtype.kind in "OU"
            file.create_dataset(name, data=values, dtype=h5py.string_dtype() if is_text else None)
        file.create_dataset("filled", data=[1, 2], fillvalue=7)
        file.create_group("group/inner").attrs["name"] = "within"
        file["group"].attrs["name"] = "outside"
    return found


def test_values_asked_for_together_are_those_of_h5py(path: Path) -> None:
    with open_local(path) as store, open_file(store) as file, h5py.File(path) as expected:
        entries = list(file.index("/").arrays.values())
        assert {entry.path for entry in entries} == {f"/{name}" for name in (*VALUES, "filled")}
        for entry, found in zip(entries, file.read_many([(entry, None) for entry in entries]), strict=True):
            np.testing.assert_array_equal(found, expected[entry.path][()], err_msg=entry.path)
            assert found.shape == expected[entry.path].shape
            assert found.dtype.isnative


def test_files_of_the_same_headers_keep_their_own_values(tmp_path: Path) -> None:
    paths = write_performance_sessions(tmp_path, 4, n_units=3, spikes_per_unit=5)
    nwb_dask.catalog.clear()
    found = nwb_dask.read_metadata(paths, "arrow").to_pylist()
    for one, row in zip(paths, found, strict=True):
        with h5py.File(one) as file:
            assert row["identifier"] == file["identifier"].asstr()[()]
            assert row["session_id"] == file["general/session_id"].asstr()[()]
            assert row["keywords"] == file["general/keywords"].asstr()[()].tolist()
            assert row["subject_id"] == file["general/subject/subject_id"].asstr()[()]


def test_damage_in_one_of_two_files_of_the_same_headers_is_found(tmp_path: Path) -> None:
    sound, damaged = write_performance_sessions(tmp_path, 2, n_units=3, spikes_per_unit=5)
    with h5py.File(damaged) as file:
        place = file["identifier"].id.get_offset()
    content = bytearray(damaged.read_bytes())
    content[place + 4 : place + 12] = (len(content) + 4096).to_bytes(8, "little")
    damaged.write_bytes(content)
    nwb_dask.catalog.clear()
    assert nwb_dask.read_metadata(sound, "arrow")["identifier"][0].as_py()
    with pytest.warns(UserWarning, match="cannot be read and is null"):
        row = nwb_dask.read_metadata(damaged, "arrow").to_pylist()[0]
    assert row["identifier"] is None
    assert row["session_description"]
    with pytest.raises(MalformedFileError, match="identifier"):
        nwb_dask.read_table(damaged, "/", columns=["identifier"])


def test_groups_that_are_members_are_only_named_where_they_are_not_asked_for(path: Path) -> None:
    with open_local(path) as store, open_file(store) as file:
        named = file.index("/", attributes=frozenset({"name"}), groups=False)
        described = file.index("/", attributes=frozenset({"name"}))
    assert named.groups["/group"].attributes == {}
    assert described.groups["/group"].attributes == {"name": "outside"}
    assert described.groups["/group"].members == ("inner",)
    assert named.arrays == described.arrays
    assert named.groups["/"] == described.groups["/"]
