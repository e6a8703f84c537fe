"""Describes one series from the index of its group and the small values around it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from math import isfinite, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from nwb_dask.errors import MalformedFileError, NWBDaskError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, basename, join
from nwb_dask.model.series.attrs import describe_data, describe_rest, describe_text, merged, scalars
from nwb_dask.model.series.dims import TIME, Clues, data_dims
from nwb_dask.model.series.images import (
    PLANE_VALUES,
    external_files,
    file_attrs,
    frame_labels,
    is_external,
    plane_attrs,
    plane_path,
)
from nwb_dask.model.series.labels import BANDS, Extent, band_arrays, bands_index, find_labels, series_region
from nwb_dask.model.series.members import Members, counted
from nwb_dask.model.series.regions import MAX_ROWS, label_table
from nwb_dask.model.series.timing import find_timing, stamps_length, time_of_single
from nwb_dask.model.series.types import is_a
from nwb_dask.model.series.units import known_unit
from nwb_dask.model.series.values import Attribute, Label, Scale, Series

_UNSCALED = ("IndexSeries", "IntervalSeries", "AnnotationSeries")
"""Numbers of images, signs of edges, and text: not measured."""
_MAX_LENGTH = 1 << 53
"""Samples that float64 can count."""
_NUMBERS = frozenset({"int", "uint", "float", "complex"})
_PLAIN = ("channel_conversion", "control_description", "electrode_idx", "external_file", "feature_units", "features",
          "roi_names")  # fmt: skip
"""1-d datasets of a series that are read when it is described."""
_OTHERWISE_KNOWN = frozenset({"data", "timestamps", "starting_time", "control", *_PLAIN})


def linked_paths(members: Members) -> tuple[str, ...]:
    """Return the paths of tables and groups that the labels of a series come from and that its index does not cover."""
    found = []
    region = series_region(members)
    if region is not None and region.table is not None:
        found.append(region.table)
    bands = join(members.path, BANDS)
    if members.core == "DecompositionSeries" and BANDS in members.group.members and not _covers(members, bands):
        found.append(bands)
    plane = plane_path(members) if is_a(members.core, "ImageSeries") else None
    if plane is not None:
        found.append(plane)
    return tuple(dict.fromkeys(found))


def _covers(members: Members, path: str) -> bool:
    """Tell whether the index of a series has the dataset or the members of the group at `path`."""
    group = members.index.group(path)
    names = () if group is None else group.members
    return members.index.array(path) is not None or any(members.index.array(join(path, name)) for name in names)


def small_arrays(members: Members) -> tuple[ArrayEntry, ...]:
    """Return the datasets whose values the description needs: all of them small, so that one round reads them."""
    found = {entry.path: entry for entry in _needed(members)}
    return tuple(entry for entry in found.values() if entry.shape is not None and prod(entry.shape) <= 2 * MAX_ROWS)


def _needed(members: Members) -> Iterator[ArrayEntry]:
    yield from (entry for _, entry in scalars(members))
    for name in (*_PLAIN, "starting_time", "description", "comments"):
        entry = members.array(name)
        if entry is not None:
            yield entry
    data, stamps = members.array("data"), members.array("timestamps")
    if data is not None and data.shape == () and stamps is not None and prod(stamps.shape or ()) == 1:
        yield stamps
    region = series_region(members)
    if region is not None:
        yield region.entry
        if region.table is not None and region.table in members.linked:
            yield from _column_entries(members, region.table)
    bands = bands_index(members) if members.core == "DecompositionSeries" else None
    if bands is not None:
        with suppress(NWBDaskError):
            table, limits = band_arrays(bands[1], bands[0])
            yield from (*table.entries, *([] if limits is None else [limits]))
    plane = plane_path(members)
    if plane is not None and plane in members.linked:
        arrays = (members.linked[plane].array(join(plane, name)) for name in PLANE_VALUES)
        yield from (entry for entry in arrays if entry is not None)


def _column_entries(members: Members, path: str) -> Iterator[ArrayEntry]:
    with suppress(NWBDaskError):
        yield from label_table(members.linked[path], path).entries


def build_series(members: Members) -> Series:
    """Describe a series.

    Parameters
    ----------
    members : Members
        Its group, with what `linked_paths` and `small_arrays` asked for, as far as it could be read.

    Returns
    -------
    Series
        What is wrong beside the data is among its warnings, and left out.

    Raises
    ------
    UnsupportedLayoutError, MalformedFileError
        If its data exist and cannot be read.
    """
    data = readable_data(members)
    if data is None or (0 in (data.shape or ()) and is_external(members)):
        return _without_data(members)
    shape = data.shape or ()
    region = series_region(members)
    dims, warning = data_dims(
        members.core, shape, Clues(stamps_length(members), None if region is None else region.n_rows)
    )
    if warning:
        members.warn(f"{warning}.")
    extent = Extent(dims, shape)
    labels = find_labels(members, extent)
    scale, scale_labels, is_complete = _scale(members, data, extent)
    labels += scale_labels
    if dims:
        timing = find_timing(members, shape[dims.index(TIME)])
    else:
        timing, single = None, time_of_single(members)
        members.warn("the data are a single value without a dimension.")
        labels += [] if single is None else [single]
    unit = known_unit(members.data_text("unit")) if is_complete and _is_measured(members, data) else None
    series = Series(
        name=basename(members.path),
        path=members.path,
        neurodata_type=str(describe_text(members)["neurodata_type"]),
        core_type=members.core,
        dims=dims,
        shape=shape,
        data=data,
        content="data",
        timing=timing,
        scale=scale,
        labels=_in_order(labels),
    )
    return _with_attrs(members, series, {} if unit is None else {"units": unit})


def readable_data(members: Members) -> ArrayEntry | None:
    """Return the dataset with the samples; None if there are none.

    Raises
    ------
    UnsupportedLayoutError, MalformedFileError
        If there are, and they cannot be read.
    """
    path = join(members.path, "data")
    link = members.group.links.get("data")
    if link is not None and link.filename is not None:
        found = members.index.problems.get(path)
        message = (
            f"the data of {members.path} are in another file, {link.filename!r} (at {link.target!r}), and links out of "
            "a file are followed only into folders that allow_external=[...] names; open the series in that file"
        )
        if found is not None:
            message = f"the data of {members.path} are in another file, {link.filename!r}: {found}"
        raise UnsupportedLayoutError(message, path=path)
    reason = members.why_unread("data")
    data = members.array("data")
    if data is not None and data.layout in ("external", "virtual") and reason is not None:
        message = f"the data of {members.path} are in other files ({data.layout} storage): {reason}"
        raise UnsupportedLayoutError(f"{message}; or copy them into one file with h5repack", path=path)
    if reason is not None:
        raise MalformedFileError(f"the data of {members.path} cannot be read: {reason}; open other series", path=path)
    if data is None and "data" in members.group.members:
        raise MalformedFileError(f"the data of {members.path} are a group; a dataset was expected", path=path)
    if data is None or data.shape is None:
        return None
    if data.element.kind == "unsupported":
        message = f"the data of {members.path} are of a type that is not read: {data.element.reason}"
        raise UnsupportedLayoutError(message, path=path)
    return data


def _without_data(members: Members) -> Series:
    """Describe a series whose samples are images in other files, or that has none."""
    files = external_files(members)
    n_stamps, n_stated = stamps_length(members), _stated_length(members)
    attrs: dict[str, Attribute] = {}
    n_samples = n_stamps if n_stamps is not None else n_stated or 0
    if n_stamps is None and n_stated is None:
        attrs["num_samples_unknown"] = 1
        members.warn("neither timestamps nor num_samples tell how many samples there are: the series has none.")
    is_elsewhere = files is not None or is_external(members)
    if not is_elsewhere:
        attrs["data_missing"] = 1
        others = [name for name, entry in members.arrays() if entry.shape and name not in _OTHERWISE_KNOWN]
        beside = f"; its other datasets ({', '.join(others)}) are not shown" if others else ""
        members.warn(f"no data are stored: {counted(n_samples, 'sample')} of NaN{beside}.")
    labels = find_labels(replace(members, core="TimeSeries", warnings=members.warnings), Extent((TIME,), (n_samples,)))
    if files is None and is_elsewhere:
        members.warn("the images are in other files, and external_file does not name them.")
    if files is not None:
        labels += frame_labels(members, files, n_samples)
        attrs |= file_attrs(members, files)
    series = Series(
        name=basename(members.path),
        path=members.path,
        neurodata_type=str(describe_text(members)["neurodata_type"]),
        core_type=members.core,
        dims=(TIME,),
        shape=(n_samples,),
        data=None,
        content="frames" if is_elsewhere else "missing",
        timing=find_timing(members, n_samples),
        labels=_in_order(labels),
    )
    return _with_attrs(members, series, attrs)


def _stated_length(members: Members) -> int | None:
    """Return ``num_samples``: the frames of external images (NWB core schema, *ImageSeries*), all series' in NWB 1."""
    stated = members.number("num_samples")
    return int(stated) if stated is not None and 0 <= stated < _MAX_LENGTH else None


