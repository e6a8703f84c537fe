"""The files of series hold what they say; pynwb, h5py and the schema that pynwb carries are asked."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO, TimeSeries, get_type_map

from nwb_dask.testing.odd_columns import new_file
from nwb_dask.testing.series import SERIES, write_series
from nwb_dask.testing.series_edits import replace, variant
from nwb_dask.testing.series_odd import ODD_SERIES, PYNWB_REFUSES, write_odd_series


@pytest.fixture(scope="module")
def series_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_series(tmp_path_factory.mktemp("series") / "series.nwb")


@pytest.fixture(scope="module")
def odd_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_odd_series(tmp_path_factory.mktemp("odd") / "odd.nwb")


def _core_types() -> set[str]:
    """Return TimeSeries and its descendants in the core schema of the pynwb that is installed."""
    catalog = get_type_map().namespace_catalog
    types = catalog.get_namespace("core").catalog.get_registered_types()
    return {kind for kind in types if "TimeSeries" in catalog.get_hierarchy("core", kind)}


def _path(item: TimeSeries, io: NWBHDF5IO) -> str:
    builder = io.manager.get_builder(item)
    path: str = builder.path
    return "/" + path.removeprefix("root/")


def _all_series(group: h5py.Group) -> Iterator[h5py.Group]:
    """Give every group below that holds samples or times and is reached without a link."""
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.HardLink) and isinstance(group[name], h5py.Group):
            member = group[name]
            if {"data", "timestamps", "starting_time"} & set(member):
                yield member
            else:
                yield from _all_series(member)


def _opened_by_pynwb(path: Path) -> dict[str, str]:
    """Return type by path of all series that pynwb finds in a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with NWBHDF5IO(str(path), "r") as io:
            found = [item for item in io.read().objects.values() if isinstance(item, TimeSeries)]
            return {_path(item, io): type(item).__name__ for item in found}


def test_pynwb_finds_the_series_that_are_listed_and_no_others(series_file: Path) -> None:
    linked = {"/stimulus/presentation/plain"}
    assert set(_opened_by_pynwb(series_file)) == set(SERIES) - linked


def test_every_series_type_of_the_core_schema_is_in_the_file(series_file: Path) -> None:
    types = _core_types()
    assert len(types) >= 22
    assert set(_opened_by_pynwb(series_file).values()) == types


def test_h5py_finds_every_listed_path(series_file: Path) -> None:
    with h5py.File(series_file) as file:
        assert [path for path in SERIES if "neurodata_type" not in file[path].attrs] == []


def test_series_are_stored_and_linked_as_their_descriptions_say(series_file: Path) -> None:
    with h5py.File(series_file) as file:
        layouts = {name: file[f"acquisition/{name}/data"] for name in ("raw", "chunked", "gzip", "gzip_shuffle")}
        stored = {name: (data.chunks is not None, data.compression, data.shuffle) for name, data in layouts.items()}
        links = {
            name: (
                file["acquisition"][name].get("data", getlink=True, getclass=True),
                file["acquisition"][name].get("timestamps", getlink=True, getclass=True),
            )
            for name in ("same_stamps", "same_stamps_again", "same_data", "same_both")
        }
        assert isinstance(file["stimulus/presentation"].get("plain", getlink=True), h5py.SoftLink)
        assert file["acquisition/compressed_stamps/timestamps"].compression == "gzip"
        assert file["processing/ophys/transposed/data"].shape[0] < file["processing/ophys/transposed/timestamps"].size
        conversion = file["processing/ecephys/spikes_conversion/channel_conversion"]
        assert (conversion.shape, conversion.attrs["axis"]) == ((3,), 1)
    assert stored == {
        "raw": (False, None, False),
        "chunked": (True, None, False),
        "gzip": (True, "gzip", False),
        "gzip_shuffle": (True, "gzip", True),
    }
    assert links == {
        "same_stamps": (h5py.HardLink, h5py.SoftLink),
        "same_stamps_again": (h5py.HardLink, h5py.SoftLink),
        "same_data": (h5py.SoftLink, None),
        "same_both": (h5py.SoftLink, h5py.SoftLink),
    }


def test_all_numbers_of_dimensions_and_types_of_samples_are_there(series_file: Path) -> None:
    with h5py.File(series_file) as file:
        data = [file[path]["data"] for path in SERIES if "external" not in path]
        assert set(Counter(values.ndim for values in data)) == {1, 2, 3, 4}
        names = {values.dtype.name for values in data}
    signed = {f"int{bits}" for bits in (8, 16, 32, 64)}
    assert names >= signed | {f"u{name}" for name in signed} | {"float32", "float64", "object"}


