"""``nwb-dask ls``: the files that a source means."""

from __future__ import annotations

import pyarrow as pa

from nwb_dask.cli.arguments import OutputOptions, SourceOptions
from nwb_dask.cli.output import check_target, table_of, write_rows
from nwb_dask.cli.safe_text import escape
from nwb_dask.errors import NWBDaskError, SourceNotFoundError
from nwb_dask.index import Identity
from nwb_dask.read import warn_skipped
from nwb_dask.read.concurrently import each_of
from nwb_dask.storage import Access, Named, expand_sources, make_access, open_store

_COLUMNS = (("file", pa.string()), ("size_bytes", pa.int64()), ("version_kind", pa.string()), ("version", pa.string()))


def answer(*, source: str | list[str], is_long: bool, reach: SourceOptions, output: OutputOptions) -> None:
    """List the files that a source means."""
    check_target(output)
    access = make_access(reach.storage_options)
    named = expand_sources(source, access)
    rows: list[tuple[object, ...]] = []
    missing: list[tuple[str, str]] = []
    for one, found in zip(named, each_of(named, lambda one: _identity(one, access, is_long=is_long)), strict=True):
        if isinstance(found, SourceNotFoundError):
            if reach.errors == "raise":
                raise found
            missing.append((one.name, found.message))
        else:
            rows.append((one.name, *((found.size, found.kind, found.value) if found is not None else ())))
    if missing:
        warn_skipped(missing, len(named))
    # One name per line, for other commands to read.
    names = None if is_long else "".join(f"{escape(str(row[0]))}\n" for row in rows)
    write_rows(table_of(_COLUMNS if is_long else _COLUMNS[:1], rows), output, text=names)


def _identity(one: Named, access: Access, *, is_long: bool) -> Identity | SourceNotFoundError | None:
    """Return the version of a file, None where it is not asked for, or that it is not there."""
    if not is_long and not one.url.startswith("/"):
        return None
    try:
        with open_store(one.url, access) as store:
            return store.source.identity
    except SourceNotFoundError as error:
        return error.at(url=one.name)
    except NWBDaskError as error:
        raise error.at(url=one.name) from error.__cause__
