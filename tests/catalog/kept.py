"""Small knowledge, and how a test looks at what is kept of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nwb_dask.backends.known import GroupPart, Known
from nwb_dask.catalog import IndexCache, listing
from nwb_dask.index import ChunkManifest, FilePath, GroupEntry, Identity, Source, Url
from nwb_dask.storage.url_keys import url_key
from tests.catalog.knowledge import URL

ONE = Identity("etag", '"1"', 100)
TWO = Identity("etag", '"2"', 100)


def group(path: str, **attributes: Any) -> GroupPart:
    return GroupPart(GroupEntry(FilePath(path), attributes, ()), depth="members")


def small(url: str = URL, identity: Identity = ONE, **parts: Any) -> Known:
    known = Known(Source(Url(url), identity), offset_bytes=8, length_bytes=8, root=96, is_changed=True)
    known.parts.update({f"/{name}": group(f"/{name}", value=value) for name, value in parts.items()})
    return known


def elsewhere(cache: IndexCache) -> IndexCache:
    """The same folder as another process sees it."""
    return IndexCache(cache.folder, cache.max_bytes)


def manifest(n: int) -> ChunkManifest:
    return ChunkManifest(np.arange(n), np.arange(n), np.arange(n), np.zeros(n, np.uint32))


def found(cache: IndexCache, url: str = URL, identity: Identity | None = None) -> Known:
    known = elsewhere(cache).find(Url(url), identity)
    assert known is not None
    return known


def file_of(cache: IndexCache, url: str = URL) -> Path:
    return listing.index_path(cache.folder, url_key(url))
