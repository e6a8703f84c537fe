"""What was said of many files, as the tables of a catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import pyarrow as pa

from nwb_dask.catalog import index_key
from nwb_dask.catalog.serialize import pack
from nwb_dask.catalog.shared.layout import LAYOUT, SESSIONS
from nwb_dask.cataloguing.describe import Described
from nwb_dask.index import Identity, Url
from nwb_dask.storage import display_url, split_pinned, url_scheme
from nwb_dask.storage.url_keys import url_key
from nwb_dask.storage.urls import BUCKETS, split_bucket

_DIGEST_BYTES = 10


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a catalog that is being built."""

    source: str
    name: str
    url: str
    """As `kept_url` gives it."""
    described: Described


def kept_url(url: Url) -> str:
    """Return a URL as a catalog keeps it: without user and query string, but for what names a version or an asset."""
    shown = display_url(url)
    if url_scheme(url) in BUCKETS and (version := split_bucket(url)[2]) is not None:
        return f"{shown}?versionId={version}"
    asset = split_pinned(url) if url_scheme(url) == "dandi" else None
    return shown if asset is None else f"{shown}?asset={asset[1]}"


def source_of(url: Url, identity: Identity | None, options: Mapping[str, object]) -> str:
    """Return the digest that joins the tables of a catalog: of the URL, the version, and the options of the catalog."""
    version = () if identity is None else (identity.kind, identity.value, identity.size)
    told = (url_key(url), version, tuple(sorted(options.items())))
    return blake2b(pack(told), digest_size=_DIGEST_BYTES).hexdigest()


def tables_of(entries: Sequence[Entry]) -> dict[str, pa.Table]:
    """Return the rows of some files for each table; of ``sessions`` the first columns only."""
    rows: dict[str, list[tuple[object, ...]]] = {name: [] for name in LAYOUT if name != "places"}
    schemas: dict[str, object] = {}
    for entry in entries:
        found, source = entry.described, entry.source
        identity = found.identity
        version = (None,) * 3 if identity is None else (identity.kind, identity.value, identity.size)
        rest = (found.error or None, found.message or None, None, found.links or None)
        rows["sessions"].append((source, entry.name, entry.url, *version, *rest))
        for path, neurodata_type, kind, n_rows, digest, unit, stored, decoded in found.tables:
            total = sum(stored)  # type: ignore[call-overload]  # as `describe` has them
            rows["tables"].append((source, path, neurodata_type, kind, n_rows, digest, total, unit, stored, decoded))
        rows["columns"] += [(source, *one) for one in found.columns]
        rows["series"] += [(source, *one) for one in found.series]
        if not found.error:
            rows["records"].append((source, pack(found.record)))
        key = None if found.index is None else index_key(found.index)
        if key is not None:
            rows["indexes"].append((source, key, found.index))
        schemas |= dict(found.schemas)
    tables = {name: _table(LAYOUT[name], those) for name, those in rows.items() if name != "schemas"}
    tables["schemas"] = pa.Table.from_pylist(list(schemas.values()), LAYOUT["schemas"])
    return tables


def with_metadata(sessions: pa.Table, metadata: pa.Table) -> pa.Table:
    """Return ``sessions`` with what describes them: one row each of `nwb_dask.read_metadata`, null for failed ones.

    A field of the name of a column that sessions have is ``./<name>``.
    """
    sessions = sessions.select(SESSIONS.names)
    for name in metadata.column_names:
        if name != "_nwb_path":
            shown = f"./{name}" if name in SESSIONS.names else name
            sessions = sessions.append_column(shown, metadata.column(name))
    return sessions


def _table(schema: pa.Schema, rows: Sequence[tuple[object, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    arrays = []
    for field, values in zip(schema, columns, strict=True):
        if pa.types.is_dictionary(field.type):
            arrays.append(pa.array(values, pa.string()).dictionary_encode().cast(field.type))
        else:
            arrays.append(pa.array(values, field.type))
    return pa.Table.from_arrays(arrays, schema=schema)
