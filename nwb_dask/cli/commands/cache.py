"""``nwb-dask cache``: what is kept of remote files."""

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
from nwb_dask.options import current_options
from nwb_dask.storage import ChunkCache, chunk_cache

_SUMMARY = (
    ("kept", pa.string()),
    ("folder", pa.string()),
    ("n_files", pa.int64()),
    ("size_bytes", pa.int64()),
    ("max_bytes", pa.int64()),
)
_ENTRIES = (
    ("kept", pa.string()),
    ("file", pa.string()),
    ("size_bytes", pa.int64()),
    ("used", pa.timestamp("s", "UTC")),
)


def show(*, is_index: bool | None, is_listing: bool, output: OutputOptions) -> None:
    """Show where the caches are and how large."""
    check_target(output)
    found = [(kind, cache, cache.entries()) for kind, cache in _caches(is_index)]
    if is_listing:
        used = ((kind, one.url, one.size_bytes, one.used) for kind, _, entries in found for one in entries)
        rows = sorted(used, key=lambda row: row[-1], reverse=True)
        write_rows(table_of(_ENTRIES, [(*row[:-1], datetime.fromtimestamp(int(row[-1]), UTC)) for row in rows]), output)
        return
    summary = [
        (kind, str(cache.folder), len(entries), sum(one.size_bytes for one in entries), cache.max_bytes)
        for kind, cache, entries in found
    ]
    write_rows(table_of(_SUMMARY, summary), output)


def clear(*, is_index: bool | None) -> None:
    """Forget everything that is kept of remote files."""
    for kind, cache in _caches(is_index):
        found = cache.entries()
        cache.clear()
        size = sum(one.size_bytes for one in found)
        reporter().note(f"forgot {kind} of {len(found)} files, {size:,} bytes, in {cache.folder}")


def print_path(*, is_index: bool) -> None:
    """Print the folder of a cache."""
    ((_, cache),) = _caches(is_index)
    click.echo(escape(str(cache.folder)))


def _caches(is_index: bool | None) -> list[tuple[str, IndexCache | ChunkCache]]:  # noqa: FBT001  # as click gives it
    """Return the caches that are meant: that of indexes, that of bytes, or both."""
    found: list[tuple[str, IndexCache | ChunkCache]] = []
    if is_index is not False:
        indexes = index_cache()
        if not isinstance(indexes, IndexCache):
            message = "the cache of indexes is switched off; NWB_DASK_CACHE=on switches it on, --chunks leaves it out"
            raise CommandError("cache_off", message)
        found.append(("indexes", indexes))
    if not is_index:
        # What was kept stays where it is when the cache is switched off.
        found.append(("chunks", chunk_cache(current_options())))
    return found
