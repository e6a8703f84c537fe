"""A pandas dtype over nested Arrow storage, for columns that numpy has no dtype for.

Shared by the adapters whose frames are pandas frames. Importing it registers the dtype ``nwb[...]``, the
name it has in files, and the Series accessor ``.nwb``.
"""

from __future__ import annotations

from nwb_dask.adapters.ragged_dtype.accessor import NWBSeries
from nwb_dask.adapters.ragged_dtype.array import NWBArray, NWBDtype
from nwb_dask.adapters.ragged_dtype.flat import TEXT_DTYPE, PandasArray, PandasDtype, flat_array, flat_dtype
from nwb_dask.adapters.ragged_dtype.stored import StoredDtype

__all__ = [
    "TEXT_DTYPE",
    "NWBArray",
    "NWBDtype",
    "NWBSeries",
    "PandasArray",
    "PandasDtype",
    "StoredDtype",
    "flat_array",
    "flat_dtype",
]
