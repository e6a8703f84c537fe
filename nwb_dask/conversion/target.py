"""Where an output may be written: what is there is never touched unless it is an earlier output."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nwb_dask.conversion.manifest import foreign_files, read_manifest
from nwb_dask.errors import NWBDaskError, OutputError, display_url
from nwb_dask.storage import Named
from nwb_dask.storage.urls import local_path, scheme


def local_target(out: object) -> Path:
    """Return the folder to write to, links followed.

    Raises
    ------
    OutputError
        If it is no local path, is there and is no folder, or if the folder that it would be in is not there.
    """
    text = os.fspath(out) if isinstance(out, os.PathLike) else out
    if not isinstance(text, str) or not text:
        raise TypeError(f"out={out!r}: the path of a folder is wanted")
    if scheme(text) not in {"", "file"}:
        name = display_url(text)
        raise OutputError(f"{name}: convert writes to local folders only; copy the folder there afterwards", url=name)
    path = Path(os.path.realpath(Path(local_path(text)).expanduser()))
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path} is a file; convert writes a folder, so name another", url=str(path))
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent} does not exist; make it, or name another folder", url=str(path))
    if path == path.parent:
        raise OutputError(f"{path} is the root of the file system; name a folder in it", url=str(path))
    return path


@contextmanager
def writing_to(out: Path) -> Iterator[None]:
    """Say of what the system refuses inside the block that it is the output which cannot be written."""
    try:
        yield
    except NWBDaskError:
        raise
    except OSError as error:
        message = f"{out} cannot be written: {error.strerror or error}; what is finished is kept for the same call"
        raise OutputError(message, url=str(out)) from error


def refuse_sources(out: Path, sources: Iterable[Named]) -> None:
    """Raise `OutputError` if a source is in the folder to write to, where an overwrite would remove it."""
    for one in sources:
        if scheme(one.url) not in {"", "file"}:
            continue
        path = Path(os.path.realpath(local_path(one.url)))
        if path == out or out in path.parents:
            message = f"{out} holds the source {one.name}; name another folder, such as one inside of it"
            raise OutputError(message, url=str(out))


def refuse_contents(out: Path, *, overwrite: bool) -> None:
    """Raise `OutputError` if the folder holds something that may not be replaced.

    `overwrite` replaces what an earlier conversion wrote. What else is in the folder is nobody's to remove.
    """
    if not out.exists() or not any(out.iterdir()):
        return
    manifest = read_manifest(out)
    if not overwrite:
        what = "is not empty" if manifest is None else "holds another conversion"
        hint = "name another folder" if manifest is None else "overwrite=True replaces it once the new one is complete"
        raise OutputError(f"{out} {what}; {hint}", url=str(out))
    if manifest is None:
        message = f"{out} is not empty and holds no conversion, so that overwrite=True does not replace it; remove it"
        raise OutputError(message, url=str(out))
    foreign = foreign_files(out, manifest)
    if foreign:
        message = (
            f"{out} holds {foreign[0]}, which no conversion wrote and overwrite=True would remove"
            f"{f', and {len(foreign) - 1} more' if len(foreign) > 1 else ''}; move it elsewhere"
        )
        raise OutputError(message, url=str(out))
