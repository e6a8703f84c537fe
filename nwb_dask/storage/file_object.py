"""A file that the user has open already, read by ranges."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from types import TracebackType
from typing import Protocol, Self

from nwb_dask.errors import SourceUnavailableError
from nwb_dask.index import Identity, Source, Url
from nwb_dask.storage.access import Access
from nwb_dask.storage.coalesce import Buffer
from nwb_dask.storage.local import past_end
from nwb_dask.storage.remote import plan_remote
from nwb_dask.storage.trace import record, record_round
from nwb_dask.storage.urls import display_url

_SCHEME = "object://"


class BinaryFile(Protocol):
    """What is asked of an open file: ``open(path, "rb")``, ``fsspec.open(...)``, ``remfile.File``, ``BytesIO``."""

    def seek(self, offset: int, whence: int = 0, /) -> object:
        """Move to a position."""

    def tell(self) -> int:
        """Return the position."""

    def read(self, n_bytes: int, /) -> bytes:
        """Return so many bytes from the position on, or fewer at the end."""


class FileObjectStore:
    """One file that is open already; see `Store`.

    Ranges near each other are read together, one after the other, since an object has one position. Which version of a
    file it reads is the object's to know.

    Parameters
    ----------
    file : BinaryFile
        Stays open when this is closed.
    access : Access
        How to reach what the file names.

    Raises
    ------
    TypeError
        If it is not open for reading bytes.
    """

    local_path: str | None = None
    driver = None
    is_unchanged = False
    is_confirmed = True

    def __init__(self, file: BinaryFile, access: Access) -> None:
        self.access = access
        self._file = file
        self._lock = Lock()
        named = next((one for key in ("url", "path", "name") if isinstance(one := getattr(file, key, None), str)), "")
        self._name = display_url(named) or f"a file object of type {type(file).__name__}"
        with self._alone():
            file.seek(0, 2)
            self.size = file.tell()
        self.source = Source(Url(_SCHEME + self._name.rpartition("/")[2]), Identity("size", "", self.size))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let no other thread move the position, nor this one collect garbage while it has the lock.

        A dead object of h5py needs h5py's lock, which a thread that waits here may hold (h5py issues 2019 and 2021).
        """
        is_collecting = gc.isenabled()
        gc.disable()
        try:
            with self._lock:
                yield
        finally:
            if is_collecting:
                gc.enable()

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[Buffer]:
        """Return the bytes of each half-open range; see `Store.read`."""
        for start, stop in ranges:
            if not 0 <= start <= stop <= self.size:
                raise past_end(start, stop, size=self.size, name=self._name)
        plan = plan_remote(ranges)
        began = time.monotonic()
        try:
            bodies = [self._read(*one) for one in plan.requests]
        except Exception as exc:  # noqa: BLE001  # of any library, with a URL in its message
            failure = SourceUnavailableError(f"{self._name} could not be read ({type(exc).__name__})", url=self._name)
        else:
            if bodies:
                n_bytes = sum(map(len, bodies))
                record(self._name, requests=len(bodies), n_bytes=n_bytes, began=began, ended=time.monotonic())
                record_round()
            return plan.slices(bodies)
        raise failure

    def _read(self, start: int, stop: int) -> bytes:
        parts, at = [], start
        with self._alone():
            self._file.seek(start)
            while at < stop:
                part = self._file.read(stop - at)
                if not part:
                    raise EOFError
                parts.append(part)
                at += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Do nothing: the object is the user's."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def is_file_object(source: object) -> bool:
    """Return whether something is an open file, and not the name of one."""
    return all(callable(getattr(source, name, None)) for name in ("read", "seek", "tell"))


def open_object(file: object, access: Access) -> FileObjectStore:
    """Return the store of an open file.

    Raises
    ------
    TypeError
        If it gives text.
    """
    if hasattr(file, "encoding"):
        raise TypeError("a file object must give bytes; open it with mode 'rb'")
    return FileObjectStore(file, access)  # type: ignore[arg-type]  # see `is_file_object`
