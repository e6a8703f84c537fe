"""Puts the tables of a catalog together and in the place of the one that was there, in one step."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nwb_dask.catalog.shared import LAYOUT, Manifest, is_part, write_manifest, write_tables
from nwb_dask.cataloguing.gather import Gathered, Job
from nwb_dask.cataloguing.journal import batch_keys
from nwb_dask.cataloguing.rows import tables_of, with_metadata
from nwb_dask.errors import NWBDaskError, SourceNotFoundError
from nwb_dask.model.metadata import describe_troubles, metadata_table
from nwb_dask.read import warn_user
from nwb_dask.read.packed_records import unpack_record
from nwb_dask.storage.target import Target


def finish(job: Job, found: Gathered, manifest: Manifest | None) -> None:
    """Write the catalog of what was gathered in place of the one of `manifest`.

    Raises
    ------
    OutputError
        If another process has written one meanwhile; then that stays.
    """
    target = job.target
    if job.before is None or not _is_same(job, found):
        parts = write_tables(target, _tables(job, found))
        options, tag = job.detail.as_json(), None if manifest is None else manifest.tag
        made = Manifest(parts, options, f"nwb_dask {version('nwb_dask')}", tag)
        try:
            write_manifest(target, made)
        except NWBDaskError:
            target.remove(made.keys)
            raise
        manifest = made
    # What a run that was broken off has left, and what was in the catalog before.
    counts = set(manifest.keys) if manifest is not None else set()
    target.remove([key for key in _keys(target) if key not in counts])


def _is_same(job: Job, found: Gathered) -> bool:
    """Return whether the catalog that is there says the same."""
    if job.before is None or found.entries:
        return False
    sessions = job.before.table("sessions")
    sources, *rest = (sessions.column(name).to_pylist() for name in ("source", "_nwb_path", "found_by"))
    found_by = [list(one) or None for one in job.found_by]
    return bool(sources == list(found.sources) and rest == [[one.name for one in job.named], found_by])


def _keys(target: Target) -> list[str]:
    """Return the keys of all parts that are there, and of batches."""
    keys = batch_keys(target)
    for name in LAYOUT:
        try:
            keys += [key for key in target.keys(name) if is_part(key)]
        except SourceNotFoundError:
            continue
    return keys


def _tables(job: Job, found: Gathered) -> dict[str, pa.Table]:
    """Return all tables, rows in the order of the files."""
    tables = tables_of([found.entries[source] for source in found.sources if source in found.entries])
    order = pa.array(found.sources, pa.string())
    if job.before is not None:
        kept = pa.array([source for source in found.sources if source not in found.entries], pa.string())
        for name, rows in tables.items():
            tables[name] = _joined(rows, job.before.whole_table(name).select(rows.column_names), name, kept)
    tables = {name: rows if name == "schemas" else _ordered(rows, order) for name, rows in tables.items()}
    sessions = tables["sessions"]
    names = pa.array([one.name for one in job.named], pa.string())
    sessions = sessions.set_column(sessions.schema.get_field_index("_nwb_path"), "_nwb_path", names)
    field = sessions.schema.field("found_by")
    found_by = pa.array([list(one) or None for one in job.found_by], field.type)
    tables["sessions"] = sessions.set_column(sessions.schema.get_field_index("found_by"), field, found_by)
    tables["sessions"] = with_metadata(tables["sessions"], _metadata(tables["sessions"], tables["records"]))
    used = pc.unique(tables["tables"].column("schema").cast(pa.string()))
    tables["schemas"] = tables["schemas"].filter(pc.is_in(tables["schemas"].column("schema"), value_set=used))
    return tables


def _joined(rows: pa.Table, before: pa.Table, name: str, kept: pa.Array) -> pa.Table:
    """Return rows that are new and rows of sources that are kept."""
    if name == "schemas":
        is_new = pc.invert(pc.is_in(before.column("schema"), value_set=rows.column("schema").combine_chunks()))
        return pa.concat_tables([rows, before.filter(is_new)])
    is_kept = pc.is_in(before.column("source").cast(pa.string()), value_set=kept)
    return pa.concat_tables([rows, before.filter(is_kept)]).unify_dictionaries()


def _ordered(rows: pa.Table, order: pa.Array) -> pa.Table:
    """Return rows in the order of their sources; those of one source as they were."""
    numbers = pc.index_in(rows.column("source").cast(pa.string()), value_set=order).to_numpy()
    places = np.argsort(numbers, kind="stable")
    return rows.take(pa.array(places)).combine_chunks()


def _metadata(sessions: pa.Table, records: pa.Table) -> pa.Table:
    """Return what describes the sessions, as `nwb_dask.read_metadata` has it."""
    packed = dict(zip(records.column("source").to_pylist(), records.column("record").to_pylist(), strict=True))
    names, sources = sessions.column("_nwb_path").to_pylist(), sessions.column("source").to_pylist()
    described = [
        (name, unpack_record(packed[source]) if source in packed else {})
        for name, source in zip(names, sources, strict=True)
    ]
    table, _, troubles = metadata_table(described, dates=True)
    if troubles:
        warn_user(describe_troubles(troubles))
    return table
