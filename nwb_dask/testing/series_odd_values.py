"""Series whose samples, scales or units are wrong, unusual or missing, for `nwb_dask.testing.series_odd`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import h5py
import numpy as np

from nwb_dask.testing.odd_columns import TEXT
from nwb_dask.testing.series_edits import Data, relink, replace, variant
from nwb_dask.testing.series_odd_times import N_SAMPLES

_COUNT = np.arange(N_SAMPLES)
_PAIRS = np.array([(i, i / 2) for i in range(N_SAMPLES)], [("x", "i4"), ("y", "f8")])

_DATA: Mapping[str, tuple[str, Data]] = {
    "columns_none": ("samples of no columns", np.zeros((N_SAMPLES, 0))),
    "dims_5": ("five dimensions", np.arange(N_SAMPLES * 16).reshape(N_SAMPLES, 2, 2, 2, 2)),
    "boolean": ("samples of HDF5's boolean enumeration", _COUNT % 2 == 0),
    "float16": ("samples of float16", _COUNT.astype("f2")),
    "big_endian": ("samples of big-endian int16", _COUNT.astype(">i2")),
    "complex": ("samples of complex128", _COUNT * (1 + 2j)),
    "compound": ("samples of a compound type", _PAIRS),
    "text": ("text in a plain TimeSeries", [f"ü{i}" for i in range(N_SAMPLES)]),
    "all_nan_samples": ("samples that are all NaN", np.full(N_SAMPLES, np.nan)),
    "scalar": ("one scalar for the samples", 1.5),
    "null": ("samples without a dataspace", h5py.Empty("f8")),
}
_NUMBERS: Mapping[str, tuple[str, str, object]] = {
    "conversion_none": ("no attribute conversion", "conversion", None),
    "conversion_float32": ("a conversion of float32 that has no exact one", "conversion", np.float32(0.1)),
    "conversion_integer": ("a conversion of int64", "conversion", np.int64(3)),
    "conversion_array": ("a conversion in an array of one element", "conversion", np.array([0.5])),
    "conversion_pair": ("two conversions", "conversion", np.array([0.5, 2.0])),
    "conversion_text": ("a conversion that is text", "conversion", "0.5"),
    "conversion_nan": ("a conversion that is NaN", "conversion", np.nan),
    "conversion_zero": ("a conversion of 0", "conversion", 0.0),
    "offset_none": ("no attribute offset, as before NWB 2.5", "offset", None),
    "offset_nan": ("an offset that is NaN", "offset", np.nan),
    "unit_volts": ('unit "volts"', "unit", "volts"),
    "unit_not_applicable": ('unit "N/A"', "unit", "N/A"),
    "unit_arbitrary": ('unit "a.u."', "unit", "a.u."),
    "unit_degrees_c": ('unit "degrees C"', "unit", "degrees C"),
    "unit_dff": ('unit "dF/F"', "unit", "dF/F"),
    "unit_unknown": ('unit "unknown"', "unit", "unknown"),
    "unit_micro": ("a unit with the sign for micro", "unit", "µV"),
    "unit_empty": ("an empty unit", "unit", ""),
    "unit_none": ("no attribute unit", "unit", None),
    "unit_bytes": ("a unit of fixed length", "unit", np.bytes_("volts")),
    "unit_array": ("a unit in an array of one element", "unit", np.array([b"volts"])),
    "unit_number": ("a unit that is a number", "unit", 3),
}
_OTHERS = {
    "no_data": "no samples, timestamps",
    "no_data_sampled": "no samples, a rate: nothing says how many there were",
    "empty": "no rows of samples and no timestamps",
    "empty_sampled": "no rows of samples, a rate",
    "empty_columns": "no rows of three samples, no timestamps",
    "attributes_none": "samples without any attribute",
    "data_group": "a group in the place of the samples",
    "unwritten": "samples in chunks that were never written, with a fill value",
    "expandable": "samples in chunks that may grow in both directions, the last ones partly filled",
    "data_broken": "samples behind a soft link to nothing",
    "data_linked_twice": "samples behind a soft link to a soft link",
    "data_hard": "samples and timestamps that are those of another series, by hard links",
    "data_external": "samples behind a link to a file that is there",
    "data_external_absent": "samples behind a link to a file that is not there",
    "data_in_raw_file": "samples in HDF5's external storage, a raw file",
    "series_broken": "the series is a soft link to nothing",
    "series_external": "the series is a link to one in a file that is there",
    "series_loop": "the series is a soft link to itself",
}

SERIES: Mapping[str, str] = MappingProxyType(
    {
        f"/acquisition/{name}": description
        for name, description in (
            *((name, row[0]) for name, row in _DATA.items()),
            *((name, row[0]) for name, row in _NUMBERS.items()),
            *_OTHERS.items(),
        )
    }
)
"""Path of each series that `add_series` adds -> what is special about it."""


def add_series(file: h5py.File, elsewhere: str) -> None:
    """Add all series of `SERIES`; `elsewhere` is the name of the other file that links go to."""
    for name, (_, data) in _DATA.items():
        replace(_stamped(file, name), "data", data, dtype=TEXT if name == "text" else None)
    for name, (_, attribute, value) in _NUMBERS.items():
        attributes = _stamped(file, name)["data"].attrs
        del attributes[attribute]
        if value is not None:
            attributes[attribute] = value
    _add_lengths(file)
    _add_storage(file)
    _add_links(file, elsewhere)


def _stamped(file: h5py.File, name: str) -> h5py.Group:
    return variant(file, f"/acquisition/{name}", like="/acquisition/stamped")


def _sampled(file: h5py.File, name: str) -> h5py.Group:
    return variant(file, f"/acquisition/{name}", like="/acquisition/sampled")


def _add_lengths(file: h5py.File) -> None:
    del _stamped(file, "no_data")["data"]
    del _sampled(file, "no_data_sampled")["data"]
    replace(_sampled(file, "empty_sampled"), "data", np.zeros(0, "i2"))
    for name, shape in (("empty", (0,)), ("empty_columns", (0, 3))):
        group = _stamped(file, name)
        replace(group, "data", np.zeros(shape))
        replace(group, "timestamps", np.zeros(0))


def _add_storage(file: h5py.File) -> None:
    attributes = _stamped(file, "attributes_none")["data"].attrs
    for name in list(attributes):
        del attributes[name]
    group = _stamped(file, "data_group")
    del group["data"]
    group.create_group("data")
    group = _sampled(file, "unwritten")
    replace(group, "data", None, shape=(25, 3), dtype="i2", chunks=(8, 3), fillvalue=-7)
    group = _sampled(file, "expandable")
    values = np.arange(25 * 3, dtype="i4").reshape(25, 3)
    replace(group, "data", values, chunks=(8, 2), maxshape=(None, None), compression="gzip")


def _add_links(file: h5py.File, elsewhere: str) -> None:
    source = file["/acquisition/stamped"]
    relink(_stamped(file, "data_broken"), "data", h5py.SoftLink("/acquisition/nowhere/data"))
    relink(_stamped(file, "data_linked_twice"), "data", h5py.SoftLink("/analysis/alias"))
    file["/analysis/alias"] = h5py.SoftLink("/acquisition/stamped/data")
    group = _stamped(file, "data_hard")
    relink(group, "data", source["data"])
    relink(group, "timestamps", source["timestamps"])
    relink(_stamped(file, "data_external"), "data", h5py.ExternalLink(elsewhere, "/acquisition/stamped/data"))
    relink(_stamped(file, "data_external_absent"), "data", h5py.ExternalLink("absent.nwb", "/acquisition/stamped/data"))
    raw = Path(file.filename).with_suffix(".raw")
    raw.write_bytes(np.arange(N_SAMPLES, dtype="f8").tobytes())
    replace(
        _stamped(file, "data_in_raw_file"), "data", None, shape=(N_SAMPLES,), dtype="f8",
        external=[(str(raw.resolve()), 0, N_SAMPLES * 8)],
    )  # fmt: skip
    file["/acquisition/series_broken"] = h5py.SoftLink("/acquisition/nowhere")
    file["/acquisition/series_external"] = h5py.ExternalLink(elsewhere, "/acquisition/stamped")
    file["/acquisition/series_loop"] = h5py.SoftLink("/acquisition/series_loop")
