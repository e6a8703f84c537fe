"""Tables of many NWB files as one Dask DataFrame that reads only what the question needs.

=====================  ===========================================================================
`read_nwb`             a table of many files as a Dask DataFrame (also ``nwb_dask.dataframe``, which
                       is ``dask.dataframe`` with `read_nwb`)
`read_table`           the same table at once, as a pandas or polars DataFrame or an Arrow table
`open_nwb`             look around in one file: tables, series, metadata; reads no data
`options`              choices for a block of code: engine, deadlines, cache
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
    from nwb_dask.adapters.browse import open_nwb as open_nwb
    from nwb_dask.adapters.eager import read_table as read_table
    from nwb_dask.dataframe import read_nwb as read_nwb
    from nwb_dask.errors import MalformedFileError as MalformedFileError
    from nwb_dask.errors import NWBDaskError as NWBDaskError
    from nwb_dask.errors import PathNotFoundError as PathNotFoundError
    from nwb_dask.errors import PredicateError as PredicateError
    from nwb_dask.errors import SchemaConflictError as SchemaConflictError
    from nwb_dask.errors import SkippedFilesWarning as SkippedFilesWarning
    from nwb_dask.errors import SourceAccessError as SourceAccessError
    from nwb_dask.errors import SourceChangedError as SourceChangedError
    from nwb_dask.errors import SourceNotFoundError as SourceNotFoundError
    from nwb_dask.errors import SourceUnavailableError as SourceUnavailableError
    from nwb_dask.errors import UnsupportedLayoutError as UnsupportedLayoutError
    from nwb_dask.storage import trace as trace

__version__ = "0.1.0.dev0"

_HOMES = {
    "read_nwb": "nwb_dask.dataframe",
    "read_table": "nwb_dask.adapters.eager",
    "open_nwb": "nwb_dask.adapters.browse",
    "trace": "nwb_dask.storage",
    "NWBDaskError": "nwb_dask.errors",
    "MalformedFileError": "nwb_dask.errors",
    "PathNotFoundError": "nwb_dask.errors",
    "PredicateError": "nwb_dask.errors",
    "SchemaConflictError": "nwb_dask.errors",
    "SkippedFilesWarning": "nwb_dask.errors",
    "SourceAccessError": "nwb_dask.errors",
    "SourceChangedError": "nwb_dask.errors",
    "SourceNotFoundError": "nwb_dask.errors",
    "SourceUnavailableError": "nwb_dask.errors",
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
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *_HOMES})
