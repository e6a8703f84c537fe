"""Attributes of groups and datasets, as text, numbers and lists."""

from __future__ import annotations

from typing import Any

from nwb_dask.compat.lazynwb.objects import Place, json_attributes
from nwb_dask.compat.lazynwb.sources import PathLike, Sources, as_source, as_sources
from nwb_dask.compat.lazynwb.utils import absolute_path, normalize_internal_file_path
from nwb_dask.index import ArrayEntry, FileIndex, GroupEntry, basename, join
from nwb_dask.model.kinds import reference_attribute

_PRIVATE = frozenset({"id", "object_id", "namespace", "target"})
_EMPTY: tuple[object, ...] = (None, {}, [], "", "no description")
_PARTS = frozenset({"VectorData", "VectorIndex", "ElementIdentifiers"})
"""Types that say no more than that a dataset is part of a table."""


def get_attrs(
    nwb_path: PathLike,
    internal_path: str,
    exclude_private: bool = True,
    exclude_empty_fields: bool = False,
) -> dict[str, Any]:
    """Return the attributes of the object at `internal_path`; references are the paths that they lead to.

    Parameters
    ----------
    nwb_path : path or URL
        One file. It is read at every call.
    internal_path : str
        ``"/units/spike_times"``.
    exclude_private : bool
        Leave out names that begin with an underscore or a dot, ``id``, ``object_id``, ``namespace``, ``target``.
    exclude_empty_fields : bool
        Leave out empty values and ``"no description"``.

    Raises
    ------
    PathNotFoundError
        If nothing is there; a `KeyError`.
    """
    found = Place.of(nwb_path).object(absolute_path(internal_path))
    return _shown(found.entry, exclude_private=exclude_private, exclude_empty=exclude_empty_fields)


def get_sub_attrs(
    nwb_path: PathLike,
    parent_path: str = "/",
    exclude_private: bool = True,
    exclude_empty: bool = True,
) -> dict[str, dict[str, Any]]:
    """Return the attributes of every object at and below `parent_path`, by path.

    Specifications are left out, and so are the VectorIndex datasets of columns; ``neurodata_type`` is, with
    `exclude_private`, where it says no more than that a dataset is part of a table. A dataset is an index if its
    ``target`` says so, whatever its name. Nothing at `parent_path` gives an empty dict.

    Parameters
    ----------
    nwb_path, exclude_private
        As for `get_attrs`.
    parent_path : str
        A group or dataset.
    exclude_empty : bool
        Leave out empty values, and objects without attributes.
    """
    top = absolute_path(parent_path)
    try:
        index, _ = Place.of(nwb_path).index(top, recursive=True)
    except KeyError:
        return {}
    # Keys begin as the path that was asked for: with a slash below the root only.
    prefix = "" if top == "/" else "/"
    found: dict[str, dict[str, Any]] = {}
    for path in _in_order(index, top):
        entry = index.groups.get(path) or index.arrays[path]
        if path.startswith("/specifications") or _is_index(index, entry):
            continue
        shown = _shown(entry, exclude_private=exclude_private, exclude_empty=exclude_empty)
        if exclude_private and str(shown.get("neurodata_type")) in _PARTS:
            del shown["neurodata_type"]
        if shown or not exclude_empty:
            found[path.removeprefix(prefix)] = shown
    return found


def consolidate_attrs(
    nwb_paths: Sources,
    internal_path: str,
    exclude_private: bool = True,
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return each attribute of one object over many files: its commonest value, and the files that differ.

    Returns
    -------
    dict
        ``{path: {attribute: {"common": value, file: other value, ...}}}``; of values that are equally common the
        first counts. Values of different types are different, though their text is the same.

    Raises
    ------
    ValueError
        If there are no files.
    PathNotFoundError
        If a file has nothing there.
    """
    path = normalize_internal_file_path(internal_path)
    values: dict[str, dict[str, object]] = {}
    for source in as_sources(nwb_paths):
        for name, value in get_attrs(source, path, exclude_private=exclude_private).items():
            values.setdefault(name, {})[source] = value
    return {path: {name: _consolidated(values[name]) for name in sorted(values)}}


def clear_attrs_cache(nwb_path: PathLike | None = None) -> None:
    """Do nothing: attributes are read when they are asked for, so that none is stale."""
    if nwb_path is not None:
        as_source(nwb_path)


def _consolidated(by_file: dict[str, object]) -> dict[str, object]:
    keys = {file: (type(value).__name__, repr(value)) for file, value in by_file.items()}
    every = list(keys.values())
    common = max(dict.fromkeys(every), key=every.count)
    first = next(file for file, key in keys.items() if key == common)
    return {"common": by_file[first], **{file: by_file[file] for file, key in keys.items() if key != common}}


def _shown(entry: GroupEntry | ArrayEntry, *, exclude_private: bool, exclude_empty: bool) -> dict[str, Any]:
    return {
        name: value
        for name, value in json_attributes(entry.attributes).items()
        if not (exclude_private and (name.startswith(("_", ".")) or name in _PRIVATE))
        and not (exclude_empty and value in _EMPTY)
    }


def _is_index(index: FileIndex, entry: GroupEntry | ArrayEntry) -> bool:
    target = reference_attribute(entry, "target")
    return target is not None and basename(target) in _siblings(index, entry.path)


def _siblings(index: FileIndex, path: str) -> tuple[str, ...]:
    group = index.group(path.rpartition("/")[0] or "/")
    return () if group is None else group.members


def _in_order(index: FileIndex, top: str) -> list[str]:
    """Return the paths as the file iterates over them: a group, then what is below it."""
    found = [top] if top in index.groups or top in index.arrays else []
    group = index.group(top)
    for name in () if group is None else group.members:
        found += _in_order(index, join(top, name))
    return found
