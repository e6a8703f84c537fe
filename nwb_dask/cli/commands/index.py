"""``nwb-dask index``: what is known of remote files, found out ahead of reading them, or written for other tools."""

from __future__ import annotations

import os
import sys
from typing import Literal

import click
import pyarrow as pa
from rich.console import Console

import nwb_dask
from nwb_dask.backends import File
from nwb_dask.catalog import IndexCache, index_cache
from nwb_dask.cli.arguments import OutputOptions, SourceOptions
from nwb_dask.cli.failures import CommandError, ExitCode
from nwb_dask.cli.output import check_target, table_of, write_rows
from nwb_dask.cli.reporting import reporter
from nwb_dask.index import Url
from nwb_dask.read.describe import describe_contents, describe_table, list_objects
from nwb_dask.read.visit import visit_files
from nwb_dask.references import MAX_CHUNKS, Format, ReferenceFile
from nwb_dask.storage import Named, expand_sources, make_access

Report = Literal["table", "json", "jsonl", "csv"]

_REFERENCE_COLUMNS = (
    ("file", pa.string()),
    ("references", pa.string()),
    ("url", pa.string()),
    ("arrays", pa.int64()),
    ("chunks", pa.int64()),
    ("inline", pa.int64()),
    ("bytes", pa.int64()),
    ("left_out", pa.list_(pa.string())),
)
_COLUMNS = (("file", pa.string()), ("state", pa.string()), ("n_objects", pa.int64()), ("kept_bytes", pa.int64()))


def answer(
    *,
    source: str | list[str],
    reach: SourceOptions,
    output: OutputOptions,
    other: Format | None,
    url: str | None,
    group: str | None,
    max_chunks: int | None,
    report: Report | None,
) -> int:
    """Learn what remote files hold, ahead of reading them."""
    if other is None:
        for name, value in (("--url", url), ("--group", group), ("--max-chunks", max_chunks), ("--report", report)):
            if value is not None:
                raise click.UsageError(f"{name} is for references; say --format, such as lindi")
        _index(source, reach, output)
        return ExitCode.OK
    if group is not None and other == "lindi":
        raise click.UsageError("--group is for kerchunk and icechunk: documents of LINDI are whole files")
    if other == "icechunk":
        # Else it writes to stdout, of every repository in a local folder; it asks when it is loaded.
        os.environ.setdefault("ICECHUNK_LOG", "error")
    assert output.path is not None  # noqa: S101  # asked for where the arguments are read
    done = nwb_dask.write_references(
        source,
        output.path,
        format=other,
        group=group,
        url=url,
        max_chunks=MAX_CHUNKS if max_chunks is None else max_chunks or None,
        storage_options=reach.storage_options,
        errors=reach.errors,
        overwrite=output.is_forced,
    )
    reporter().note(repr(done))
    if report is not None:
        rows = [
            (one.source, str(one.path), one.url, one.n_arrays, one.n_chunks, one.n_inline, one.bytes, _left_out(one))
            for one in done.files
        ]
        write_rows(table_of(_REFERENCE_COLUMNS, rows), OutputOptions(report))
    is_partial = done.skipped or any(left.is_unread for one in done.files for left in one.left_out)
    return ExitCode.PARTIAL if is_partial else ExitCode.OK


def _left_out(one: ReferenceFile) -> list[str]:
    return [f"{left.path}: {left.reason}" for left in one.left_out]


def _index(source: str | list[str], reach: SourceOptions, output: OutputOptions) -> None:
    check_target(output)
    cache = index_cache()
    if not isinstance(cache, IndexCache):
        raise CommandError(
            "cache_off", "nothing can be kept: the cache is switched off; NWB_DASK_CACHE=on switches it on"
        )
    access = make_access(reach.storage_options)
    named = expand_sources(source, access)
    before = {one.url: cache.kept_bytes(one.url) for one in named}
    console = Console(stderr=True)
    quiet = reporter().is_json or not sys.stderr.isatty()
    with console.status(f"{len(named)} files") if not quiet else console:
        found, _ = visit_files(named, access, _learn, skip_corrupt=reach.errors == "skip")
    rows = [(one.name, *_state(one.url, before[one.url], cache.kept_bytes(one.url), count)) for one, count in found]
    write_rows(table_of(_COLUMNS, rows), output)


def _learn(_: Named, file: File) -> int:
    """Return the number of tables and series of a file, all of which have been described."""
    contents = describe_contents(list_objects(file))
    for path, table in contents.items():
        if table.kind != "series":
            describe_table(file, path, prepare=True)
    return len(contents)


def _state(url: Url, before: int, after: int, count: int) -> tuple[str, int, int]:
    if url.startswith("/"):
        return "local", count, 0
    state = "unkept" if not after else "built" if not before else "known" if after == before else "extended"
    return state, count, after
