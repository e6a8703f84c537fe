"""What the tables of a shareable catalog hold: one Parquet schema for each, which any reader of Parquet understands.

========= ========================================================================================
sessions  a file each: where it is, which version, or why it could not be read; what describes the session
tables    a table of a file each: rows, bytes, and the digest of its schema
schemas   the columns of a table, once for all tables that have the same
columns   what is known of the values of a column in a range of rows, both bounds included in `min` and `max`
series    a TimeSeries of a file each
records   what describes each session, exactly as it is stored, packed
indexes   where everything is in each remote file, packed as in the cache of indexes
places    which bytes of a part of ``indexes`` are the index of a file, so that one is read without the others
========= ========================================================================================

``source`` joins them: a digest of the URL, the version of the file, and the options of the catalog.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pyarrow as pa

MANIFEST = "nwb_dask_catalog.json"
"""Name of the file that says which parts count; what has it is a catalog."""
FORMAT = "nwb_dask catalog"
VERSION = 1

_TEXT, _COUNT, _NUMBER, _BYTES = pa.string(), pa.int64(), pa.float64(), pa.large_binary()
_NAME = pa.dictionary(pa.int32(), pa.string())
"""Text that repeats."""

SESSIONS = pa.schema(
    [
        ("source", _TEXT),
        ("_nwb_path", _TEXT),
        ("url", _TEXT),
        ("identity_kind", _NAME),
        ("identity_value", _TEXT),
        ("size_bytes", _COUNT),
        ("error", _TEXT),
        ("error_message", _TEXT),
        ("found_by", pa.list_(_TEXT)),
        ("links", pa.list_(_TEXT)),
    ]
)
"""First columns of ``sessions``; those of `nwb_dask.read_metadata` follow. ``found_by`` are folders, globs and prefixes
among the sources; null for a file that was named itself. ``links`` are the paths outside of tables at which a file
has a link, null where there is none: what is behind one is told by the file."""

TABLES = pa.schema(
    [
        ("source", _NAME),
        ("path", _NAME),
        ("neurodata_type", _NAME),
        ("kind", _NAME),
        ("n_rows", _COUNT),
        ("schema", _NAME),
        ("stored_bytes", _COUNT),
        ("chunk_rows", _COUNT),
        ("column_stored_bytes", pa.list_(_COUNT)),
        ("column_decoded_bytes", pa.list_(_COUNT)),
    ]
)
"""``chunk_rows``: of a stored chunk of the largest column in which rows lie one after another. Bytes of columns, in the
file and in memory, are in the order of the schema."""

_COLUMN = pa.struct(
    [
        ("name", _TEXT),
        ("type", _TEXT),
        ("nullable", pa.bool_()),
        ("heavy", pa.bool_()),
        ("is_void", pa.bool_()),
        ("problem", _TEXT),
        ("categories", pa.list_(_TEXT)),
    ]
)
SCHEMAS = pa.schema(
    [
        ("schema", _TEXT),
        ("n_columns", _COUNT),
        ("columns", pa.list_(_COLUMN)),
        ("names", pa.list_(_TEXT)),
        ("arrow", _BYTES),
    ]
)
"""``arrow`` is the schema as an Arrow IPC message, which says types exactly; ``names`` has all columns of the table."""

COLUMNS = pa.schema(
    [
        ("source", _NAME),
        ("path", _NAME),
        ("column", _NAME),
        ("row_start", _COUNT),
        ("row_stop", _COUNT),
        ("n_null", _COUNT),
        ("n_nan", _COUNT),
        ("min_int", _COUNT),
        ("max_int", _COUNT),
        ("min_float", _NUMBER),
        ("max_float", _NUMBER),
        ("min_text", _TEXT),
        ("max_text", _TEXT),
        ("values", pa.list_(_TEXT)),
    ]
)
"""Bounds are over values that are neither null nor NaN, and exact; ``values`` are all distinct ones, where few."""

SERIES = pa.schema(
    [
        ("source", _NAME),
        ("path", _NAME),
        ("neurodata_type", _NAME),
        ("core_type", _NAME),
        ("shape", pa.list_(_COUNT)),
        ("dtype", _NAME),
        ("rate", _NUMBER),
        ("start_time", _NUMBER),
        ("stop_time", _NUMBER),
        ("unit", _NAME),
        ("stored_bytes", _COUNT),
    ]
)
"""Times in seconds from the session's reference time, of the first and the last sample; rate in Hz."""

RECORDS = pa.schema([("source", _TEXT), ("record", _BYTES)])
INDEXES = pa.schema([("source", _TEXT), ("key", _TEXT), ("index", _BYTES)])
"""``key`` is the digest of what lasts of the URL (`storage.url_keys`), hexadecimal. ``index`` is stored as it is."""

PLACES = pa.schema([("key", _TEXT), ("part", _NAME), ("offset", _COUNT), ("n_bytes", _COUNT), ("blake2b", _TEXT)])
"""``offset`` is in the Parquet file ``part``: plain values lie there as they are (Parquet, *Encodings*, PLAIN)."""

LAYOUT: Mapping[str, pa.Schema] = MappingProxyType(
    {
        "sessions": SESSIONS,
        "tables": TABLES,
        "schemas": SCHEMAS,
        "columns": COLUMNS,
        "series": SERIES,
        "records": RECORDS,
        "indexes": INDEXES,
        "places": PLACES,
    }
)
"""Tables by name; each is a folder of Parquet files of the catalog."""
