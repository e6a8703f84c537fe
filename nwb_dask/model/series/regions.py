"""Rows of a table as labels of a dimension: electrodes of channels, rois, frequency bands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from nwb_dask.errors import NWBDaskError
from nwb_dask.index import ArrayEntry, ElementKind, FileIndex
from nwb_dask.model.columns import Column
from nwb_dask.model.kinds import neurodata_type, reference_attribute, table_kind, text_attribute
from nwb_dask.model.series.members import Members, Values, counted
from nwb_dask.model.series.texts import LABEL_KINDS, label_values
from nwb_dask.model.series.units import known_unit
from nwb_dask.model.series.values import Attribute, Label
from nwb_dask.model.table import build_table

MAX_ROWS = 1 << 20
"""Rows of a table, and places of a dimension, that are labelled."""

_TABLES = frozenset({"dynamic", "aligned", "compound"})
_REGION_TYPES = frozenset({"DynamicTableRegion", "ElectrodeTableRegion", "ROITableRegion"})
_ELECTRODES = "/general/extracellular_ephys/electrodes"
_UNITS_OF_ELECTRODES: Mapping[str, str] = {
    "x": "um", "y": "um", "z": "um", "rel_x": "um", "rel_y": "um", "rel_z": "um", "imp": "ohm",
}  # fmt: skip
"""Units that the schema fixes for columns of the electrodes table (NWB core schema, *ElectrodesTable*)."""
_TAKEN = frozenset(
    {
        "time", "data", "channel", "channel_row", "channel_conversion", "sample", "band", "band_low", "band_high",
        "band_mean", "band_stdev", "roi", "roi_row", "control",
    }
)  # fmt: skip
"""Names that mean something else among the coordinates of a series."""


@dataclass(frozen=True, slots=True)
class Region:
    """The dataset of a series that names rows of a table."""

    entry: ArrayEntry
    table: str | None
    """Path of the table; None if the file does not say it."""

    @property
    def n_rows(self) -> int | None:
        """How many rows it names; None where only its values tell."""
        shape = self.entry.shape
        if self.entry.element.kind == "region" or shape is None or len(shape) > 1:
            return None
        return shape[0] if shape else 1


def find_region(members: Members, names: Iterable[str]) -> Region | None:
    """Return the region of a series: the dataset with one of `names`, else the only one with the type of a region.

    Older pynwb wrote the channels of a DecompositionSeries as ``electrodes`` where the schema says
    ``source_channels``, so a name alone does not find them.
    """
    typed = {name: entry for name, entry in members.arrays() if neurodata_type(entry) in _REGION_TYPES}
    for name in names:
        entry = typed.get(name) or members.array(name)
        if entry is not None and _is_region(entry):
            return Region(entry, _target(entry))
    if len(typed) != 1:
        return None
    entry = next(iter(typed.values()))
    return Region(entry, _target(entry)) if _is_region(entry) else None


def _is_region(entry: ArrayEntry) -> bool:
    return entry.element.kind in {"int", "uint", "region"} and entry.shape is not None


def _target(entry: ArrayEntry) -> str | None:
    if entry.element.kind == "region":
        # NWB 2.0b: a region reference, whose target the schema fixes.
        return _ELECTRODES
    return reference_attribute(entry, "table")


@dataclass(frozen=True, slots=True)
class LabelTable:
    """A table as far as its rows can label a dimension."""

    n_rows: int
    columns: Mapping[str, Column]
    """By name: those with a single number or text for each row."""
    problems: Mapping[str, str]
    """Why other columns cannot be read, by name."""

    @property
    def entries(self) -> tuple[ArrayEntry, ...]:
        """The datasets that hold the columns."""
        return tuple(column.values for column in self.columns.values() if column.values is not None)


def label_table(index: FileIndex, path: str) -> LabelTable:
    """Return the table at `path` with the columns that can be labels.

    References are left out where a column of names stands beside them (``group`` and ``group_name``): each costs a
    search of the file.

    Raises
    ------
    NWBDaskError
        If there is no table there.
    """
    if index.group(path) is None and index.array(path) is None:
        raise NWBDaskError("nothing is there", path=path)
    if table_kind(index, path) not in _TABLES:
        raise NWBDaskError("it is no table", path=path)
    table = build_table(index, path)
    if table.n_rows > MAX_ROWS:
        raise NWBDaskError(f"it has {table.n_rows} rows, too many for labels", path=path)
    columns = {
        name: column
        for name, column in table.columns.items()
        if _can_label(column) and not (_kind(column) == "reference" and f"{name}_name" in table.columns)
    }
    return LabelTable(table.n_rows, columns, {name: one.problem for name, one in table.columns.items() if one.problem})


def _kind(column: Column) -> ElementKind | None:
    element = None if column.values is None else column.values.element
    if element is not None and column.component:
        element = dict(element.fields)[column.component]
    return None if element is None else element.kind


def _can_label(column: Column) -> bool:
    values = column.values
    if column.problem or values is None or column.indexes or column.elements or len(values.shape or ()) != 1:
        return False
    return _kind(column) in LABEL_KINDS


def region_rows(members: Members, region: Region, what: str) -> npt.NDArray[np.int64] | None:
    """Return the row numbers that a region names; None, and a warning, if they cannot be read."""
    stored = members.value(region.entry, what)
    if stored is None:
        return None
    if region.entry.element.kind == "region":
        parts = [np.asarray(item, np.int64) for item in stored.reshape(-1).tolist() if item is not None]
        return np.concatenate([*parts, np.empty(0, np.int64)])
    return stored.reshape(-1).astype(np.int64)


@dataclass(frozen=True, slots=True)
class _Join:
    """Rows of a table, on their way to be labels."""

    members: Members
    region: Region
    rows: npt.NDArray[np.int64]
    dim: str
    dims: tuple[str, ...]
    """() where the data do not have the dimension."""

    def label(self, name: str, values: Values, attrs: Mapping[str, Attribute] | None = None) -> Label:
        """Return values, one for each row, as a label."""
        return Label(name, self.dims, values if self.dims else values.reshape(()), attrs or {})

    def take(self, column: Column, what: str) -> Values | None:
        """Return the values of a column at the rows; None, and a warning, if there are none."""
        entry, rows = column.values, self.rows
        stored = None if entry is None else self.members.value(entry, what)
        if entry is None or stored is None:
            return None
        return column_values(column, entry, stored[rows])


def table_labels(members: Members, region: Region, dim: str, length: int | None) -> list[Label]:
    """Return the labels that a table gives to a dimension: ``id`` of its rows, row numbers, and its columns.

    Parameters
    ----------
    dim : str
        ``"channel"`` or ``"roi"``.
    length : int or None
        Of the dimension; None for a series without it, which the only row of the region labels by scalars.

    Returns
    -------
    list of Label
        ``<dim>`` (ids), ``<dim>_row``, and one for each column; empty if the region does not fit the data.
    """
    what = f"{dim} is not labelled"
    rows = region_rows(members, region, what)
    if rows is None:
        return []
    if len(rows) != (1 if length is None else length):
        data = f"no dimension {dim}" if length is None else f"{counted(length, 'place')} along {dim}"
        members.warn(f"{region.entry.path} names {counted(len(rows), 'row')}, and the data have {data}: {what}.")
        return []
    join = _Join(members, region, rows, dim, () if length is None else (dim,))
    numbered = join.label(f"{dim}_row", rows)
    if region.table is None:
        members.warn(f"{region.entry.path} does not say which table it names rows of: {what}.")
        return [numbered]
    index = members.linked.get(region.table)
    reason = members.problems.get(region.table, "it was not found")
    table: LabelTable | None = None
    try:
        table = None if index is None else label_table(index, region.table)
    except NWBDaskError as error:
        reason = error.message
    if table is None:
        members.warn(f"the table {region.table} cannot be read ({reason}): {what}.")
        return [numbered]
    if len(rows) and (rows.min() < 0 or rows.max() >= table.n_rows):
        row = int(rows.min() if rows.min() < 0 else rows.max())
        has = f"the table {region.table} has {counted(table.n_rows, 'row')}"
        members.warn(f"{region.entry.path} names row {row}, and {has}: {what}.")
        return [numbered]
    for name, problem in table.problems.items():
        members.warn(f"the column {name} of {region.table} cannot be read ({problem}): the label is left out.")
    ids = _ids(join, table.columns)
    return [*([] if ids is None else [join.label(dim, ids)]), numbered, *_others(join, table.columns)]


def _ids(join: _Join, columns: Mapping[str, Column]) -> Values | None:
    if "id" in columns:
        return join.take(columns["id"], f"{join.dim} is not labelled")
    join.members.warn(f"the table {join.region.table} has no readable ids: {join.dim} is labelled by row numbers.")
    return join.rows


def _others(join: _Join, columns: Mapping[str, Column]) -> list[Label]:
    out = []
    owner, units = ("electrode", _UNITS_OF_ELECTRODES) if join.dim == "channel" else (join.dim, {})
    for name, column in columns.items():
        values = None if name == "id" else join.take(column, f"the label {name} is left out")
        if values is not None:
            label = f"{owner}_{name}" if name in _TAKEN else name
            out.append(join.label(label, values, _column_attrs(column, units.get(name))))
    return out


def column_values(column: Column, entry: ArrayEntry, stored: Values) -> Values:
    """Return rows of a column as labels, of a compound dataset one field."""
    if not column.component:
        return label_values(entry, stored)
    element = dict(entry.element.fields)[column.component]
    field = cast("npt.NDArray[np.void]", stored)[column.component]
    return label_values(ArrayEntry(entry.path, element, stored.shape, "contiguous"), field)


def _column_attrs(column: Column, unit: str | None) -> dict[str, Attribute]:
    attributes = {} if column.values is None or column.component else column.values.attributes
    attrs: dict[str, Attribute] = {}
    unit = known_unit(text_attribute(attributes, "unit")) or unit
    if unit is not None:
        attrs["units"] = unit
    description = text_attribute(attributes, "description")
    if description:
        attrs["description"] = description
    return attrs
