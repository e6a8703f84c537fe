"""The folder of the cache as a whole: what is in it, how large it is, and what goes when it is too large.

The folder is its own list. An index of it in a database would be one more thing that processes wait for and that can
differ from what is there.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nwb_dask.catalog.indexfile import FORMAT, read_facts

SUFFIX = ".nwbidx"
_ASIDE = ".tmp"
_DAY = 86_400.0
_ABANDONED_SECONDS = 3600.0
"""A file that is being written aside for so long belongs to a process that died."""
_ROOM = 0.8
"""What is left after eviction, of the bound: so that it does not come to pass with every file."""
_VERSION = re.compile(r"v\d+")
_SHARD = re.compile(r"[0-9a-f]{2}")
_NAME = re.compile(r"[0-9a-f]+\.nwbidx|\.[0-9a-f]+\.[0-9a-z]+\.tmp")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file that the cache knows something of."""

    url: str
    """Without user, password and query string."""
    size_bytes: int
    """In the cache."""
    used: float
    """When it was read or written last, in seconds since 1970; to the day."""


@dataclass(frozen=True, slots=True)
class _Found:
    path: str
    size_bytes: int
    used: float


def index_path(folder: Path, key: bytes) -> Path:
    """Return where the knowledge of the URL with this key is."""
    name = key.hex()
    return folder / f"v{FORMAT}" / name[:2] / f"{name}{SUFFIX}"


def write_aside(path: Path, data: bytes) -> None:
    """Put `data` at `path`, all of it or nothing; readers see what was there before, or the new file.

    Only the user may read the file and the folders that are made for it.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    for folder in (path.parents[2], path.parents[1], path.parent):
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700, parents=folder == path.parents[2])
    aside = path.with_name(f".{path.stem}.{os.getpid()}{os.urandom(6).hex()}{_ASIDE}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        # Not synchronised: what a crash leaves torn does not have its digest, and is written again.
        aside.replace(path)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise


def mark_used(path: Path) -> None:
    """Write down, at most once a day, that a file was used: many file systems do not keep the time of access."""
    with suppress(OSError):
        now = time.time()
        if abs(now - path.stat().st_mtime) > _DAY:
            os.utime(path, (now, now))


def entries(folder: Path) -> list[Entry]:
    """Return what the cache holds, used last first; files of other versions and damaged ones are left out."""
    version = str(folder / f"v{FORMAT}")
    found = [one for one in _files(folder) if one.path.startswith(version) and one.path.endswith(SUFFIX)]
    listed = []
    for one in sorted(found, key=lambda one: one.used, reverse=True):
        facts = read_facts(Path(one.path))
        if facts is not None:
            listed.append(Entry(facts.name, one.size_bytes, one.used))
    return listed


def sweep(folder: Path, max_bytes: int) -> int:
    """Remove what was used longest ago until the cache is well below `max_bytes`; return the bytes removed.

    Does nothing to a cache that is not too large, but for files that processes left when they died. Other processes
    may read, write and sweep meanwhile.
    """
    removed = 0
    kept = []
    now = time.time()
    for one in _files(folder):
        if one.path.endswith(SUFFIX):
            kept.append(one)
        elif now - one.used > _ABANDONED_SECONDS:
            removed += _remove(one)
    left = sum(one.size_bytes for one in kept)
    if left <= max_bytes:
        return removed
    for one in sorted(kept, key=lambda one: one.used):
        if left <= _ROOM * max_bytes:
            break
        left -= one.size_bytes
        removed += _remove(one)
    return removed


def clear(folder: Path) -> None:
    """Remove every file of the cache, of all versions, and nothing else that may be in its folder."""
    for one in list(_files(folder)):
        _remove(one)


def _remove(one: _Found) -> int:
    with suppress(OSError):
        os.unlink(one.path)  # noqa: PTH108  # text from scandir: thousands of them
        return one.size_bytes
    return 0


def _files(folder: Path) -> Iterator[_Found]:
    """Yield the files of the cache, of all versions, and those that are being written."""
    for version in _scan(str(folder), _VERSION):
        for shard in _scan(version.path, _SHARD):
            for entry in _scan(shard.path, _NAME):
                # It may be gone by now.
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    yield _Found(entry.path, status.st_size, status.st_mtime)


def _scan(folder: str, name: re.Pattern[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return [entry for entry in found if name.fullmatch(entry.name)]
    except OSError:
        return []
