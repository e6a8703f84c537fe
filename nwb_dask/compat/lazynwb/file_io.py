"""What is in a file, and `FileAccessor`, which is used as an open h5py file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Self

from nwb_dask.catalog import recent_tables
from nwb_dask.compat.lazynwb.objects import Place, StoredDataset, StoredGroup, plain_attributes
from nwb_dask.compat.lazynwb.sources import PathLike, UrlPath, as_source
from nwb_dask.compat.lazynwb.utils import absolute_path
from nwb_dask.index import ArrayEntry, FileIndex, GroupEntry, join
from nwb_dask.model import table_kind
from nwb_dask.model.kinds import neurodata_type

_NO_DATA_TYPES = frozenset({"", "/", "NWBFile", "ProcessingModule"})
_SCALARS: tuple[tuple[int, ...], ...] = ((), (1,))


class FileAccessor:
    """One file, used as an open h5py file: ``file["/units/spike_times"][:10]``, ``"/units" in file``, ``file.attrs``.

    It holds nothing open; every use reads what it needs. A file that was replaced meanwhile is an error where data of
    the earlier one are asked for.

    Parameters
    ----------
    path : path or URL
        One file.

    Raises
    ------
    SourceNotFoundError, MalformedFileError
        If it cannot be opened.
    """

    class HDMFBackend(Enum):
        """Kinds of files."""

        HDF5 = "hdf5"
        ZARR = "zarr"

    def __init__(self, path: PathLike) -> None:
        self._path = from_pathlike(path)
        self._hdmf_backend = self.HDMFBackend.HDF5
        # Tells whether it can be read.
        len(self._root)

    @property
    def _root(self) -> StoredGroup:
        found = Place.of(self._path).object("/")
        assert isinstance(found, StoredGroup)  # noqa: S101  # the root of an HDF5 file is a group
        return found

    def get_hdmf_backend(self) -> HDMFBackend:
        """Return what kind of file it is."""
        return self._hdmf_backend

    def get(self, name: str, default: Any = None) -> Any:
        """Return the group or dataset at a path, or `default`."""
        try:
            return self[name]
        except KeyError:
            return default

    def __getitem__(self, name: str) -> StoredGroup | StoredDataset:
        """Return the group or dataset at a path; short names of tables count."""
        return Place.of(self._path).object(absolute_path(name))

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names at the top."""
        return iter(self._root)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the root: ``keys``, ``attrs`` ..."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._root, name)

    def __repr__(self) -> str:
        """Name the file."""
        return f"FileAccessor({self._path!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        """Do nothing: nothing is open."""


def from_pathlike(pathlike: PathLike, **fsspec_storage_options: Any) -> Any:
    """Return a `pathlib.Path` for a local file, and a path-like of the URL for a remote one; a UPath stays itself.

    Raises
    ------
    TypeError
        If options are given: they belong into ``config.fsspec_storage_options``.
    """
    if fsspec_storage_options:
        raise TypeError("options of a path are not kept with it; put them into config.fsspec_storage_options")
    if hasattr(pathlike, "protocol") and hasattr(pathlike, "as_posix"):
        return pathlike
    text = as_source(pathlike)
    return UrlPath(text) if "://" in text else Path(os.path.expanduser(text))  # noqa: PTH111  # text in


def is_group(accessor: object) -> bool:
    """Tell whether an object of a file is a group."""
    return hasattr(accessor, "keys")


def clear_cache() -> None:
    """Forget the descriptions of tables that this process keeps; they are never used for a file that changed."""
    recent_tables.clear()


def get_internal_paths(
    nwb_path: PathLike,
    include_child_datasets: bool = False,
    include_table_columns: bool = False,
    include_metadata: bool = False,
    include_specifications: bool = False,
    parents: bool = False,
) -> list[str]:
    """Return the paths of what is in a file; parameters are those of `get_internal_path_info`."""
    return list(
        get_internal_path_info(
            nwb_path,
            include_child_datasets=include_child_datasets,
            include_table_columns=include_table_columns,
            include_metadata=include_metadata,
            include_specifications=include_specifications,
            parents=parents,
        )
    )


def get_internal_path_info(
    nwb_path: PathLike,
    include_child_datasets: bool = False,
    include_table_columns: bool = False,
    include_metadata: bool = False,
    include_specifications: bool = False,
    parents: bool = False,
) -> dict[str, dict[str, Any]]:
    """Return what is in a file, by path: tables, series and other objects that have a type.

    Parameters
    ----------
    nwb_path : path or URL
        One file, of which the structure is read, with all attributes.
    include_child_datasets : bool
        Arrays that have no type of their own, such as ``data`` and ``timestamps``.
    include_table_columns : bool
        What is below tables.
    include_metadata : bool
        What is below ``/general``. Scalars never are.
    include_specifications : bool
        What is below ``/specifications``.
    parents : bool
        Groups that hold others of the result; tables and series are there in any case.

    Returns
    -------
    dict
        ``is_group``, ``is_dataset``, ``shape``, ``attrs`` and ``is_timeseries`` of each, in the order of the file.
        What a table is, and a series, is decided by its type, as for `nwb_dask.list_paths`.
    """
    index, _ = Place.of(nwb_path).index("/", recursive=True)
    found: dict[str, _Kind] = {}
    _walk(index, "/", found, include_child_datasets, include_metadata, include_specifications)
    if not include_table_columns:
        tables = tuple(f"{path}/" for path, kind in found.items() if kind == "table")
        found = {path: kind for path, kind in found.items() if not path.startswith(tables)}
    if not parents:
        holders = {above for path in found for above in _above(path)}
        found = {path: kind for path, kind in found.items() if kind in ("table", "series") or path not in holders}
    return {path: _facts(index, path, kind) for path, kind in found.items()}


_Kind = str
"""``"table"``, ``"series"``, or ``""``."""


def _walk(
    index: FileIndex,
    path: str,
    found: dict[str, _Kind],
    arrays: bool,
    metadata: bool,
    specifications: bool,
) -> None:
    """Put the object at `path` into `found`, if it is wanted, and then what is below it."""
    entry: GroupEntry | ArrayEntry | None = index.group(path) or index.array(path)
    if entry is None:
        return
    kind = _kind(index, entry)
    if "/specifications" in path:
        is_wanted = specifications
    elif path.startswith("/general"):
        is_wanted = (metadata or kind == "series") and not _is_scalar(entry)
    elif isinstance(entry, ArrayEntry):
        is_rate = path.endswith("/starting_time") and "rate" in entry.attributes
        is_wanted = not _is_scalar(entry) and (arrays or neurodata_type(entry) not in _NO_DATA_TYPES)
        is_wanted |= arrays and is_rate
    else:
        is_wanted = bool(kind) or neurodata_type(entry) not in _NO_DATA_TYPES
    if is_wanted:
        found[path] = kind
    for name in entry.members if isinstance(entry, GroupEntry) else ():
        _walk(index, join(path, name), found, arrays, metadata, specifications)


def _kind(index: FileIndex, entry: GroupEntry | ArrayEntry) -> _Kind:
    kind = table_kind(index, entry.path) if isinstance(entry, GroupEntry) else None
    return {"dynamic": "table", "aligned": "table", "series": "series"}.get(kind or "", "")


def _is_scalar(entry: GroupEntry | ArrayEntry) -> bool:
    return isinstance(entry, ArrayEntry) and (entry.shape is None or entry.shape in _SCALARS)


def _facts(index: FileIndex, path: str, kind: _Kind) -> dict[str, Any]:
    entry = index.groups.get(path) or index.arrays[path]
    shape = entry.shape if isinstance(entry, ArrayEntry) else None
    return {
        "is_group": isinstance(entry, GroupEntry),
        "is_dataset": isinstance(entry, ArrayEntry),
        "shape": shape,
        "attrs": plain_attributes(entry.attributes),
        "is_timeseries": kind == "series",
    }


def _above(path: str) -> Iterator[str]:
    """Yield the paths of the groups that hold `path`, the root last."""
    while path != "/":
        path = path.rpartition("/")[0] or "/"
        yield path
