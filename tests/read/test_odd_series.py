"""Series with something wrong: what can be told is told, the rest is left out, and a warning says so."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from nwb_dask.errors import MalformedFileError, NWBDaskError, UnsupportedLayoutError
from nwb_dask.model.series import SampledTiming, Series, StoredTiming
from nwb_dask.read.series import describe_series, find_series
from nwb_dask.testing.series_odd import ODD_SERIES, write_odd_series
from tests.read.series_files import address, described, label, opened, values

TIMELESS = "the samples have no times"
UNLABELLED = "channel is not labelled"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_odd_series(tmp_path_factory.mktemp("series") / "odd.nwb")


@pytest.fixture(scope="module")
def every(session: Path) -> dict[str, Series | NWBDaskError]:
    """What each series is described as, or the error."""
    found: dict[str, Series | NWBDaskError] = {}
    with opened(session) as file:
        for path in find_series(file):
            try:
                found[path.removeprefix("/acquisition/")] = describe_series(file, path)
            except NWBDaskError as error:
                found[path.removeprefix("/acquisition/")] = error
    return found


Every = dict[str, Series | NWBDaskError]


def sound(every: Every, name: str) -> Series:
    found = every[name]
    assert isinstance(found, Series), found
    return found


def test_every_series_in_the_file_is_found(every: Every) -> None:
    expected = {path.removeprefix("/acquisition/") for path in ODD_SERIES}
    # Groups behind links that lead out of the file, or nowhere, cannot be known to be series.
    assert set(every) == expected - {"series_external", "series_loop", "series_broken"}


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("data_external", UnsupportedLayoutError, "in another file, 'odd-elsewhere.nwb'.*open the series in that file"),
        ("data_external_absent", UnsupportedLayoutError, "in another file, 'absent.nwb'"),
        ("data_in_raw_file", UnsupportedLayoutError, "external storage.*h5repack"),
        ("data_broken", MalformedFileError, "its link to '/acquisition/nowhere/data' cannot be followed"),
        ("data_group", MalformedFileError, "are a group"),
    ],
)
def test_data_that_cannot_be_read_are_an_error_that_names_them(
    every: Every, session: Path, name: str, error: type[NWBDaskError], message: str
) -> None:
    found = every[name]
    assert type(found) is error
    with pytest.raises(error, match=message):
        raise found
    assert found.url == str(session)
    assert found.path == f"/acquisition/{name}/data"


def test_nothing_else_is_an_error(every: Every) -> None:
    broken = {name for name, found in every.items() if isinstance(found, NWBDaskError)}
    assert broken == {"data_external", "data_external_absent", "data_in_raw_file", "data_broken", "data_group"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stamps_fewer", "7 timestamps cannot belong to 10 samples"),
        ("stamps_more", "12 timestamps cannot belong to 10 samples"),
        ("stamps_none", "0 timestamps cannot belong to 10 samples"),
        ("stamps_column", "timestamps are no 1-d numbers"),
        ("stamps_pairs", "timestamps are no 1-d numbers"),
        ("stamps_scalar", "timestamps are no 1-d numbers"),
        ("stamps_text", "timestamps are no 1-d numbers"),
        ("stamps_null", "timestamps are no 1-d numbers"),
        ("stamps_group", "timestamps are no 1-d numbers"),
        ("stamps_broken", "timestamps cannot be read (its link to '/acquisition/nowhere/timestamps'"),
        ("stamps_external", "timestamps cannot be read (it is in another file, 'odd-elsewhere.nwb'"),
        ("untimed", "neither timestamps nor a starting time"),
        ("no_rate", "there is no rate"),
        ("rate_text", "there is no rate"),
        ("rate_zero", "the rate is 0 Hz for 10 samples"),
        ("rate_negative", "the rate is -10 Hz"),
        ("rate_nan", "the rate is nan Hz"),
        ("rate_infinite", "the rate is inf Hz"),
        ("start_nan", "starting_time is no number (nan)"),
        ("start_pair", "starting_time is no number"),
    ],
)
def test_times_that_do_not_fit_are_no_times(every: Every, name: str, message: str) -> None:
    series = sound(every, name)
    assert series.timing is None
    assert [text for text in series.warnings if message in text and TIMELESS in text], series.warnings
    assert series.content == "data"


def test_stored_times_count_where_there_is_a_rate_too(every: Every) -> None:
    series = sound(every, "both_timings")
    assert isinstance(series.timing, StoredTiming)
    assert series.warnings == ("both timestamps and a rate are stored: the timestamps are used.",)


@pytest.mark.parametrize(
    ("name", "timing"),
    [
        ("rate_zero_one", SampledTiming(1.0, 0.0)),
        ("rate_integer", SampledTiming(1.0, 10.0)),
        ("rate_array", SampledTiming(1.0, 10.0)),
        ("rate_float32", SampledTiming(1.0, float(np.float32(29.97)))),
        ("empty_sampled", SampledTiming(1.0, 10.0)),
    ],
)
def test_rates_of_any_type_are_floats(every: Every, name: str, timing: SampledTiming) -> None:
    series = sound(every, name)
    assert series.timing == timing
    assert isinstance(series.timing, SampledTiming)
    assert type(series.timing.rate) is float
    assert series.warnings == ()


def test_a_series_without_data_has_its_times_and_says_so(every: Every) -> None:
    for name, length in (("no_data", 10), ("null", 10), ("no_data_sampled", 0)):
        series = sound(every, name)
        assert (series.content, series.data, series.shape) == ("missing", None, (length,))
        assert series.attrs["data_missing"] == 1
        assert series.timing is not None
        assert any(f"{length} samples of NaN" in text for text in series.warnings)
    assert sound(every, "no_data_sampled").attrs["num_samples_unknown"] == 1


def test_a_single_value_has_no_dims(every: Every) -> None:
    series = sound(every, "scalar")
    assert (series.dims, series.shape, series.timing) == ((), (), None)
    assert any("single value" in text for text in series.warnings)


def test_links_to_links_and_hard_links_share_addresses(every: Every) -> None:
    stamped = sound(every, "stamped")
    assert address(sound(every, "data_linked_twice").data) == address(stamped.data)
    hard = sound(every, "data_hard")
    assert address(hard.data) == address(stamped.data)
    assert isinstance(hard.timing, StoredTiming)
    assert isinstance(stamped.timing, StoredTiming)
    assert address(hard.timing.stamps) == address(stamped.timing.stamps)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("electrodes_beyond", "names row 99, and the table /general/extracellular_ephys/electrodes has 4 rows"),
        ("electrodes_negative", "names row -1, and"),
        ("electrodes_fewer", "names 2 rows, and the data have 3 places along channel"),
        ("electrodes_more", "names 4 rows, and the data have 3 places along channel"),
        ("electrodes_float", "electrodes are no row numbers"),
        ("electrodes_none", "names no electrodes"),
        ("electrodes_dangling", "does not say which table"),
        ("electrodes_null", "does not say which table"),
        ("electrodes_untold", "does not say which table"),
        ("electrodes_other", "the table /acquisition/stamped cannot be read (it is no table)"),
    ],
)
def test_electrodes_that_do_not_fit_label_nothing(every: Every, name: str, message: str) -> None:
    series = sound(every, name)
    (warning,) = series.warnings
    assert message in warning
    assert UNLABELLED in warning
    assert {one.name for one in series.labels} <= {"channel_row"}
    assert (series.dims, series.scale.factor) == (("time", "channel"), 1e-6)
    assert isinstance(series.timing, SampledTiming)


def test_an_electrode_of_two_channels_labels_both(every: Every) -> None:
    series = sound(every, "electrodes_twice")
    assert values(series, "channel_row").tolist() == [2, 0, 2]
    assert values(series, "channel").tolist() == [9, 7, 9]


@pytest.mark.parametrize("name", ["conversion_text", "conversion_pair", "channel_conversion_fewer"])
def test_values_that_cannot_be_converted_claim_no_units(every: Every, name: str) -> None:
    series = sound(every, name)
    assert "units" not in series.attrs
    assert series.attrs["nwb_unit"] in {"V", "volts"}
    assert any("units" in text for text in series.warnings)
    assert series.scale.per_channel is None


def test_numbers_of_any_type_convert(every: Every) -> None:
    assert sound(every, "conversion_none").scale.is_identity
    assert sound(every, "conversion_float32").scale.factor == float(np.float32(0.1))
    assert sound(every, "conversion_integer").scale.factor == 3.0
    assert sound(every, "conversion_array").scale.factor == 0.5
    assert sound(every, "conversion_zero").scale.factor == 0.0
    assert np.isnan(sound(every, "offset_nan").scale.offset)
    for name in ("conversion_zero", "conversion_nan", "offset_nan"):
        assert any("computed with them all the same" in text for text in sound(every, name).warnings)


@pytest.mark.parametrize(
    ("name", "units"),
    [
        ("unit_volts", "V"), ("unit_bytes", "V"), ("unit_array", "V"), ("unit_micro", "uV"), ("unit_degrees_c", "degC"),
        ("unit_not_applicable", None), ("unit_arbitrary", None), ("unit_dff", None), ("unit_unknown", None),
        ("unit_empty", None), ("unit_none", None), ("unit_number", None), ("text", None), ("boolean", None),
    ],
)  # fmt: skip
def test_units_are_given_only_where_they_are_known(every: Every, name: str, units: str | None) -> None:
    assert sound(every, name).attrs.get("units") == units


def test_control_of_another_length_is_left_out(every: Every) -> None:
    assert sound(every, "control_fewer").labels == ()
    assert "control has 3 values for 10 samples" in sound(every, "control_fewer").warnings[0]
    assert dict(label(sound(every, "control_untold"), "control").attrs) == {}


def test_bands_and_features_that_do_not_fit_label_nothing(every: Every) -> None:
    for name in ("bands_fewer", "bands_none"):
        series = sound(every, name)
        assert "band is not labelled" in series.warnings[0]
        assert not {one.name for one in series.labels if "band" in one.dims}
        assert "channel" in {one.name for one in series.labels}
    assert "features has 1 value" in sound(every, "features_fewer").warnings[0]


def test_images_elsewhere_without_a_length_or_names(every: Every) -> None:
    unknown = sound(every, "external_unknown")
    assert (unknown.content, unknown.shape, unknown.attrs["num_samples_unknown"]) == ("frames", (0,), 1)
    nameless = sound(every, "external_nothing")
    assert (nameless.content, nameless.shape, nameless.labels) == ("frames", (10,), ())
    assert "external_file does not name them" in nameless.warnings[0]
    assert "starting_frame has 1 number for 2 external files" in sound(every, "external_frames").warnings[0]


def test_a_link_to_nowhere_costs_its_attribute(every: Every) -> None:
    series = sound(every, "index_broken")
    assert "indexed_timeseries" not in series.attrs
    assert "indexed_timeseries cannot be followed" in series.warnings[0]


@pytest.mark.parametrize(
    "name", ["unknown_type", "ring_type", "torn_type", "no_type", "/processing/behavior/excursion"]
)
def test_a_type_that_nothing_describes_is_a_plain_series(every: Every, name: str) -> None:
    series = sound(every, name)
    assert series.core_type == "TimeSeries"
    assert "which nothing in the file describes: taken as a plain TimeSeries" in series.warnings[0]


@pytest.mark.parametrize(("name", "axes"), [("path", ["x", "y"]), ("maze_path", ["x", "y", "z"])])
def test_an_extension_type_is_what_it_descends_from(every: Every, name: str, axes: list[str]) -> None:
    series = sound(every, f"/processing/behavior/{name}")
    assert series.core_type == "SpatialSeries"
    assert values(series, "space").tolist() == axes
    assert series.warnings == ()


def test_a_column_that_cannot_be_read_costs_its_label(tmp_path: Path) -> None:
    path = write_odd_series(tmp_path / "column.nwb")
    with h5py.File(path, "r+") as file:
        table = file["/general/extracellular_ephys/electrodes"]
        del table["location"]
        table["location"] = h5py.SoftLink("/nowhere")
    series = described(path, "/acquisition/voltage")
    names = {one.name for one in series.labels}
    assert "location" not in names
    assert {"channel", "x", "group_name"} <= names
    assert any("the column location" in text and "the label is left out" in text for text in series.warnings)


def test_damaged_text_of_a_column_costs_its_label_and_no_other(tmp_path: Path) -> None:
    path = write_odd_series(tmp_path / "damaged.nwb")
    with h5py.File(path, "r+") as file:
        table = file["/general/extracellular_ephys/electrodes"]
        del table["x"]
        table.create_dataset("x", data=np.zeros(4), chunks=(4,), compression="gzip", fletcher32=True)
        table["x"].attrs["neurodata_type"] = "VectorData"
        offset = table["x"].id.get_chunk_info(0).byte_offset
    with path.open("r+b") as raw:
        raw.seek(offset)
        raw.write(b"\xff" * 8)
    series = described(path, "/acquisition/voltage")
    names = {one.name for one in series.labels}
    assert "x" not in names
    assert {"channel", "y", "z", "location"} <= names
    assert any("the label x is left out" in text for text in series.warnings)
