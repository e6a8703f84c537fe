"""Local folders: one file per key, opened, read and closed."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from nwb_dask.errors import NWBDaskError, SourceAccessError, SourceChangedError, SourceUnavailableError
from nwb_dask.index import Identity, Source, Url
from nwb_dask.storage.access import Access
from nwb_dask.storage.coalesce import Buffer
from nwb_dask.storage.folder_identity import FolderVersion, folder_version, is_same_root
from nwb_dask.storage.folder_url import join_key
from nwb_dask.storage.keys import KeyPlace, KeyRange, check_key, clip
from nwb_dask.storage.local import read_at, unavailable, written
from nwb_dask.storage.reached import reached_from, with_reached
from nwb_dask.storage.trace import is_tracing, record, record_round

# A link is looked at before it is followed; opening a FIFO would wait for a writer.
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW
_ABSENT = {errno.ENOENT, errno.ENOTDIR}
# Files that are in memory are read in 8 us each, and four times slower by threads that take turns; on disks and servers
# that answer in milliseconds threads pay.
_N_TRIED = 16
_SLOW_SECONDS = 0.0003
_N_THREADS = 16


class LocalFolder:
    """One open local folder.

    The version is taken when it is opened, and compared after every read as far as the root document shows it; see
    `folder_identity` for what no version shows.

    Parameters
    ----------
    url : Url
        As the source is known.
    path : str
        Where it is.
    access : Access
        How it was reached; if it allows for other folders, the version says which have been read.
    expected : Identity, optional
        The version that must be there.
    cached : Identity, optional
        A version that was there once; `is_unchanged` tells whether it still is.

    Raises
    ------
    UnsupportedLayoutError
        If the folder is neither a Zarr store nor a LINDI folder.
    SourceChangedError
        If it is another version than `expected`.
    """

    __slots__ = ("_inside", "_real", "_version", "access", "is_unchanged", "local_path", "size", "source")

    is_confirmed = True

    def __init__(
        self, url: Url, *, path: str, access: Access, expected: Identity | None, cached: Identity | None = None
    ) -> None:
        self.local_path = path
        self.access = access
        self._version: FolderVersion = folder_version(path)
        identity = self._version.identity
        if expected is not None and written(identity) != written(expected):
            raise SourceChangedError(f"{path} is not the folder that was planned; plan again", url=path)
        self.size = identity.size
        if access.allowed_folders:
            identity = with_reached(identity, {} if expected is None else reached_from(expected))
        self.source = Source(url, identity)
        self.is_unchanged = identity == cached
        self._real = os.path.realpath(path)
        # Folders below that were seen to be inside; only added to, so that threads need no lock.
        self._inside = {""}

    def read_keys(self, wanted: Sequence[KeyRange]) -> list[Buffer | None]:
        """Return values, or parts of them; see `Folder.read_keys`.

        Links are followed as long as they stay inside the folder. A link to what is not there is an error, because it
        stands for a value that was not fetched.

        Raises
        ------
        SourceChangedError
            If the root document was written to since the folder was opened.
        SourceAccessError
            If a file may not be read, or is a link out of the folder.
        """
        traced = is_tracing()
        began = time.monotonic() if traced else 0.0
        out = self._read_all(wanted)
        if not is_same_root(self.local_path, self._version):
            raise SourceChangedError(f"{self.local_path} changed while it was read; plan again", url=self.local_path)
        if traced and out:
            n_bytes = sum(len(one) for one in out if one is not None)
            record(self.local_path, requests=len(out), n_bytes=n_bytes, began=began, ended=time.monotonic())
            record_round()
        return out

    def list_keys(self, prefix: str = "") -> list[str]:
        """Return all keys below a folder (``"units/"``), sorted; none where there is no such folder."""
        folder = prefix.rstrip("/")
        if folder:
            check_key(folder, name=self.local_path)
        try:
            return sorted(self._walk(folder, ()))
        except NWBDaskError:
            raise
        except OSError as exc:
            if exc.errno in _ABSENT and is_same_root(self.local_path, self._version):
                return []
            raise unavailable(exc, str(exc.filename or self.local_path)) from exc

    def locate_keys(self, keys: Sequence[str]) -> list[KeyPlace | None]:
        """Return the files of values, and how long they are; see `Folder.locate_keys`."""
        return [self._locate(key) for key in keys]

    def _locate(self, key: str) -> KeyPlace | None:
        opened = self._opened(key)
        if opened is None:
            return None
        fd, size = opened
        os.close(fd)
        return KeyPlace(join_key(self.source.url, key), 0, size)

    def _read_all(self, wanted: Sequence[KeyRange]) -> list[Buffer | None]:
        began = time.monotonic()
        out = [self._read(one) for one in wanted[:_N_TRIED]]
        left = wanted[_N_TRIED:]
        if not left or time.monotonic() - began < _SLOW_SECONDS * _N_TRIED:
            return out + [self._read(one) for one in left]
        # Made for each read: threads do not survive a fork.
        with ThreadPoolExecutor(_N_THREADS, "nwb_dask-local") as pool:
            return out + list(pool.map(self._read, left))

    def _read(self, wanted: KeyRange) -> Buffer | None:
        key, part = wanted
        if part is None and key == self._version.root:
            return self._version.body
        opened = self._opened(key)
        if opened is None:
            return None
        fd, size = opened
        path = f"{self.local_path}/{key}"
        try:
            start, stop = clip(part, size)
            return read_at(fd, start, stop, path)
        except OSError as exc:
            raise unavailable(exc, path) from exc
        finally:
            os.close(fd)

    def _opened(self, key: str) -> tuple[int, int] | None:
        """Return an open file and its length; None if there is none."""
        check_key(key, name=self.local_path)
        path = f"{self.local_path}/{key}"
        try:
            self._check_inside(key.rpartition("/")[0])
            fd = self._open(path)
        except NWBDaskError:
            raise
        except OSError as exc:
            if exc.errno in _ABSENT:
                return None
            raise unavailable(exc, path) from exc
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode):
            return fd, status.st_size
        os.close(fd)
        if stat.S_ISDIR(status.st_mode):
            return None
        raise SourceUnavailableError(f"{path} is not a regular file", url=path)

    def _open(self, path: str) -> int:
        try:
            return os.open(path, _FLAGS)
        except OSError as exc:
            if exc.errno != errno.ELOOP:
                raise
        self._check_link(path)
        try:
            return os.open(path, _FLAGS & ~os.O_NOFOLLOW)
        except FileNotFoundError:
            raise _dangling(path) from None

    def _check_inside(self, folder: str) -> None:
        """Raise if a folder below this one is, or is in, a link that leads out of it."""
        if folder in self._inside:
            return
        self._check_inside(folder.rpartition("/")[0])
        path = f"{self.local_path}/{folder}"
        if stat.S_ISLNK(os.lstat(path).st_mode):
            self._check_link(path)
        self._inside.add(folder)

    def _check_link(self, path: str) -> None:
        real = os.path.realpath(path)
        if os.path.commonpath((real, self._real)) != self._real:
            raise SourceAccessError(
                f"{path} is a link out of {self.local_path}, which is not followed; put the file itself in its place "
                "('cp -rL' copies what links lead to, 'git annex unlock' does so for an annex)",
                url=self.local_path,
            )
        if not os.path.lexists(real):
            raise _dangling(path)

    def _walk(self, folder: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
        """Yield the keys below a folder; links inside are followed unless they lead upwards."""
        self._check_inside(folder)
        path = f"{self.local_path}/{folder}" if folder else self.local_path
        status = os.stat(path)  # noqa: PTH116  # text in, text out
        here = (status.st_dev, status.st_ino)
        if here in above:
            return
        with os.scandir(path) as entries:
            for entry in entries:
                key = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir():
                    yield from self._walk(key, (*above, here))
                else:
                    yield key

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"LocalFolder({self.local_path!r})"


def _dangling(path: str) -> SourceUnavailableError:
    return SourceUnavailableError(
        f"{path} is a link to nothing: its content was not fetched ('git annex get' or 'datalad get' do)", url=path
    )
