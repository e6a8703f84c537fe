"""``nwb-dask cache``: what is known of remote files."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import pyarrow as pa

from nwb_dask.catalog import IndexCache, index_cache
from nwb_dask.cli.arguments import OutputOptions
from nwb_dask.cli.failures import CommandError
from nwb_dask.cli.output import check_target, table_of, write_rows
from nwb_dask.cli.reporting import reporter
from nwb_dask.cli.safe_text import escape

_SUMMARY = (("folder", pa.string()), ("n_files", pa.int64()), ("size_bytes", pa.int64()), ("max_bytes", pa.int64()))
_ENTRIES = (("file", pa.string()), ("size_bytes", pa.int64()), ("used", pa.timestamp("s", "UTC")))


def show(*, is_listing: bool, output: OutputOptions) -> None:
    """Show where the cache is and how large."""
    check_target(output)
    cache = _cache()
    found = cache.entries()
    if is_listing:
        rows = [(one.url, one.size_bytes, datetime.fromtimestamp(int(one.used), UTC)) for one in found]
        write_rows(table_of(_ENTRIES, rows), output)
        return
    total = sum(one.size_bytes for one in found)
    write_rows(table_of(_SUMMARY, [(str(cache.folder), len(found), total, cache.max_bytes)]), output)


def clear() -> None:
    """Forget everything that is known of remote files."""
    cache = _cache()
    found = cache.entries()
    cache.clear()
    reporter().note(f"forgot {len(found)} files, {sum(one.size_bytes for one in found):,} bytes, in {cache.folder}")


def print_path() -> None:
    """Print the folder of the cache."""
    click.echo(escape(str(_cache().folder)))


def _cache() -> IndexCache:
    cache = index_cache()
    if isinstance(cache, IndexCache):
        return cache
    raise CommandError("cache_off", "the cache is switched off; NWB_DASK_CACHE=on switches it on")
