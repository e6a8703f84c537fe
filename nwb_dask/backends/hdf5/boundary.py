"""Errors of h5py, as errors of ours."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from nwb_dask.errors import (
    MalformedFileError,
    NWBDaskError,
    SourceAccessError,
    SourceNotFoundError,
    SourceUnavailableError,
)

H5PY_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError, AttributeError)
"""What h5py raises about a damaged file, by the experience of mutating files."""


def translate(exc: BaseException, *, url: str, path: str | None) -> NWBDaskError:
    """Return our error for one that h5py raised."""
    if isinstance(exc, NWBDaskError):
        return exc.at(url=url, path=path)
    if isinstance(exc, OSError) and exc.errno:
        # h5py sets errno where the operating system refused, never for damaged contents.
        if isinstance(exc, FileNotFoundError):
            return SourceNotFoundError("no such file", url=url)
        if isinstance(exc, PermissionError):
            return SourceAccessError("reading the file is not permitted", url=url)
        return SourceUnavailableError(f"reading the file failed: {exc}", url=url)
    detail = str(exc.args[0]) if exc.args else type(exc).__name__
    if "truncated" in detail or "eof" in detail.lower() or "end of file" in detail.lower():
        return MalformedFileError(f"truncated: h5py says {detail!r}", url=url, path=path)
    return MalformedFileError(f"damaged: h5py says {detail!r}", url=url, path=path)


class Boundary:
    """Context in which errors of h5py become errors of ours that name the file and the object."""

    __slots__ = ("path", "url")

    def __init__(self, url: str, path: str | None) -> None:
        self.url = url
        self.path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if isinstance(exc, NWBDaskError):
            exc.at(url=self.url, path=self.path)
        elif isinstance(exc, H5PY_ERRORS):
            raise translate(exc, url=self.url, path=self.path) from exc
