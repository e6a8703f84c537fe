"""Opens one file for reading: its bytes, and what is known of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nwb_dask.backends import File, open_file
from nwb_dask.catalog import index_cache
from nwb_dask.catalog.shared import StoredIndexes
from nwb_dask.errors import SourceChangedError
from nwb_dask.index import Identity, Url
from nwb_dask.read.trust import active_trust
from nwb_dask.storage import Access, is_local, open_store


@contextmanager
def open_source(
    url: Url, access: Access, expected: Identity | None = None, stored: StoredIndexes | None = None
) -> Iterator[File]:
    """Return the open file at `url`, for the length of the block.

    What is found out about a remote file is kept, so that it need not be found out again while the file is the same
    (`catalog.IndexCache`). Local files are parsed anew: that is as fast as reading a cache.

    Parameters
    ----------
    url : Url
        Where it is.
    access : Access
        How to reach it.
    expected : Identity, optional
        The version that was planned; any other raises `SourceChangedError` when it is read. Without it, one request
        tells whether a file that is known has changed.
    stored : StoredIndexes, optional
        Where a catalog keeps what is known of the version that was planned, for who knows nothing of it yet.
    """
    if is_local(url):
        with open_store(url, access, expected) as store, open_file(store) as file:
            yield file
        return
    cache = index_cache()
    known = cache.find(url, expected)
    if known is None and expected is not None and stored is not None:
        data = stored.find(url)
        known = None if data is None else cache.learn(url, data, expected)
    cached, trust = None if known is None or expected is not None else known.source.identity, active_trust()
    if trust is not None and cached is not None:
        trust.take(url, cached, access)
        expected, cached = cached, None
    is_proven = trust is not None and expected is not None and trust.has_seen(url, expected)
    with open_store(url, access, expected, cached=cached, is_proven=is_proven) as store:
        if trust is not None and expected is None and not store.is_confirmed:
            # The chunk cache says which version it is.
            trust.take(url, store.source.identity, access)
        if known is not None and store.source.identity != known.source.identity:
            known = None
        with open_file(store, known) as file:
            try:
                yield file
            except SourceChangedError:
                cache.forget(url)
                raise
            finally:
                if trust is not None and store.is_confirmed:
                    trust.confirm(url, store.source.identity)
                cache.keep(file.known)
