"""One small file for each thing that makes NWB files differ, and what breaks them, by name in `ODDITIES`.

The files whose structure is unusual are written here, with h5py where pynwb would refuse and with pynwb where
it has the type; those with unusual columns are in `nwb_dask.testing.odd_columns`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import h5py
import numpy as np
from hdmf.common import MeaningsTable
from pynwb import NWBHDF5IO, NWBFile
from pynwb.event import EventsTable
from pynwb.icephys import VoltageClampSeries, VoltageClampStimulusSeries
from pynwb.image import ImageSeries
from pynwb.ophys import ImageSegmentation, OpticalChannel

from nwb_dask.testing import odd_columns
from nwb_dask.testing.files import write_session
from nwb_dask.testing.odd_columns import TEXT, Data, add_column, add_index, add_series, add_table, as_column, new_file


def write_zero_rows(path: Path) -> None:
    """Tables without rows; hdmf writes an empty ``colnames`` for them although their columns exist."""
    with new_file(path) as file:
        for name in ("named", "unnamed"):
            columns: dict[str, Data] = {
                "time": np.zeros(0),
                "spikes": np.zeros(0, "f4"),
                "wave": np.zeros((0, 5), "i2"),
            }
            group = add_table(file, f"processing/empty/{name}", columns)
            add_column(group, "label", [], dtype=TEXT)
            add_index(group, "spikes", [])
            names = [*columns, "label"] if name == "named" else []
            group.attrs.create("colnames", names, shape=(len(names),), dtype=TEXT)


def write_colnames(path: Path) -> None:
    """``colnames`` that are absent or bytes, and columns that they leave out."""
    _write_colnames(path, "absent", "bytes", "some")


def write_odd_colnames(path: Path) -> None:
    """``colnames`` that name ``id`` and the index too, or are one scalar."""
    _write_colnames(path, "all", "scalar")


def _write_colnames(path: Path, *forms: str) -> None:
    columns: dict[str, Data] = {"zeta": np.arange(3.0), "alpha": np.arange(6, dtype="i2"), "beta": ["a", "b", "c"]}
    with new_file(path) as file:
        for name in forms:
            group = add_table(file, f"processing/colnames/{name}", columns, n_rows=3)
            add_index(group, "alpha", [1, 1, 6])
            if name == "absent":
                del group.attrs["colnames"]
            elif name == "bytes":
                group.attrs["colnames"] = np.array([b"zeta", b"alpha", b"beta"])
            elif name == "scalar":
                group.attrs["colnames"] = "beta"
            else:
                listed = ["zeta", "beta", "id", "alpha", "alpha_index"] if name == "all" else ["beta", "alpha"]
                group.attrs.create("colnames", listed, dtype=TEXT)


def write_broken_tables(path: Path) -> None:
    """Columns that cannot be read next to good ones: absent, too short, index past the end, no dataspace."""
    good = {"good": np.arange(3.0)}
    with new_file(path) as file:
        absent = add_table(file, "processing/broken/absent", good)
        absent.attrs.create("colnames", ["good", "missing"], dtype=TEXT)
        add_table(file, "processing/broken/short", {**good, "short": np.arange(2)})
        beyond = add_table(file, "processing/broken/beyond", {**good, "beyond": np.arange(4.0)})
        add_index(beyond, "beyond", [1, 2, 9])
        decreasing = add_table(file, "processing/broken/decreasing", {**good, "decreasing": np.arange(4.0)})
        add_index(decreasing, "decreasing", [3, 1, 4])
        null = add_table(file, "processing/broken/null", good)
        null["null"] = h5py.Empty("f8")
        null.attrs.create("colnames", ["good", "null"], dtype=TEXT)


def write_without_id(path: Path) -> None:
    """Tables whose ``id`` is absent or empty: the columns say how many rows there are."""
    with new_file(path) as file:
        absent = add_table(file, "processing/ids/absent", {"value": np.arange(4.0)})
        del absent["id"]
        add_table(file, "processing/ids/empty", {"value": np.arange(4.0), "name": list("abcd")}, n_rows=0)
        narrow = add_table(file, "processing/ids/narrow", {"value": np.arange(3)})
        del narrow["id"]
        add_column(narrow, "id", np.array([7, 7, 250], "u1"), "ElementIdentifiers")


def write_names(path: Path) -> None:
    """Names that mislead: a plain column called ``x_index``, an index called otherwise, spaces, dots, Unicode."""
    with new_file(path) as file:
        columns: dict[str, Data] = {
            "block_index": np.arange(3),
            "events": np.arange(5.0),
            "a column.1": np.arange(3),
            "größe": [*"abc"],
        }
        group = add_table(file, "processing/names/my table", columns, n_rows=3)
        add_index(group, "events", [2, 2, 5], name="where_events_end")
        add_table(file, "analysis/größe", {"index": np.arange(2), "level_0": np.arange(2), "_private": np.arange(2)})


def write_regions(path: Path) -> None:
    """DynamicTableRegion columns, one row and several rows of another table each."""
    with new_file(path) as file:
        target = add_table(file, "processing/regions/targets", {"location": ["CA1", "CA3", "DG"]})
        columns = {"peak": np.array([2, 0, 1, 2], "i4"), "electrodes": np.array([0, 1, 2, 2, 0], "u1")}
        group = add_table(file, "processing/regions/table", columns, n_rows=4)
        add_index(group, "electrodes", [2, 2, 3, 5])
        for name in columns:
            as_column(group[name], "DynamicTableRegion").attrs["table"] = target.ref


def write_links(path: Path) -> None:
    """A table and columns reached through soft and hard links."""
    with new_file(path) as file:
        source = add_table(file, "processing/links/source", {"value": np.arange(3.0), "name": ["a", "b", "c"]})
        group = add_table(file, "processing/links/linked", {"own": np.arange(3)})
        group["value"] = h5py.SoftLink(source["value"].name)
        group["name"] = source["name"]
        group.attrs.create("colnames", ["own", "value", "name"], dtype=TEXT)
        file["analysis/alias"] = h5py.SoftLink(source.name)


def write_broken_links(path: Path) -> None:
    """Columns behind a dangling and an external link, and a series whose data are in another file."""
    with new_file(path) as file:
        broken = add_table(file, "processing/links/broken", {"own": np.arange(3)})
        broken["dangling"] = h5py.SoftLink("/nowhere/at/all")
        broken["external"] = h5py.ExternalLink("absent.nwb", "/units/id")
        broken.attrs.create("colnames", ["own", "dangling", "external"], dtype=TEXT)
        elsewhere = h5py.ExternalLink("absent.nwb", "/acquisition/movie/data")
        add_series(file, "acquisition/elsewhere", timestamps=np.arange(3.0), data=elsewhere)


def write_extension(path: Path) -> None:
    """Types of an extension, known only by the specification that the file carries."""
    extends = {"Bouts": "TimeIntervals", "Trace": "TimeSeries", "Stamps": "NWBDataInterface"}
    groups = [{"neurodata_type_def": name, "neurodata_type_inc": base, "doc": name} for name, base in extends.items()]
    schema = [{"namespace": "core"}, {"source": "ndx-test"}]
    namespace = {
        "name": "ndx-test",
        "version": "0.1.0",
        "doc": "a test",
        "author": "x",
        "contact": "x",
        "schema": schema,
    }
    with new_file(path) as file:
        cached = file.create_group("specifications/ndx-test/0.1.0")
        cached["namespace"] = json.dumps({"namespaces": [namespace]})
        cached["ndx-test"] = json.dumps({"groups": groups})
        bouts = add_table(file, "processing/extension/bouts", {"start_time": np.arange(3.0)}, kind="Bouts")
        del bouts.attrs["colnames"]
        add_series(file, "processing/extension/trace", "Trace", data=np.arange(3), timestamps=np.arange(3.0))
        add_series(file, "processing/extension/stamps", "Stamps", timestamps=np.arange(3.0), labels=np.arange(2))
        for member in file["processing/extension"].values():
            member.attrs["namespace"] = "ndx-test"


def write_bytes_attributes(path: Path) -> None:
    """Attributes as early MatNWB wrote them: arrays of one fixed-length byte string."""
    write_session(path, n_units=5, n_trials=4, n_samples=8)
    with h5py.File(path, "r+") as file:

        def convert(_: str, item: h5py.Group | h5py.Dataset) -> None:
            for name, value in item.attrs.items():
                if isinstance(value, str) and value.isascii():
                    item.attrs[name] = np.array([value.encode()])

        file.visititems(convert)
        convert("/", file)


def write_nwb1(path: Path) -> None:
    """The structure of NWB 1.x: types in ``ancestry``, units as groups, no ``nwb_version`` attribute."""
    with h5py.File(path, "w") as file:
        file["identifier"] = b"nwb 1"
        file["session_start_time"] = np.bytes_("2012-01-01 10:00")
        file["general/session_id"] = "1"
        file["general/subject/species"] = np.bytes_("mouse")
        file["general/subject/age"] = "P60"
        series = add_series(
            file, "acquisition/timeseries/lick", data=np.arange(4, dtype="i1"), timestamps=np.arange(4.0)
        )
        series.attrs["neurodata_type"] = np.bytes_("TimeSeries")
        series.attrs["ancestry"] = np.array([b"TimeSeries", b"IntervalSeries"])
        series["num_samples"] = 4
        images = add_series(file, "stimulus/templates/movie", data=np.zeros((2, 3, 3), "u1"), num_samples=2)
        images.attrs["ancestry"] = np.array([b"TimeSeries", b"ImageSeries"])
        for i in range(2):
            unit = file.create_group(f"processing/cells/UnitTimes/cell_{i}")
            unit["times"] = np.arange(3.0) + i
            unit["unit_description"] = f"cell {i}"


def write_bare(path: Path) -> None:
    """A table and a series without any attribute of NWB, in a file that has none either."""
    with h5py.File(path, "w") as file:
        file["table/id"] = np.arange(3)
        file["table/value"] = np.array([1.5, 2.5, np.nan])
        file.create_dataset("table/name", data=["a", "b", "c"], dtype=TEXT)
        file["series/data"] = np.arange(4)
        file["series/timestamps"] = np.arange(4) / 10
        file["title"] = "bare"


def write_one_rows(path: Path) -> None:
    """``/general`` with datasets of every form: scalars, arrays, compounds, references, nothing."""
    with new_file(path) as file:
        general = file["general"]
        general["count"] = np.int16(3)
        general["flag"] = True
        general["weights"] = np.arange(4, dtype="f4")
        general["nothing"] = h5py.Empty("f8")
        general["point"] = np.array((1, 2.5), [("x", "i4"), ("y", "f8")])
        general["where"] = file["identifier"].ref
        general.create_dataset("keywords", data=["a", "ü"], dtype=TEXT)
        general["fixed"] = np.bytes_("fixed text")
        general["subject/species"] = "Mus musculus"


def write_user_block(path: Path) -> None:
    """An HDF5 file that begins with 1024 bytes of something else."""
    with new_file(path, userblock_size=1024) as file:
        add_table(file, "processing/block/table", {"value": np.arange(5), "name": list("abcde")})
    with path.open("r+b") as raw:
        raw.write(b"not HDF5 here\n")


def write_latest(path: Path) -> None:
    """The newest HDF5 structures: other object headers, chunk indexes and groups."""
    with new_file(path, libver="latest") as file:
        group = add_table(file, "processing/latest/table", {"value": np.arange(1000), "name": ["x"] * 1000})
        values = np.arange(1000.0)
        add_column(group, "single", values, chunks=(1000,), compression="gzip")
        add_column(group, "fixed", values, chunks=(64,), compression="gzip")
        add_column(group, "implicit", values, chunks=(64,))
        add_column(group, "extensible", values, chunks=(64,), maxshape=(None,), compression="gzip")
        both = values.reshape(500, 2)
        group.attrs.create("colnames", ["value", "name", "single", "fixed", "implicit", "extensible"], dtype=TEXT)
        tree = add_table(file, "processing/latest/tree", {"index": np.arange(500)})
        add_column(tree, "both", both, chunks=(64, 1), maxshape=(None, None), compression="gzip")
        tree.attrs.create("colnames", ["index", "both"], dtype=TEXT)


def _pynwb_file(name: str) -> NWBFile:
    start = datetime(2024, 1, 1, 12, tzinfo=UTC)
    return NWBFile(session_description=name, identifier=name, session_start_time=start, file_create_date=start)


def _write(file: NWBFile, path: Path) -> None:
    with warnings.catch_warnings():
        # pynwb's hints about best practice do not concern files that tests write.
        warnings.simplefilter("ignore", UserWarning)
        with NWBHDF5IO(str(path), "w") as io:
            io.write(file)


def write_icephys(path: Path) -> None:
    """The hierarchy of intracellular tables: aligned categories, ragged regions, references to series."""
    file = _pynwb_file("icephys")
    device = file.create_device("amplifier")
    electrode = file.create_icephys_electrode("electrode", description="a pipette", device=device)
    rows = []
    for i in range(3):
        shared = {"electrode": electrode, "gain": 0.02, "rate": 1e4, "sweep_number": np.uint64(i)}
        stimulus = VoltageClampStimulusSeries(name=f"stimulus{i}", data=np.arange(5.0) + i, **shared)
        response = VoltageClampSeries(name=f"response{i}", data=np.arange(5.0) * i, **shared)
        rows.append(file.add_intracellular_recording(electrode, stimulus=stimulus, response=response, id=i + 10))
    recordings = file.intracellular_recordings
    recordings.add_column(name="note", description="a note", data=["a", "", "ü"])
    recordings.add_column(name="holding", description="mV", data=[-60.0, -70.0, np.nan], category="electrodes")
    simultaneous = [file.add_icephys_simultaneous_recording(recordings=part) for part in (rows[:2], rows[2:])]
    sequential = file.add_icephys_sequential_recording(simultaneous_recordings=simultaneous, stimulus_type="square")
    repetition = file.add_icephys_repetition(sequential_recordings=[sequential])
    file.add_icephys_experimental_condition(repetitions=[repetition])
    _write(file, path)


def write_events(path: Path) -> None:
    """EventsTable with durations, annotations and the meanings of a column's values."""
    file = _pynwb_file("events")
    table = EventsTable(name="licks", description="licks")
    table.add_column(name="side", description="which spout")
    for time, duration, side in ((0.5, 0.1, "left"), (1.5, float("nan"), "right"), (2.5, 0.2, "left")):
        table.add_event(timestamp=time, duration=duration, annotation=f"at {time}", side=side)
    meanings = MeaningsTable(target=table["side"])
    meanings.add_row(value="left", meaning="the left spout")
    meanings.add_row(value="right", meaning="the right spout")
    table.add_meanings_table(meanings)
    file.add_events_table(table)
    _write(file, path)


