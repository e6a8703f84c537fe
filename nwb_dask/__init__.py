"""Tables of many NWB files as one Dask DataFrame that reads only what the question needs.

Files are HDF5, Zarr v2 or v3, or LINDI, wherever they are; all functions work the same on each.

=====================  ===========================================================================
`read_nwb`             a table of many files as a Dask DataFrame (also ``nwb_dask.dataframe``, which
                       is ``dask.dataframe`` with `read_nwb`)
`read_table`           the same table at once, as a pandas or polars DataFrame or an Arrow table
`scan_nwb`             the same table as a polars LazyFrame, which reads when it is collected
`sql`                  a question in SQL over the tables of many files, as a polars LazyFrame
`sql_context`          the same for several questions: each table is described once
`sources`              the files of a folder, a bucket or a DANDI archive, found once and for ever
`read_metadata`        one row per session: its metadata and its subject's
`read_spike_times`     spike times of the units that pass a filter, in whole or in each of some intervals
`build_catalog`        what many files hold, as Parquet in a folder or a bucket: planned from without opening a file
`open_catalog`         such a catalog, to look into, choose from, and give wherever a source is
`list_paths`           tables and series of many files, each with the files that have it
`schema`               columns and Arrow types of a table of many files, without reading data
`open_timeseries`      a TimeSeries as a lazy, chunked, labelled xarray.DataArray; ``xr.open_dataset(source,
                       engine="nwb", group=path)`` and ``xr.open_datatree`` open them too
`open_sessions`        one series of many files as an xarray.DataTree
`open_h5`              one file as an ``h5py.File``, wherever it is and whatever container it is, for pynwb
`open_nwb`             look around in one file: ``session.units``, ``session.subject.age``; reads no data until asked
`convert`              every table of many files as Parquet, Arrow, CSV, JSON Lines, Delta or Excel; series as Zarr
`amend`                a file opened for additions, which go to a LINDI file beside references to it; for pynwb too
`write_references`     where the data of files are, as LINDI, kerchunk or icechunk, for the tools that open these
`map_sessions`         a function of one session, over many, here or on a cluster; what failed is listed, not lost
`read_report`          what such a run has done, failed to do, and left out
`analysis`             spikes in bins, around events and per condition, over many sessions
`plot`                 pictures of spikes and series on matplotlib
`options`              choices for a block of code: engine, deadlines, caches, what files may lead to
`trace`                count the requests and bytes that a block of code reads in this process
`NWBDaskError` ...     the tree of errors, drawn in `nwb_dask.errors`
=====================  ===========================================================================

Names are loaded when they are first used: ``import nwb_dask`` imports no dask, pandas, polars, xarray or h5py.
`DESIGN.md`, next to this file, says how it works.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

# Not when it is first used, as the others: the module of that name would stand in its place once it is loaded.
from nwb_dask.options import options as options

if TYPE_CHECKING:
    from nwb_dask import analysis as analysis
    from nwb_dask import plot as plot
    from nwb_dask.adapters.browse import open_nwb as open_nwb
    from nwb_dask.adapters.contents import list_paths as list_paths
    from nwb_dask.adapters.contents import schema as schema
    from nwb_dask.adapters.eager import read_table as read_table
    from nwb_dask.adapters.metadata import read_metadata as read_metadata
    from nwb_dask.adapters.polars_frame import scan_nwb as scan_nwb
    from nwb_dask.adapters.sources import sources as sources
    from nwb_dask.adapters.sql import sql as sql
    from nwb_dask.adapters.sql import sql_context as sql_context
    from nwb_dask.adapters.xarray_backend import open_sessions as open_sessions
    from nwb_dask.adapters.xarray_backend import open_timeseries as open_timeseries
    from nwb_dask.amending import amend as amend
    from nwb_dask.cataloguing.build import build_catalog as build_catalog
    from nwb_dask.cataloguing.catalog import open_catalog as open_catalog
    from nwb_dask.conversion import convert as convert
    from nwb_dask.dataframe import read_nwb as read_nwb
    from nwb_dask.errors import FormatError as FormatError
    from nwb_dask.errors import FunctionError as FunctionError
    from nwb_dask.errors import IrregularTimesError as IrregularTimesError
    from nwb_dask.errors import MalformedFileError as MalformedFileError
    from nwb_dask.errors import NWBDaskError as NWBDaskError
    from nwb_dask.errors import OutputError as OutputError
    from nwb_dask.errors import PathNotFoundError as PathNotFoundError
    from nwb_dask.errors import PredicateError as PredicateError
    from nwb_dask.errors import SchemaConflictError as SchemaConflictError
    from nwb_dask.errors import SkippedFilesWarning as SkippedFilesWarning
    from nwb_dask.errors import SourceAccessError as SourceAccessError
    from nwb_dask.errors import SourceChangedError as SourceChangedError
    from nwb_dask.errors import SourceNotFoundError as SourceNotFoundError
    from nwb_dask.errors import SourceUnavailableError as SourceUnavailableError
    from nwb_dask.errors import TooManyLabelsError as TooManyLabelsError
    from nwb_dask.errors import UnsortedTimesError as UnsortedTimesError
    from nwb_dask.errors import UnsupportedLayoutError as UnsupportedLayoutError
    from nwb_dask.h5 import open_h5 as open_h5
    from nwb_dask.references import write_references as write_references
    from nwb_dask.sessions import map_sessions as map_sessions
    from nwb_dask.sessions import read_report as read_report
    from nwb_dask.spike_times import read_spike_times as read_spike_times
    from nwb_dask.storage import trace as trace

__version__ = "0.1.0.dev0"

_HOMES = {
    "read_nwb": "nwb_dask.dataframe",
    "read_table": "nwb_dask.adapters.eager",
    "scan_nwb": "nwb_dask.adapters.polars_frame",
    "sql": "nwb_dask.adapters.sql",
    "sql_context": "nwb_dask.adapters.sql",
    "sources": "nwb_dask.adapters.sources",
    "read_metadata": "nwb_dask.adapters.metadata",
    "read_spike_times": "nwb_dask.spike_times",
    "build_catalog": "nwb_dask.cataloguing.build",
    "open_catalog": "nwb_dask.cataloguing.catalog",
    "list_paths": "nwb_dask.adapters.contents",
    "schema": "nwb_dask.adapters.contents",
    "open_h5": "nwb_dask.h5",
    "open_nwb": "nwb_dask.adapters.browse",
    "open_timeseries": "nwb_dask.adapters.xarray_backend",
    "open_sessions": "nwb_dask.adapters.xarray_backend",
    "convert": "nwb_dask.conversion",
    "amend": "nwb_dask.amending",
    "write_references": "nwb_dask.references",
    "map_sessions": "nwb_dask.sessions",
    "read_report": "nwb_dask.sessions",
    "analysis": "nwb_dask",
    "plot": "nwb_dask",
    "trace": "nwb_dask.storage",
    "NWBDaskError": "nwb_dask.errors",
    "FormatError": "nwb_dask.errors",
    "FunctionError": "nwb_dask.errors",
    "IrregularTimesError": "nwb_dask.errors",
    "MalformedFileError": "nwb_dask.errors",
    "OutputError": "nwb_dask.errors",
    "PathNotFoundError": "nwb_dask.errors",
    "PredicateError": "nwb_dask.errors",
    "SchemaConflictError": "nwb_dask.errors",
    "SkippedFilesWarning": "nwb_dask.errors",
    "SourceAccessError": "nwb_dask.errors",
    "SourceChangedError": "nwb_dask.errors",
    "SourceNotFoundError": "nwb_dask.errors",
    "SourceUnavailableError": "nwb_dask.errors",
    "TooManyLabelsError": "nwb_dask.errors",
    "UnsortedTimesError": "nwb_dask.errors",
    "UnsupportedLayoutError": "nwb_dask.errors",
}
"""Public name -> the module that has it."""

__all__ = [  # noqa: PLE0604  # the keys are text, which the rule does not see
    "__version__",
    "options",
    *_HOMES,
]


def __getattr__(name: str) -> object:
    """Load a public name from its home at its first use."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    home = _HOMES[name]
    value = import_module(f"{home}.{name}") if home == __name__ else getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *_HOMES})
