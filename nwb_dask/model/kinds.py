"""What an object of a file is to a reader of tables, decided by its type or, without one, by its structure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from nwb_dask.index import ArrayEntry, AttributeValue, FileIndex, GroupEntry, Reference, join

TableKind = Literal["dynamic", "aligned", "series", "compound", "record"]
"""``dynamic``: DynamicTable. ``aligned``: AlignedDynamicTable. ``series``: TimeSeries.
``compound``: a 1-d dataset of compound elements (NWB 2.0b's ElectrodeTable, EpochTable).
``record``: any other group, read as one row of its datasets."""

RECORDS = ("/", "/general", "/general/subject")
"""Groups that are listed as one-row tables; every other plain group is one when asked for by path."""

SERIES_TYPES = frozenset(
    {
        "AbstractFeatureSeries", "AnnotationSeries", "CurrentClampSeries", "CurrentClampStimulusSeries",
        "DecompositionSeries", "ElectricalSeries", "IZeroClampSeries", "ImageMaskSeries", "ImageSeries",
        "IndexSeries", "IntervalSeries", "OnePhotonSeries", "OpticalSeries", "OptogeneticSeries",
        "PatchClampSeries", "RoiResponseSeries", "SpatialSeries", "SpikeEventSeries", "TimeSeries",
        "TwoPhotonSeries", "VoltageClampSeries", "VoltageClampStimulusSeries",
    }
)  # fmt: skip
"""TimeSeries and its subtypes in the NWB core schema 2.0 to 2.11."""

COLUMN_TYPES = frozenset(
    {
        "VectorData", "VectorIndex", "DynamicTableRegion", "EnumData", "ElementIdentifiers", "TableColumn",
        "TimeSeriesReferenceVectorData", "TimestampVectorData", "DurationVectorData",
    }
)  # fmt: skip
"""Types of datasets that are columns of tables (hdmf-common, core; ``TableColumn`` is NWB 2.0b's VectorData)."""

TABLE_ATTRIBUTES = frozenset({"neurodata_type", "ancestry", "colnames", "categories", "nwb_version"})
"""Attributes of groups that decide what a table is."""

COLUMN_ATTRIBUTES = frozenset({"target", "elements", "table", "rate"})
"""Attributes of datasets that decide what a column is; the only ones that reading needs."""

LISTED_ATTRIBUTES = COLUMN_ATTRIBUTES | {"neurodata_type"}
"""Attributes of datasets that tell a table from a column, when a whole file is looked through."""


def text_attribute(attributes: Mapping[str, AttributeValue], name: str) -> str | None:
    """Return a text attribute; the only element of a one-element array (as old MatNWB wrote) counts as it."""
    value = attributes.get(name)
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, str) else None


def text_list_attribute(attributes: Mapping[str, AttributeValue], name: str) -> tuple[str, ...] | None:
    """Return an attribute that lists names, None if absent; an empty array of any type is an empty list."""
    value = attributes.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        return (value,)
    if isinstance(value, tuple):
        return tuple(item for item in value if isinstance(item, str))
    return ()


def reference_attribute(entry: GroupEntry | ArrayEntry, name: str) -> str | None:
    """Return the path that a reference attribute points to; None if it is absent, null or something else."""
    value = entry.attributes.get(name)
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    return value.path if isinstance(value, Reference) else None


def number_attribute(entry: GroupEntry | ArrayEntry, name: str) -> float | None:
    """Return a number; the only element of a one-element array (as MatNWB may write) counts as it."""
    value = entry.attributes.get(name)
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "iuf":
        return float(value.reshape(-1)[0])
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def neurodata_type(entry: GroupEntry | ArrayEntry) -> str:
    """Return the neurodata_type of an object; ``""`` where the file gives none."""
    return text_attribute(entry.attributes, "neurodata_type") or ""


def table_kind(index: FileIndex, path: str) -> TableKind | None:
    """Return what kind of table the object at `path` is; None for a dataset that is none.

    A DynamicTable of any subtype, extensions included, has ``colnames`` or ``id`` (HDMF common schema,
    *DynamicTable*), so that no schema is required to know it. A TimeSeries is known by its type, by
    ``ancestry`` (NWB 1.x) or by having ``data`` or ``timestamps`` together with a time base.
    """
    group = index.group(path)
    if group is None:
        entry = index.array(path)
        return "compound" if entry is not None and _is_compound_table(entry) else None
    if group.has_attribute("categories") and _looks_dynamic(index, group):
        return "aligned"
    if _looks_dynamic(index, group):
        return "dynamic"
    if _looks_like_series(group):
        return "series"
    return "record"


def find_tables(index: FileIndex) -> tuple[str, ...]:
    """Return the paths of all tables of a whole-file index, sorted.

    DynamicTables, TimeSeries and compound tables wherever they sit, and those of `RECORDS` that exist.
    Categories of an AlignedDynamicTable are tables of their own as well.
    """
    found = [path for path in index.groups if path in RECORDS or table_kind(index, path) != "record"]
    found += [
        path
        for path, entry in index.arrays.items()
        if _is_compound_table(entry) and neurodata_type(entry) and not _is_column(index, path, entry)
    ]
    return tuple(sorted(found))


def _looks_dynamic(index: FileIndex, group: GroupEntry) -> bool:
    if group.path == "/":
        return False
    if group.has_attribute("colnames"):
        return True
    if "id" not in group.members:
        return False
    entry = index.array(join(group.path, "id"))
    if entry is None:
        return neurodata_type(group).endswith("Table")
    return entry.shape is not None and len(entry.shape) == 1 and neurodata_type(entry) in {"ElementIdentifiers", ""}


def _looks_like_series(group: GroupEntry) -> bool:
    if neurodata_type(group) in SERIES_TYPES:
        return True
    if "TimeSeries" in (text_list_attribute(group.attributes, "ancestry") or ()):
        return True
    members = set(group.members)
    timed = bool(members & {"timestamps", "starting_time"})
    # An extension of TimeSeries without data is told from other timed types by the schema's way of naming.
    return timed and ("data" in members or neurodata_type(group).endswith("Series"))


def _is_compound_table(entry: ArrayEntry) -> bool:
    return entry.element.kind == "compound" and entry.shape is not None and len(entry.shape) == 1


def _is_column(index: FileIndex, path: str, entry: ArrayEntry) -> bool:
    parent = path.rpartition("/")[0] or "/"
    return neurodata_type(entry) in COLUMN_TYPES or table_kind(index, parent) in {"dynamic", "aligned", "series"}
