"""JSON Lines: one object per row, with all columns; NaN and infinities are the words of Python's `json`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from nwb_dask.conversion.plain import no_place, to_json

SUFFIX = ".jsonl"
WRITER = "json"


def arrange(path: str, table: pa.Table) -> pa.Table:
    """Return one column of text: the line of each row."""
    columns = []
    for field in table.schema:
        values = table.column(field.name).to_pylist()
        try:
            columns.append([f"{json.dumps(field.name, ensure_ascii=False)}:{to_json(item)}" for item in values])
        except (TypeError, ValueError) as error:
            raise no_place(path, field, "JSON", str(error)) from error
    lines = ["{" + ",".join(row) + "}" for row in zip(*columns, strict=True)]
    return pa.table({"line": pa.array(lines if columns else ["{}"] * table.num_rows, pa.large_string())})


def write(path: Path, schema: pa.Schema, batches: Iterator[pa.Table]) -> None:  # noqa: ARG001  # all formats have the same signature
    """Write a file."""
    with path.open("x", encoding="utf-8", newline="\n") as file:
        for batch in batches:
            file.writelines(f"{line}\n" for line in batch.column("line").to_pylist())
