"""Where an output may be written: it appears whole, and replaces only what was asked to be replaced."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nwb_dask.errors import NWBDaskError, OutputError, display_url
from nwb_dask.storage.durable import flush, flush_tree
from nwb_dask.storage.exchange import exchange
from nwb_dask.storage.urls import local_path, scheme


def local_target(out: object) -> Path:
    """Return the path to write to.

    Raises
    ------
    OutputError
        If it is no local path, or the folder that it would be in is not there.
    """
    text = os.fspath(out) if isinstance(out, os.PathLike) else out
    if not isinstance(text, str) or not text:
        raise TypeError(f"out={out!r}: a path is wanted")
    if scheme(text) not in {"", "file"}:
        name = display_url(text)
        raise OutputError(f"{name}: references are written to local paths only; copy them there afterwards", url=name)
    path = Path(local_path(text)).expanduser().absolute()
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent} does not exist; make it, or name another folder", url=str(path))
    return path


@contextmanager
def appearing(out: Path, *, overwrite: bool, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield a path beside `out`, where a file or folder is to be made that becomes `out` if the block ends well.

    Parameters
    ----------
    out : Path
        What nobody sees before it is complete.
    overwrite : bool
        Whether what is there may be replaced.
    is_ours : callable
        Tells whether what is there is an earlier output; nothing else is replaced.

    Raises
    ------
    OutputError
        If something is there that may not be replaced, or the place cannot be written.
    """
    _check(out, overwrite=overwrite, is_ours=is_ours)
    aside: Path | None = None
    try:
        aside = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
        made = aside / out.name
        yield made
        (flush_tree if made.is_dir() else flush)(made)
        _check(out, overwrite=overwrite, is_ours=is_ours)
        _place(made, out)
        flush(out.parent)
    except NWBDaskError:
        raise
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror or error}", url=str(out)) from error
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)


def _check(out: Path, *, overwrite: bool, is_ours: Callable[[Path], bool]) -> None:
    if not os.path.lexists(out):
        return
    if not overwrite:
        raise OutputError(f"{out} exists; overwrite=True replaces it once the new one is complete", url=str(out))
    if not is_ours(out):
        message = f"{out} holds no references, so that overwrite=True does not replace it; name another, or remove it"
        raise OutputError(message, url=str(out))


def _place(made: Path, out: Path) -> None:
    """Give what was made its name; what stood there is removed with the folder that `made` is in."""
    if out.is_dir():
        if not exchange(made, out):
            out.rename(made.with_name("old"))
            made.rename(out)
    else:
        made.replace(out)