def _with_attrs(members: Members, series: Series, first: dict[str, Attribute]) -> Series:
    plane = plane_attrs(members) if is_a(members.core, "ImageSeries") else {}
    attrs = merged(describe_text(members), first, describe_data(members), plane)
    labels = {label.name for label in series.labels}
    rest = describe_rest(members, [*attrs, *labels, *_PLAIN, "data", "timestamps"])
    for path, reason in members.problems.items():
        if basename(path) in PLANE_VALUES or path == plane_path(members):
            members.warn(f"{path} cannot be read ({reason}): what it says of the images is left out.")
    return replace(series, attrs=attrs | rest, warnings=tuple(members.warnings))


def _is_measured(members: Members, data: ArrayEntry) -> bool:
    return members.core not in _UNSCALED and data.element.kind in _NUMBERS


def _scale(members: Members, data: ArrayEntry, extent: Extent) -> tuple[Scale, list[Label], bool]:
    """Return how values become physical, the label of factors of channels, and whether all of it is known."""
    if not _is_measured(members, data):
        return Scale(), [], True
    factor, offset = members.data_number("conversion", 1.0), members.data_number("offset", 0.0)
    wrong = [name for name in ("conversion", "offset") if members.is_no_number(name)]
    if wrong:
        members.warn(f"{' and '.join(wrong)} of the data cannot be read as a number: left out, and there are no units.")
    is_complete = not wrong
    if not (isfinite(factor) and isfinite(offset)) or factor == 0:
        members.warn(f"conversion is {factor:g} and offset {offset:g}: values are computed with them all the same.")
    plain = Scale(factor, offset, precision=_precision(data, None))
    entry = members.array("channel_conversion") if is_a(members.core, "ElectricalSeries") else None
    unread = members.why_unread("channel_conversion")
    unscaled = "values lack the factors of their channels, and have no units"
    if unread is not None:
        members.warn(f"channel_conversion cannot be read ({unread}): {unscaled}.")
        return plain, [], False
    if entry is None:
        return plain, [], is_complete
    stored = members.value(entry, unscaled)
    if stored is None:
        return plain, [], False
    length = extent.length("channel")
    if stored.dtype.kind not in "iuf" or stored.shape != (1 if length is None else length,):
        has = "x".join(map(str, stored.shape)) or "1"
        members.warn(f"channel_conversion has {has} factors for {counted(length or 1, 'channel')}: {unscaled}.")
        return plain, [], False
    factors, precision = stored.astype(np.float64), _precision(data, stored)
    if length is None:
        single = Label("channel_conversion", (), factors.reshape(()))
        return Scale(factor * float(factors[0]), offset, precision=precision), [single], is_complete
    label = Label("channel_conversion", ("channel",), factors)
    return Scale(factor, offset, factors, extent.dims.index("channel"), precision), [label], is_complete


def _precision(data: ArrayEntry, factors: npt.NDArray[Any] | None) -> np.dtype[Any]:
    """Return the dtype in which numpy computes with samples and factors of the types that they are stored in."""
    ones: list[Any] = []
    for name in ("conversion", "offset"):
        stored = data.attributes.get(name)
        if isinstance(stored, np.ndarray) and stored.dtype.kind == "f":
            ones.append(np.ones((), stored.dtype)[()])
        else:
            # What the file does not have is a number of Python, which takes on any precision.
            ones.append(1.0 if stored is None else np.float64(1))
    samples = np.ones(1, data.element.dtype)
    by = ones[0] if factors is None else ones[0] * np.ones(1, factors.dtype)
    found: np.dtype[Any] = (samples * by + ones[1]).dtype
    return np.result_type(found, np.float32)


def _in_order(labels: list[Label]) -> tuple[Label, ...]:
    """Return labels without those whose name is taken, those along time last."""
    named: dict[str, Label] = {}
    for label in labels:
        named.setdefault(label.name, label)
    return tuple(sorted(named.values(), key=lambda label: TIME in label.dims))
