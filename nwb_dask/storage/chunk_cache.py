"""Keeps the bytes of remote files in the user's cache folder, for this process and all others."""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from nwb_dask.options import Options
from nwb_dask.storage import chunk_file, disk, seen
from nwb_dask.storage.coalesce import Buffer
from nwb_dask.storage.url_keys import KEY_BYTES

_log = logging.getLogger(__name__)

FORMAT = 1
"""Version of the layout of the folder and its files; each has a folder of its own."""
_N_FOLDERS = 4
_BLOCK_BYTES = 4096
_PLACE = re.compile(rf"[0-9a-f]{{{2 * KEY_BYTES}}}")
_NAME = re.compile(rf"{chunk_file.NAME.pattern}|{re.escape(seen.NAME)}|\.[0-9a-z-]+\.[0-9a-z]+\.tmp")
_LAYOUT = disk.Layout((disk.VERSION, disk.SHARD, _PLACE), _NAME, least_bytes=_BLOCK_BYTES)
_PAUSE_SECONDS = 60.0
"""Nothing is written for so long after a write has failed: a full disk stays full."""


class ChunkCache:
    """Bytes of remote files on disk, one file for each request that was made.

    No trouble of the disk is trouble of the reader: bytes that cannot be read are fetched, and nothing is kept where
    nothing can be written. As `disk` says, any number of threads and processes may share the folder, and readers wait
    for nobody. URLs are written without query strings and credentials.

    Parameters
    ----------
    folder : Path
        Made when something is kept.
    max_bytes : int
        What the folder may grow to, about: it is looked at once an hour, and after every sixteenth of it.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._sweeper = disk.Sweeper(folder, self.sweep)
        self._paused_until = 0.0

    def belongs_to_another(self) -> bool:
        """Return whether the folder is there and not this user's alone to write to: what it holds is not believed."""
        try:
            found = self.folder.stat()
        except OSError:
            return False
        return hasattr(os, "geteuid") and (found.st_uid != os.geteuid() or bool(found.st_mode & stat.S_IWOTH))

    def place(self, key: bytes) -> Path:
        """Return the folder of what is kept of the URL with this key."""
        name = key.hex()
        return self.folder / f"v{FORMAT}" / name[:2] / name

    def write(self, path: Path, parts: Sequence[Buffer]) -> bool:
        """Keep a file; return whether that could be done."""
        if time.monotonic() < self._paused_until:
            return False
        try:
            disk.write_aside(path, parts, n_folders=_N_FOLDERS)
            self._sweeper.note(sum(len(one) for one in parts), self.max_bytes)
        except OSError as exc:
            self._paused_until = time.monotonic() + _PAUSE_SECONDS
            _log.debug("nothing is kept in %s for a while: %s", self.folder, exc.strerror)
            return False
        return True

    def entries(self) -> list[disk.Entry]:
        """Return of which files bytes are kept, used last first."""
        sizes: dict[str, tuple[int, float]] = {}
        for one in disk.files(self.folder, _LAYOUT):
            if one.path.endswith(chunk_file.SUFFIX):
                place = os.path.split(one.path)[0]
                before = sizes.get(place, (0, 0.0))
                sizes[place] = (before[0] + one.size_bytes, max(before[1], one.used))
        return sorted((_entry(place, *facts) for place, facts in sizes.items()), key=lambda one: -one.used)

    def clear(self) -> None:
        """Keep nothing; what others keep meanwhile stays."""
        disk.clear(self.folder, _LAYOUT)

    def sweep(self, max_bytes: int | None = None) -> int:
        """Remove what was used longest ago if the folder is larger than it may be; return the bytes removed."""
        removed = disk.sweep(self.folder, _LAYOUT, self.max_bytes if max_bytes is None else max_bytes)
        self._sweeper.stamp()
        return removed


def _entry(place: str, size_bytes: int, used: float) -> disk.Entry:
    found = seen.read(Path(place, seen.NAME), bytes.fromhex(os.path.split(place)[1]))
    return disk.Entry("" if found is None else found.name, size_bytes, used)


_caches: dict[Path, ChunkCache] = {}
"""One for each folder, so that each is swept as much as is written by all."""


def chunk_cache(options: Options) -> ChunkCache:
    """Return the cache of this user, whether it is switched on or not; see `nwb_dask.options`."""
    chosen = options.chunk_cache_dir or options.cache_dir or platformdirs.user_cache_dir("nwb_dask", appauthor=False)
    folder = Path(chosen).expanduser().absolute() / "chunks"
    cache = _caches.setdefault(folder, _caches.get(folder) or ChunkCache(folder, options.chunk_cache_bytes))
    cache.max_bytes = options.chunk_cache_bytes
    return cache
