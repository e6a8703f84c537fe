"""A folder or a prefix of a bucket to write to: whole values by key, one of which decides what counts.

On local disks a value appears by rename, and one process at a time holds the folder. In a bucket every put is whole;
what must not have changed meanwhile is put with the ETag that was read (RFC 9110, *If-Match*, *If-None-Match*).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from nwb_dask.errors import OutputError, SourceNotFoundError, display_url
from nwb_dask.storage.access import Access, has_lost_secrets
from nwb_dask.storage.durable import flush
from nwb_dask.storage.engines.protocol import Failure
from nwb_dask.storage.faults import explain
from nwb_dask.storage.listing import list_keys
from nwb_dask.storage.retry import persist
from nwb_dask.storage.urls import BUCKETS, local_path, scheme, split_bucket

if TYPE_CHECKING:
    from nwb_dask.storage.clients import Client

T = TypeVar("T")

_N_AT_ONCE = 16
_LOCK = ".lock"


class Target(Protocol):
    """Values by key below one folder; keys are relative, with slashes."""

    @property
    def name(self) -> str:
        """The folder as it may be shown."""

    def read(self, key: str) -> tuple[bytes, str]:
        """Return a value and the tag of its version.

        Raises
        ------
        SourceNotFoundError
            If there is none.
        """

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return the bytes ``[start, stop)`` of a value, fewer where it ends; errors are those of `read`."""

    def put(self, key: str, value: bytes) -> None:
        """Write a value; readers see all of it or nothing."""

    def replace(self, key: str, value: bytes, tag: str | None) -> None:
        """Write a value in place of the version `tag`; None: of nothing.

        Raises
        ------
        OutputError
            If another has written there meanwhile.
        """

    def keys(self, folder: str) -> list[str]:
        """Return the keys below a folder, sorted."""

    def remove(self, keys: Iterable[str]) -> None:
        """Remove values; what is not there is no error."""


def open_target(url: object, access: Access) -> Target:
    """Return the folder or prefix at `url`, which need not be there.

    Raises
    ------
    OutputError
        If it is a file, or a place that cannot be written to.
    TypeError
        If it is no path.
    """
    text = os.fspath(cast("os.PathLike[str]", url)) if isinstance(url, os.PathLike) else url
    if not isinstance(text, str) or not text:
        raise TypeError(f"{url!r}: the path of a folder or the URL of a prefix in a bucket is wanted")
    kind = scheme(text)
    if kind in {"", "file"}:
        return LocalTarget(Path(os.path.realpath(Path(local_path(text)).expanduser())))
    if kind in BUCKETS and split_bucket(text)[0]:
        return BucketTarget(text.rstrip("/"), access)
    name = display_url(text)
    raise OutputError(f"{name}: a local folder or a bucket (s3://, gs://, az://) is wanted", url=name)


