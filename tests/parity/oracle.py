"""What the tables of an HDF5 file hold, found with h5py alone.

Nothing of nwb_dask is imported here: this is what its answers are measured against. Values are read in
one call per dataset and converted by numpy.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

from .datasets import UnreadableError, convert, pointed_at, read_dataset, read_raw
from .values import Nulls, Ragged, Struct, Text, Values, shape_of, type_of


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


TABLES = _names(
    """
    DynamicTable AlignedDynamicTable ElectrodesTable EventsTable ExperimentalConditionsTable FrequencyBandsTable
    IntracellularElectrodesTable IntracellularRecordingsTable IntracellularResponsesTable IntracellularStimuliTable
    MeaningsTable PlaneSegmentation RepetitionsTable SequentialRecordingsTable SimultaneousRecordingsTable
    SweepTable TimeIntervals Units
    """
)
SERIES = _names(
    """
    TimeSeries AbstractFeatureSeries AnnotationSeries CurrentClampSeries CurrentClampStimulusSeries
    DecompositionSeries ElectricalSeries IZeroClampSeries ImageMaskSeries ImageSeries IndexSeries IntervalSeries
    OnePhotonSeries OpticalSeries OptogeneticSeries PatchClampSeries RoiResponseSeries SpatialSeries
    SpikeEventSeries TwoPhotonSeries VoltageClampSeries VoltageClampStimulusSeries
    """
)
ONE_ROW = ("/", "/general", "/general/subject")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its values, or why it has none."""

    name: str
    values: Values | None = None
    problem: str = ""
    """Why reading the column must raise; `values` is None then."""
    may_refuse: str = ""
    """What makes a clear `UnsupportedLayoutError` acceptable in place of the values."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table, as every engine must return it."""

    path: str
    kind: str
    """``"table"``, ``"series"``, ``"group"`` (one row) or ``"compound"`` (a dataset of records)."""
    n_rows: int
    columns: tuple[Column, ...]
    left_out: str = ""
    """Why the whole table cannot be compared."""

    @property
    def problems(self) -> dict[str, str]:
        """Columns that must raise, with the reason."""
        return {column.name: column.problem for column in self.columns if column.problem}


@lru_cache(maxsize=256)
def _parents_in(text: str) -> dict[str, str]:
    """Return the types of a specification, each with the one that it extends; many files have the same ones."""
    parents: dict[str, str] = {}

    def gather(node: object) -> None:
        if isinstance(node, dict):
            for prefix in ("neurodata_type", "data_type"):
                if node.get(f"{prefix}_def") and node.get(f"{prefix}_inc"):
                    parents[node[f"{prefix}_def"]] = node[f"{prefix}_inc"]
            for child in node.values():
                gather(child)
        elif isinstance(node, list):
            for child in node:
                gather(child)

    gather(json.loads(text))
    return parents


@dataclass(frozen=True, slots=True)
class Types:
    """The type hierarchy that a file carries in its cached specifications."""

    parents: dict[str, str] = field(default_factory=dict)

    @classmethod
    def cached(cls, file: h5py.File) -> Types:
        """Read every specification under ``/specifications``."""
        parents: dict[str, str] = {}

        def visit(_: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Dataset) and item.shape == ():
                parents.update(_parents_in(item.asstr()[()]))

        if "specifications" in file:
            file["specifications"].visititems(visit)
        return cls(parents)

    def ancestors(self, name: str) -> Iterator[str]:
        """Yield the type and those it extends, nearest first."""
        seen: set[str] = set()
        while name and name not in seen:
            seen.add(name)
            yield name
            name = self.parents.get(name, "")


def texts(value: object) -> list[str]:
    """Return an attribute as a list of text, whatever way it is stored."""
    if value is None or isinstance(value, h5py.Empty):
        return []
    items = value.reshape(-1).tolist() if isinstance(value, np.ndarray) else [value]
    return [item.decode() if isinstance(item, bytes) else str(item) for item in items]


