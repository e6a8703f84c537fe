"""What groups, datasets and attributes of a file are, as h5py has them: nwb_dask and lazynwb have no part in it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

import h5py
import numpy as np

from benchmarks.peers.side_contest import ROWS, digest, plain
from benchmarks.side_oracle import OF_ROOT, AnyOf, Part, Refused, table_of, tables_of
from benchmarks.side_questions import Question

Value: TypeAlias = Any
ABSENT: Value = object()
"""A leaf that an answer does not have."""
UNKNOWN: Value = object()
"""A leaf of which nothing is known."""
_PRIVATE = {"id", "object_id", "namespace", "target"}
_EMPTY: tuple[Value, ...] = (None, {}, [], "", "no description")
LIBRARY = {"DIMENSION_LIST", "REFERENCE_LIST"}
"""HDF5's own, of dimension scales."""


def json_of(file: h5py.File, value: Value) -> Value:
    """Return a value of an attribute as JSON has it; references are paths."""
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, h5py.RegionReference):
        return file[value].name if value else None
    if isinstance(value, h5py.Reference):
        return file[value].name if value else None
    if isinstance(value, np.ndarray):
        return [json_of(file, one) for one in value.tolist()] if value.ndim else json_of(file, value[()])
    if isinstance(value, np.void) and value.dtype.names:
        return [json_of(file, value[name]) for name in value.dtype.names]
    if isinstance(value, (tuple, list)):
        return [json_of(file, one) for one in value]
    return plain(value)


def attributes(file: h5py.File, one: h5py.HLObject, *, without_empty: bool = False) -> dict[str, Value]:
    """Return the attributes of an object that are no private ones."""
    found = {name: json_of(file, value) for name, value in one.attrs.items()}
    return {
        name: value
        for name, value in found.items()
        if not name.startswith(("_", "."))
        and name not in _PRIVATE
        and name not in LIBRARY
        and not (without_empty and value in _EMPTY)
    }


def attributes_below(path: str) -> dict[str, dict[str, Value]]:
    """Return the attributes of each object of a file by its path, without a slash where it is not the root."""
    found: dict[str, dict[str, Value]] = {}
    with h5py.File(path) as file:
        for where, one in hard_linked(file["/"], ""):
            if where.startswith("/specifications") or _is_index(file, one):
                continue
            shown = attributes(file, one, without_empty=True)
            if str(shown.get("neurodata_type")) in {"VectorData", "VectorIndex", "ElementIdentifiers"}:
                del shown["neurodata_type"]
            if shown:
                found[where] = shown
    return found


def hard_linked(group: h5py.Group, path: str) -> Iterator[tuple[str, Value]]:
    """Yield an object and all that is below it, without groups that soft links lead to."""
    yield path or "/", group
    if isinstance(group, h5py.Group):
        for name in group:
            link, one = group.get(name, getlink=True), group.get(name)
            is_linked = isinstance(link, h5py.SoftLink) and isinstance(one, h5py.Dataset)
            if isinstance(link, h5py.HardLink) or is_linked:
                yield from hard_linked(one, f"{path}/{name}")


def _is_index(file: h5py.File, one: Value) -> bool:
    target = one.attrs.get("target")
    if isinstance(target, np.ndarray) and target.size == 1:
        target = target.reshape(-1)[0]
    if not isinstance(target, h5py.Reference) or not target:
        return False
    return str(file[target].name).rpartition("/")[0] == str(one.name).rpartition("/")[0]


@lru_cache(maxsize=8192)
def is_behind_soft_link(path: str, where: str) -> bool:
    """Tell whether a path goes through a link that is no hard link."""
    with h5py.File(path) as file:
        parts = where.strip("/").split("/")
        for number, name in enumerate(parts):
            above = file.get("/" + "/".join(parts[:number]))
            if isinstance(above, h5py.Group) and not isinstance(above.get(name, getlink=True), h5py.HardLink):
                return True
    return False


