"""Keeps what was found out about files in the user's cache folder, for this process and all others."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import platformdirs

from nwb_dask.backends.known import Known
from nwb_dask.catalog import listing
from nwb_dask.catalog.indexfile import Facts, IndexFile, build, open_index, parse_index
from nwb_dask.catalog.lazy import attach, open_known
from nwb_dask.catalog.memory import Memory
from nwb_dask.catalog.merge import merge
from nwb_dask.errors import display_url
from nwb_dask.index import Identity, Source, Url
from nwb_dask.options import current_options
from nwb_dask.storage.disk import Entry, Sweeper, mark_used
from nwb_dask.storage.url_keys import url_key

_log = logging.getLogger(__name__)

MAX_BYTES = 1 << 31
"""Of the folder, unless it is said otherwise."""
_MEMORY_BYTES = 1 << 26
_MEMORY_FILES = 256


class IndexCache:
    """What is known of files, kept from process to process.

    Nothing here raises because of the cache: what cannot be read is not known, and what cannot be written is not kept.
    Threads and processes may use one folder at once, on any file system: files are written aside and renamed, and
    nothing is locked. Neither query strings nor credentials are written.

    Parameters
    ----------
    folder : Path
        Made when something is kept.
    max_bytes : int
        What the folder may grow to, about: it is looked at once an hour, and after every sixteenth of it.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._memory = Memory(_MEMORY_BYTES, _MEMORY_FILES)
        self._sweeper = Sweeper(folder, self.sweep)

    def find(self, url: Url, identity: Identity | None = None) -> Known | None:
        """Return what is known of a file, or None; what is found may be shared with other threads.

        Groups are read and unpacked when they are asked for.

        Parameters
        ----------
        url : Url
            As the caller has it; `Known.source` repeats it.
        identity : Identity, optional
            The version that is wanted. By default the one that was kept last, which the caller has to compare with
            the file.
        """
        key = url_key(url)
        known = self._memory.get(key)
        if known is not None and _is_wanted(known.source.identity, identity):
            # Its signature may have been another.
            return known if known.source.url == url else replace(known, source=Source(url, known.source.identity))
        path = listing.index_path(self.folder, key)
        opened = open_index(path, key)
        if opened is None or not _is_wanted(opened[1].identity, identity):
            return None
        mark_used(path)
        found = open_known(*opened, url)
        self._memory.put(key, found)
        return found

    def keep(self, known: Known) -> None:
        """Keep what is known, with what other processes have kept of the same version meanwhile.

        Of a file without any mark of its version it is kept in this process only. Afterwards `known` finds in the
        cache what it does not hold itself.
        """
        if not known.is_changed:
            return
        # Before anything is looked at: what another thread adds from here on is for the next time.
        known.is_changed = False
        key = url_key(known.source.url)
        path = listing.index_path(self.folder, key)
        opened = None
        if known.source.identity.kind != "size":
            try:
                self._write(known, path, key)
            except Exception as exc:  # noqa: BLE001  # no trouble of the cache is trouble of the reader
                _log.debug("%s is not kept: %s", display_url(known.source.url), exc)
            opened = open_index(path, key)
        # Another process may have written another version at this moment.
        is_same = opened is not None and opened[1].identity == known.source.identity
        attach(known, opened[0] if opened is not None and is_same else IndexFile(path))
        self._memory.put(key, known)

    def learn(self, url: Url, data: bytes, identity: Identity) -> Known | None:
        """Keep what `index_bytes` gave elsewhere, and return it; None if it says nothing of this version."""
        key = url_key(url)
        known = _learned(url, data, identity)
        if known is not None:
            path = listing.index_path(self.folder, key)
            try:
                listing.write_aside(path, data)
                self._sweeper.note(len(data), self.max_bytes)
            except OSError as exc:
                _log.debug("%s is not kept: %s", display_url(url), exc)
            self._memory.put(key, known)
        return known

    def forget(self, url: Url) -> None:
        """Know nothing of a file."""
        key = url_key(url)
        self._memory.forget(key)
        with suppress(OSError):
            listing.index_path(self.folder, key).unlink()

    def clear(self) -> None:
        """Know nothing of any file; what others keep meanwhile stays."""
        self._memory.clear()
        listing.clear(self.folder)

    def entries(self) -> list[Entry]:
        """Return what is kept in the folder, used last first."""
        return listing.entries(self.folder)

    def kept_bytes(self, url: Url) -> int:
        """Return how much is kept of a file in the folder, in bytes; 0 if nothing is."""
        try:
            return listing.index_path(self.folder, url_key(url)).stat().st_size
        except OSError:
            return 0

    def sweep(self, max_bytes: int | None = None) -> int:
        """Remove what was used longest ago if the folder is larger than it may be; return the bytes removed."""
        removed = listing.sweep(self.folder, self.max_bytes if max_bytes is None else max_bytes)
        self._sweeper.stamp()
        return removed

    def _write(self, known: Known, path: Path, key: bytes) -> None:
        """Write what is known, unless it is kept already."""
        source = known.source
        facts = _facts(known, key)
        kept, kept_facts = open_index(path, key, is_whole=True) or (None, None)
        if kept_facts is not None and kept_facts.identity != source.identity:
            kept, kept_facts = None, None
        merged = merge(known, facts, kept, kept_facts)
        if merged is None:
            return
        described = {place: block for place, block in merged[1].items() if place[0] != "contents"}
        data = build(*merged) or build(merged[0], described)
        if data is None:
            raise ValueError("there is too much to keep")
        listing.write_aside(path, data)
        self._sweeper.note(len(data), self.max_bytes)


