"""Labels of the dimensions of a series, by its type."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nwb_dask.errors import NWBDaskError
from nwb_dask.index import ArrayEntry, FileIndex, join
from nwb_dask.model.series.dims import TIME, color_names
from nwb_dask.model.series.images import pixel_labels
from nwb_dask.model.series.members import Members, Values, counted
from nwb_dask.model.series.regions import LabelTable, Region, column_values, find_region, label_table, table_labels
from nwb_dask.model.series.texts import label_values, text_of, texts
from nwb_dask.model.series.types import is_a
from nwb_dask.model.series.values import Attribute, Label

BANDS = "bands"
_LIMITS = "band_limits"
_MAX_FLAGS = 4096
_AXES = ("x", "y", "z")
_REGION_NAMES = {
    "ElectricalSeries": ("electrodes",),
    "DecompositionSeries": ("source_channels", "electrodes"),
    "RoiResponseSeries": ("rois",),
}


@dataclass(frozen=True, slots=True)
class Extent:
    """Names and lengths of the dimensions of the data."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]

    def length(self, dim: str) -> int | None:
        """Return the length of a dimension; None if the data do not have it."""
        return self.shape[self.dims.index(dim)] if dim in self.dims else None


def series_region(members: Members) -> Region | None:
    """Return the region of a series whose type has one: electrodes or rois; None for other types and if it lacks."""
    for core, names in _REGION_NAMES.items():
        if is_a(members.core, core):
            return find_region(members, names)
    return None


def find_labels(members: Members, extent: Extent) -> list[Label]:
    """Return the labels of all dimensions but time, then those along time; what is wrong becomes a warning."""
    core = members.core
    out: list[Label] = []
    if is_a(core, "ElectricalSeries") or core == "DecompositionSeries":
        out += _channels(members, extent)
    if core == "DecompositionSeries":
        out += band_labels(members, extent.length("band"))
    if core == "RoiResponseSeries":
        out += _rois(members, extent)
    if core == "AbstractFeatureSeries":
        out += _features(members, extent.length("feature"))
    n_space = extent.length("space")
    if n_space is not None and n_space <= len(_AXES):
        out.append(Label("space", ("space",), np.array(_AXES[:n_space])))
    n_colors = extent.length("color")
    if n_colors is not None:
        out.append(Label("color", ("color",), np.array(color_names(n_colors))))
    if is_a(core, "ImageSeries"):
        out += pixel_labels(members, extent.dims, extent.shape)
    control = _control(members, extent.length(TIME))
    return [*out, *([] if control is None else [control])]


def _channels(members: Members, extent: Extent) -> list[Label]:
    length = extent.length("channel")
    region = series_region(members)
    if region is not None:
        return table_labels(members, region, "channel", length)
    name = next(iter(name for name in ("source_channels", "electrodes") if members.why_unread(name)), None)
    if name is not None:
        members.warn(f"{name} cannot be read ({members.why_unread(name)}): channel is not labelled.")
    elif "electrodes" in members.group.members:
        members.warn("electrodes are no row numbers of a table: channel is not labelled.")
    elif "electrode_idx" in members.group.members:
        return _plain(members, "electrode_idx", "channel", length)
    elif members.core != "DecompositionSeries":
        members.warn("the series names no electrodes: channel is not labelled.")
    return []


def _rois(members: Members, extent: Extent) -> list[Label]:
    length = extent.length("roi")
    region = series_region(members)
    if region is not None:
        return table_labels(members, region, "roi", length)
    reason = members.why_unread("rois")
    if reason is not None:
        members.warn(f"rois cannot be read ({reason}): roi is not labelled.")
    elif "roi_names" in members.group.members:
        # NWB 1.x.
        return _plain(members, "roi_names", "roi", length)
    else:
        members.warn("the series names no rois: roi is not labelled.")
    return []


def _features(members: Members, length: int | None) -> list[Label]:
    return [*_plain(members, "features", "feature", length), *_plain(members, "feature_units", "feature", length)]


