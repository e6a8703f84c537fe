"""What dask must know of our types: tokens, sizes and sample values."""

from __future__ import annotations

import sys

from dask.dataframe.extensions import make_array_nonempty
from dask.sizeof import sizeof
from dask.tokenize import normalize_token

from nwb_dask.adapters.ragged_dtype import NWBArray, NWBDtype
from nwb_dask.plan.scan import Scan


def _sample_rows(dtype: NWBDtype) -> NWBArray:
    return NWBArray.nonempty(dtype)


def _held_bytes(array: NWBArray) -> int:
    return int(array.nbytes) + sys.getsizeof(array.dtype)


def _token_of_scan(scan: Scan) -> tuple[str, str]:
    return "nwb_dask.Scan", scan.token


make_array_nonempty.register(NWBDtype, _sample_rows)
sizeof.register(NWBArray, _held_bytes)
normalize_token.register(Scan, _token_of_scan)