def address(item: h5py.Group | h5py.Dataset) -> int:
    """Return what identifies an object inside its file."""
    return int(h5py.h5o.get_info(item.id).addr)


def read_file(path: Path, wanted: Callable[[str], bool] = lambda _: True) -> tuple[Table, ...]:
    """Return every table of the file, and its one-row groups, in the order of their paths; or those that are wanted."""
    with h5py.File(path, "r") as file:
        types = Types.cached(file)
        found = [_read(file, found_path, kind) for found_path, kind in _walk(file, types) if wanted(found_path)]
        found += [read_group(file, name) for name in ONE_ROW if wanted(name) and _exists(file, name)]
    return tuple(sorted(found, key=lambda table: table.path))


def _exists(file: h5py.File, path: str) -> bool:
    parent, _, name = path.rpartition("/")
    return not name or (bool(file.get(parent or "/")) and name in _members(file[parent or "/"]))


def _walk(file: h5py.File, types: Types) -> Iterator[tuple[str, str]]:
    seen = {address(file)}
    pending = [(file["/"], "")]
    while pending:
        group, path = pending.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink) or (path, name) == ("", "specifications"):
                continue
            item, item_path = group[name], f"{path}/{name}"
            if address(item) in seen:
                continue
            seen.add(address(item))
            kind = _kind(item, types)
            if kind:
                yield item_path, kind
            if isinstance(item, h5py.Group):
                pending.append((item, item_path))


def _kind(item: h5py.Group | h5py.Dataset, types: Types) -> str:
    names = texts(item.attrs.get("neurodata_type"))
    if isinstance(item, h5py.Dataset):
        is_records = item.dtype.fields and len(item.shape or ()) == 1 and names and names[0].endswith("Table")
        return "compound" if is_records else ""
    chain = {parent for name in names for parent in types.ancestors(name)} | set(texts(item.attrs.get("ancestry")))
    if chain & TABLES or "colnames" in item.attrs:
        return "table"
    timed = "timestamps" in _members(item) or "starting_time" in _members(item)
    is_unknown = not any(name in types.parents for name in names)
    is_named = bool(chain & SERIES) or (is_unknown and bool(names) and names[0].endswith("Series"))
    is_shaped = is_unknown and timed and isinstance(_member(item, "data"), h5py.Dataset)
    if is_shaped or (is_named and (timed or "data" in _members(item))):
        return "series"
    return "table" if not names and _looks_like_table(item) else ""


def _looks_like_table(group: h5py.Group) -> bool:
    ids = _member(group, "id")
    return isinstance(ids, h5py.Dataset) and len(ids.shape or ()) == 1 and ids.dtype.kind in "iu"


def _members(group: h5py.Group) -> tuple[str, ...]:
    return tuple(group)


