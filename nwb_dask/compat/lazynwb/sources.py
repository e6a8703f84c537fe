"""What lazynwb takes for a file, as nwb_dask takes it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import PurePath
from typing import TypeAlias

PathLike: TypeAlias = "str | bytes | os.PathLike[str] | os.PathLike[bytes] | object"
"""A path, a URL, a `upath.UPath`, or a `FileAccessor`."""
Sources: TypeAlias = "PathLike | Iterable[PathLike]"


class UrlPath:
    """The URL of a remote file, with what scripts ask of a path.

    Parameters
    ----------
    url : str
        Complete, the scheme included.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def protocol(self) -> str:
        """The scheme: ``s3``, ``https`` ..."""
        return self._url.partition("://")[0]

    @property
    def name(self) -> str:
        """The last part, without the query."""
        return self._url.partition("?")[0].rstrip("/").rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return PurePath(self.name).stem

    @property
    def suffix(self) -> str:
        """The suffix of the last part."""
        return PurePath(self.name).suffix

    def as_posix(self) -> str:
        """Return the URL."""
        return self._url

    def __str__(self) -> str:
        """Return the URL."""
        return self._url

    def __repr__(self) -> str:
        """Show the URL without what may be secret in it."""
        return f"UrlPath({self._url.partition('?')[0]!r})"

    def __eq__(self, other: object) -> bool:
        """Whether both are the same URL."""
        return str(self) == str(other) if isinstance(other, UrlPath) else NotImplemented

    def __hash__(self) -> int:
        """Return that of the URL."""
        return hash(self._url)


def as_source(path: PathLike) -> str:
    """Return one file as nwb_dask takes it: the text of its path or URL.

    Raises
    ------
    ValueError
        If there are several.
    TypeError
        If it is no path.
    """
    held = getattr(path, "_file_path", None) or getattr(path, "_path", None)
    if held is not None and not isinstance(path, os.PathLike) and not hasattr(path, "as_posix"):
        return as_source(held)
    if isinstance(path, (str, bytes)):
        return os.fsdecode(path)
    # Of a UPath: the URL, which `os.fspath` refuses to give.
    posix = getattr(path, "as_posix", None)
    if callable(posix):
        return str(posix())
    if isinstance(path, os.PathLike):
        return os.fsdecode(path)
    if isinstance(path, Iterable):
        raise ValueError(f"expected a single path, but received an iterable: {path!r}")  # noqa: TRY004  # as lazynwb
    raise TypeError(f"a source is a path or a URL, not {type(path).__name__}")


def as_sources(paths: Sources) -> list[str]:
    """Return one or several files as nwb_dask takes them.

    Raises
    ------
    ValueError
        If there are none.
    """
    is_single = isinstance(paths, (str, bytes, os.PathLike)) or hasattr(paths, "as_posix") or hasattr(paths, "_path")
    several = [paths] if is_single or not isinstance(paths, Iterable) else list(paths)
    if not several:
        raise ValueError("No NWB source files provided.")
    return [as_source(one) for one in several]
