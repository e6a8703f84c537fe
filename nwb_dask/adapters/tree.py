"""Draws the contents of a file as a tree, for terminals and for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TypeAlias

from nwb_dask.model import Table

_SHOWN_COLUMNS = 8

_Tree: TypeAlias = dict[str, tuple[str, "_Tree"]]
"""Name -> text and what is below."""


def describe_row(table: Table) -> str:
    """Return one line on a table: its type, size and columns."""
    names = list(table.columns)
    shown = ", ".join(names[:_SHOWN_COLUMNS]) + (f", ... {len(names)} columns" if len(names) > _SHOWN_COLUMNS else "")
    broken = [name for name, column in table.columns.items() if column.problem]
    problem = f"; unreadable: {', '.join(broken)}" if broken else ""
    if table.kind == "record":
        return f"one row: {shown}{problem}" if names else "one row without columns"
    kind = table.neurodata_type or {"series": "TimeSeries"}.get(table.kind, "table")
    if table.kind == "series":
        return f"{kind}, {table.n_rows:,} samples{_series_detail(table)}{problem}"
    return f"{kind}, {table.n_rows:,} rows: {shown}{problem}"


def render_text(title: str, rows: Mapping[str, str]) -> str:
    """Return a tree of the paths in `rows`, with the text of each, under `title`."""
    lines = [title]
    _draw(_nested(rows), "", lines)
    return "\n".join(lines)


def render_html(title: str, rows: Mapping[str, str]) -> str:
    """Return the same tree as nested HTML lists that fold; all text is escaped."""
    return f"<div><b>{escape(title)}</b>{_list(_nested(rows))}</div>"


def _nested(rows: Mapping[str, str]) -> _Tree:
    tree: _Tree = {}
    for path, text in rows.items():
        level = tree
        parts = path.strip("/").split("/") if path != "/" else ["/"]
        for part in parts[:-1]:
            level = level.setdefault(part, ("", {}))[1]
        inner = level.get(parts[-1], ("", {}))[1]
        level[parts[-1]] = (text, inner)
    return tree


def _draw(tree: _Tree, prefix: str, lines: list[str]) -> None:
    for number, (name, (text, inner)) in enumerate(tree.items()):
        last = number == len(tree) - 1
        lines.append(f"{prefix}{'└── ' if last else '├── '}{name}{f'  {text}' if text else ''}")
        _draw(inner, prefix + ("    " if last else "│   "), lines)


def _list(tree: _Tree) -> str:
    items = []
    for name, (text, inner) in tree.items():
        label = f"<code>{escape(name)}</code> {escape(text)}"
        items.append(
            f"<li><details open><summary>{label}</summary>{_list(inner)}</details></li>"
            if inner
            else f"<li>{label}</li>"
        )
    return f"<ul>{''.join(items)}</ul>"


def _series_detail(table: Table) -> str:
    detail = ""
    data = table.columns.get("data")
    if data is not None and data.values is not None and data.values.shape:
        shape = " x ".join(str(size) for size in data.values.shape[1:])
        detail += f" of {shape}" if shape else ""
        detail += f" {data.values.element.dtype or data.values.element.kind}"
    timing = table.columns.get("timestamps")
    if timing is not None and timing.kind == "sampled":
        detail += f", {timing.rate:g} Hz"
    elif timing is not None:
        detail += ", with timestamps"
    return detail