class LocalTarget:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def name(self) -> str:
        """The folder as it may be shown."""
        return str(self.folder)

    def read(self, key: str) -> tuple[bytes, str]:
        """Return a value and the tag of its version; see `Target.read`."""
        path = self.folder / key
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                return file.read(), f"{status.st_mtime_ns}:{status.st_ino}:{status.st_size}"
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise SourceNotFoundError(f"{path} is not there", url=str(path)) from exc

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return a range of a value; see `Target.read_range`."""
        path = self.folder / key
        try:
            with path.open("rb") as file:
                file.seek(start)
                return file.read(stop - start)
        except OSError as exc:
            raise SourceNotFoundError(f"{path} cannot be read: {exc.strerror}", url=str(path)) from exc

    def put(self, key: str, value: bytes) -> None:
        """Write a value; see `Target.put`."""
        path = self.folder / key
        aside = path.with_name(f".{path.name}.{os.getpid()}{os.urandom(4).hex()}.made")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with aside.open("xb") as file:
                file.write(value)
            flush(aside)
            aside.replace(path)
            flush(path.parent)
        except OSError as error:
            with suppress(OSError):
                aside.unlink()
            raise OutputError(f"{path} cannot be written: {error.strerror or error}", url=str(path)) from error

    def replace(self, key: str, value: bytes, tag: str | None) -> None:
        """Write a value in place of the version `tag`, while the folder is `held`; see `Target.replace`."""
        try:
            found: str | None = self.read(key)[1]
        except SourceNotFoundError:
            found = None
        if found != tag:
            raise _changed(self.name)
        self.put(key, value)

    def keys(self, folder: str) -> list[str]:
        """Return the keys below a folder, sorted."""
        found = []
        for place, _, names in os.walk(self.folder / folder):
            found += [Path(place, name).relative_to(self.folder).as_posix() for name in names if name != _LOCK]
        return sorted(found)

    def remove(self, keys: Iterable[str]) -> None:
        """Remove values, and folders that are empty then."""
        folders: set[Path] = set()
        for key in keys:
            path = self.folder / key
            path.unlink(missing_ok=True)
            folders.update(parent for parent in path.parents if self.folder in parent.parents)
        for one in sorted(folders, key=lambda found: -len(found.parts)):
            with suppress(OSError):
                one.rmdir()


class BucketTarget:
    """A prefix of a bucket."""

    def __init__(self, url: str, access: Access) -> None:
        self.access = access
        bucket, self._prefix, _ = split_bucket(url)
        self._bucket = f"{scheme(url)}://{bucket}"

    @property
    def name(self) -> str:
        """The folder as it may be shown."""
        return display_url(f"{self._bucket}/{self._prefix}")

    def read(self, key: str) -> tuple[bytes, str]:
        """Return a value and its ETag; see `Target.read`."""

        def get(client: Client) -> tuple[bytes, str]:
            import obstore  # noqa: PLC0415  # only buckets need it

            answer = obstore.get(client, self._key(key))
            tag = str(answer.meta["e_tag"] or "")
            return bytes(answer.bytes()), tag

        return self._ask(get, key)

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return a range of a value; see `Target.read_range`."""

        def get(client: Client) -> bytes:
            import obstore  # noqa: PLC0415  # only buckets need it

            return bytes(obstore.get_range(client, self._key(key), start=start, end=stop))

        return self._ask(get, key)

    def put(self, key: str, value: bytes) -> None:
        """Write a value; see `Target.put`."""

        def put(client: Client) -> None:
            import obstore  # noqa: PLC0415  # only buckets need it

            obstore.put(client, self._key(key), value)

        self._ask(put, key)

    def replace(self, key: str, value: bytes, tag: str | None) -> None:
        """Write a value in place of the version `tag`; see `Target.replace`."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError  # noqa: PLC0415  # only buckets need it

        def put(client: Client) -> None:
            import obstore  # noqa: PLC0415  # only buckets need it

            try:
                obstore.put(client, self._key(key), value, mode="create" if tag is None else {"e_tag": tag})
            except (AlreadyExistsError, PreconditionError) as error:
                # A try whose answer was lost has written it.
                if self.read(key)[0] != value:
                    raise _changed(self.name) from error

        self._ask(put, key)

    def keys(self, folder: str) -> list[str]:
        """Return the keys below a folder, sorted."""
        found = list_keys(self._bucket, f"{self._key(folder).rstrip('/')}/".lstrip("/"), self.access, recursive=True)
        start = len(self._prefix) + 1 if self._prefix else 0
        return sorted(key[start:] for key in found)

    def remove(self, keys: Iterable[str]) -> None:
        """Remove values; what is not there is no error."""
        chosen = [self._key(key) for key in keys]

        def delete(client: Client) -> None:
            import obstore  # noqa: PLC0415  # only buckets need it

            with suppress(FileNotFoundError):
                obstore.delete(client, chosen)

        if chosen:
            self._ask(delete, "")

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    def _ask(self, call: Callable[[Client], T], key: str) -> T:
        """Return what a call with the client of the bucket gives, made again while that may help."""
        from nwb_dask.storage.clients import connect_bucket  # noqa: PLC0415  # only buckets need it
        from nwb_dask.storage.engines.obstore import REQUEST_ERRORS, translate  # noqa: PLC0415  # likewise

        def attempt(_: float) -> tuple[T] | Failure:
            try:
                return (call(connect_bucket(self._bucket, self.access)),)
            except OutputError:
                raise
            except REQUEST_ERRORS as exc:
                return translate(exc)

        name = f"{self.name}/{key}".rstrip("/")
        seconds = self.access.choices().deadline
        outcome, _ = persist(attempt, host=self._bucket, name=name, seconds=seconds)
        if isinstance(outcome, Failure):
            raise explain(outcome, name, lost_secrets=has_lost_secrets(self.access))
        return outcome[0]


@contextmanager
def held(target: Target) -> Iterator[None]:
    """Keep other processes from writing to a local folder for the length of the block; a bucket is not held.

    Raises
    ------
    OutputError
        If another process holds it.
    """
    if not isinstance(target, LocalTarget):
        yield
        return
    try:
        target.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(target.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        message = f"{target.name} cannot be written: {error.strerror or error}"
        raise OutputError(message, url=target.name) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"another process is writing to {target.name}; wait for it, or write elsewhere"
            raise OutputError(message, url=target.name) from None
        yield
    finally:
        os.close(handle)


def read_all(target: Target, keys: Sequence[str]) -> list[bytes]:
    """Return several values, in order; those of a bucket at once."""
    if isinstance(target, LocalTarget) or len(keys) < 2:  # noqa: PLR2004  # nothing to do at once
        return [target.read(key)[0] for key in keys]
    with ThreadPoolExecutor(min(_N_AT_ONCE, len(keys)), thread_name_prefix="nwb_dask-target") as pool:
        return [value for value, _ in pool.map(target.read, keys)]


def _changed(name: str) -> OutputError:
    message = f"another process has written to {name} meanwhile, and what it wrote is kept; run the same again"
    return OutputError(message, url=name)
