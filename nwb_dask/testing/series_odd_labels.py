"""Series whose electrodes, bands, controls, files or types are wrong, for `nwb_dask.testing.series_odd`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

import h5py
import numpy as np

from nwb_dask.testing.odd_columns import TEXT
from nwb_dask.testing.series_edits import Data, object_id, relink, replace, variant

_REGIONS: Mapping[str, tuple[str, Data]] = {
    "electrodes_beyond": ("electrodes that the table does not have", np.array([0, 1, 99])),
    "electrodes_negative": ("an electrode before the first", np.array([0, -1, 2])),
    "electrodes_fewer": ("fewer electrodes than columns", np.array([0, 1])),
    "electrodes_more": ("more electrodes than columns", np.array([0, 1, 2, 3])),
    "electrodes_twice": ("one electrode for two columns", np.array([2, 0, 2])),
    "electrodes_float": ("electrodes that are not integers", np.array([0.0, 1.0, 2.0])),
}
_OTHERS = {
    "electrodes_none": "no electrodes",
    "electrodes_dangling": "electrodes of a table that was deleted: a dangling object reference",
    "electrodes_null": "electrodes of no table: a null object reference",
    "electrodes_untold": "electrodes without the attribute table",
    "electrodes_other": "electrodes of an object that is no table",
    "channel_conversion_fewer": "fewer factors than channels",
    "channel_conversion_axis": "factors along an axis that is not there",
    "control_fewer": "control of fewer samples",
    "control_untold": "control without control_description",
    "control_beyond": "control with values that control_description does not have",
    "bands_fewer": "a DecompositionSeries with fewer bands in its table than in its samples",
    "bands_none": "a DecompositionSeries without a table of bands",
    "features_fewer": "an AbstractFeatureSeries with fewer names than columns",
    "external_unknown": "an external ImageSeries with a rate and nothing that says how many frames there are",
    "external_frames": "an external ImageSeries of two files with one starting_frame",
    "external_nothing": "an external ImageSeries without external_file, with timestamps",
    "index_unlinked": "an IndexSeries into nothing",
    "index_broken": "an IndexSeries whose link goes nowhere",
    "no_type": "a group without a type, with data and timestamps",
    "unknown_type": "a type of a namespace that is not in the file",
    "ring_type": "a type of an extension whose types extend each other in a ring",
    "torn_type": "a type of an extension whose specification is no JSON",
}

SERIES: Mapping[str, str] = MappingProxyType(
    {
        **{f"/acquisition/{name}": row[0] for name, row in _REGIONS.items()},
        **{f"/acquisition/{name}": description for name, description in _OTHERS.items()},
        "/processing/ecephys/EventWaveform/in_waveform": "a SpikeEventSeries in a container that pynwb 4 cannot read",
    }
)
"""Path of each series that `add_series` adds -> what is special about it."""

DANGLING = "/acquisition/electrodes_dangling"
"""Path of the series that `add_dangling_reference` completes."""

COMPANIONS: Mapping[str, str] = MappingProxyType(
    {
        "/acquisition/ring_type": "/specifications/ndx-ring",
        "/acquisition/torn_type": "/specifications/ndx-torn",
        "/processing/ecephys/EventWaveform/in_waveform": "/processing/ecephys/EventWaveform",
    }
)
"""Path of a series -> what else is in the file for it alone."""


def add_series(file: h5py.File) -> None:
    """Add all series of `SERIES`."""
    _add_electrodes(file)
    _add_controls(file)
    _add_bands(file)
    _add_images(file)
    _add_types(file)


def add_dangling_reference(file: h5py.File) -> None:
    """Make the electrodes of a series refer to an object that is deleted.

    To be done last, in a file that is closed afterwards: what is written later takes the place of what is deleted.
    """
    deleted = file.create_group("/analysis/deleted")
    file[DANGLING]["electrodes"].attrs["table"] = deleted.ref
    del file["/analysis/deleted"]


def _voltage(file: h5py.File, name: str) -> h5py.Group:
    return variant(file, f"/acquisition/{name}", like="/acquisition/voltage")


def _stamped(file: h5py.File, name: str) -> h5py.Group:
    return variant(file, f"/acquisition/{name}", like="/acquisition/stamped")


def _add_electrodes(file: h5py.File) -> None:
    for name, (_, rows) in _REGIONS.items():
        replace(_voltage(file, name), "electrodes", rows)
    del _voltage(file, "electrodes_none")["electrodes"]
    _voltage(file, "electrodes_dangling")
    attributes = _voltage(file, "electrodes_null")["electrodes"].attrs
    attributes.create("table", h5py.Reference(), dtype=h5py.ref_dtype)
    del _voltage(file, "electrodes_untold")["electrodes"].attrs["table"]
    _voltage(file, "electrodes_other")["electrodes"].attrs["table"] = file["/acquisition/stamped"].ref
    for name, factors, axis in (("fewer", [1.0, 2.0], 1), ("axis", [1.0, 2.0, 3.0], 5)):
        conversion = _voltage(file, f"channel_conversion_{name}").create_dataset("channel_conversion", data=factors)
        conversion.attrs["axis"] = np.int32(axis)


def _add_controls(file: h5py.File) -> None:
    for name, control, words in (
        ("fewer", [0, 1, 1], ["dark", "light"]),
        ("untold", [0, 1] * 5, None),
        ("beyond", [0, 1, 7, 255, 0] * 2, ["dark", "light"]),
    ):
        group = _stamped(file, f"control_{name}")
        group["control"] = np.array(control, "u1")
        if words is not None:
            group.create_dataset("control_description", data=words, dtype=TEXT)


def _add_bands(file: h5py.File) -> None:
    group = variant(file, "/acquisition/bands_fewer", like="/acquisition/bands")
    for name, column in list(group["bands"].items()):
        replace(group["bands"], name, column[:1])
    del variant(file, "/acquisition/bands_none", like="/acquisition/bands")["bands"]
    group = variant(file, "/acquisition/features_fewer", like="/acquisition/features")
    replace(group, "features", ["contrast"], dtype=TEXT)


def _add_images(file: h5py.File) -> None:
    def external(name: str) -> h5py.Group:
        return variant(file, f"/acquisition/external_{name}", like="/acquisition/external")

    group = external("unknown")
    del group["num_samples"]
    files = replace(external("frames"), "external_file", ["first.avi", "second.avi"], dtype=TEXT)
    files.attrs["starting_frame"] = np.array([0], "i4")
    group = external("nothing")
    del group["external_file"], group["starting_time"], group["num_samples"]
    file.copy("/acquisition/stamped/timestamps", group, "timestamps")
    group = variant(file, "/acquisition/index_unlinked", like="/acquisition/index")
    del group["indexed_timeseries"]
    group = variant(file, "/acquisition/index_broken", like="/acquisition/index")
    relink(group, "indexed_timeseries", h5py.SoftLink("/acquisition/nowhere"))


def _add_types(file: h5py.File) -> None:
    group = _stamped(file, "no_type")
    for name in ("neurodata_type", "namespace", "object_id"):
        del group.attrs[name]
    for name, kind, namespace in (
        ("unknown_type", "Wander", "ndx-unknown"),
        ("ring_type", "Ring", "ndx-ring"),
        ("torn_type", "Torn", "ndx-torn"),
    ):
        _stamped(file, name).attrs.update({"neurodata_type": kind, "namespace": namespace})
    ring = [
        {"neurodata_type_def": kind, "neurodata_type_inc": base, "doc": kind}
        for kind, base in (("Ring", "OtherRing"), ("OtherRing", "Ring"))
    ]
    for name, types in (("ndx-ring", json.dumps({"groups": ring})), ("ndx-torn", '{"groups": [{"neurodata_type_def"')):
        schema = [{"namespace": "core"}, {"source": name}]
        described = {"name": name, "version": "0.1.0", "doc": "a test", "author": "x", "contact": "x", "schema": schema}
        cached = file.create_group(f"/specifications/{name}/0.1.0")
        cached["namespace"] = json.dumps({"namespaces": [described]})
        cached[name] = types
    container = file.create_group("/processing/ecephys/EventWaveform")
    container.attrs.update(
        {"neurodata_type": "EventWaveform", "namespace": "core", "object_id": object_id(container.name)}
    )
    spikes = variant(file, "/processing/ecephys/EventWaveform/in_waveform", like="/acquisition/voltage")
    spikes.attrs["neurodata_type"] = "SpikeEventSeries"
    replace(spikes, "data", np.arange(10 * 3 * 4, dtype="i2").reshape(10, 3, 4))
    del spikes["starting_time"]
    file.copy("/acquisition/stamped/timestamps", spikes, "timestamps")
