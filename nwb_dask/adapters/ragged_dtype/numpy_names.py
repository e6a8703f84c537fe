"""What a nested dtype is called where readers without this package look: ``object,float64``.

Arrow writes ``str(dtype)`` into the pandas metadata of Parquet, Feather and shuffled tables, and every reader passes
it to ``pandas.api.types.pandas_dtype``, which raises for a name it does not know. So ``str`` gives a name that

* numpy parses, as a structure of an object and the values in it: pandas has no columns of structures, ignores the
  name, and the rows become objects;
* no other dtype has: where this package is imported, `StoredDtype` recognises it and the Arrow values say the rest.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import pyarrow as pa

from nwb_dask.adapters.ragged_dtype.type_names import is_binary, is_list

_NAME = re.compile(r"object(,[a-z]+\d*(\[[a-z]+\])?)+")


@lru_cache(maxsize=1024)
def numpy_name(type_: pa.DataType) -> str:
    """Return ``object`` and the numpy dtypes of the innermost values of a canonical type."""
    return ",".join(["object", *_value_names(type_)])


def is_numpy_name(name: object) -> bool:
    """Whether `name` may come from `numpy_name`."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _value_names(type_: pa.DataType) -> list[str]:
    if is_list(type_) or pa.types.is_dictionary(type_):
        return _value_names(type_.value_type)
    if pa.types.is_struct(type_):
        return [name for field in type_ for name in _value_names(field.type)] or ["void"]
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return ["str"]
    if is_binary(type_):
        return ["bytes"]
    if pa.types.is_timestamp(type_):
        return [f"datetime64[{type_.unit}]"]
    return [np.dtype(type_.to_pandas_dtype()).name]
