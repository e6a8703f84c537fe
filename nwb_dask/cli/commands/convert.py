"""``nwb-dask convert``: tables and series in formats that other tools read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import click
import pyarrow as pa

import nwb_dask
from nwb_dask.cli.arguments import OutputOptions, SourceOptions
from nwb_dask.cli.failures import ExitCode
from nwb_dask.cli.output import table_of, write_rows
from nwb_dask.cli.reporting import reporter
from nwb_dask.conversion import Conversion
from nwb_dask.conversion.planning import LAID_OUT, Format, Layout

Report = Literal["table", "json", "jsonl", "csv"]

_COLUMNS = (
    ("path", pa.string()),
    ("tables", pa.list_(pa.string())),
    ("session", pa.string()),
    ("rows", pa.int64()),
    ("bytes", pa.int64()),
    ("sha256", pa.string()),
)


def answer(
    *,
    source: str | list[str],
    out: Path,
    format_: Format,
    tables: tuple[str, ...],
    exclude: tuple[str, ...],
    layout: Layout | None,
    types: dict[str, str],
    overwrite: bool,
    resume: bool,
    report: Report | None,
    reach: SourceOptions,
) -> int:
    """Write tables and series in formats that other tools read."""
    if layout is not None and format_ not in LAID_OUT:
        raise click.UsageError(f"--layout is for {', '.join(sorted(LAID_OUT))}, not for {format_}")
    told = reporter()
    done = nwb_dask.convert(
        source,
        out,
        format=format_,
        tables=tables or None,
        exclude=exclude,
        layout=layout,
        storage_options=reach.storage_options,
        schema_overrides=types,
        errors=reach.errors,
        overwrite=overwrite,
        resume=resume,
        progress=sys.stderr.isatty() and not told.is_json,
    )
    told.note(repr(done))
    if report is not None:
        rows = [[getattr(one, name) for name, _ in _COLUMNS] for one in done.files]
        write_rows(table_of(_COLUMNS, rows), OutputOptions(report))
    return ExitCode.PARTIAL if _is_partial(done) else ExitCode.OK


def _is_partial(done: Conversion) -> bool:
    """Tell whether something is left out because it cannot be read; what the format has no place for names no file."""
    return bool(done.skipped) or any(one.source for one in done.left_out)
