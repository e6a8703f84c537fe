"""Catalogs of sessions that are not there: what a catalog would say of thousands of files, made in a second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nwb_dask.catalog.serialize import pack
from nwb_dask.catalog.shared import LAYOUT, Manifest, write_manifest, write_tables
from nwb_dask.cataloguing.catalog import Catalog, open_catalog
from nwb_dask.cataloguing.describe import Detail
from nwb_dask.model import Field
from nwb_dask.model.arrow_types import is_heavy
from nwb_dask.model.metadata import Cell, Key, metadata_table
from nwb_dask.model.stored_schema import TableSchema, schema_row
from nwb_dask.read.packed_records import pack_record
from nwb_dask.storage import make_access
from nwb_dask.storage.target import open_target

AREAS = ("CA1", "CA3", "DG", "VISp", "VISl", "VISam", "LP", "LGd", "MOs", "ACA")
N_VARIANTS = 12
"""Schemas of each table: laboratories add columns of their own, and store numbers in more or fewer bits."""

_SPIKES = pa.large_list(pa.float64())
_COMMON: dict[str, dict[str, pa.DataType]] = {
    "/units": {
        "id": pa.int64(),
        "spike_times": _SPIKES,
        "firing_rate": pa.float64(),
        "presence_ratio": pa.float64(),
        "quality": pa.string(),
        "location": pa.string(),
        "peak_channel_id": pa.int64(),
    },
    "/intervals/trials": {
        "id": pa.int64(),
        "start_time": pa.float64(),
        "stop_time": pa.float64(),
        "stimulus": pa.string(),
        "correct": pa.bool_(),
    },
    "/general/extracellular_ephys/electrodes": {
        "id": pa.int64(),
        "x": pa.float64(),
        "y": pa.float64(),
        "location": pa.string(),
        "group_name": pa.string(),
    },
}
_KINDS = {"/units": "Units", "/intervals/trials": "TimeIntervals"}
_WORDS = {
    "quality": ("good", "mua", "noise"),
    "stimulus": ("gabors", "flashes", "natural_scenes", "spontaneous"),
    "group_name": tuple(f"probe{letter}" for letter in "ABCDEF"),
}
_Ints = npt.NDArray[np.int64]


def write_simulated_catalog(out: Path, n_sessions: int, *, seed: int = 0) -> Catalog:
    """Write a catalog of `n_sessions` files that are nowhere, and return it open.

    Each has units, trials and electrodes in one of `N_VARIANTS` schemas each, with bounds and distinct values as real
    ones have them: most columns have the same range in every session, areas and identifiers do not.

    Parameters
    ----------
    out : Path
        Folder of the catalog.
    n_sessions : int
        How many.
    seed : int
        Of what is random; the same gives the same catalog.
    """
    made = _Made(n_sessions, np.random.default_rng(seed))
    target = open_target(out, make_access())
    schemas = [schema_row(_schema(path, variant)) for path in _COMMON for variant in range(N_VARIANTS)]
    unique = {str(row["schema"]): row for row in schemas}
    tables = {
        **{name: schema.empty_table() for name, schema in LAYOUT.items()},
        "sessions": made.sessions(),
        "tables": made.tables([str(row["schema"]) for row in schemas]),
        "schemas": pa.Table.from_pylist(list(unique.values()), LAYOUT["schemas"]),
        "columns": made.columns(),
        "records": made.records(),
    }
    write_manifest(target, Manifest(write_tables(target, tables), Detail().as_json(), "simulated"))
    return open_catalog(out)


def _schema(path: str, variant: int) -> TableSchema:
    types = dict(_COMMON[path])
    if variant % 2:
        types["firing_rate" if path == "/units" else "x"] = pa.float32()
    types |= {f"extra_{number}": pa.float64() for number in range(variant % 4)}
    if variant % 3 == 0 and path == "/units":
        types["waveform_mean"] = pa.list_(pa.float32(), 82)
    fields = tuple(Field(name, kind, heavy=is_heavy(kind)) for name, kind in types.items())
    return TableSchema(fields, tuple(types))


@dataclass(frozen=True, slots=True)
class _Made:
    """Sessions of one catalog."""

    n: int
    random: np.random.Generator

    def names(self) -> list[str]:
        """Return the names of the files."""
        return [f"s3://simulated/sub-{i // 4:05d}/sub-{i // 4:05d}_ses-{i:05d}.nwb" for i in range(self.n)]

    def sources(self) -> pa.Array:
        """Return what joins the tables."""
        return pa.array([f"{i:020x}" for i in range(self.n)])

    def sessions(self) -> pa.Table:
        """Return ``sessions``."""
        names = pa.array(self.names())
        kinds = pa.DictionaryArray.from_arrays(pa.array(np.zeros(self.n, np.int32)), pa.array(["etag"]))
        nothing = pa.nulls(self.n, pa.string())
        nowhere = pa.nulls(self.n, LAYOUT["sessions"].field("links").type)
        size = pa.array(self.random.integers(10**8, 10**10, self.n))
        tags = pa.array([f'"{i:032x}"' for i in range(self.n)])
        base = [self.sources(), names, names, kinds, tags, size, nothing, nothing, nowhere, nowhere]
        found = pa.Table.from_arrays(base, schema=LAYOUT["sessions"])
        metadata, _, _ = metadata_table([("", self.record(0))], dates=True)
        values = {
            "session_id": pa.array([f"ses-{i:05d}" for i in range(self.n)]),
            "subject_id": pa.array([f"sub-{i // 4:05d}" for i in range(self.n)]),
            "subject_species": pa.array(["Mus musculus"] * self.n),
        }
        for field in metadata.schema:
            if field.name != "_nwb_path":
                found = found.append_column(field.name, values.get(field.name, pa.nulls(self.n, field.type)))
        return found

    def record(self, number: int) -> dict[Key, Cell]:
        """Return what describes a session."""
        values = {
            Key("/general", "session_id"): f"ses-{number:05d}",
            Key("/general/subject", "subject_id"): f"sub-{number // 4:05d}",
            Key("/general/subject", "species"): "Mus musculus",
        }
        return {key: Cell(pa.string(), value) for key, value in values.items()}

    def records(self) -> pa.Table:
        """Return ``records``."""
        packed = [pack(pack_record(self.record(i))) for i in range(self.n)]
        return pa.Table.from_arrays([self.sources(), pa.array(packed, pa.large_binary())], schema=LAYOUT["records"])

    def variants(self) -> _Ints:
        """Return which schema of each table a session has."""
        return np.arange(self.n, dtype=np.int64) * 7 // 5 % N_VARIANTS

    def tables(self, digests: list[str]) -> pa.Table:
        """Return ``tables``: three rows for each session."""
        paths, n_tables = list(_COMMON), len(_COMMON)
        session, table = np.repeat(np.arange(self.n), n_tables), np.tile(np.arange(n_tables), self.n)
        codes = table * N_VARIANTS + self.variants()[session]
        widths = np.array([len(_schema(path, v).fields) for path in paths for v in range(N_VARIANTS)])
        offsets = np.concatenate(([0], np.cumsum(widths[codes])))
        sizes = pa.array(self.random.integers(1000, 50_000, offsets[-1]))
        lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), sizes)
        kinds = [_KINDS.get(path, "DynamicTable") for path in paths]
        n_rows = self.random.integers(50, 2000, len(codes))
        columns = [
            _coded(session, self.sources().to_pylist()),
            _coded(table, paths),
            _coded(table, kinds),
            _coded(np.zeros_like(table), ["dynamic"]),
            pa.array(n_rows),
            _coded(codes, digests),
            pa.array(np.add.reduceat(sizes.to_numpy(), offsets[:-1])),
            pa.array(n_rows),
            lists,
            lists,
        ]
        return pa.Table.from_arrays(columns, schema=LAYOUT["tables"])

    def columns(self) -> pa.Table:
        """Return ``columns``: what is known of the light columns that all sessions have."""
        light = [
            (path, name, kind) for path, types in _COMMON.items() for name, kind in types.items() if not is_heavy(kind)
        ]
        parts = [self._column(path, name, kind) for path, name, kind in light]
        rows = pa.concat_tables(parts).unify_dictionaries()
        order = np.argsort(np.tile(np.arange(self.n), len(light)), kind="stable")
        return rows.take(pa.array(order)).combine_chunks()

    def _column(self, path: str, name: str, kind: pa.DataType) -> pa.Table:
        n, zeros = self.n, np.zeros(self.n, np.int64)
        found: dict[str, pa.Array] = {field.name: pa.nulls(n, field.type) for field in LAYOUT["columns"]}
        found["source"] = _coded(np.arange(n), self.sources().to_pylist())
        found["path"], found["column"] = _coded(zeros, [path]), _coded(zeros, [name])
        # Of as many rows as any table has: a range that is wider than its table.
        found["row_start"], found["row_stop"] = pa.array(zeros), pa.array(zeros + 2000)
        found["n_null"] = found["n_nan"] = pa.array(zeros)
        if pa.types.is_string(kind):
            words = _WORDS.get(name, ())
            chosen = [list(words)] * n if words else [[AREAS[i % len(AREAS)], AREAS[i // 10 % 10]] for i in range(n)]
            distinct = [sorted(set(one)) for one in chosen]
            found["values"] = pa.array(distinct, pa.list_(pa.string()))
            found["min_text"] = pa.array([one[0] for one in distinct])
            found["max_text"] = pa.array([one[-1] for one in distinct])
        elif pa.types.is_floating(kind):
            low = self.random.uniform(0, 0.3, n)
            found["min_float"], found["max_float"] = pa.array(low), pa.array(low + self.random.uniform(0.4, 0.7, n))
        else:
            top = zeros + 1 if pa.types.is_boolean(kind) else self.random.integers(50, 2000, n)
            found["min_int"], found["max_int"] = pa.array(zeros), pa.array(top)
        return pa.Table.from_arrays(list(found.values()), schema=LAYOUT["columns"])


def _coded(codes: npt.NDArray[np.int64], values: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(values, pa.string()))
