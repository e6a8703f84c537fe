"""``series.nwb``: what can be asked of a ragged column without unpacking it row by row."""

from __future__ import annotations

from typing import Any

import pandas as pd

from nwb_dask.adapters.ragged_dtype.array import NWBArray
from nwb_dask.adapters.ragged_dtype.rows import list_lengths
from nwb_dask.adapters.ragged_dtype.type_names import is_list


@pd.api.extensions.register_series_accessor("nwb")
class NWBSeries:
    """Accessor of a Series whose dtype is `NWBDtype`.

    Parameters
    ----------
    series : pd.Series
        A column of lists.

    Raises
    ------
    AttributeError
        If the Series has another dtype or does not hold lists.
    """

    def __init__(self, series: pd.Series[Any]) -> None:
        values = series.array
        if not isinstance(values, NWBArray) or not is_list(values.dtype.arrow_type):
            raise AttributeError(f".nwb is for columns of lists, not of dtype {series.dtype}")
        self._series = series
        self._values = values

    def lengths(self) -> pd.Series[Any]:
        """Return the number of values of each row as Int64, null for a null row; the index is kept."""
        lengths = pd.arrays.IntegerArray(list_lengths(self._values.storage), self._values.isna())
        return pd.Series(lengths, index=self._series.index, name=self._series.name)

    def flatten(self) -> pd.Series[Any]:
        """Return the values of all rows, one per row, each under the index label of the row it comes from.

        Null and empty lists give nothing; `Series.explode` gives a null for them.
        """
        lengths = list_lengths(self._values.storage)
        return self._series[lengths > 0].explode()

    def __dir__(self) -> list[str]:
        return ["flatten", "lengths"]
