"""TimeSeries as lazy, labelled arrays of xarray.

============ ===============================================================================
opening      `open_timeseries`
sessions     `open_sessions`: one series of many files
engine       the engine ``"nwb"`` of ``xr.open_dataset`` and ``xr.open_datatree``
dataset      from a description to variables, coordinates and chunks
arrays       arrays that are known by their address
axes/        times that need not be in memory
time_index   the index over them
accessor     ``DataArray.nwb``
windows      samples around events
blocks       samples in blocks
moments      what users name as events and intervals
_xarray      names of xarray that are not public
============ ===============================================================================
"""

from __future__ import annotations

from nwb_dask.adapters.xarray_backend.accessor import SeriesAccessor
from nwb_dask.adapters.xarray_backend.engine import NwbBackend
from nwb_dask.adapters.xarray_backend.opening import open_timeseries
from nwb_dask.adapters.xarray_backend.sessions import open_sessions
from nwb_dask.adapters.xarray_backend.time_index import TimeIndex

__all__ = ["NwbBackend", "SeriesAccessor", "TimeIndex", "open_sessions", "open_timeseries"]
