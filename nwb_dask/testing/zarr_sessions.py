"""Small sessions in Zarr, as hdmf-zarr writes them: v2 (up to 0.13) and v3 (since 0.14), with zarr-python alone.

They hold what tables need: types, references of indexes to what they are of, and columns of any chunking and codec.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import zarr

ZarrVersion = Literal[2, 3]

_NAMESPACES = {"NWBFile": "core", "Units": "core", "TimeIntervals": "core"}


@dataclass(frozen=True, slots=True)
class ZarrColumn:
    """One array of a table.

    Attributes
    ----------
    values : ndarray
        What it holds; all rows along the first axis.
    target : str
        Name of the column that it is an index of; "" if it is none.
    table : str
        Path of the table that its rows refer to; "" if it is no region.
    options : mapping
        What `zarr.Group.create_array` takes: ``chunks``, ``compressors``, ``filters``, ``fill_value``, ``shards``.
    """

    values: npt.NDArray[Any]
    target: str = ""
    table: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


def write_zarr_session(
    path: str | Path,
    version: ZarrVersion,
    *,
    seed: int = 0,
    n_units: int = 200,
    spikes_per_unit: int = 500,
    chunk_spikes: int = 5000,
    is_consolidated: bool = True,
) -> Path:
    """Write ``/units`` with spike times in many chunks, and four columns of one number or text for each unit.

    ``shank`` says which of 20 shanks a unit is on, ten rows of a shank after each other.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(spikes_per_unit // 2, spikes_per_unit * 3 // 2, n_units)
    ends = np.cumsum(lengths)
    spikes = np.concatenate([np.sort(rng.uniform(0, 3600, n)) for n in lengths]) if n_units else np.empty(0)
    columns = {
        "spike_times": ZarrColumn(spikes, options={"chunks": (chunk_spikes,)}),
        "spike_times_index": ZarrColumn(ends.astype("u4"), target="spike_times"),
        "snr": ZarrColumn(rng.uniform(0, 10, n_units)),
        "shank": ZarrColumn(np.arange(n_units) // 10),
        "depth": ZarrColumn(rng.uniform(0, 3800, n_units).astype("f4")),
    }
    return write_zarr_tables(path, version, {"units": ("Units", columns)}, is_consolidated=is_consolidated)


def write_zarr_tables(
    path: str | Path,
    version: ZarrVersion,
    tables: Mapping[str, tuple[str, Mapping[str, ZarrColumn]]],
    *,
    is_consolidated: bool = True,
) -> Path:
    """Write a store of tables by path, each with its ``neurodata_type``; ids are row numbers.

    The number of rows is that of the first column that is no target of an index.
    """
    path = Path(path)
    with warnings.catch_warnings():
        # zarr-python says that consolidated metadata and some types of version 3 have no specification.
        warnings.simplefilter("ignore")
        root = zarr.create_group(str(path), zarr_format=version)
        root.attrs.update({**_typed("NWBFile"), "nwb_version": "2.8.0"})
        for name, (kind, columns) in tables.items():
            _write_table(root.require_group(name), f"/{name}", kind, columns)
        if is_consolidated:
            zarr.consolidate_metadata(str(path), zarr_format=version)
    return path


def _write_table(group: zarr.Group, path: str, kind: str, columns: Mapping[str, ZarrColumn]) -> None:
    targets = {one.target for one in columns.values()}
    n_rows = next((len(one.values) for name, one in columns.items() if name not in targets), 0)
    names = [name for name, one in columns.items() if not one.target]
    group.attrs.update({**_typed(kind), "colnames": names, "description": "units"})
    version: ZarrVersion = 2 if group.metadata.zarr_format == 2 else 3  # noqa: PLR2004  # the versions that there are
    ids = group.create_array("id", data=np.arange(n_rows), chunks=(max(n_rows, 1),))
    ids.attrs.update(_typed("ElementIdentifiers"))
    for name, one in columns.items():
        shape = one.values.shape
        options = {"chunks": tuple(max(n, 1) for n in shape), **one.options}
        array = group.create_array(name, shape=shape, dtype=one.values.dtype, **options)
        if one.values.size:
            array[...] = one.values
        attributes: dict[str, Any] = {"description": "a column"}
        if one.target:
            attributes |= {**_typed("VectorIndex"), "target": _reference(f"{path}/{one.target}", version)}
        elif one.table:
            attributes |= {**_typed("DynamicTableRegion"), "table": _reference(one.table, version)}
        else:
            attributes |= _typed("VectorData")
        array.attrs.update(attributes)


def _typed(kind: str) -> dict[str, str]:
    return {"neurodata_type": kind, "namespace": _NAMESPACES.get(kind, "hdmf-common"), "object_id": f"id of a {kind}"}


def _reference(path: str, version: ZarrVersion) -> dict[str, Any]:
    target = {"source": ".", "path": path}
    if version == 2:  # noqa: PLR2004  # as above
        return {"zarr_dtype": "object", "value": target}
    return {"_REFERENCE": target}
