"""Pictures of spikes and series on matplotlib, which ``pip install nwb-dask[plot]`` brings.

========== ===================================================================
`raster`   spikes of many units, or of many trials, as ticks
`psth`     mean rates around events with their standard errors
`overview` hours of a series as an envelope, read once and in bounded memory
========== ===================================================================

Each draws on the axes that it is given, or on those of a new figure, and returns them. A window of a series needs none
of them: ``da.sel(time=slice(10, 20)).plot()`` of xarray is labelled with its units already.
"""

from __future__ import annotations

from nwb_dask.plot.rates import psth
from nwb_dask.plot.series import overview
from nwb_dask.plot.spikes import raster

__all__ = ["overview", "psth", "raster"]
