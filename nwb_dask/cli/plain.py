"""Values of Arrow tables as JSON has them.

==================== =================================================
value                JSON
==================== =================================================
null                 ``null``
NaN, infinities      ``"NaN"``, ``"Infinity"``, ``"-Infinity"``
integers             numbers, whatever their size
text, categories     strings
bytes                base64 in a string
moments              ISO 8601 in a string: ``"2023-01-02T03:04:05+00:00"``
lists, tensors       arrays, nested
compounds, complex   objects: ``{"real": 1.0, "imag": 0.5}``
==================== =================================================
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from datetime import date, time, timedelta
from decimal import Decimal

import pyarrow as pa

from nwb_dask.cli.safe_text import escape_json

_BATCH_ROWS = 1024


def json_rows(rows: pa.Table) -> Iterator[str]:
    """Yield each row as a JSON object on one line."""
    for batch in rows.to_batches(max_chunksize=_BATCH_ROWS):
        for row in batch.to_pylist():
            # Some readers of lines take U+0085 and U+2028 for the end of one.
            yield escape_json(to_json(row))


def json_cells(column: pa.ChunkedArray) -> pa.Array:
    """Return values as text: JSON for what a cell of CSV cannot hold; nulls stay."""
    return pa.array([None if value is None else to_json(value) for value in column.to_pylist()], pa.string())


def to_json(value: object) -> str:
    """Return a value of Arrow, as ``to_pylist`` gives it, as JSON."""
    try:
        return _dumps(value)
    except ValueError:
        # Only where a number has no JSON is every number looked at.
        return _dumps(_finite(value))


def _dumps(value: object) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__} has no JSON")


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return value
