"""lazynwb 1.0's names on nwb_dask: ``import nwb_dask.compat.lazynwb as lazynwb`` runs a script written for it.

Names of arguments, their defaults and the types of results are lazynwb's; answers are those of nwb_dask, which the
README's table of migration compares. Modules have lazynwb's names too: ``lazynwb.tables.get_df``.

=============== =============================================================================
lazyframe       `scan_nwb`, `read_nwb`
tables          `get_df`, schemas of tables, `merge_array_column`, names of columns
intervals       `get_spike_times_in_intervals`, `insert_is_observed`
table_metadata  what is known of columns without reading them
base            `LazyNWB`, `get`, `get_metadata_df`
timeseries      `TimeSeries`, `get_timeseries`
file_io         `FileAccessor`, paths inside files
attrs           attributes of groups and datasets
conversion      `convert_nwb_tables`, `get_sql_context`
settings        `config`
exceptions      nwb_dask's errors under lazynwb's names
=============== =============================================================================
"""

from __future__ import annotations

from nwb_dask.compat.lazynwb import exceptions, tables
from nwb_dask.compat.lazynwb.attrs import clear_attrs_cache, consolidate_attrs, get_attrs, get_sub_attrs
from nwb_dask.compat.lazynwb.base import LazyNWB, NWBComponent, Subject, get, get_metadata_df, to_dict
from nwb_dask.compat.lazynwb.conversion import OutputFormat, convert_nwb_tables, get_sql_context
from nwb_dask.compat.lazynwb.dandi import DANDI_API_BASE, from_dandi_asset, get_dandi_sources
from nwb_dask.compat.lazynwb.environment import load_dotenv
from nwb_dask.compat.lazynwb.file_io import (
    FileAccessor,
    clear_cache,
    from_pathlike,
    get_internal_path_info,
    get_internal_paths,
    is_group,
)
from nwb_dask.compat.lazynwb.intervals import get_spike_times_in_intervals, insert_is_observed
from nwb_dask.compat.lazynwb.lazyframe import read_nwb, scan_nwb
from nwb_dask.compat.lazynwb.settings import Config, config
from nwb_dask.compat.lazynwb.table_metadata import (
    RawTableColumnMetadata,
    get_table_column_metadata,
    get_table_length_from_metadata,
)
from nwb_dask.compat.lazynwb.tables import (
    INTERNAL_COLUMN_NAMES,
    INTERVALS_TABLE_INDEX_COLUMN_NAME,
    NWB_PATH_COLUMN_NAME,
    TABLE_INDEX_COLUMN_NAME,
    TABLE_PATH_COLUMN_NAME,
    UNITS_TABLE_INDEX_COLUMN_NAME,
    FrameType,
    get_df,
    get_table_schema,
    get_table_schema_from_metadata,
    merge_array_column,
)
from nwb_dask.compat.lazynwb.timeseries import TimeSeries, get_timeseries
from nwb_dask.compat.lazynwb.utils import (
    TABLE_SHORTCUTS,
    get_processpool_executor,
    get_threadpool_executor,
    normalize_internal_file_path,
)

__version__ = "1.0.0"
"""Of lazynwb: the version whose names are offered."""

__all__ = [
    "DANDI_API_BASE",
    "INTERNAL_COLUMN_NAMES",
    "INTERVALS_TABLE_INDEX_COLUMN_NAME",
    "NWB_PATH_COLUMN_NAME",
    "TABLE_INDEX_COLUMN_NAME",
    "TABLE_PATH_COLUMN_NAME",
    "TABLE_SHORTCUTS",
    "UNITS_TABLE_INDEX_COLUMN_NAME",
    "Config",
    "FileAccessor",
    "FrameType",
    "LazyNWB",
    "NWBComponent",
    "OutputFormat",
    "RawTableColumnMetadata",
    "Subject",
    "TimeSeries",
    "__version__",
    "clear_attrs_cache",
    "clear_cache",
    "config",
    "consolidate_attrs",
    "convert_nwb_tables",
    "exceptions",
    "from_dandi_asset",
    "from_pathlike",
    "get",
    "get_attrs",
    "get_dandi_sources",
    "get_df",
    "get_internal_path_info",
    "get_internal_paths",
    "get_metadata_df",
    "get_processpool_executor",
    "get_spike_times_in_intervals",
    "get_sql_context",
    "get_sub_attrs",
    "get_table_column_metadata",
    "get_table_length_from_metadata",
    "get_table_schema",
    "get_table_schema_from_metadata",
    "get_threadpool_executor",
    "get_timeseries",
    "insert_is_observed",
    "is_group",
    "load_dotenv",
    "merge_array_column",
    "normalize_internal_file_path",
    "read_nwb",
    "scan_nwb",
    "tables",
    "to_dict",
]

# As lazynwb does, so that scripts find their credentials.
load_dotenv()
