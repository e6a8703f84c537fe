"""Every type of series that pynwb writes is described as the schema has it."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO

import nwb_dask
from nwb_dask.errors import MalformedFileError, PathNotFoundError
from nwb_dask.index import ArrayEntry, Url
from nwb_dask.model.series import SampledTiming, StoredTiming
from nwb_dask.read.opening import open_source
from nwb_dask.read.series import describe_series, find_series, find_series_path
from nwb_dask.storage import make_access
from nwb_dask.testing import RangeServer, series_ephys, series_images
from nwb_dask.testing.series import SERIES, write_series
from tests.read.series_files import address, column, described, label, opened, values

ELECTRODES = "/general/extracellular_ephys/electrodes"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_series(tmp_path_factory.mktemp("series") / "every.nwb")


def test_every_series_is_found_also_where_a_link_puts_it(session: Path) -> None:
    with opened(session) as file:
        assert set(find_series(file)) == set(SERIES)


def test_every_series_is_described_as_h5py_sees_it(session: Path) -> None:
    with opened(session) as file, h5py.File(session) as theirs:
        for path in find_series(file):
            series, group = describe_series(file, path), theirs[path]
            assert (series.path, series.name) == (path, path.rpartition("/")[2])
            assert series.neurodata_type == series.core_type == group.attrs["neurodata_type"]
            assert series.attrs["object_id"] == group.attrs["object_id"]
            assert len(series.dims) == len(series.shape)
            assert series.shape[0] == series_images.N_EXTERNAL or series.shape == group["data"].shape
            attributes = group["data"].attrs
            expected = (attributes["conversion"], attributes["offset"])
            is_raw = series.core_type in {"IndexSeries", "IntervalSeries", "AnnotationSeries"}
            is_raw |= series.content != "data"
            assert (series.scale.factor, series.scale.offset) == ((1.0, 0.0) if is_raw else expected)
            assert series.attrs.get("nwb_unit") == attributes["unit"]


def test_every_series_has_the_times_that_pynwb_has(session: Path) -> None:
    with opened(session) as file, NWBHDF5IO(session, "r") as io:
        objects = {item.object_id: item for item in io.read().objects.values()}
        for path in find_series(file):
            series = describe_series(file, path)
            theirs = objects[str(series.attrs["object_id"])]
            n_samples = series.shape[series.dims.index("time")]
            if isinstance(series.timing, StoredTiming):
                assert series.timing.stamps.shape == (n_samples,) == (len(theirs.timestamps),)
                np.testing.assert_array_equal(file.read(series.timing.stamps), theirs.timestamps[()])
            else:
                assert series.timing == SampledTiming(theirs.starting_time, theirs.rate)


def test_only_series_stored_the_other_way_round_is_warned_of(session: Path) -> None:
    with opened(session) as file:
        warned = {path: found for path in find_series(file) if (found := describe_series(file, path).warnings)}
    assert list(warned) == ["/processing/ophys/transposed"]
    assert "(roi, time)" in warned["/processing/ophys/transposed"][0]


def test_every_attribute_can_be_stored_by_netcdf_and_zarr(session: Path) -> None:
    with opened(session) as file:
        for path in find_series(file):
            series = describe_series(file, path)
            for attrs in (series.attrs, series.time_attrs, *(one.attrs for one in series.labels)):
                for value in attrs.values():
                    items = value if isinstance(value, list) else [value]
                    assert {type(item) for item in items} in ({str}, {int}, {float})


def test_labels_have_dims_and_lengths_of_the_data(session: Path) -> None:
    with opened(session) as file:
        for path in find_series(file):
            series = describe_series(file, path)
            sizes = dict(zip(series.dims, series.shape, strict=True))
            names = [one.name for one in series.labels]
            assert len(names) == len(set(names))
            assert "data" not in names
            assert "time" not in names
            for one in series.labels:
                assert one.values.shape == tuple(sizes[dim] for dim in one.dims)


@pytest.mark.parametrize(
    "path",
    [
        "/acquisition/raw", "/acquisition/one_column", "/acquisition/some_channels", "/acquisition/one_channel",
        "/processing/ecephys/LFP/lfp", "/processing/ecephys/spikes", "/processing/ecephys/spikes_one_channel",
    ],
)  # fmt: skip
def test_channels_are_labelled_by_all_plain_columns_of_their_electrodes(session: Path, path: str) -> None:
    series = described(session, path)
    plain = [
        "location", "is_good", "label", "group_name", "x", "y", "z", "imp", "filtering", "rel_x", "rel_y", "rel_z",
        "reference",
    ]  # fmt: skip
    with h5py.File(session) as file:
        rows = file[path]["electrodes"][()]
        for name, source in {"channel": "id", **{name: name for name in plain}}.items():
            expected = column(file, f"{ELECTRODES}/{source}", rows)
            np.testing.assert_array_equal(values(series, name).reshape(-1), expected)
        np.testing.assert_array_equal(values(series, "channel_row").reshape(-1), rows)
    assert {one.name for one in series.labels} == {"channel", "channel_row", *plain}
    assert label(series, "x").attrs["units"] == "um"
    assert label(series, "imp").attrs["units"] == "ohm"
    assert label(series, "label").attrs["description"] == "name of the channel"


def test_labels_of_a_series_without_the_dimension_are_scalars(session: Path) -> None:
    for path in ("/acquisition/one_channel", "/processing/ecephys/spikes_one_channel"):
        assert {one.dims for one in described(session, path).labels} == {()}
    assert described(session, "/processing/ecephys/spikes_one_channel").dims == ("time", "sample")
    one = described(session, "/processing/ophys/Fluorescence/one_region")
    assert {found.name: found.dims for found in one.labels} == dict.fromkeys(("roi", "roi_row", "is_cell", "depth"), ())


@pytest.mark.parametrize("path", ["/acquisition/channel_conversion", "/processing/ecephys/spikes_conversion"])
def test_factors_of_channels_run_along_the_channels(session: Path, path: str) -> None:
    series = described(session, path)
    with h5py.File(session) as file:
        factors = file[path]["channel_conversion"][()].astype("f8")
    assert series.scale.per_channel is not None
    np.testing.assert_array_equal(series.scale.per_channel, factors)
    assert series.dims[series.scale.axis] == "channel"
    np.testing.assert_array_equal(values(series, "channel_conversion"), factors)
    assert len(factors) == {2: series_ephys.N_CHANNELS, 3: len(series_ephys.EVENT_CONVERSION)}[len(series.shape)]


def test_bands_are_labelled_by_name_and_hertz_and_channels_whatever_their_region_is_called(session: Path) -> None:
    series = described(session, "/processing/ecephys/bands")
    assert series.dims == ("time", "channel", "band")
    assert values(series, "band").tolist() == ["theta", "gamma"]
    assert values(series, "band_low").tolist() == [4.0, 30.0]
    assert values(series, "band_high").tolist() == [8.0, 80.0]
    assert values(series, "band_mean").tolist() == [6.0, 55.0]
    assert values(series, "band_stdev").tolist() == [1.0, 12.5]
    assert {label(series, f"band_{name}").attrs["units"] for name in ("low", "high", "mean", "stdev")} == {"Hz"}
    assert len(values(series, "channel")) == 3
    assert series.attrs["metric"] == "power"
    assert series.attrs["source_timeseries"] == "/acquisition/raw"
    assert "channel" not in {one.name for one in described(session, "/processing/ecephys/plain_bands").labels}


def test_pixels_are_in_metres_from_the_origin(session: Path) -> None:
    volume = described(session, "/acquisition/two_photon_volume")
    for name, spacing, start in zip("xyz", series_images.GRID_SPACING, series_images.ORIGIN, strict=True):
        expected = start + spacing * np.arange(volume.shape[volume.dims.index(name)])
        np.testing.assert_array_equal(values(volume, name), expected)
        assert label(volume, name).attrs == {"units": "m"}
    plane = described(session, "/acquisition/two_photon")
    assert [one.name for one in plane.labels] == ["x", "y"]
    assert plane.attrs["indicator"] == "GCaMP6f"
    assert plane.attrs["location"] == "VISp"
    assert (plane.attrs["excitation_lambda"], plane.attrs["imaging_rate"]) == (920.0, 15.0)


def test_frames_in_other_files_are_numbered_in_each(session: Path) -> None:
    series = described(session, "/acquisition/external_stamps")
    assert (series.content, series.data, series.dims) == ("frames", None, ("time",))
    files = values(series, "file").tolist()
    assert files == ["first.avi"] * 10 + ["second.avi"] * 7
    assert values(series, "frame_in_file").tolist() == [*range(10), *range(7)]
    assert series.attrs["external_file"] == ["first.avi", "second.avi"]
    assert described(session, "/acquisition/external_rate").shape == (series_images.N_EXTERNAL,)


def test_small_labels_of_other_types(session: Path) -> None:
    assert values(described(session, "/stimulus/presentation/colours"), "color").tolist() == ["r", "g", "b"]
    assert values(described(session, "/processing/behavior/Position/plane"), "space").tolist() == ["x", "y"]
    features = described(session, "/acquisition/features")
    with h5py.File(session) as file:
        group = file["/acquisition/features"]
        assert values(features, "feature").tolist() == group["features"].asstr()[()].tolist()
        assert values(features, "feature_units").tolist() == group["feature_units"].asstr()[()].tolist()


def test_rois_are_labelled_by_ids_and_plain_columns(session: Path) -> None:
    for name in ("raw_traces", "some_regions"):
        series = described(session, f"/processing/ophys/Fluorescence/{name}")
        with h5py.File(session) as file:
            region = file[series.path]["rois"]
            table = file[region.attrs["table"]]
            np.testing.assert_array_equal(values(series, "roi"), table["id"][()][region[()]])
            np.testing.assert_array_equal(values(series, "depth"), table["depth"][()][region[()]])
        assert [one.name for one in series.labels] == ["roi", "roi_row", "is_cell", "depth"]
    assert described(session, "/processing/ophys/transposed").dims == ("roi", "time")


def test_control_is_read_later_and_its_codes_are_flags(session: Path) -> None:
    control = label(described(session, "/acquisition/controlled"), "control")
    assert isinstance(control.values, ArrayEntry)
    assert control.dims == ("time",)
    assert dict(control.attrs) == {"flag_values": [0, 1, 2], "flag_meanings": "dark dusk light"}


def test_scalars_links_and_texts_are_attributes(session: Path) -> None:
    clamp = described(session, "/acquisition/voltage_clamp").attrs
    assert (clamp["gain"], clamp["capacitance_fast"], clamp["capacitance_fast_unit"]) == (0.02, 1e-12, "farads")
    assert (clamp["sweep_number"], clamp["electrode"]) == (3, "/general/intracellular_ephys/pipette")
    assert (clamp["units"], clamp["nwb_unit"], clamp["conversion"]) == ("A", "amperes", 1e-12)
    text = described(session, "/acquisition/described").attrs
    assert (text["description"], text["comments"]) == ("größer als nötig", "a comment")
    assert (text["resolution"], text["continuity"]) == (0.5, "step")
    plain = described(session, "/acquisition/plain").attrs
    assert set(plain) == {"neurodata_type", "nwb_path", "object_id", "units", "nwb_unit"}
    shown = described(session, "/stimulus/presentation/shown_frames").attrs
    assert shown["indexed_timeseries"] == "/stimulus/presentation/colours"


def test_series_that_share_data_or_times_have_the_same_addresses(session: Path) -> None:
    plain, stamps, again, data, both, link = (
        described(session, path)
        for path in (
            *(f"/acquisition/{name}" for name in ("plain", "same_stamps", "same_stamps_again", "same_data")),
            "/acquisition/same_both",
            "/stimulus/presentation/plain",
        )
    )
    for series in (stamps, again, both, link):
        assert isinstance(plain.timing, StoredTiming)
        assert isinstance(series.timing, StoredTiming)
        assert address(series.timing.stamps) == address(plain.timing.stamps)
    for series in (data, both, link):
        assert address(series.data) == address(plain.data)


def test_where_chunks_are_is_known_of_local_files(session: Path) -> None:
    for path in ("/acquisition/chunked", "/acquisition/gzip", "/acquisition/compressed_stamps"):
        series = described(session, path)
        chunked = [series.data, series.timing.stamps if isinstance(series.timing, StoredTiming) else None]
        found = [entry for entry in chunked if entry is not None and entry.layout == "chunked"]
        assert found
        assert all(entry.chunk_index is not None for entry in found)


def test_descriptions_pickle(session: Path) -> None:
    with opened(session) as file:
        for path in find_series(file):
            series = describe_series(file, path)
            again = pickle.loads(pickle.dumps(series))
            assert (again.path, again.dims, again.shape, again.attrs) == (
                series.path, series.dims, series.shape, series.attrs
            )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("raw", "/acquisition/raw"), ("lfp", "/processing/ecephys/LFP/lfp"), ("acquisition/raw", "/acquisition/raw"),
        ("LFP/lfp/", "/processing/ecephys/LFP/lfp"), ("DfOverF", "/processing/ophys/DfOverF/dff"),
        ("/acquisition/raw/", "/acquisition/raw"), ("/nowhere", "/nowhere"), ("stimulus/presentation/plain",) * 2,
    ],
)  # fmt: skip
def test_a_series_is_named_by_its_path_or_the_end_of_it(session: Path, name: str, path: str) -> None:
    with opened(session) as file:
        assert find_series_path(file, name) == f"/{path.lstrip('/')}"


def test_two_paths_of_one_series_are_no_two_series(session: Path) -> None:
    with opened(session) as file:
        assert find_series_path(file, "plain") == "/acquisition/plain"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("LFP", "2 series are called 'LFP': /processing/ecephys/LFP/lfp, /processing/ecephys/LFP/lfp_again"),
        ("gzip_shufle", "did you mean /acquisition/gzip_shuffle"),
        ("zzz", "the file has /acquisition/annotations, "),
    ],
)
def test_a_name_of_no_or_of_several_series_lists_candidates(session: Path, name: str, message: str) -> None:
    with opened(session) as file, pytest.raises(PathNotFoundError, match=message) as caught:
        find_series_path(file, name)
    assert caught.value.url == str(session)


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("/processing/ecephys/LFP", PathNotFoundError, "is LFP, and no TimeSeries; it holds /processing/ecephys/LFP/l"),
        ("/general", MalformedFileError, "and no TimeSeries; it holds none"),
        ("/acquisition/raw/data", PathNotFoundError, "is a dataset"),
        ("/acquisition/rav", PathNotFoundError, "nothing is at /acquisition/rav"),
    ],
)
def test_what_is_no_series_says_where_series_are(
    session: Path, path: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        described(session, path)


@pytest.mark.parametrize(
    ("path", "rounds"),
    [("/acquisition/plain", 4), ("/acquisition/two_photon", 6), ("/processing/ecephys/bands", 8)],
)
def test_a_remote_series_takes_few_rounds_and_a_known_one_none(
    session: Path, monkeypatch: pytest.MonkeyPatch, path: str, rounds: int
) -> None:
    monkeypatch.setenv("NWB_DASK_CACHE_DIR", "")
    with (
        RangeServer(session.parent) as server,
        nwb_dask.trace() as traced,
        open_source(Url(server.url(session.name)), make_access(None)) as file,
    ):
        remote = describe_series(file, path)
        assert traced.rounds <= rounds
        spent = traced.requests
        describe_series(file, path)
        assert traced.requests == spent
    local = described(session, path)
    assert (remote.dims, remote.shape, remote.attrs) == (local.dims, local.shape, local.attrs)
    assert [one.name for one in remote.labels] == [one.name for one in local.labels]
    assert address(remote.data) == address(local.data)
