"""polars frames from Arrow tables, and predicates as polars understands them."""

from __future__ import annotations

from nwb_dask.adapters.polars_frame.convert import polars_dtype, schema, to_polars
from nwb_dask.adapters.polars_frame.explain import noting_frame
from nwb_dask.adapters.polars_frame.predicate import mask, to_expr
from nwb_dask.adapters.polars_frame.scan import lazy_frame, scan_nwb

__all__ = ["lazy_frame", "mask", "noting_frame", "polars_dtype", "scan_nwb", "schema", "to_expr", "to_polars"]
