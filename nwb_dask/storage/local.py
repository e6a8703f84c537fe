"""Local files: one ``pread`` per range, nothing in between."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from nwb_dask.errors import (
    MalformedFileError,
    SourceAccessError,
    SourceChangedError,
    SourceNotFoundError,
    SourceUnavailableError,
)
from nwb_dask.index import Identity, Source, Url
from nwb_dask.storage.access import Access
from nwb_dask.storage.coalesce import Buffer
from nwb_dask.storage.trace import is_tracing, record, record_round

# Opening a FIFO would wait for a writer; regular files do not know this flag.
_FLAGS = os.O_RDONLY | os.O_NONBLOCK

_COARSEST_NS = 2_500_000_000


class LocalStore:
    """One open local file.

    Parameters
    ----------
    url : Url
        As the source is known.
    path : str
        Where it is.
    access : Access
        How it was reached.
    expected : Identity, optional
        The version that must be there.
    cached : Identity, optional
        A version that was there once; `is_unchanged` tells whether it still is.
    """

    __slots__ = ("_fd", "_mtime_ns", "access", "is_unchanged", "local_path", "size", "source")

    driver = None
    is_confirmed = True

    def __init__(
        self, url: Url, *, path: str, access: Access, expected: Identity | None, cached: Identity | None = None
    ) -> None:
        self._fd = -1
        try:
            self._fd = fd = os.open(path, _FLAGS)
            status = os.fstat(fd)
        except OSError as exc:
            raise unavailable(exc, path) from exc
        if not stat.S_ISREG(status.st_mode):
            raise SourceUnavailableError(f"{path} is not a regular file", url=path)
        self.local_path = path
        self.access = access
        self.size = status.st_size
        self._mtime_ns = status.st_mtime_ns
        identity = _identity(status)
        if expected is not None and written(identity) != written(expected):
            raise SourceChangedError(f"{path} is not the file that was planned; plan again", url=path)
        self.source = Source(url, identity)
        self.is_unchanged = identity == cached

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[Buffer]:
        """Return the bytes of each half-open range.

        Raises
        ------
        MalformedFileError
            If a range reaches past the end: the file is truncated.
        SourceChangedError
            If the file was written to since it was opened.
        """
        fd, size, pread = self._fd, self.size, os.pread
        traced = is_tracing()
        began = time.monotonic() if traced else 0.0
        out: list[Buffer] = []
        try:
            for start, stop in ranges:
                if not 0 <= start <= stop <= size:
                    raise past_end(start, stop, size=size, name=self.local_path)
                got = pread(fd, stop - start, start)
                out.append(got if len(got) == stop - start else _read_rest(fd, got, start, stop, self.local_path))
            status = os.fstat(fd)
        except OSError as exc:
            raise unavailable(exc, self.local_path) from exc
        if status.st_mtime_ns != self._mtime_ns or status.st_size != size:
            raise SourceChangedError(f"{self.local_path} changed while it was read; plan again", url=self.local_path)
        if traced:
            n_bytes = sum(map(len, out))
            record(self.local_path, requests=len(out), n_bytes=n_bytes, began=began, ended=time.monotonic())
            record_round()
        return out

    def close(self) -> None:
        """Close the file; more than once is harmless."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"LocalStore({self.local_path!r})"


def read_at(fd: int, start: int, stop: int, path: str) -> bytes:
    """Return a range of an open file, all of which must be there."""
    got = os.pread(fd, stop - start, start)
    return got if len(got) == stop - start else _read_rest(fd, got, start, stop, path)


def _read_rest(fd: int, got: bytes, start: int, stop: int, path: str) -> bytes:
    """Return the whole range, of which one ``pread`` gave the beginning: Linux reads at most 2 GiB at once."""
    parts = [got]
    while got and start + len(got) < stop:
        start += len(got)
        got = os.pread(fd, stop - start, start)
        parts.append(got)
    if not got:
        raise SourceChangedError(f"{path} became shorter while it was read", url=path)
    return b"".join(parts)


def file_identity(path: str) -> Identity | None:
    """Return the version of the file at `path`, without opening it; None if there is no regular file."""
    try:
        status = os.stat(path)  # noqa: PTH116  # as `os.open` is given it
    except OSError:
        return None
    return _identity(status) if stat.S_ISREG(status.st_mode) else None


def is_settled(identity: Identity) -> bool:
    """Return whether a local file of this version was written so long ago that writing to it again shows in its time.

    File systems tell times to a few milliseconds, some to two seconds.
    """
    changed = identity.value.rpartition(":")[2]
    return identity.kind == "mtime" and changed.isdigit() and time.time_ns() - int(changed) > _COARSEST_NS


def _identity(status: os.stat_result) -> Identity:
    # Anyone can set when a file was written to, but not when it was changed.
    value = f"{status.st_mtime_ns}:{status.st_ino}:{status.st_ctime_ns}"
    return Identity("mtime", value, status.st_size)


def written(identity: Identity) -> tuple[str, str, int]:
    """Return a local identity without the time of change: other names or permissions make no other file or folder."""
    return identity.kind, identity.value.rpartition(":")[0], identity.size


def past_end(start: int, stop: int, *, size: int, name: str) -> MalformedFileError:
    """Return the error of a range that the file does not have."""
    if 0 <= start <= stop:
        return MalformedFileError(f"truncated: bytes {start} to {stop} were asked of a file of {size} bytes", url=name)
    return MalformedFileError(f"bytes {start} to {stop} are not a range", url=name)


def unavailable(exc: OSError, path: str) -> SourceUnavailableError:
    """Return our error for one of the operating system."""
    if isinstance(exc, (FileNotFoundError, NotADirectoryError)):
        return SourceNotFoundError(f"no such file: {path}", url=path)
    if isinstance(exc, PermissionError):
        return SourceAccessError(f"reading {path} is not permitted", url=path)
    return SourceUnavailableError(f"reading {path} failed: {exc.strerror}", url=path)
