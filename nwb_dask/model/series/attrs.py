"""Attributes of a series: what the file says of it beside samples, times and labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nwb_dask.index import ArrayEntry, AttributeValue, join
from nwb_dask.model.kinds import text_attribute
from nwb_dask.model.series.members import Members
from nwb_dask.model.series.texts import as_attribute, can_label, label_values, listed
from nwb_dask.model.series.values import Attribute

_DEFAULTS = frozenset({"", "no description", "no comments"})
"""Texts that pynwb writes where nothing was said."""
_OF_THE_FORMAT = frozenset({"neurodata_type", "namespace", "ancestry", "help", "object_id"})
_NOT_ATTRIBUTES = frozenset({"data", "timestamps", "starting_time", "description", "comments", "num_samples"})
"""Said otherwise; or, the number of samples, no longer true of a part."""
_WARNED_OF = frozenset({"starting_time", "electrodes", "source_channels", "rois", "bands", "control"})
"""Members that the times and labels come from, which say so themselves where they cannot be read."""
_RESERVED = frozenset(
    {
        "_FillValue", "add_offset", "calendar", "coordinates", "dtype", "missing_value", "scale_factor", "source",
        "units", "rate", "nwb_path", "nwb_unit",
    }
)  # fmt: skip
"""Names that xarray, the CF conventions or this package give a meaning to."""


def describe_text(members: Members) -> dict[str, Attribute]:
    """Return type, path, identity and texts of a series; what was left at its default is left out."""
    stated = members.group.attributes
    attrs: dict[str, Attribute] = {
        "neurodata_type": text_attribute(stated, "neurodata_type") or members.core,
        "nwb_path": members.path,
    }
    object_id = text_attribute(stated, "object_id")
    if object_id:
        attrs["object_id"] = object_id
    for name in ("description", "comments"):
        text = text_attribute(stated, name) or _scalar_text(members, name)
        if text is not None and text.strip() not in _DEFAULTS:
            attrs[name] = text
    return attrs


def describe_data(members: Members) -> dict[str, Attribute]:
    """Return what the data say of themselves: conversion, offset, resolution, continuity, the text of their unit."""
    attrs: dict[str, Attribute] = {}
    unit = members.data_text("unit")
    if unit:
        attrs["nwb_unit"] = unit
    conversion, offset = members.data_number("conversion", 1.0), members.data_number("offset", 0.0)
    resolution = members.data_number("resolution", -1.0)
    if conversion != 1.0:
        attrs["conversion"] = conversion
    if offset:
        attrs["offset"] = offset
    if resolution > 0:
        attrs["resolution"] = resolution
    continuity = members.data_text("continuity")
    if continuity:
        attrs["continuity"] = continuity
    return attrs


def describe_rest(members: Members, taken: Iterable[str]) -> dict[str, Attribute]:
    """Return the other attributes of the group, its scalar datasets with their units, and where its links lead.

    So a gain, a sweep number, a metric, or what an extension adds is at hand by the name that the file gives it.

    Parameters
    ----------
    taken : iterable of str
        Names of attributes that are there already, and of labels.
    """
    attrs: dict[str, Attribute] = {}
    used = set(taken)

    def add(name: str, value: Attribute | None) -> None:
        key = f"nwb_{name}" if name in _RESERVED else name
        if value is not None and value != "" and key not in used:
            attrs.setdefault(key, value)

    for name, stated in members.group.attributes.items():
        if name not in _OF_THE_FORMAT and not _is_default(name, stated):
            add(name, as_attribute(stated))
    for name, entry in scalars(members):
        if name in _NOT_ATTRIBUTES:
            continue
        stored = members.values.get(entry.path)
        if stored is None:
            members.value(entry, f"the attribute {name} is left out")
            continue
        add(name, listed(label_values(entry, stored).reshape(-1)))
        add(f"{name}_unit", text_attribute(entry.attributes, "unit"))
    for name in members.group.links:
        if members.array(name) is not None or name in used or name in _WARNED_OF:
            continue
        reason = members.index.problems.get(join(members.path, name))
        target = members.target(name)
        if reason is None and target is not None:
            add(name, target)
        else:
            members.warn(f"{name} cannot be followed ({members.why_unread(name)}): the attribute is left out.")
    return attrs


def scalars(members: Members) -> list[tuple[str, ArrayEntry]]:
    """Return the datasets of a series that are a single number or text and say something of the whole."""
    return [
        (name, entry)
        for name, entry in members.arrays()
        if entry.shape == () and can_label(entry) and entry.element.kind != "reference"
    ]


def _scalar_text(members: Members, name: str) -> str | None:
    """Return a text that NWB 1.x keeps in a dataset."""
    entry = members.array(name)
    stored = None if entry is None else members.values.get(entry.path)
    if entry is None or stored is None or stored.size != 1:
        return None
    found = listed(label_values(entry, stored).reshape(-1))
    return found if isinstance(found, str) else None


def _is_default(name: str, stated: AttributeValue) -> bool:
    return name in {"description", "comments"} and isinstance(stated, str) and stated.strip() in _DEFAULTS


def merged(*parts: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Return attributes of several origins; the first to give a name has it."""
    out: dict[str, Attribute] = {}
    for part in parts:
        for name, value in part.items():
            out.setdefault(name, value)
    return out