def _plain(members: Members, name: str, dim: str, length: int | None) -> list[Label]:
    """Return a dataset with a value for each place of a dimension as its label, ``feature_units`` beside it."""
    entry = members.array(name)
    unlabelled = f"{dim} is not labelled by {name}"
    if entry is None:
        reason = members.why_unread(name)
        if reason is not None:
            members.warn(f"{name} cannot be read ({reason}): {unlabelled}.")
        return []
    stored = members.value(entry, unlabelled)
    if stored is None:
        return []
    values = label_values(entry, stored).reshape(-1)
    if len(values) != (1 if length is None else length):
        data = f"{counted(length, 'place')} along {dim}" if length is not None else f"no dimension {dim}"
        members.warn(f"{name} has {counted(len(values), 'value')}, and the data have {data}: {unlabelled}.")
        return []
    label = name if name == "feature_units" else dim
    return [Label(label, () if length is None else (dim,), values.reshape(()) if length is None else values)]


def bands_index(members: Members) -> tuple[str, FileIndex] | None:
    """Return the table of frequency bands and the index that covers it; None if there is none."""
    path = join(members.path, BANDS)
    index = members.linked.get(path, members.index)
    return (path, index) if index.group(path) is not None or index.array(path) is not None else None


def band_arrays(index: FileIndex, path: str) -> tuple[LabelTable, ArrayEntry | None]:
    """Return a table of bands, and the limits, two numbers for each band."""
    table = label_table(index, path)
    limits = index.array(join(path, _LIMITS))
    return table, limits if limits is not None and limits.shape is not None and limits.shape[1:] == (2,) else None


def band_labels(members: Members, length: int | None) -> list[Label]:
    """Return names, limits, means and widths [Hz] of frequency bands (NWB core schema, *FrequencyBandsTable*)."""
    found = bands_index(members)
    missing = "band is not labelled"
    if found is None or length is None:
        if length is not None:
            members.warn(f"there is no table of bands ({members.why_unread(BANDS) or 'none is stored'}): {missing}.")
        return []
    path, index = found
    try:
        table, limits = band_arrays(index, path)
    except NWBDaskError as error:
        members.warn(f"the table {path} cannot be read ({error.message}): {missing}.")
        return []
    out = []
    for name, column in table.columns.items():
        entry = column.values
        stored = None if entry is None else members.value(entry, f"the label {name} is left out")
        if entry is None or stored is None or name == "id":
            continue
        if len(stored) != length:
            members.warn(f"{path} has {counted(len(stored), 'row')} for {counted(length, 'band')}: {missing}.")
            return []
        attrs: dict[str, Attribute] = {"units": "Hz"} if name in {"band_mean", "band_stdev"} else {}
        label = "band" if name == "band_name" else f"band_{name.removeprefix('band_')}"
        out.append(Label(label, ("band",), column_values(column, entry, stored), attrs))
    return [*out, *_limits(members, limits, length)]


def _limits(members: Members, limits: ArrayEntry | None, length: int) -> list[Label]:
    stored = None if limits is None else members.value(limits, "band_low and band_high are left out")
    if stored is None or stored.shape != (length, 2):
        return []
    hertz: dict[str, Attribute] = {"units": "Hz"}
    return [Label(name, ("band",), stored[:, side], hertz) for side, name in enumerate(("band_low", "band_high"))]


def _control(members: Members, n_samples: int | None) -> Label | None:
    """Return ``control`` as a label that is read when it is used, its codes described as CF flags (CF, 3.5)."""
    entry = members.array("control")
    reason = members.why_unread("control")
    if reason is not None:
        members.warn(f"control cannot be read ({reason}): it is left out.")
    if entry is None:
        return None
    if entry.element.kind not in {"int", "uint"} or entry.shape != (n_samples,):
        shape = "x".join(map(str, entry.shape or ())) or "no"
        members.warn(f"control has {shape} values for {counted(n_samples or 0, 'sample')}: it is left out.")
        return None
    return Label("control", (TIME,), entry, _flags(members))


def _flags(members: Members) -> dict[str, Attribute]:
    entry = members.array("control_description")
    stored: Values | None = None if entry is None else members.values.get(entry.path)
    if entry is None or stored is None or not 0 < stored.size <= _MAX_FLAGS:
        return {}
    meanings = [text_of(item) for item in label_values(entry, stored).reshape(-1).tolist()]
    attrs: dict[str, Attribute] = {
        "flag_values": list(range(len(meanings))),
        # Blanks separate the meanings.
        "flag_meanings": " ".join("_".join(meaning.split()) or "_" for meaning in meanings),
    }
    if any(meaning.split() != [meaning] for meaning in meanings):
        attrs["control_description"] = [str(meaning) for meaning in texts(meanings).tolist()]
    return attrs
