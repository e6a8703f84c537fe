"""``nwb-dask metadata``: what describes each session."""

from __future__ import annotations

import nwb_dask
from nwb_dask.cli.arguments import (
    OutputOptions,
    SourceOptions,
)
from nwb_dask.cli.output import check_target, write_rows
from nwb_dask.cli.reporting import reporter
from nwb_dask.errors import PathNotFoundError


def answer(
    *, source: str | list[str], columns: list[str] | None, raw_dates: bool, reach: SourceOptions, output: OutputOptions
) -> None:
    """Show the metadata of sessions, one row per file."""
    check_target(output)
    rows = nwb_dask.read_metadata(
        source,
        engine="arrow",
        storage_options=reach.storage_options,
        errors=reach.errors,
        parse_dates=not raw_dates,
    )
    if columns is not None:
        for name in columns:
            if name not in rows.column_names:
                message = f"no field {name!r}; there are {', '.join(rows.column_names)}"
                raise PathNotFoundError(message)
        rows = rows.select(columns)
    elif output.format == "table":
        held = [name for name in rows.column_names if rows[name].null_count < rows.num_rows]
        if len(held) < rows.num_columns:
            reporter().note(f"{rows.num_columns - len(held)} fields that no file has are not shown")
        rows = rows.select(held)
    write_rows(rows, output)