@lru_cache(maxsize=8192)
def info_of(path: str, where: str) -> Value:
    """Return what `get_internal_path_info` says of a path; `ABSENT` where h5py has nothing."""
    with h5py.File(path) as file:
        one = file.get(where)
        if one is None:
            return ABSENT
        table = tables_of(path).get(where)
        return {
            "is_group": isinstance(one, h5py.Group),
            "is_dataset": isinstance(one, h5py.Dataset),
            "shape": plain(one.shape) if isinstance(one, h5py.Dataset) else None,
            "is_timeseries": table is not None and table.kind == "series",
            "attrs": sorted(name for name in one.attrs if name not in LIBRARY),
        }


@lru_cache(maxsize=8192)
def has_type(path: str, where: str) -> bool:
    """Tell whether an object says what type it is."""
    with h5py.File(path) as file:
        one = file.get(where)
        return one is not None and ("neurodata_type" in one.attrs or "ancestry" in one.attrs)


@lru_cache(maxsize=8192)
def type_of(path: str, where: str) -> str:
    """Return the type of an object."""
    with h5py.File(path) as file:
        value = file[where].attrs.get("neurodata_type", "")
        return str(json_of(file, value[0] if isinstance(value, np.ndarray) and value.size else value))


def series_of(path: str, where: str) -> Part:
    """Return what a series has."""
    with h5py.File(path) as file:
        group = file[where]
        found = Part(description=json_of(file, _single(group.attrs.get("description"))))
        data, start = group.get("data"), group.get("starting_time")
        link = group.get("data", getlink=True) if "data" in group or "data" in list(group) else None
        if isinstance(data, h5py.Dataset) and not isinstance(link, h5py.ExternalLink):
            found["data"] = dataset_of(data)
            for name in ("conversion", "offset", "resolution", "unit"):
                found[name] = json_of(file, _single(data.attrs.get(name)))
        elif isinstance(link, h5py.ExternalLink):
            refused = Refused(f"it is in another file, {link.filename}")
            found |= dict.fromkeys(("data", "conversion", "offset", "resolution", "unit"), refused)
        elif "data" not in group:
            found |= dict.fromkeys(("data", "conversion", "offset", "resolution", "unit"), "error: AttributeError")
        times = group.get("timestamps")
        if isinstance(times, h5py.Dataset):
            found |= {
                "timestamps": dataset_of(times),
                "timestamps_unit": json_of(file, _single(times.attrs.get("unit"))),
            }
            found["starting_time"] = plain(float(times[0])) if times.size else "error: IndexError"
        elif isinstance(start, h5py.Dataset) and isinstance(data, h5py.Dataset) and data.shape:
            rate, first = float(_single(start.attrs["rate"])), float(np.ravel(start[()])[0])
            clock = np.arange(min(data.shape[0], ROWS)) / rate + first
            shown = {"shape": [data.shape[0]], "type": "<f8", "values": digest(plain(clock))}
            found |= {"timestamps": shown, "starting_time": first if data.shape[0] else "error: IndexError"}
            found["timestamps_unit"] = json_of(file, _single(start.attrs.get("unit")))
        elif isinstance(start, h5py.Dataset) and "data" not in group:
            # Without samples there are no timestamps; the dataset itself is a member as any other.
            found["starting_time"] = plain(float(np.ravel(start[()])[0]))
        elif "timestamps" not in group and "starting_time" not in group:
            found |= dict.fromkeys(("timestamps", "starting_time", "timestamps_unit"), "error: AttributeError")
        found["rate"] = plain(_single(start.attrs.get("rate"))) if isinstance(start, h5py.Dataset) else None
        electrodes = group.get("electrodes")
        if electrodes is None:
            found["electrodes"] = "error: AttributeError"
        elif isinstance(electrodes, h5py.Dataset) and electrodes.dtype.kind in "iu":
            found["electrodes"] = dataset_of(electrodes)
        elif h5py.check_ref_dtype(electrodes.dtype) is h5py.RegionReference and not electrodes.shape:
            found["electrodes"] = {"shape": [], "type": "|O", "values": digest(_rows(file, electrodes[()]))}
    return found


def _rows(file: h5py.File, region: h5py.RegionReference) -> list[int]:
    """Return the rows that a region reference to a table selects."""
    blocks = h5py.h5r.get_region(region, file[region].id).get_select_hyper_blocklist()
    return [row for first, last in blocks.tolist() for row in range(first[0], last[0] + 1)]


