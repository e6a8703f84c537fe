"""Indexes of files that a catalog keeps, each read by its place when a file is read of which nothing is known."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from nwb_dask.catalog.shared.manifest import Manifest, Part, digest_of
from nwb_dask.catalog.shared.parts import read_table
from nwb_dask.errors import NWBDaskError
from nwb_dask.index import Url
from nwb_dask.storage.access import Access
from nwb_dask.storage.target import open_target
from nwb_dask.storage.url_keys import url_key

_log = logging.getLogger(__name__)

_Places = Mapping[str, tuple[str, int, int, str]]


@dataclass(frozen=True, slots=True)
class StoredIndexes:
    """Where the indexes of a catalog are: small, picklable and without secrets, for tasks."""

    url: str
    """Of the catalog."""
    access: Access
    """How to reach the catalog."""
    places: tuple[Part, ...]
    """Parts of ``places``, which a process reads once."""

    def find(self, url: Url) -> bytes | None:
        """Return the index of a file as it was when the catalog was built; None if there is none, or none to be had.

        Nothing here raises because of the catalog, which may be gone, or written anew: then the file tells.
        """
        place = _places(self).get(url_key(url).hex())
        if place is None:
            return None
        part, offset, n_bytes, digest = place
        try:
            value = open_target(self.url, self.access).read_range(part, offset, offset + n_bytes)
        except NWBDaskError as exc:
            _log.debug("an index of %s is not used: %s", self.url, exc)
            return None
        return value if digest_of(value) == digest else None


@lru_cache(maxsize=8)
def _places(stored: StoredIndexes) -> _Places:
    """Return part, offset, bytes and digest of each index by the key of its URL."""
    try:
        rows = read_table(open_target(stored.url, stored.access), Manifest({"places": stored.places}), "places")
    except NWBDaskError as exc:
        _log.debug("the indexes of %s are not used: %s", stored.url, exc)
        return {}
    keys, *columns = (column.to_pylist() for column in rows.columns)
    return dict(zip(keys, zip(*columns, strict=True), strict=True))
