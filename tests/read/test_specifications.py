"""Types of extensions, from the specifications in a file."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import pytest

from nwb_dask.backends import File
from nwb_dask.read import specifications
from nwb_dask.read.series import describe_series, find_series
from nwb_dask.read.specifications import extension_types
from nwb_dask.testing.series import write_series
from tests.read.series_files import opened

TIMES = [0.0, 1.0, 2.0]


def write(path: Path, **texts: str) -> Path:
    """Write a series of type ``Wheel`` and specifications of namespaces, by name."""
    with h5py.File(path, "w") as file:
        group = file.create_group("/acquisition/turns")
        group.attrs.update({"neurodata_type": "Wheel", "namespace": "ndx-wheel"})
        group["data"] = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
        group["timestamps"] = TIMES
        for name, text in texts.items():
            file[f"/specifications/{name.replace('_', '-')}/0.1.0/{name}.extensions"] = text
            file[f"/specifications/{name.replace('_', '-')}/0.1.0/namespace"] = "{}"
    return path


def spec(name: str, parent: str) -> str:
    return json.dumps({"groups": [{"neurodata_type_def": name, "neurodata_type_inc": parent}]})


def test_types_of_all_extensions_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nwb", ndx_wheel=spec("Wheel", "Disc"), ndx_disc=spec("Disc", "SpatialSeries"))
    with opened(path) as file:
        assert dict(extension_types(file)) == {"Wheel": "Disc", "Disc": "SpatialSeries"}
        assert describe_series(file, "/acquisition/turns").dims == ("time", "space")


def test_a_type_that_descends_from_something_else_is_no_series_whatever_its_members(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nwb", ndx_wheel=spec("Wheel", "NWBDataInterface"))
    with opened(path) as file:
        assert find_series(file) == ()


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "null", '{"groups": [{"neurodata_type_def": 3}]}'])
def test_a_damaged_specification_describes_nothing_and_hides_no_series(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "a.nwb", ndx_wheel=text)
    with opened(path) as file:
        assert find_series(file) == ("/acquisition/turns",)
        series = describe_series(file, "/acquisition/turns")
    assert series.core_type == "TimeSeries"
    assert "which nothing in the file describes" in series.warnings[0]


def test_a_file_without_specifications_has_no_extension_types(tmp_path: Path) -> None:
    with opened(write(tmp_path / "a.nwb")) as file:
        assert dict(extension_types(file)) == {}
        assert find_series(file) == ("/acquisition/turns",)


def test_one_specification_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nwb", ndx_wheel=spec("Wheel", "SpatialSeries"))
    with h5py.File(path, "r+") as file:
        file["/specifications/ndx-lost/0.1.0/away"] = h5py.ExternalLink("elsewhere.h5", "/text")
        file["/specifications/ndx-lost/0.1.0/numbers"] = [1, 2, 3]
        file["/specifications/ndx-lost/0.1.0/number"] = 1
    with opened(path) as ours:
        assert dict(extension_types(ours)) == {"Wheel": "SpatialSeries"}


def test_specifications_are_read_only_for_types_that_are_not_of_the_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    reading = specifications._read_types

    def note(file: File, index: object) -> object:
        asked.append(file.source.url)
        return reading(file, index)  # type: ignore[arg-type]  # what it is given

    monkeypatch.setattr(specifications, "_read_types", note)
    with opened(write_series(tmp_path / "core.nwb")) as file:
        for place in find_series(file):
            describe_series(file, place)
    assert asked == []
    path = write(tmp_path / "a.nwb", ndx_wheel=spec("Wheel", "SpatialSeries"))
    for _ in range(2):
        with opened(path) as file:
            describe_series(file, "/acquisition/turns")
    assert asked == [str(path)]


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nwb", ndx_wheel=spec("Wheel", "SpatialSeries"))
    with opened(path) as file:
        assert describe_series(file, "/acquisition/turns").core_type == "SpatialSeries"
    path.unlink()
    write(path, ndx_wheel=spec("Wheel", "RoiResponseSeries"), ndx_other=spec("Other", "TimeSeries"))
    with opened(path) as file:
        assert describe_series(file, "/acquisition/turns").core_type == "RoiResponseSeries"
