"""The NWB meaning of a file's index: which objects are tables, and what their columns are. Pure."""

from __future__ import annotations

from nwb_dask.model.arrow_types import arrow_type, is_heavy
from nwb_dask.model.columns import Column, lengths_column
from nwb_dask.model.field import NWB_PATH, PATH_COLUMNS, TABLE_INDEX, TABLE_PATH, Field, lengths_field, path_fields
from nwb_dask.model.kinds import TableKind, find_tables, table_kind
from nwb_dask.model.table import Table, build_table, category_paths
from nwb_dask.model.unify import parse_type, unify_fields

__all__ = [
    "NWB_PATH",
    "PATH_COLUMNS",
    "TABLE_INDEX",
    "TABLE_PATH",
    "Column",
    "Field",
    "Table",
    "TableKind",
    "arrow_type",
    "build_table",
    "category_paths",
    "find_tables",
    "is_heavy",
    "lengths_column",
    "lengths_field",
    "parse_type",
    "path_fields",
    "table_kind",
    "unify_fields",
]
