"""lazynwb's exceptions are those of nwb_dask under other names, so that ``except`` clauses catch what is raised."""

from __future__ import annotations

from nwb_dask.errors import PathNotFoundError, UnsupportedLayoutError

ColumnError = PathNotFoundError
"""No such column, or no such path: nwb_dask has one error for both, a `KeyError` as there."""
InternalPathError = PathNotFoundError
"""No such path, or no such column."""
UnsupportedHDF5LayoutError = UnsupportedLayoutError
"""Data that are not read; a `RuntimeError` as there, with ``url`` and ``path`` in place of its four fields."""

__all__ = ["ColumnError", "InternalPathError", "UnsupportedHDF5LayoutError"]