def _single(value: Value) -> Value:
    return value.reshape(-1)[0] if isinstance(value, np.ndarray) and value.size == 1 else value


def dataset_of(one: h5py.Dataset) -> Value:
    """Return the shape, type and first values of a dataset."""
    values = one[: ROWS // max(int(np.prod(one.shape[1:])), 1)] if one.shape else one[()]
    return {"shape": list(one.shape), "type": str(np.dtype(one.dtype).str), "values": digest(plain(values))}


def columns_of(path: str, where: str) -> dict[str, Part] | None:
    """Return what is known of the members of a table."""
    table = table_of(path, where)
    if table is None:
        return None
    found: dict[str, Part] = {}
    with h5py.File(path) as file:
        group = file[where]
        if not isinstance(group, h5py.Group):
            return None
        members = {name: group.get(name) for name in group}
        if where == "/general":
            members |= {name: file[name] for name in OF_ROOT if name in file and name not in members}
            members = {name: one for name, one in members.items() if isinstance(one, h5py.Dataset)}
        has_rate = table.kind == "series" and "timestamps" not in group and "starting_time" in group
        for name, one in members.items():
            if one is None:
                continue
            shape = one.shape if isinstance(one, h5py.Dataset) else None
            found[name] = Part(
                table_path=where.strip("/") or "/",
                shape=plain(shape),
                ndim=None if shape is None else len(shape),
                is_group=isinstance(one, h5py.Group),
                is_dataset=isinstance(one, h5py.Dataset),
                is_metadata_table=table.kind == "group",
                is_timeseries=table.kind == "series",
                is_timeseries_with_rate=has_rate,
                is_timeseries_length_aligned=table.kind != "series" or not shape or shape[0] == table.n_rows,
                is_multidimensional=shape is not None and len(shape) > 1,
                backend="hdf5",
            )
            if isinstance(one, h5py.Dataset):
                found[name] |= {"maxshape": plain(one.maxshape), "chunks": plain(one.chunks)}
                found[name] |= _storage(one)
            else:
                nothing = dict.fromkeys(("maxshape", "chunks", "compression", "compression_opts"))
                found[name] |= {**nothing, "storage_layout": "group", "filters": []}
                found[name]["read_capabilities"] = ["metadata", "children"]
        _with_indexes(file, found, members, table.kind)
    return found


_LAYOUTS = {h5py.h5d.COMPACT: "compact", h5py.h5d.CONTIGUOUS: "contiguous", h5py.h5d.CHUNKED: "chunked"}


def _storage(one: h5py.Dataset) -> dict[str, Value]:
    """Return how a dataset is stored."""
    plist = one.id.get_create_plist()
    filters: list[Value] = []
    if one.compression is not None:
        options = {"name": one.compression, "options": plain(one.compression_opts)}
        filters.append({"id": "compression", **options})
    others = {name: plain(getattr(one, name)) for name in ("shuffle", "fletcher32", "scaleoffset")}
    filters += [{"id": name, "value": value} for name, value in others.items() if value]
    able = ["metadata", "shape", "dtype", "slice"]
    able += (
        ["scalar"] * (not one.ndim) + ["chunked"] * (one.chunks is not None) + ["filtered"] * bool(plist.get_nfilters())
    )
    return {
        "compression": one.compression,
        "compression_opts": plain(one.compression_opts),
        "storage_layout": _LAYOUTS.get(plist.get_layout(), "virtual"),
        "filters": filters,
        "read_capabilities": able,
    }


def _with_indexes(file: h5py.File, found: Mapping[str, Part], members: Mapping[str, Value], kind: str) -> None:
    targets = {}
    for name, one in members.items():
        if one is not None and _is_index(file, one) and kind == "table":
            targets[name] = str(file[_single(one.attrs["target"])].name).rpartition("/")[2]
    of_data = {target: name for name, target in targets.items()}
    for name, part in found.items():
        is_index = name in targets
        part |= {
            "is_index_column": is_index,
            "is_nominally_indexed": is_index or name in of_data,
            "index_column_name": name if is_index else of_data.get(name),
            "data_column_name": targets.get(name, name),
            "row_element_shape": None if part["shape"] is None or is_index else part["shape"][1:],
        }


SESSION = (
    *("identifier", "session_start_time", "session_id", "session_description", "experiment_description"),
    *("experimenter", "lab", "institution", "related_publications", "keywords", "notes", "data_collection"),
    *("surgery", "pharmacology", "virus", "source_script", "source_script_file_name"),
)
SUBJECT = (
    *("age", "age__reference", "description", "genotype", "sex", "species", "subject_id", "weight", "strain"),
    "date_of_birth",
)
_ATTRIBUTES = {"source_script_file_name": ("source_script", "file_name"), "age__reference": ("age", "reference")}


def metadata_of(path: str, *, of_subject: bool, is_followed: bool = False) -> dict[str, Value]:
    """Return fields of the metadata as the file has them: text, numbers, lists; None where there is none.

    What links into other files lead to is there if `is_followed`.
    """
    with h5py.File(path) as file:
        names = SUBJECT if of_subject else SESSION
        wanted = ["/general/subject"] if of_subject else ["/", "/general"]
        groups = [_group(file, where, is_followed=is_followed) for where in wanted]
        return {name: next((v for g in groups if (v := _field(file, g, name)) is not None), None) for name in names}


def _group(file: h5py.File, where: str, *, is_followed: bool) -> Value:
    above, _, name = where.rpartition("/")
    parent = file.get(above or "/")
    if name and isinstance(parent, h5py.Group) and not is_followed:
        link = parent.get(name, getlink=True) if name in list(parent) else None
        if isinstance(link, h5py.ExternalLink):
            return None
    return file.get(where)


def _field(file: h5py.File, group: Value, name: str) -> Value:
    if not isinstance(group, h5py.Group):
        return None
    where, attribute = _ATTRIBUTES.get(name, (name, ""))
    one = group.get(where)
    if not isinstance(one, h5py.Dataset) or one.shape is None:
        return None
    return json_of(file, one.attrs.get(attribute) if attribute else one[()])


def described(path: str) -> Part:
    """Return the metadata as `LazyNWB` has it."""
    found = Part()
    for of_subject in (False, True):
        followed = metadata_of(path, of_subject=of_subject, is_followed=True)
        for name, value in metadata_of(path, of_subject=of_subject).items():
            shown = _described(name, value)
            other = _described(name, followed[name])
            found[name] = (
                shown if shown == other and not isinstance(shown, AnyOf) else AnyOf((*_leaves(shown), *_leaves(other)))
            )
    return found


def _leaves(value: Value) -> tuple[Value, ...]:
    return value.leaves if isinstance(value, AnyOf) else (value,)


def _described(name: str, value: Value) -> Value:
    if name == "keywords":
        return value if isinstance(value, list) else [] if value is None else [value]
    single = value[0] if isinstance(value, list) and len(value) == 1 else None if value == [] else value
    return AnyOf((moment(single), single)) if name in {"session_start_time", "date_of_birth"} and single else single


def moment(text: Value) -> Value:
    """Return a date as `plain` shows it: in UTC, where it has an offset."""
    try:
        return plain(datetime.datetime.fromisoformat(str(text).strip()))
    except ValueError:
        return text


def looked_up(question: Question, where: tuple[str, ...]) -> Value:
    """Return what a leaf should be that h5py is asked for by its path; `UNKNOWN` where it cannot be."""
    if not where or question.function not in {"get_internal_paths", "get_internal_path_info"}:
        return UNKNOWN
    file, path = question.files[0], where[0]
    if question.function == "get_internal_paths":
        return is_listed_path(file, path) or ABSENT
    info = info_of(file, path)
    if info is ABSENT or len(where) == 1:
        return ABSENT if info is ABSENT else UNKNOWN
    return info.get(where[1], UNKNOWN)


@lru_cache(maxsize=8192)
def is_listed_path(file: str, path: str) -> bool:
    """Tell whether a path is of a table, a series or another object that has a type, and no link to one."""
    if is_behind_soft_link(file, path):
        return False
    is_table = path in tables_of(file) and tables_of(file)[path].kind != "group"
    return is_table or (has_type(file, path) and type_of(file, path) not in {"", "NWBFile", "ProcessingModule"})
