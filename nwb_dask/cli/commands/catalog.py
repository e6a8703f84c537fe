"""``nwb-dask catalog``: what many files hold, written down once and shared."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click
import pyarrow as pa

import nwb_dask
from nwb_dask.cataloguing.catalog import Catalog, catalog_summary
from nwb_dask.cli.arguments import OutputOptions, SourceOptions
from nwb_dask.cli.failures import ExitCode
from nwb_dask.cli.output import check_target, table_of, write_rows
from nwb_dask.cli.reporting import reporter

_SHOWN = ("_nwb_path", "session_id", "subject_id", "subject_species", "session_start_time")


def build(
    *, source: object, out: str, anew: bool, statistics: bool, scheduler: str | None, reach: SourceOptions
) -> int:
    """Write what files hold as a catalog."""
    told = reporter()
    client: Any = None if scheduler is None else import_module("distributed").Client(scheduler)
    try:
        made = nwb_dask.build_catalog(
            source,
            out,
            client=client,
            update=not anew,
            statistics=statistics,
            storage_options=reach.storage_options,
            progress=sys.stderr.isatty() and not told.is_json,
        )
    finally:
        if client is not None:
            client.close()
    told.note(repr(made))
    failed = made.frame("failed", "arrow")
    for row in failed.to_pylist():
        told.warn(f"{row['_nwb_path']}: {row['error']}: {row['error_message']}", code="skipped")
    return ExitCode.PARTIAL if len(failed) else ExitCode.OK


def update(
    *,
    catalog: str,
    more: tuple[str, ...],
    anew: bool,
    statistics: bool,
    scheduler: str | None,
    reach: SourceOptions,
) -> int:
    """Look again at what a catalog was built from."""
    files = [*_open(catalog, reach).built_from, *more]
    return build(source=files, out=catalog, anew=anew, statistics=statistics, scheduler=scheduler, reach=reach)


def find(
    *,
    catalog: str,
    area: tuple[str, ...],
    has: tuple[str, ...],
    min_units: int | None,
    subject: tuple[str, ...],
    species: tuple[str, ...],
    where: tuple[str, ...],
    columns: tuple[str, ...],
    reach: SourceOptions,
    output: OutputOptions,
) -> None:
    """List the sessions of a catalog that have what is asked for."""
    check_target(output)
    asked: dict[str, list[str]] = {}
    for one in where:
        name, mark, value = one.partition("=")
        if not mark or not name:
            raise click.UsageError(f"--where {one!r}: NAME=VALUE is wanted")
        asked.setdefault(name, []).append(value)
    found = _open(catalog, reach).find(
        area=area or None,
        has=has or None,
        min_units=min_units,
        subject=subject or None,
        species=species or None,
        **asked,
    )
    rows = found.frame("sessions", "arrow")
    write_rows(rows.select(list(columns or _SHOWN)), output)


def info(*, catalog: str, is_listing: bool, reach: SourceOptions, output: OutputOptions) -> None:
    """Show how much a catalog holds."""
    check_target(output)
    opened = _open(catalog, reach)
    if is_listing:
        write_rows(opened.frame("failed", "arrow"), output)
        return
    summary = catalog_summary(opened)
    columns = [(name, pa.int64() if isinstance(value, int) else pa.string()) for name, value in summary.items()]
    write_rows(table_of(columns, [list(summary.values())]), output)


def _open(catalog: str, reach: SourceOptions) -> Catalog:
    return nwb_dask.open_catalog(catalog, storage_options=reach.storage_options)
