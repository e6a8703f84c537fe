"""CSV in UTF-8: lists and structs are JSON text, an empty field is null and ``""`` is empty text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa

from nwb_dask.conversion.plain import flat_table

SUFFIX = ".csv"
WRITER = f"polars {pl.__version__}"


def arrange(path: str, table: pa.Table) -> pa.Table:
    """Return the table with numbers and text only."""
    return flat_table(path, table, "CSV")


def write(path: Path, schema: pa.Schema, batches: Iterator[pa.Table]) -> None:
    """Write a file with the names of the columns in the first line."""
    with path.open("xb") as file:
        _frame(schema.empty_table()).write_csv(file)
        for batch in batches:
            _frame(batch).write_csv(file, include_header=False)


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101  # a table is a frame
    return frame
