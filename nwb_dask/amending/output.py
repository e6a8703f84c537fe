"""Where additions go: which kind of output a name means, and what all kinds can do."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from nwb_dask.amending.directory import DirectoryOutput
from nwb_dask.amending.document import LindiDocument
from nwb_dask.amending.tar import MADE, TarOutput
from nwb_dask.errors import NWBDaskError, OutputError
from nwb_dask.storage import Buffer, display_url, is_local, local_path

_TAR, _DIRECTORY = ".lindi.tar", ".lindi.d"


class Output(Protocol):
    """An archive or a folder that is open for additions. What is added counts once it is committed, all or nothing."""

    path: Path
    document: LindiDocument | None
    """As last committed; None if there is none yet."""
    longest_name: int
    """Bytes of the longest name of a file in it."""

    def has_blob(self, name: str) -> bool:
        """Tell whether a file of this name is there, committed or not."""

    def add_blob(self, name: str, parts: Iterable[Buffer]) -> int:
        """Write a file under a name that is not taken, and return its size."""

    def read_blob(self, name: str, start: int, stop: int) -> bytes:
        """Return bytes of a file, committed or not; fewer where it ends before."""

    def commit(self, document: LindiDocument) -> None:
        """Let the document, and the files added since the last commit, be what the output is."""

    def rollback(self) -> None:
        """Forget what was added since the last commit."""

    def close(self) -> None:
        """Give it up; what is not committed is lost. More than once is harmless."""


def is_output_name(name: str) -> bool:
    """Tell whether a file or folder of this name may be added to."""
    return name.endswith((_TAR, _DIRECTORY))


def output_path(out: str | os.PathLike[str]) -> Path:
    """Return the local path that `out` means.

    Raises
    ------
    OutputError
        If it is no local path, its name ends in neither ``.lindi.tar`` nor ``.lindi.d``, or its folder is not there.
    """
    text = os.fspath(out)
    if not is_local(text):
        name = display_url(text)
        raise OutputError(f"{name}: additions are written to local files; copy the file there afterwards", url=name)
    # Links are followed: the lock and the names beside it are those of the file itself.
    path = Path(os.path.realpath(Path(local_path(text)).expanduser()))
    if not is_output_name(path.name):
        message = f"{path}: additions go to a file named *{_TAR} or a folder named *{_DIRECTORY}"
        raise OutputError(message, url=str(path))
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent} does not exist; make it, or name another folder", url=str(path))
    if path.exists() and path.is_dir() != path.name.endswith(_DIRECTORY):
        kind = "a folder" if path.is_dir() else "a file"
        raise OutputError(f"{path} is {kind}, which its name denies; name another", url=str(path))
    return path


def open_output(path: Path) -> Output:
    """Return the output at `path`, or the one that is there after the first commit. The caller has its lock."""
    try:
        _remove_left(path)
        return DirectoryOutput(path) if path.name.endswith(_DIRECTORY) else TarOutput(path)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{path} cannot be written: {error.strerror or error}", url=str(path)) from error


@contextmanager
def writing(output: Output) -> Iterator[None]:
    """Say of errors of the system, a full disk above all, where they happened and what is left.

    Raises
    ------
    OutputError
        In their place.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, NWBDaskError):
            raise
        message = f"{output.path} cannot be written: {error.strerror or error}; what was committed before is whole"
        raise OutputError(message, url=str(output.path)) from error


def _remove_left(path: Path) -> None:
    """Remove what runs that were killed before their first commit left beside an output."""
    for one in path.parent.iterdir():
        if one.name.startswith(f".{path.name}.") and one.name.endswith(MADE):
            shutil.rmtree(one) if one.is_dir() else one.unlink()


def blob_name(output: Output, key: str) -> str:
    """Return a name for the values of the dataset `key` (without a leading slash) that is not taken.

    ``blobs/<key>/chunks``, then ``….v2`` and so on, as LINDI counts; a digest where that has no place.
    """
    name = f"blobs/{key}/chunks"
    longest = max(map(len, name.encode().split(b"/")))
    if len(name.encode()) + len(".v9999") > output.longest_name or longest > 200 or not name.isascii():  # noqa: PLR2004  # file systems take 255
        name = f"blobs/{hashlib.sha256(key.encode()).hexdigest()[:32]}/chunks"
    if not output.has_blob(name):
        return name
    version = 2
    while output.has_blob(f"{name}.v{version}"):
        version += 1
    return f"{name}.v{version}"
