"""Series described from indexes that are put together here: old forms, hostile lengths, names that clash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nwb_dask.index import (
    ArrayEntry,
    AttributeValue,
    ElementKind,
    ElementType,
    FileIndex,
    FilePath,
    GroupEntry,
    Identity,
    Link,
    Reference,
    Source,
    Url,
)
from nwb_dask.model.series import Members, SampledTiming, Series, build_series, linked_paths, small_arrays

SOURCE = Source(Url("/a.nwb"), Identity("size", "", 1))
TABLE = "/table"
RATE: Mapping[str, AttributeValue] = {"rate": 10.0, "unit": "seconds"}

Values = npt.NDArray[Any]


def entry(path: str, values: Values | tuple[int, ...], attributes: Mapping[str, AttributeValue]) -> ArrayEntry:
    """Return a dataset with the type and shape of some values, or of float64 and a shape without values."""
    if isinstance(values, tuple):
        return ArrayEntry(
            FilePath(path), ElementType("float", np.dtype("f8")), values, "chunked", attributes, (1,) * len(values)
        )
    kinds: dict[str, ElementKind] = {"i": "int", "u": "uint", "f": "float", "O": "string"}
    dtype = None if values.dtype.kind == "O" else values.dtype
    return ArrayEntry(FilePath(path), ElementType(kinds[values.dtype.kind], dtype), values.shape, "compact", attributes)


class Written:
    """A series and a table, member by member."""

    def __init__(self, core: str, **attributes: AttributeValue) -> None:
        self.core = core
        self.attributes: dict[str, AttributeValue] = {"neurodata_type": core, **attributes}
        self.arrays: dict[str, ArrayEntry] = {}
        self.values: dict[str, Values] = {}
        self.links: dict[str, Link] = {}
        self.columns: list[str] = []

    def add(self, name: str, values: Values | tuple[int, ...], **attributes: AttributeValue) -> Written:
        """Add a dataset to the series."""
        return self._put(f"/s/{name}", values, attributes)

    def column(self, name: str, values: Values | tuple[int, ...], **attributes: AttributeValue) -> Written:
        """Add a column to the table."""
        self.columns.append(name)
        return self._put(f"{TABLE}/{name}", values, {"neurodata_type": "VectorData", **attributes})

    def region(self, name: str, rows: Sequence[int]) -> Written:
        """Add a region of the table to the series."""
        reference: Mapping[str, AttributeValue] = {"table": Reference(TABLE), "neurodata_type": "DynamicTableRegion"}
        return self._put(f"/s/{name}", np.array(rows, "i8"), reference)

    def sampled(self) -> Written:
        """Add a start and a rate."""
        return self._put("/s/starting_time", np.array(1.5), RATE)

    def _put(self, path: str, values: Values | tuple[int, ...], attributes: Mapping[str, AttributeValue]) -> Written:
        self.arrays[path] = entry(path, values, attributes)
        if not isinstance(values, tuple):
            self.values[path] = values
        return self

    def build(self) -> Series:
        """Describe the series, with the values that it asks for and no others."""
        groups = {
            "/s": self._group("/s", self.attributes, self.links),
            TABLE: self._group(TABLE, {"neurodata_type": "DynamicTable", "colnames": tuple(self.columns)}, {}),
        }
        index = FileIndex(SOURCE, {"/s": groups["/s"]}, {k: v for k, v in self.arrays.items() if k.startswith("/s/")})
        table = FileIndex(
            SOURCE, {TABLE: groups[TABLE]}, {k: v for k, v in self.arrays.items() if k not in index.arrays}
        )
        members = Members(index, groups["/s"], self.core)
        members.linked = {path: table for path in linked_paths(members) if path == TABLE}
        members.values = {one.path: self.values[one.path] for one in small_arrays(members) if one.path in self.values}
        return build_series(members)

    def _group(self, path: str, attributes: Mapping[str, AttributeValue], links: Mapping[str, Link]) -> GroupEntry:
        names = [one.rpartition("/")[2] for one in self.arrays if one.rpartition("/")[0] == path]
        return GroupEntry(FilePath(path), attributes, (*names, *links), links)


def texts(*items: str) -> Values:
    out = np.empty(len(items), object)
    out[:] = [item.encode() for item in items]
    return out


def named(series: Series) -> dict[str, tuple[tuple[str, ...], object]]:
    """Return dims and values of the labels."""
    return {
        one.name: (one.dims, None if isinstance(one.values, ArrayEntry) else one.values.tolist())
        for one in series.labels
    }


def electrical(*shape: int) -> Written:
    return Written("ElectricalSeries").add("data", shape, unit="volts", conversion=1e-6).sampled()


def test_electrodes_and_rois_of_nwb_1_are_labels() -> None:
    series = electrical(9, 2).add("electrode_idx", np.array([4, 7])).build()
    assert named(series) == {"channel": (("channel",), [4, 7])}
    written = Written("RoiResponseSeries").add("data", (9, 2)).sampled().add("roi_names", texts("roi1", "roi2"))
    assert named(written.build()) == {"roi": (("roi",), ["roi1", "roi2"])}
    assert "electrode_idx has 3 values" in electrical(9, 2).add("electrode_idx", np.arange(3)).build().warnings[0]


def test_channels_before_times_keep_their_factors_and_times() -> None:
    written = electrical(2, 9).region("electrodes", [1, 0]).column("id", np.array([10, 20]))
    series = written.add("channel_conversion", np.array([2.0, 3.0])).build()
    assert series.dims == ("channel", "time")
    assert series.scale.axis == 0
    assert named(series)["channel"] == (("channel",), [20, 10])
    assert series.timing == SampledTiming(1.5, 10.0)
    assert len(series.warnings) == 1


def test_the_factor_of_the_only_channel_joins_the_conversion() -> None:
    series = electrical(9).region("electrodes", [0]).add("channel_conversion", np.array([4.0])).build()
    assert (series.scale.factor, series.scale.per_channel) == (4e-6, None)
    assert named(series)["channel_conversion"] == ((), 4.0)


def test_columns_named_as_dims_and_other_coordinates_are_renamed() -> None:
    written = Written("SpikeEventSeries").add("data", (9, 2, 5), unit="volts").sampled().region("electrodes", [0, 1])
    written.column("id", np.array([3, 4]))
    for name in ("time", "sample", "channel", "data", "control", "gain"):
        written.column(name, np.array([1, 2]))
    names = ["channel", "channel_row", *(f"electrode_{name}" for name in ("time", "sample", "channel", "data"))]
    assert list(named(written.build())) == [*names, "electrode_control", "gain"]


def test_columns_that_are_no_single_value_for_each_row_are_no_labels() -> None:
    written = electrical(9, 2).region("electrodes", [0, 1]).column("id", np.array([3, 4]))
    written.column("waveform", (2, 40)).column("name", texts("a", "ü"))
    series = written.build()
    assert named(series)["name"] == (("channel",), ["a", "ü"])
    assert "waveform" not in named(series)
    assert series.warnings == ()


def test_a_table_without_ids_labels_by_row_numbers() -> None:
    series = electrical(9, 2).region("electrodes", [1, 0]).column("x", np.array([0.5, 1.5])).build()
    assert named(series)["channel"] == (("channel",), [1, 0])
    assert "has no readable ids" in series.warnings[0]


def test_one_text_that_is_long_does_not_lengthen_the_others() -> None:
    written = electrical(9, 2000).region("electrodes", range(2000)).column("id", np.arange(2000))
    written.column("note", texts("x" * 100_000, *["y"] * 1999))
    label = {one.name: one for one in written.build().labels}["note"]
    assert not isinstance(label.values, ArrayEntry)
    assert label.values.dtype == object
    assert label.values[1] == "y"


@pytest.mark.parametrize("n_samples", [0, 5, 2**40])
def test_frames_elsewhere_are_as_many_as_stated_and_labelled_if_few(n_samples: int) -> None:
    written = Written("ImageSeries").add("data", (0, 0, 0), unit="n.a.").sampled()
    written.add("external_file", texts("a.avi", "b.avi"), starting_frame=np.array([0, 3]))
    series = written.add("num_samples", np.array(n_samples)).build()
    assert (series.content, series.shape) == ("frames", (n_samples,))
    assert ("file" in named(series)) == (n_samples < 2**22)
    assert len(series.warnings) == (n_samples == 2**40)
    assert "num_samples" not in series.attrs


@pytest.mark.parametrize("n_samples", [np.array(np.inf), np.array(np.nan), np.array(-3), np.array([1, 2])])
def test_lengths_that_are_none_are_not_taken(n_samples: Values) -> None:
    series = Written("TimeSeries").add("num_samples", n_samples).sampled().build()
    assert (series.content, series.shape, series.attrs["num_samples_unknown"]) == ("missing", (0,), 1)


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        (np.array([1, 3]), "should start at 0"),
        (np.array([0, 3, 2]), "3 numbers for 2"),
        (np.array([3, 0]), "should start at 0"),
        (np.array([0.0, 3.0]), "0 numbers for 2"),
        ("0 3", "0 numbers for 2"),
    ],
)
def test_starting_frames_that_do_not_fit_label_nothing(starts: AttributeValue, message: str) -> None:
    written = Written("ImageSeries").sampled().add("external_file", texts("a", "b"), starting_frame=starts)
    series = written.add("num_samples", np.array(5)).build()
    assert named(series) == {}
    assert message in series.warnings[0]
    assert series.attrs["external_file"] == ["a", "b"]


def test_nothing_is_made_of_lengths_that_a_file_declares() -> None:
    series = electrical(9, 2**40).add("channel_conversion", (2**40,)).add("electrodes", (2**40,)).build()
    assert series.shape == (9, 2**40)
    assert named(series) == {}
    assert "units" not in series.attrs
    written = electrical(9, 2).region("electrodes", [0, 1]).column("id", (2**40,))
    assert "too many for labels" in written.build().warnings[0]


def test_flags_of_several_words_keep_their_texts() -> None:
    written = Written("TimeSeries").add("data", (4,)).sampled().add("control", np.array([0, 1, 1, 0], "u1"))
    (label,) = written.add("control_description", texts("lights on", "off")).build().labels
    assert dict(label.attrs) == {
        "flag_values": [0, 1],
        "flag_meanings": "lights_on off",
        "control_description": ["lights on", "off"],
    }


@pytest.mark.parametrize("core", ["IndexSeries", "IntervalSeries", "AnnotationSeries"])
def test_numbers_that_are_no_measurements_are_never_scaled(core: str) -> None:
    series = Written(core).add("data", (4,), unit="volts", conversion=2.0, offset=1.0).sampled().build()
    assert series.scale.is_identity
    assert "units" not in series.attrs
    assert series.attrs["nwb_unit"] == "volts"


def test_attributes_that_mean_something_to_readers_of_netcdf_are_renamed() -> None:
    written = Written("TimeSeries", units="furlong", scale_factor=2.0, source="a lab", trode_id=4, help="about this")
    attrs = written.add("data", (4,), unit="volts").sampled().build().attrs
    assert attrs["units"] == "V"
    assert (attrs["nwb_units"], attrs["nwb_scale_factor"], attrs["nwb_source"]) == ("furlong", 2.0, "a lab")
    assert attrs["trode_id"] == 4
    assert not {"scale_factor", "source", "help", "namespace"} & set(attrs)


def test_times_that_say_another_unit_are_warned_of() -> None:
    written = Written("TimeSeries").add("data", (4,)).add("timestamps", np.arange(4.0), unit="milliseconds")
    assert "taken as seconds" in written.build().warnings[0]


def test_a_single_value_with_a_start_has_a_scalar_time() -> None:
    series = Written("TimeSeries").add("data", np.array(7.0), unit="volts").sampled().build()
    assert named(series) == {"time": ((), 1.5)}
    assert (series.dims, series.timing) == ((), None)


@pytest.mark.parametrize(
    ("spacing", "unit", "x"),
    [
        (np.array([2.0, 3.0]), "micrometers", [0.0, 2e-6]),
        (np.array(0.5), None, [0.0, 0.5]),
        (np.array([2.0, 3.0]), "pixels", None),
    ],
)
def test_pixels_are_in_metres_whatever_the_unit_of_the_grid(
    spacing: Values, unit: str | None, x: list[float] | None
) -> None:
    written = Written("TwoPhotonSeries").add("data", (4, 2, 3)).sampled()
    written.links["imaging_plane"] = Link("/plane")
    attributes: Mapping[str, AttributeValue] = {} if unit is None else {"unit": unit}
    plane = entry("/s/imaging_plane/grid_spacing", spacing, attributes)
    group = GroupEntry(FilePath("/s"), written.attributes, ("data", "starting_time", "imaging_plane"), written.links)
    members = Members(FileIndex(SOURCE, {"/s": group}, written.arrays), group, "TwoPhotonSeries")
    assert linked_paths(members) == ("/s/imaging_plane",)
    members.linked = {"/s/imaging_plane": FileIndex(SOURCE, {}, {plane.path: plane})}
    members.values = {**written.values, plane.path: spacing}
    series = build_series(members)
    found = named(series)
    assert found.get("x", ((), None))[1] == (None if x is None else pytest.approx(x, abs=0))
    assert ("y" in found) == (spacing.size == 2 and x is not None)
    assert bool(series.warnings) == (x is None)
    assert series.attrs["imaging_plane"] == "/plane"
