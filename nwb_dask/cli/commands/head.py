"""``nwb-dask head``: the first rows of a table."""

from __future__ import annotations

import pyarrow as pa

from nwb_dask.adapters.arrow_predicate import mask
from nwb_dask.cli.arguments import (
    OutputOptions,
    SourceOptions,
    types_of_table,
)
from nwb_dask.cli.output import check_target, write_rows
from nwb_dask.model import PATH_COLUMNS
from nwb_dask.plan import Scan
from nwb_dask.read import read_batches, scan_sources

_ROWS_AT_ONCE = 1000


def answer(
    *,
    source: str | list[str],
    table: str,
    n_rows: int,
    columns: list[str] | None,
    where: str | None,
    paths: bool,
    types: dict[str, str],
    reach: SourceOptions,
    output: OutputOptions,
) -> None:
    """Show the first rows of a table."""
    check_target(output)
    # A filter may name any column, and its names are known when the fields are.
    scan = scan_sources(
        source,
        table,
        columns=columns if where is None else None,
        storage_options=reach.storage_options,
        schema_overrides=types_of_table(types, table),
        errors=reach.errors,
        include_path_columns=paths,
    )
    write_rows(_first(scan, n_rows, columns, where, paths=paths), output)


def _first(scan: Scan, n_rows: int, columns: list[str] | None, where: str | None, *, paths: bool) -> pa.Table:
    own = [field.name for field in scan.fields if field.name not in PATH_COLUMNS and not field.problem]
    names = dict.fromkeys([*(columns or own), *(PATH_COLUMNS if paths else ())])
    fields = tuple(scan.field(name) for name in names)
    predicate = scan.predicate(where)
    found = [pa.schema([(field.name, field.type) for field in fields]).empty_table()]
    n_found = 0
    batches = read_batches(
        scan,
        fields,
        predicate,
        mask,
        n_rows=n_rows if predicate is None else None,
        batch_rows=max(n_rows, _ROWS_AT_ONCE),
    )
    for batch in batches if n_rows else ():
        found.append(batch.slice(0, n_rows - n_found))
        n_found += found[-1].num_rows
        if n_found == n_rows:
            break
    return pa.concat_tables(found)
