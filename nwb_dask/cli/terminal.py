"""Rows as a table for people."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nwb_dask.cli.safe_text import escape

_SHOWN_ITEMS = 4
"""A longer list is shown by its first two elements and its length."""
_N_FIRST = 2
_READABLE_WIDTH = 14
"""A column is never made narrower than that, or than what it holds; then rows are shown as blocks."""
_RECORD_COLUMNS = 6
"""A single row of more columns is shown as a block too."""
_GAP = 2
_UNBOUNDED = 1_000_000


def render(rows: pa.Table, *, width: int | None, color: bool = False) -> str:
    """Return rows as a table, or as one block per row if the columns do not fit side by side or the row is alone.

    Parameters
    ----------
    rows : pyarrow.Table
        What to show. Values are shown whole, but for lists, which say how long they are.
    width : int or None
        Characters of a line; None for lines as long as the rows are.
    color : bool
        Whether headings are set off by escape sequences.
    """
    cells = [[cell_text(value) for value in rows.column(i)] for i in range(rows.num_columns)]
    names = [escape(name) for name in rows.column_names]
    widths = [max(map(len, (name, *column))) for name, column in zip(names, cells, strict=True)]
    least = sum(min(one, _READABLE_WIDTH) + _GAP for one in widths)
    is_wide = width is not None and least > width
    is_record = rows.num_rows == 1 and rows.num_columns > _RECORD_COLUMNS
    table = _blocks(names, cells) if is_wide or is_record else _grid(names, cells, rows.schema)
    target = io.StringIO()
    console = Console(
        file=target,
        width=width or _UNBOUNDED,
        force_terminal=color,
        no_color=not color,
        color_system="standard" if color else None,
        highlight=False,
        emoji=False,
        markup=False,
        legacy_windows=False,
    )
    console.print(table)
    return "\n".join(line.rstrip() for line in target.getvalue().splitlines()) + "\n"


def cell_text(value: pa.Scalar) -> str:
    """Return one value on one line: ``[0.1, 0.2, … 1034]`` for a list of 1034 elements."""
    kind = value.type
    if not value.is_valid:
        return "null"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _list_text(value.values)
    if pa.types.is_struct(kind):
        return "{" + ", ".join(f"{escape(name)}: {cell_text(value[name])}" for name in value) + "}"
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        # The fewest digits that tell the value among those of its width.
        return str(np.float32(value.as_py()))
    plain = value.as_py()
    if isinstance(plain, float):
        return repr(plain) if math.isfinite(plain) else {math.inf: "inf", -math.inf: "-inf"}.get(plain, "NaN")
    return escape(plain.isoformat() if hasattr(plain, "isoformat") else str(plain))


def _list_text(values: pa.Array) -> str:
    count = len(values)
    if count <= _SHOWN_ITEMS:
        return "[" + ", ".join(map(cell_text, values)) + "]"
    first = ", ".join(map(cell_text, values[:_N_FIRST]))
    return f"[{first}, … {count}]"


def _grid(names: Sequence[str], cells: Sequence[Sequence[str]], schema: pa.Schema) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP, 0, 0))
    for name, kind in zip(names, schema.types, strict=True):
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        table.add_column(Text(name), justify="right" if is_number else "left", overflow="fold")
    for row in zip(*cells, strict=True):
        table.add_row(*map(Text, row))
    return table


def _blocks(names: Sequence[str], cells: Sequence[Sequence[str]]) -> Table:
    """Return a table with a line for each value, and a blank line between rows."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, _GAP, 0, 0))
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for number, row in enumerate(zip(*cells, strict=True)):
        if number:
            table.add_row(Text(""), Text(""))
        for name, cell in zip(names, row, strict=True):
            table.add_row(Text(name, style="bold"), Text(cell))
    return table