def _facts(known: Known, key: bytes) -> Facts:
    return Facts(
        key,
        display_url(known.source.url),
        known.source.identity,
        known.base,
        known.offset_bytes,
        known.length_bytes,
        known.root,
        known.structure,
    )


def index_bytes(known: Known) -> bytes | None:
    """Return what is known of a file as the bytes of a file of the cache; None if that is too much."""
    key = url_key(known.source.url)
    cache = index_cache()
    kept, kept_facts = None, None
    if isinstance(cache, IndexCache):
        path = listing.index_path(cache.folder, key)
        kept, kept_facts = open_index(path, key, is_whole=True) or (None, None)
        if kept_facts is not None and kept_facts.identity != known.source.identity:
            kept, kept_facts = None, None
    merged = merge(known, _facts(known, key), kept, kept_facts)
    if merged is None:
        return path.read_bytes()
    return build(*merged)


def index_key(data: bytes) -> str | None:
    """Return the key of the URL that `index_bytes` are of, hexadecimal; None if they are not readable here."""
    parsed = parse_index(data)
    return None if parsed is None else parsed[1].key.hex()


def _learned(url: Url, data: bytes, identity: Identity) -> Known | None:
    parsed = parse_index(data, url_key(url))
    return None if parsed is None or parsed[1].identity != identity else open_known(*parsed, url)


def _is_wanted(found: Identity, wanted: Identity | None) -> bool:
    """Return whether a version is the one that is wanted; any will do if it can be compared with the file's."""
    return found == wanted if wanted is not None else found.kind != "size"


class ProcessCache:
    """What is known of the files that were used last, in this process only; see `IndexCache`."""

    def __init__(self) -> None:
        self._memory = Memory(_MEMORY_BYTES, _MEMORY_FILES)

    def find(self, url: Url, identity: Identity | None = None) -> Known | None:
        """Return what is known of a file, or None; see `IndexCache.find`."""
        known = self._memory.get(url_key(url))
        if known is None or not _is_wanted(known.source.identity, identity):
            return None
        return known if known.source.url == url else replace(known, source=Source(url, known.source.identity))

    def keep(self, known: Known) -> None:
        """Remember what is known."""
        if known.is_changed:
            known.is_changed = False
            self._memory.put(url_key(known.source.url), known)

    def learn(self, url: Url, data: bytes, identity: Identity) -> Known | None:
        """Remember what `index_bytes` gave elsewhere, and return it; see `IndexCache.learn`."""
        known = _learned(url, data, identity)
        if known is not None:
            self._memory.put(url_key(url), known)
        return known

    def forget(self, url: Url) -> None:
        """Know nothing of a file."""
        self._memory.forget(url_key(url))


_caches: dict[Path, IndexCache] = {}
"""One for each folder, so that what is in memory is there for all who ask."""
_process = ProcessCache()


def index_cache() -> IndexCache | ProcessCache:
    """Return the cache of this user; where it is switched off, one that keeps nothing beyond this process.

    ``options(cache="off")`` switches it off, ``cache_dir`` moves it, ``cache_bytes`` bounds it; see `nwb_dask.options`.
    """
    options = current_options()
    if options.cache == "off":
        return _process
    chosen = options.cache_dir or platformdirs.user_cache_dir("nwb_dask", appauthor=False)
    folder = Path(chosen).expanduser().absolute() / "index"
    cache = _caches.setdefault(folder, _caches.get(folder) or IndexCache(folder))
    cache.max_bytes = options.cache_bytes
    return cache
