"""``nwb-dask doctor``: whether the installation, the options, the cache and a source are as they should be."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, TypeAlias

import pyarrow as pa

import nwb_dask
from nwb_dask.backends import filter_libraries
from nwb_dask.catalog import IndexCache, index_cache
from nwb_dask.cli.arguments import OutputOptions, SourceOptions
from nwb_dask.cli.cluster import cluster_checks
from nwb_dask.cli.failures import ExitCode
from nwb_dask.cli.output import check_target, table_of, write_rows
from nwb_dask.errors import NWBDaskError
from nwb_dask.options import current_options
from nwb_dask.read.describe import list_tables
from nwb_dask.read.opening import open_source
from nwb_dask.storage import ChunkCache, chunk_cache, expand_sources, make_access, open_store

_State: TypeAlias = Literal["ok", "warn", "fail", "info"]
_Check: TypeAlias = tuple[str, _State, str]

_COLUMNS = (("check", pa.string()), ("state", pa.string()), ("detail", pa.string()))
_LIBRARIES = ("dask", "distributed", "polars", "pandas", "pyarrow", "numpy", "xarray", "obstore", "fsspec", "isal")
_OPTIONAL = ("matplotlib", "deltalake", "xlsxwriter")
_SECRET_VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT_KEY"),
    *("DANDI_API_KEY", "HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"),
)
"""Named if they are set; what they say is never shown."""
_PREFIX = "NWB_DASK_"
_CLUSTER_VERSION = (3, 12)


def answer(*, source: tuple[str, ...], scheduler: str | None, reach: SourceOptions, output: OutputOptions) -> int:
    """Check versions, options, the cache, a source, and a cluster."""
    check_target(output)
    checks = [*_versions(), *_filters(), *_options(), *_cache(), *_source(source, reach)]
    if scheduler is not None:
        checks += cluster_checks(scheduler)
    write_rows(table_of(_COLUMNS, checks), output)
    return ExitCode.INPUT if any(state == "fail" for _, state, _ in checks) else ExitCode.OK


def _versions() -> Iterator[_Check]:
    yield "nwb_dask", "info", nwb_dask.__version__
    yield "python", "info", f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    if sys.version_info < _CLUSTER_VERSION:
        yield "clusters", "warn", "Python 3.12 or newer is advised for LocalCluster: see Install in the README"
    yield from ((name, "info" if found else "fail", found or "not installed") for name, found in _installed(_LIBRARIES))
    yield from ((name, "info", found or "not installed; optional") for name, found in _installed(_OPTIONAL))
    if dict(_installed(["dask-expr"]))["dask-expr"]:
        yield "dask-expr", "warn", "an empty package that hides dask's own; python3 -m pip uninstall dask-expr"


def _installed(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, ""


def _filters() -> Iterator[_Check]:
    for name, (found, problem) in filter_libraries().items():
        yield name, "fail" if problem else "ok", problem or found


def _options() -> Iterator[_Check]:
    now = current_options()
    for one in fields(now):
        variable = _PREFIX + one.name.upper()
        value = getattr(now, one.name)
        said = f" ({variable} is set)" if os.environ.get(variable) else ""
        yield f"option {one.name}", "info", f"{'default' if value is None else value}{said}"
    known = {_PREFIX + one.name.upper() for one in fields(now)}
    for variable in sorted(os.environ):
        if variable.startswith(_PREFIX) and variable not in known:
            yield variable, "warn", "no option of nwb_dask has this name"
        elif variable in _SECRET_VARIABLES:
            yield variable, "info", "is set"


def _cache() -> Iterator[_Check]:
    cache = index_cache()
    yield _kept("cache", cache) if isinstance(cache, IndexCache) else ("cache", "info", "switched off")
    options = current_options()
    is_on = options.chunk_cache == "on"
    yield _kept("chunk cache", chunk_cache(options)) if is_on else ("chunk cache", "info", "switched off")


def _kept(name: str, cache: IndexCache | ChunkCache) -> _Check:
    found = cache.entries()
    size = sum(one.size_bytes for one in found)
    problem = _unwritable(cache.folder)
    detail = f"{cache.folder}: {len(found)} files, {size:,} of {cache.max_bytes:,} bytes"
    return name, "warn" if problem else "ok", f"{detail}{problem}"


def _unwritable(folder: Path) -> str:
    """Return why nothing can be kept in a folder; ``""`` if it can, or could if it were made."""
    existing = next(one for one in (folder, *folder.parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            return ""
    except OSError as error:
        return f"; nothing can be written to {existing}: {error.strerror}"


def _source(source: tuple[str, ...], reach: SourceOptions) -> Iterator[_Check]:
    if not source:
        return
    try:
        access = make_access(reach.storage_options)
        named = expand_sources(list(source), access)
        yield "source", "ok", f"{len(named)} files, {named[0].name} the first"
        start = time.perf_counter()
        with open_store(named[0].url, access) as store:
            identity = store.source.identity
        seconds = time.perf_counter() - start
        marked: _State = "warn" if identity.kind == "size" else "ok"
        yield "reach", marked, f"{identity.size:,} bytes in {seconds:.3f} s, versions by {identity.kind}"
        start = time.perf_counter()
        with open_source(named[0].url, access) as file:
            n_tables = len(list_tables(file))
        yield "contents", "ok", f"{n_tables} tables and series in {time.perf_counter() - start:.3f} s"
    except NWBDaskError as error:
        yield "source", "fail", str(error)