def _values(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = {}
    with h5py.File(path) as file:

        def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
            values[name] = {key: repr(value) for key, value in item.attrs.items() if key != "object_id"}
            if isinstance(item, h5py.Dataset) and h5py.check_ref_dtype(item.dtype) is None and item.shape is not None:
                values[name] |= {"": item[()]}

        file.visititems(note)
    return values


@pytest.mark.parametrize("write", [write_series, write_odd_series])
def test_the_same_is_written_each_time(write: Any, tmp_path: Path) -> None:
    first = _values(write(tmp_path / "a.nwb"))
    second = _values(write(tmp_path / "a.nwb"))
    assert len(first) > 400
    np.testing.assert_equal(first, second)


def test_the_odd_file_holds_the_series_that_are_listed_and_no_others(odd_file: Path) -> None:
    with h5py.File(odd_file) as file:
        reached = {series.name for series in _all_series(file)}
        links = {
            f"/acquisition/{name}"
            for name in file["acquisition"]
            if not isinstance(file["acquisition"].get(name, getlink=True), h5py.HardLink)
        }
    assert links == {f"/acquisition/series_{name}" for name in ("broken", "external", "loop")}
    assert reached | links == set(ODD_SERIES)


def test_pynwb_opens_the_odd_file_without_what_it_refuses(tmp_path: Path) -> None:
    opened = set(_opened_by_pynwb(write_odd_series(tmp_path / "odd.nwb", without=PYNWB_REFUSES)))
    # A group without a type is nothing to pynwb, and so is a link that goes nowhere.
    assert set(ODD_SERIES) - PYNWB_REFUSES - opened == {"/acquisition/no_type", "/acquisition/series_broken"}
    assert opened < set(ODD_SERIES)


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(PYNWB_REFUSES))
def test_one_refused_series_is_enough_for_pynwb_to_refuse_the_file(path: str, tmp_path: Path) -> None:
    written = write_odd_series(tmp_path / "odd.nwb", without=PYNWB_REFUSES - {path})
    # pynwb stops at each with another error, some of which are Python's own.
    with pytest.raises(Exception, match=r".+"):
        _opened_by_pynwb(written)


def test_types_of_the_extension_are_described_in_the_file_but_for_one(odd_file: Path) -> None:
    with h5py.File(odd_file) as file:
        types = {name: file[f"processing/behavior/{name}"].attrs for name in ("path", "maze_path", "excursion")}
        assert {name: (of["namespace"], of["neurodata_type"]) for name, of in types.items()} == {
            "path": ("ndx-maze", "Path"),
            "maze_path": ("ndx-maze", "MazePath"),
            "excursion": ("ndx-lost", "Excursion"),
        }
        assert {"core", "ndx-maze"} <= set(file["specifications"])
        assert "ndx-lost" not in file["specifications"]
    assert "Path" not in get_type_map().namespace_catalog.get_namespace("core").catalog.get_registered_types()
    assert "ndx-maze" not in get_type_map().namespace_catalog.namespaces


def test_links_out_of_the_odd_file_have_something_to_find(odd_file: Path) -> None:
    with h5py.File(odd_file) as file:
        stamped = file["acquisition/stamped/data"][:]
        for name in ("data_external", "series_external", "data_hard", "data_linked_twice"):
            np.testing.assert_array_equal(file["acquisition"][name]["data"][:], stamped)
        np.testing.assert_array_equal(file["acquisition/data_in_raw_file/data"][:], np.arange(10.0))
        for name in ("data_broken", "data_external_absent"):
            with pytest.raises(KeyError):
                _ = file["acquisition"][name]["data"]


def test_copies_keep_their_references_and_have_ids_of_their_own(odd_file: Path) -> None:
    with h5py.File(odd_file) as file:
        table = file["general/extracellular_ephys/electrodes"]
        assert file[file["acquisition/electrodes_beyond/electrodes"].attrs["table"]] == table
        assert file[file["acquisition/bands_fewer/source_channels"].attrs["table"]] == table
        assert not file["acquisition/electrodes_null/electrodes"].attrs["table"]
        with pytest.raises(KeyError, match="token"):
            _ = file[file["acquisition/electrodes_dangling/electrodes"].attrs["table"]]
        ids: Counter[str] = Counter()
        file.visititems(lambda _, item: ids.update([item.attrs["object_id"]] if "object_id" in item.attrs else []))
    assert len(ids) > len(ODD_SERIES)
    assert max(ids.values()) == 1


def test_a_replaced_dataset_keeps_its_attributes(tmp_path: Path) -> None:
    with new_file(tmp_path / "edited.nwb") as file:
        file["acquisition/a/data"] = np.arange(3)
        file["acquisition/a/data"].attrs["unit"] = "V"
        data = replace(variant(file, "/acquisition/b", like="/acquisition/a"), "data", np.zeros((2, 2), "f4"))
        assert (data.shape, data.dtype.name, data.attrs["unit"]) == ((2, 2), "float32", "V")
        assert file["acquisition/a/data"].shape == (3,)
