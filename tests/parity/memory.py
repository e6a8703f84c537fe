"""Tables of several files in memory, as the oracle reads them, in the frames of each engine.

Nothing of nwb_dask is imported here. The rules by which files are joined are those of the documentation: a column that
a file lacks is null there, an integer and a float meet in float64, categories are joined in the order of the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa

from . import oracle
from .oracle import Table
from .values import CATEGORY, Nulls, Text, Values, elements, to_arrow, type_of

TEXT = pd.StringDtype("pyarrow")
NAMES = {
    pa.bool_(): "boolean",
    **{pa.from_numpy_dtype(np.dtype(name)): name.replace("int", "Int").replace("uI", "UI")
       for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
}  # fmt: skip
"""pandas' names of the dtypes that can be null."""


@dataclass(frozen=True, slots=True)
class Part:
    """One table of one file."""

    path: Path
    table: Table


def parts_of(paths: Iterable[Path], table: str) -> list[Part]:
    """Return the table of the files that have it, in their order."""
    return [Part(path, found) for path in paths for found in oracle.read_file(path) if found.path == table]


def to_pandas(parts: Sequence[Part], leave_out: Sequence[str] = ()) -> pd.DataFrame:
    """Return all rows as a pandas frame; what is nested is in columns of objects."""
    columns = {}
    for name in _names(parts, leave_out):
        found = [_column(part, name) for part in parts]
        columns[name] = _pandas(found, [part.table.n_rows for part in parts]).array
    rows = [number for part in parts for number in range(part.table.n_rows)]
    frame = pd.DataFrame(columns, index=pd.Index(rows, dtype="int64"))
    for name, texts in (("_nwb_path", "path"), ("_table_path", "table")):
        values = [str(part.path) if texts == "path" else part.table.path for part in parts]
        repeated = [value for value, part in zip(values, parts, strict=True) for _ in range(part.table.n_rows)]
        frame[name] = pd.array(repeated, dtype=TEXT)
    frame["_table_index"] = np.array(rows, dtype="int64")
    return frame


def to_polars(parts: Sequence[Part], leave_out: Sequence[str] = ()) -> pl.DataFrame:
    """Return all rows as a polars frame."""
    series = []
    for name in _names(parts, leave_out):
        found = [_column(part, name) for part in parts]
        kind = _common(found)
        chunks = [
            pa.nulls(part.table.n_rows, kind) if values is None else to_arrow(values).cast(kind)
            for part, values in zip(parts, found, strict=True)
        ]
        series.append(_polars(name, chunks, found))
    lengths = [part.table.n_rows for part in parts]
    series.append(_texts("_nwb_path", [str(part.path) for part in parts], lengths))
    series.append(_texts("_table_path", [part.table.path for part in parts], lengths))
    series.append(pl.Series("_table_index", [i for length in lengths for i in range(length)], dtype=pl.Int64))
    return pl.DataFrame(series)


def _names(parts: Sequence[Part], leave_out: Sequence[str]) -> list[str]:
    names = dict.fromkeys(column.name for part in parts for column in part.table.columns)
    return [name for name in names if name not in leave_out]


def _column(part: Part, name: str) -> Values | None:
    return next((column.values for column in part.table.columns if column.name == name), None)


def _common(found: Sequence[Values | None]) -> pa.DataType:
    kinds = [type_of(values) for values in found if values is not None]
    return kinds[0] if len(set(kinds)) == 1 else reduce(_joined, kinds)


def _joined(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if one == other:
        return one
    if CATEGORY in (one, other):
        return pa.string()
    if pa.types.is_list(one) or pa.types.is_fixed_size_list(one):
        return pa.list_(_joined(one.value_type, other.value_type))
    if pa.types.is_integer(one) == pa.types.is_integer(other):
        return pa.from_numpy_dtype(np.result_type(one.to_pandas_dtype(), other.to_pandas_dtype()))
    return pa.float64()


def _categories(found: Sequence[Values | None]) -> list[str]:
    return list(dict.fromkeys(name for one in found if isinstance(one, Text) for name in one.categories or ()))


def _pandas(found: Sequence[Values | None], lengths: Sequence[int]) -> pd.Series:
    kind, is_missing = _common(found), any(values is None or isinstance(values, Nulls) for values in found)
    rows: list[object] = []
    for values, length in zip(found, lengths, strict=True):
        rows += [None] * length if values is None else elements(values)
    if kind == CATEGORY:
        categories = pd.Index(_categories(found), dtype="str")
        return pd.Series(pd.Categorical(rows, dtype=pd.CategoricalDtype(categories)))
    if kind == pa.string():
        return pd.Series(objects(rows), dtype=TEXT)
    if pa.types.is_floating(kind) or (kind in NAMES and not is_missing):
        present = [v if isinstance(v, np.ndarray) else np.full(n, np.nan) for v, n in zip(found, lengths, strict=True)]
        arrays = [values.astype(kind.to_pandas_dtype()) for values in present]
        return pd.Series(np.concatenate(arrays))
    if kind in NAMES:
        return pd.Series(objects(rows)).astype(pd.api.types.pandas_dtype(NAMES[kind]))
    return pd.Series(objects(rows))


def objects(rows: Sequence[object]) -> npt.NDArray[np.object_]:
    """Return the rows as an array of objects, whose arrays of one value stay arrays."""
    found = np.empty(len(rows), dtype=object)
    for number, row in enumerate(rows):
        found[number] = row
    return found


def _polars(name: str, chunks: Sequence[pa.Array], found: Sequence[Values | None]) -> pl.Series:
    if chunks and chunks[0].type == CATEGORY:
        texts = [value for chunk in chunks for value in chunk.cast(pa.string()).to_pylist()]
        return pl.Series(name, texts, dtype=pl.Enum(_categories(found)))
    if pa.types.is_fixed_size_list(chunks[0].type) and chunks[0].type.list_size == 0:
        # polars 2.1.0 panics in from_arrow for lists of no elements.
        dtype = pl.Array(pl.from_arrow(pa.nulls(0, chunks[0].type.value_type)).dtype, 0)  # type: ignore[union-attr]  # a series
        return pl.Series(name, [value for chunk in chunks for value in chunk.to_pylist()], dtype=dtype)
    return pl.Series(name, pl.from_arrow(pa.chunked_array(chunks)))


def _texts(name: str, texts: Sequence[str], lengths: Sequence[int]) -> pl.Series:
    repeated = [text for text, length in zip(texts, lengths, strict=True) for _ in range(length)]
    return pl.Series(name, repeated, dtype=pl.String)