def write_segmentation(path: Path) -> None:
    """PlaneSegmentation: images and pixel masks of regions, reference images inside the table's group."""
    file = _pynwb_file("segmentation")
    device = file.create_device("microscope")
    channel = OpticalChannel(name="green", description="GFP", emission_lambda=520.0)
    plane = file.create_imaging_plane(
        name="plane", optical_channel=channel, description="V1", device=device, excitation_lambda=920.0,
        indicator="GCaMP6f", location="VISp",
    )  # fmt: skip
    movie = ImageSeries(name="movie", data=np.zeros((2, 4, 4), "u1"), rate=30.0, unit="n.a.")
    segmentation = ImageSegmentation(name="segmentation")
    masks = segmentation.create_plane_segmentation("regions", plane, name="masks", reference_images=[movie])
    pixels = segmentation.create_plane_segmentation("pixels", plane, name="pixels")
    for i in range(3):
        masks.add_roi(image_mask=np.eye(4, dtype="f4") * i)
        pixels.add_roi(pixel_mask=[(x, i, 0.5 * x) for x in range(i + 1)])
    file.create_processing_module("ophys", "two photon").add(segmentation)
    _write(file, path)


ODDITIES: Mapping[str, Callable[[Path], object]] = MappingProxyType(
    {
        "session": write_session,
        **{
            writer.__name__.removeprefix("write_"): writer
            for writer in (
                odd_columns.write_ragged, odd_columns.write_numbers, odd_columns.write_categories,
                odd_columns.write_text, odd_columns.write_bad_text, odd_columns.write_references,
                odd_columns.write_missing_references, odd_columns.write_compounds, odd_columns.write_shapes,
                odd_columns.write_zero_width, odd_columns.write_sequences, odd_columns.write_filters,
                odd_columns.write_corrupt, write_zero_rows, write_colnames, write_odd_colnames, write_broken_tables,
                write_without_id, write_names, write_regions, write_links, write_broken_links,
                odd_columns.write_series, odd_columns.write_broken_series, write_extension, write_bytes_attributes,
                write_nwb1, write_bare, write_one_rows, write_user_block, write_latest, write_icephys, write_events,
                write_segmentation,
            )
        },
    }
)  # fmt: skip
"""Name of the file -> the function that writes it."""
