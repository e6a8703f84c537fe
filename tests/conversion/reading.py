"""Reads outputs back with other libraries, none of which is nwb_dask, as the values that JSON has."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import deltalake
import numpy as np
import openpyxl
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tests.parity.values import Text, Values, element, elements

Columns = Mapping[str, list[Any]]
"""Values of each column, row by row; of CSV and Excel text, which `matches` parses."""

csv.field_size_limit(1 << 30)


def plain(value: Any) -> Any:
    """Return a value in the types of JSON, whichever library it is of."""
    if value is None or value is pd.NA:
        return None
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, np.void):
        return {name: plain(value[name]) for name in value.dtype.names or ()}
    if isinstance(value, np.ndarray | pl.Series):
        return [plain(item) for item in value]
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def text(value: Any) -> str:
    """Return a value as text that tells -0.0 and NaN from others."""
    return json.dumps(plain(value), sort_keys=True)


def expected(values: Values) -> list[Any]:
    """Return what the oracle has, as `plain` values."""
    if isinstance(values, Text) and values.strings.ndim > 1:
        return [plain(element(values, row)) for row in range(len(values.strings))]
    return [plain(one) for one in elements(values)]


def parquet(out: Path, name: str) -> Columns:
    found: Columns = pq.read_table(out / name).to_pydict()
    return found


def parquet_by_polars(out: Path, name: str) -> Columns:
    frame = pl.read_parquet(out / name)
    return {column: frame[column].to_list() for column in frame.columns}


def parquet_by_pandas(out: Path, name: str) -> Columns:
    frame = pd.read_parquet(out / name)
    return {str(column): [None if one is None else one for one in frame[column]] for column in frame.columns}


def ipc(out: Path, name: str) -> Columns:
    (path,) = (out / name).glob("*/part-0.arrow")
    with pa.memory_map(str(path)) as file:
        found: Columns = pa.ipc.open_file(file).read_all().to_pydict()
    return found


def jsonl(out: Path, name: str) -> Columns:
    (path,) = (out / name).glob("*/part-0.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {column: [row[column] for row in rows] for column in (rows[0] if rows else ())}


def csv_text(out: Path, name: str) -> Columns:
    (path,) = (out / name).glob("*/part-0.csv")
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return {column: [row[place] for row in rows] for place, column in enumerate(header)}


def delta(out: Path, name: str) -> Columns:
    table = deltalake.DeltaTable(out / name)
    found: Columns = pa.table(table.to_pyarrow_table()).to_pydict()
    return found


def excel(out: Path, name: str) -> Columns:
    book = openpyxl.load_workbook(out / "tables.xlsx", read_only=True)
    header, *rows = list(book[name].iter_rows(values_only=True))
    book.close()
    return {str(column): [row[place] for row in rows] for place, column in enumerate(header)}


def matches(found: Any, wanted: Any, dtype: np.dtype[Any] | None) -> bool:
    """Tell whether text of CSV, or a cell of Excel, is the value; `dtype` is that of a column of numbers."""
    if wanted is None or wanted == "":
        return found in (None, "")
    if isinstance(wanted, list | dict):
        return text(json.loads(found)) == text(wanted)
    if isinstance(wanted, bool):
        return bool(str(found).lower() == str(wanted).lower())
    if isinstance(wanted, str):
        # ECMA-376 22.9.2.19: characters that XML lacks; openpyxl leaves them as they are.
        return re.sub("_x([0-9A-F]{4})_", lambda code: chr(int(code[1], 16)), found) == wanted
    if isinstance(wanted, int):
        return int(found) == wanted
    if math.isnan(wanted):
        # Text has one NaN, without a sign.
        return math.isnan(float(found))
    return bool(np.asarray(float(found), dtype).tobytes() == np.asarray(wanted, dtype).tobytes())
