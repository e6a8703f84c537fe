"""polars frames from Arrow tables, and predicates as polars understands them."""

from __future__ import annotations

from nwb_dask.adapters.polars_frame.convert import polars_dtype, schema, to_polars
from nwb_dask.adapters.polars_frame.predicate import mask, to_expr
from nwb_dask.adapters.polars_frame.scan import scan_nwb

__all__ = ["mask", "polars_dtype", "scan_nwb", "schema", "to_expr", "to_polars"]
