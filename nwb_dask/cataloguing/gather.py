"""Describes the files of a catalog: those that are known are asked whether they have changed, the others are opened."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from nwb_dask.adapters.cluster import share_access
from nwb_dask.catalog.shared import SharedCatalog
from nwb_dask.cataloguing.describe import Described, Detail, describe_source, unpack_described
from nwb_dask.cataloguing.journal import read_batches, write_batch
from nwb_dask.cataloguing.rows import Entry, kept_url, source_of
from nwb_dask.errors import NWBDaskError, SourceAccessError, SourceNotFoundError, SourceUnavailableError
from nwb_dask.index import Identity, Url
from nwb_dask.read import warn_user
from nwb_dask.read.concurrently import each_of
from nwb_dask.storage import Access, Named, is_local, is_unchanged, local_path, open_store
from nwb_dask.storage.target import Target

_BATCH = 64
"""Files that are described before what was said of them is kept."""

_Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Job:
    """What one call builds."""

    target: Target
    named: tuple[Named, ...]
    access: Access
    detail: Detail
    before: SharedCatalog | None
    """The catalog that is there, if what it says may be taken over."""
    found_by: tuple[tuple[str, ...], ...]
    """Of each file; see `origin`."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is said of all files, in order."""

    sources: tuple[str, ...]
    entries: Mapping[str, Entry]
    """Those that are not in the catalog that was there, by source."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A version of a file that has been described."""

    source: str
    identity: Identity


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whether a file is still of a version that is known."""

    known: _Known | None
    is_silent: bool = False
    """Whether it could not be asked, which says nothing of what is known."""


def gather(job: Job, client: Any, tell: _Tell) -> Gathered:  # noqa: ANN401  # a distributed.Client
    """Return what is said of each file; what is found out is kept batch by batch for the case of a broken run."""
    finished = read_batches(job.target)
    known = _known(job, finished)
    asked = each_of(job.named, lambda one: _ask(one.url, job.access, known.get(one.url)))
    silent = [one.name for one, answer in zip(job.named, asked, strict=True) if answer.is_silent]
    if silent:
        warn_user(
            f"{len(silent)} files could not be asked whether they have changed, such as {silent[0]}; taken as known"
        )
    sources = {one.url: answer.known.source for one, answer in zip(job.named, asked, strict=True) if answer.known}
    pending = [one for one in job.named if one.url not in sources]
    for name in (one.name for one in job.named if one.url in sources):
        tell(name)
    entries = {source: finished[source] for source in sources.values() if source in finished}
    for batch in _described(job, pending, client):
        rows = [_entry(job, one, found) for one, found in batch]
        write_batch(job.target, rows)
        for (one, _), entry in zip(batch, rows, strict=True):
            sources[one.url] = entry.source
            entries[entry.source] = entry
            tell(one.name)
    return Gathered(tuple(sources[one.url] for one in job.named), entries)


def _entry(job: Job, one: Named, found: Described) -> Entry:
    return Entry(source_of(one.url, found.identity, job.detail.as_json()), one.name, kept_url(one.url), found)


def _known(job: Job, finished: Mapping[str, Entry]) -> dict[Url, _Known]:
    """Return the version of each file that has been described without an error; what was finished last counts."""
    versions: dict[str, Identity] = {}
    if job.before is not None:
        rows = job.before.table("sessions").select(["url", "identity_kind", "identity_value", "size_bytes", "error"])
        for url, kind, value, size, error in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            if error is None:
                versions[url] = Identity(kind, value, size)
    held = {}
    if job.before is not None:
        held = dict.fromkeys(job.before.table("sessions").column("source").to_pylist())
    for entry in finished.values():
        if not entry.described.error and entry.described.identity is not None:
            versions[entry.url] = entry.described.identity
    options = job.detail.as_json()
    known = {}
    for one in job.named:
        identity = versions.get(kept_url(one.url))
        if identity is not None and identity.kind != "size":
            # The digest tells whether it was the same URL, query string and all, and the same options.
            source = source_of(one.url, identity, options)
            if source in finished or source in held:
                known[one.url] = _Known(source, identity)
    return known


def _ask(url: Url, access: Access, known: _Known | None) -> _Asked:
    if known is None:
        return _Asked(None)
    if is_local(url):
        return _Asked(known if is_unchanged(local_path(url), known.identity) else None)
    try:
        with open_store(url, access, cached=known.identity) as store:
            return _Asked(known if store.is_unchanged else None)
    except (SourceNotFoundError, SourceAccessError):
        return _Asked(None)
    except SourceUnavailableError:
        return _Asked(known, is_silent=True)
    except NWBDaskError:
        return _Asked(None)


def _described(job: Job, pending: list[Named], client: Any) -> Iterator[list[tuple[Named, Described]]]:  # noqa: ANN401  # see above
    """Yield batches of files with what is said of them."""
    if client is not None:
        yield from _on_cluster(job, pending, client)
        return
    for start in range(0, len(pending), _BATCH):
        batch = pending[start : start + _BATCH]
        found = each_of(batch, lambda one: describe_source(one.url, one.name, job.access, job.detail))
        yield list(zip(batch, found, strict=True))


def _on_cluster(job: Job, pending: list[Named], client: Any) -> Iterator[list[tuple[Named, Described]]]:  # noqa: ANN401  # see above
    """Yield the same from the workers of a cluster, in whatever order they finish."""
    share_access(job.access)
    run = secrets.token_hex(4)
    futures = {
        client.submit(
            _describe_packed,
            one.url,
            one.name,
            job.access,
            job.detail,
            key=f"catalog-{one.name.rpartition('/')[2]}-{run}-{number}",
            pure=False,
        ): one
        for number, one in enumerate(pending)
    }
    batch: list[tuple[Named, Described]] = []
    for future in import_module("distributed").as_completed(list(futures)):
        error = future.exception()
        if error is None:
            found = unpack_described(future.result())
        else:
            # Not of the file: its worker was lost, as often as the scheduler tries again.
            found = Described(None, type(error).__name__, f"its worker was lost: {error}")
        batch.append((futures.pop(future), found))
        if len(batch) == _BATCH or not futures:
            yield batch
            batch = []


def _describe_packed(url: Url, name: str, access: Access, detail: Detail) -> bytes:
    return describe_source(url, name, access, detail).packed()
