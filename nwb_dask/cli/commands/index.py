"""``nwb-dask index``: what is known of remote files, found out ahead of reading them."""

from __future__ import annotations

import sys

import pyarrow as pa
from rich.console import Console

from nwb_dask.backends import File
from nwb_dask.catalog import IndexCache, index_cache
from nwb_dask.cli.arguments import OutputOptions, SourceOptions
from nwb_dask.cli.failures import CommandError
from nwb_dask.cli.output import check_target, table_of, write_rows
from nwb_dask.cli.reporting import reporter
from nwb_dask.index import Url
from nwb_dask.read.describe import describe_contents, describe_table, list_objects
from nwb_dask.read.visit import visit_files
from nwb_dask.storage import Named, expand_sources, make_access

_COLUMNS = (("file", pa.string()), ("state", pa.string()), ("n_objects", pa.int64()), ("kept_bytes", pa.int64()))


def answer(*, source: str | list[str], reach: SourceOptions, output: OutputOptions) -> None:
    """Learn what remote files hold, ahead of reading them."""
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
