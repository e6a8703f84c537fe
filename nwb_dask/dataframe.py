"""Everything of `dask.dataframe`, and `read_nwb`.

``import nwb_dask.dataframe as dd`` is used as ``import dask.dataframe as dd`` is. Importing this module also adds
`read_nwb` to `dask.dataframe` itself.
"""

from __future__ import annotations

from typing import Any

import dask.dataframe as dd
from dask.dataframe import *  # noqa: F403  # this is what the module is for

from nwb_dask.adapters.dask_frame import read_nwb

dd.read_nwb = read_nwb  # type: ignore[attr-defined]  # dask.dataframe gains it here

__all__ = [*(name for name in dd.__all__ if name != "read_nwb"), "read_nwb"]  # noqa: PLE0604  # all text


def __getattr__(name: str) -> Any:  # noqa: ANN401  # whatever dask.dataframe has
    try:
        return getattr(dd, name)
    except AttributeError:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg) from None


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(dd)})