def _member(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    try:
        return group.get(name)
    except (KeyError, OSError):
        return None


def _read(file: h5py.File, path: str, kind: str) -> Table:
    return {"table": _read_table, "series": _read_series, "compound": _read_compound}[kind](file, path)


# --- DynamicTable -----------------------------------------------------------------------------------


def _read_table(file: h5py.File, path: str) -> Table:
    group = file[path]
    columns = _table_columns(group)
    for category in texts(group.attrs.get("categories")):
        member = _member(group, category)
        if not isinstance(member, h5py.Group):
            columns.append(Column(category, problem="the category is absent"))
            continue
        for column in _table_columns(member):
            columns.append(Column(f"{category}.{column.name}", column.values, column.problem, column.may_refuse))
    lengths = [shape_of(column.values)[0] for column in columns if column.values is not None]
    n_rows = lengths[0] if lengths else 0
    if columns and columns[0].name == "id" and n_rows == 0 and any(lengths):
        columns, n_rows = columns[1:], max(lengths)
    return Table(path, "table", n_rows, tuple(_of_length(column, n_rows) for column in columns))


def _of_length(column: Column, n_rows: int) -> Column:
    if column.values is None or shape_of(column.values)[0] == n_rows:
        return column
    return Column(column.name, problem=f"{shape_of(column.values)[0]} values in a table of {n_rows} rows")


def _table_columns(group: h5py.Group) -> list[Column]:
    datasets = {name: item for name in group if isinstance(item := _member(group, name), h5py.Dataset)}
    names_at = {address(item): name for name, item in datasets.items()}
    index_of: dict[str, str] = {}
    lookups: set[str] = set()
    for name, item in datasets.items():
        for attribute in ("target", "elements"):
            pointed = pointed_at(group.file, item.attrs.get(attribute))
            target = names_at.get(address(pointed)) if pointed is not None else None
            if target and attribute == "target":
                index_of[target] = name
            elif target:
                lookups.add(target)
    names = texts(group.attrs.get("colnames"))
    if not names:
        names = [name for name in datasets if name not in lookups]
    names = [name for name in names if name != "id" and name not in index_of.values()]
    return [_table_column(group, datasets, name, index_of) for name in (["id"] if "id" in datasets else []) + names]


def _table_column(group: h5py.Group, datasets: dict[str, h5py.Dataset], name: str, index_of: dict[str, str]) -> Column:
    if name not in datasets:
        link = group.get(name, getlink=True)
        reason = f"external link to {link.filename}" if isinstance(link, h5py.ExternalLink) else "no such dataset"
        return Column(name, problem=reason)
    try:
        values = _with_elements(datasets[name], read_dataset(datasets[name]))
        may_refuse = ""
        index = index_of.get(name)
        while index:
            if h5py.check_ref_dtype(datasets[index].dtype) is h5py.RegionReference:
                values, may_refuse = _by_regions(datasets[index], datasets[name]), "rows are region references"
            else:
                values = _by_ends(read_dataset(datasets[index]), values)
            index = index_of.get(index)
    except UnreadableError as exc:
        return Column(name, problem=str(exc))
    if type_of(values).num_fields and "dictionary" in str(type_of(values)):
        may_refuse = "categories inside lists"
    return Column(name, _last_parts(values) if name == "electrode_group" else values, may_refuse=may_refuse)


def _by_ends(ends: Values, items: Values) -> Ragged:
    if not isinstance(ends, np.ndarray) or ends.ndim != 1 or ends.dtype.kind not in "iu":
        raise UnreadableError("the index is no 1-d array of integers")
    found = ends.astype(np.int64)
    steps = np.diff(np.concatenate(([0], found)))
    if (steps < 0).any() or (len(found) and found[-1] > shape_of(items)[0]):
        raise UnreadableError("the index decreases or points past the end")
    return Ragged(found, items)


def _by_regions(index: h5py.Dataset, target: h5py.Dataset) -> Values:
    parts = [target[reference] for reference in index[()]]
    ends = np.cumsum([len(found) for found in parts]).astype(np.int64)
    return Ragged(ends, convert(np.concatenate(parts), target.dtype, target.file))


def _with_elements(dataset: h5py.Dataset, values: Values) -> Values:
    pointed = pointed_at(dataset.file, dataset.attrs.get("elements"))
    if pointed is None or not isinstance(values, np.ndarray):
        return values
    names = read_dataset(pointed)
    if not isinstance(names, Text):
        raise UnreadableError("the elements of the enumeration are no text")
    categories = tuple(names.strings.tolist())
    if values.size and int(values.max()) >= len(categories):
        raise UnreadableError("a code past the end of the elements")
    return Text(np.array(categories, dtype=object)[values], categories)


def _last_parts(values: Values) -> Values:
    if isinstance(values, Ragged):
        return Ragged(values.ends, _last_parts(values.items))
    if not isinstance(values, Text):
        return values
    strings = [None if path is None else path.rpartition("/")[2] for path in values.strings.reshape(-1).tolist()]
    return Text(np.array(strings, dtype=object).reshape(values.strings.shape), values.categories)


# --- TimeSeries, compound dataset, one row ----------------------------------------------------------


def _read_series(file: h5py.File, path: str) -> Table:
    group = file[path]
    columns = [_series_column(group, name) for name in ("timestamps", "data", "control") if name in _members(group)]
    length = {column.name: shape_of(column.values)[0] for column in columns if column.values is not None}
    if "timestamps" not in _members(group) and "starting_time" in group:
        n_rows = length.get("data", 0)
        start, rate = group["starting_time"][()], group["starting_time"].attrs["rate"]
        clock = np.arange(n_rows) / np.float64(np.ravel(rate)[0]) + np.float64(np.ravel(start)[0])
        columns.insert(0, Column("timestamps", clock))
    # Frames that are kept in other files leave data of zero rows and all their timestamps.
    n_rows = length.get("data", 0) or length.get("timestamps", 0)
    if n_rows and length.get("data") == 0:
        columns = [column for column in columns if column.name != "data"]
    return Table(path, "series", n_rows, tuple(_of_length(column, n_rows) for column in columns))


def _series_column(group: h5py.Group, name: str) -> Column:
    link = group.get(name, getlink=True)
    item = _member(group, name)
    if isinstance(link, h5py.ExternalLink):
        return Column(name, problem=f"external link to {link.filename}")
    if not isinstance(item, h5py.Dataset):
        return Column(name, problem="no such dataset")
    try:
        # One sample may be stored as a scalar.
        values = read_dataset(item) if item.shape else _one_row(item)
    except UnreadableError as exc:
        return Column(name, problem=str(exc))
    if name == "timestamps" and isinstance(values, np.ndarray):
        values = values.astype(np.float64)
    return Column(name, values)


def _read_compound(file: h5py.File, path: str) -> Table:
    values = read_dataset(file[path])
    assert isinstance(values, Struct)
    columns = tuple(Column(name, found, may_refuse="a dataset of records") for name, found in values.fields.items())
    return Table(path, "compound", shape_of(values)[0], columns)


def read_group(file: h5py.File, path: str) -> Table:
    """Return a group as the one row of its datasets."""
    if path != "/" and isinstance(file.get(path, getlink=True), h5py.ExternalLink):
        return Table(path, "group", 1, (), left_out="the group is an external link")
    group = file[path]
    columns = []
    for name in group:
        item = _member(group, name)
        if isinstance(item, h5py.Dataset):
            try:
                columns.append(Column(name, _one_row(item)))
            except UnreadableError as exc:
                columns.append(Column(name, problem=str(exc)))
    return Table(path, "group", 1, tuple(columns))


def _one_row(dataset: h5py.Dataset) -> Values:
    if dataset.shape is None:
        return Nulls(1, type_of(convert(np.empty((0,), dataset.dtype), dataset.dtype, dataset.file)))
    if dataset.shape == ():
        raw = np.empty((1,), dataset.dtype)
        raw[0] = read_raw(dataset)
        return convert(raw, dataset.dtype, dataset.file)
    return _nested(read_dataset(dataset), dataset.shape)


def _nested(values: Values, shape: tuple[int, ...]) -> Ragged:
    """Return an array as one row: lists inside lists, for another file may have another shape."""
    found = values
    for depth in range(len(shape), 0, -1):
        count = int(np.prod(shape[: depth - 1]))
        flat = _flattened(found) if depth == len(shape) else found
        found = Ragged(np.arange(1, count + 1, dtype=np.int64) * shape[depth - 1], flat)
    assert isinstance(found, Ragged)
    return found


def _flattened(values: Values) -> Values:
    if isinstance(values, Text):
        return Text(values.strings.reshape(-1), values.categories)
    if isinstance(values, Struct):
        return Struct({name: _flattened(field) for name, field in values.fields.items()})
    return values.reshape(-1) if isinstance(values, np.ndarray) else values
