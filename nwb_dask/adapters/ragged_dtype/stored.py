"""The dtype that a nested column has in the pandas metadata of an Arrow table or a Parquet file."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pandas.api.extensions import ExtensionDtype, register_extension_dtype

from nwb_dask.adapters.ragged_dtype.array import ArrayClass, NWBArray
from nwb_dask.adapters.ragged_dtype.numpy_names import is_numpy_name


@register_extension_dtype
class StoredDtype(ExtensionDtype):
    """Some `NWBDtype`: the one of the Arrow values that come with it. No array has this dtype."""

    name: str = "object,"  # type: ignore[misc]  # pandas-stubs says ClassVar; pandas' own dtypes annotate it
    type: type[Any] = object  # type: ignore[misc]  # as above

    @classmethod
    def construct_array_type(cls) -> ArrayClass:
        """Return the array class of the values."""
        return NWBArray

    @classmethod
    def construct_from_string(cls, string: object) -> StoredDtype:
        """Return the dtype if the string is one that ``str`` gives for an `NWBDtype`; TypeError otherwise."""
        if not is_numpy_name(string):
            raise TypeError(f"Cannot construct a 'StoredDtype' from {string!r}")
        return cls()

    def __from_arrow__(self, array: pa.Array | pa.ChunkedArray) -> NWBArray:
        """Return the Arrow values as an array of the dtype that their type asks for."""
        return NWBArray(array)
