"""pandas frames from Arrow tables."""

from __future__ import annotations

from nwb_dask.adapters.pandas_frame.convert import TEXT_DTYPE, empty_frame, pandas_dtype, to_pandas

__all__ = ["TEXT_DTYPE", "empty_frame", "pandas_dtype", "to_pandas"]
