"""What is known of the columns of a table without reading them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from nwb_dask.compat.lazynwb.objects import Place, StoredDataset, StoredGroup
from nwb_dask.compat.lazynwb.sources import PathLike
from nwb_dask.compat.lazynwb.utils import absolute_path, normalize_internal_file_path
from nwb_dask.errors import PathNotFoundError
from nwb_dask.index import FileIndex, Identity, basename, join
from nwb_dask.model import Column, Table, build_table, table_kind
from nwb_dask.model.kinds import reference_attribute

_OF_ROOT = ("session_start_time", "session_description", "identifier", "timestamps_reference_time", "file_create_date")


@dataclass(frozen=True, slots=True)
class RawTableColumnMetadata:
    """A dataset or group that is a member of a table, as it is stored."""

    name: str
    table_path: str
    source_path: str
    backend: str
    dtype: Any | None
    """As stored; None for a group."""
    shape: tuple[int, ...] | None
    ndim: int | None
    attrs: dict[str, Any]
    maxshape: tuple[int | None, ...] | None
    chunks: tuple[int, ...] | None
    storage_layout: str | None
    compression: str | None
    compression_opts: object | None
    filters: tuple[object, ...]
    fill_value: object | None
    read_capabilities: tuple[str, ...]
    is_group: bool
    is_dataset: bool
    is_metadata_table: bool
    """Whether the table is one row of what is in a group."""
    is_timeseries: bool
    is_timeseries_with_rate: bool
    is_timeseries_length_aligned: bool
    is_nominally_indexed: bool
    """Whether it is ragged, or the index of a ragged column: by the ``target`` of the index, not by a name."""
    is_index_column: bool
    is_multidimensional: bool
    index_column_name: str | None
    data_column_name: str | None
    row_element_shape: tuple[int, ...] | None
    accessor: StoredDataset | StoredGroup = field(repr=False, compare=False)
    """The dataset or group itself, which reads when it is indexed."""
    column: Column | None = field(default=None, repr=False, compare=False)
    """What it is as a column of the table; None for an index or a group."""
    n_rows: int = field(default=0, repr=False, compare=False)
    """Of the table."""


def get_table_column_metadata(
    file_path: PathLike,
    table_path: str,
    use_thread_pool: bool = False,
    skip_references: bool = True,
) -> tuple[RawTableColumnMetadata, ...]:
    """Return what is known of each member of a table, in the order of the file.

    Parameters
    ----------
    file_path : path or URL
        One file.
    table_path : str
        Path or short name. ``/general`` has the fields of the root that describe the session as well, and no groups.
    skip_references : bool
        Leave out ``timeseries``, the references of intervals to series, and its index.

    Raises
    ------
    PathNotFoundError
        If there is no such group; a `KeyError`.
    """
    place, path = Place.of(file_path), absolute_path(table_path)
    index, identity = place.index(path)
    if index.group(path) is None:
        raise PathNotFoundError(f"{path} is a dataset, and no table", url=place.named.name, path=path)
    found = list(_members(place, index, identity, path))
    if path == "/general":
        root, _ = place.index("/")
        own = {one.name for one in found}
        extra = (one for one in _members(place, root, identity, "/") if one.name in _OF_ROOT and one.name not in own)
        found += [replace(one, table_path=normalize_internal_file_path(path)) for one in extra]
        found = [one for one in found if not one.is_group]
    if skip_references:
        types = {one.name for one in found if one.attrs.get("neurodata_type") == "TimeSeriesReferenceVectorData"}
        found = [one for one in found if one.data_column_name not in types & {"timeseries"}]
    return tuple(found)


def get_table_length_from_metadata(columns: Iterable[RawTableColumnMetadata]) -> int:
    """Return the number of rows of the table that columns belong to.

    Raises
    ------
    PathNotFoundError
        If there are no columns.
    """
    for column in columns:
        return 1 if column.is_metadata_table else column.n_rows
    raise PathNotFoundError("the length of a table without columns is not known")


def _members(place: Place, index: FileIndex, identity: Identity, path: str) -> Iterable[RawTableColumnMetadata]:
    table = build_table(index, path)
    indexes = _indexes(index, path)
    for name in index.groups[path].members:
        member = join(path, name)
        array, group = index.array(member), index.group(member)
        if array is not None:
            yield _described(table, StoredDataset(place, array, identity), indexes)
        elif group is not None:
            yield _described(table, StoredGroup(place, group), indexes)


def _indexes(index: FileIndex, path: str) -> dict[str, str]:
    """Return, for each index of the table, what it is the index of."""
    if table_kind(index, path) not in {"dynamic", "aligned"}:
        return {}
    found = {}
    for name in index.groups[path].members:
        array = index.array(join(path, name))
        target = None if array is None else reference_attribute(array, "target")
        if target is not None and target.rpartition("/")[0] == path:
            found[name] = basename(target)
    return found


def _described(table: Table, one: StoredDataset | StoredGroup, indexes: dict[str, str]) -> RawTableColumnMetadata:
    name = basename(one.name)
    array = one if isinstance(one, StoredDataset) else None
    of_data = {target: index for index, target in indexes.items()}
    is_index = name in indexes
    shape = None if array is None or array.entry.shape is None else array.shape
    is_series = table.kind == "series"
    column = table.columns.get("timestamps" if name == "starting_time" and is_series else name)
    is_sampled = column is not None and column.kind == "sampled"
    return RawTableColumnMetadata(
        name=name,
        table_path=normalize_internal_file_path(table.path),
        source_path=one.place.named.name,
        backend="hdf5",
        dtype=None if array is None else array.dtype,
        shape=shape,
        ndim=None if shape is None else len(shape),
        attrs=one.attrs,
        maxshape=None if array is None else array.maxshape,
        chunks=None if array is None else array.chunks,
        storage_layout="group" if array is None else array.entry.layout,
        compression=None if array is None else array.compression,
        compression_opts=None if array is None else array.compression_opts,
        filters=() if array is None else _filters(array),
        fill_value=None if array is None else array.fillvalue,
        read_capabilities=_capabilities(array),
        is_group=array is None,
        is_dataset=array is not None,
        is_metadata_table=table.kind == "record",
        is_timeseries=is_series,
        is_timeseries_with_rate=is_series and _is_sampled(table),
        is_timeseries_length_aligned=not is_series or not shape or shape[0] == table.n_rows,
        is_nominally_indexed=is_index or name in of_data,
        is_index_column=is_index,
        is_multidimensional=shape is not None and len(shape) > 1,
        index_column_name=name if is_index else of_data.get(name),
        data_column_name=indexes.get(name, name),
        row_element_shape=None if shape is None or is_index else shape[1:],
        accessor=one,
        column=None
        if is_index or array is None or (name == "starting_time" and is_series and not is_sampled)
        else column,
        n_rows=table.n_rows,
    )


def _is_sampled(table: Table) -> bool:
    timing = table.columns.get("timestamps")
    return timing is not None and timing.kind == "sampled"


def _filters(array: StoredDataset) -> tuple[object, ...]:
    found: list[object] = []
    if array.compression is not None:
        found.append({"id": "compression", "name": array.compression, "options": array.compression_opts})
    for name in ("shuffle", "fletcher32", "scaleoffset"):
        value = getattr(array, name)
        if value:
            found.append({"id": name, "value": value})
    return tuple(found)


def _capabilities(array: StoredDataset | None) -> tuple[str, ...]:
    if array is None:
        return ("metadata", "children")
    found = ["metadata", "shape", "dtype", "slice"]
    found += ["scalar"] if not array.ndim else []
    found += ["chunked"] if array.chunks is not None else []
    return (*found, "filtered") if array.entry.filters else tuple(found)
