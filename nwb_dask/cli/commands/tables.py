"""``nwb-dask tables``: tables and series, with rows and columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from nwb_dask.adapters.contents import list_contents
from nwb_dask.cli.arguments import OutputOptions, SourceOptions
from nwb_dask.cli.output import check_target, table_of, write_rows
from nwb_dask.model import Table

_COLUMNS = (
    ("path", pa.string()),
    ("kind", pa.string()),
    ("type", pa.string()),
    ("n_files", pa.int64()),
    ("n_rows", pa.int64()),
    ("n_columns", pa.int64()),
)
_SHOWN = {"dynamic": "table", "aligned": "table", "compound": "table", "series": "series", "record": "record"}


def answer(*, source: str | list[str], kind: str, reach: SourceOptions, output: OutputOptions) -> None:
    """List tables and series, with rows and columns."""
    check_target(output)
    contents = list_contents(source, storage_options=reach.storage_options, errors=reach.errors)
    holders: dict[str, list[Table]] = {}
    for _, found in contents:
        for path, table in found.items():
            holders.setdefault(path, []).append(table)
    rows = [(path, *_summary(holders[path])) for path in sorted(holders)]
    write_rows(table_of(_COLUMNS, [row for row in rows if kind in {"all", row[1]}]), output)


def _summary(tables: Sequence[Table]) -> tuple[object, ...]:
    columns: Mapping[str, None] = dict.fromkeys(name for table in tables for name in table.columns)
    kinds = dict.fromkeys(_SHOWN[table.kind] for table in tables)
    types = dict.fromkeys(table.neurodata_type for table in tables if table.neurodata_type)
    n_rows = sum(table.n_rows for table in tables)
    return (", ".join(kinds), ", ".join(types) or None, len(tables), n_rows, len(columns))
