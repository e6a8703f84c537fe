"""Paths inside a file, as text that gives back the bytes in the file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from nwb_dask.errors import PathNotFoundError, UnsupportedLayoutError
from nwb_dask.index import Link, join


class LinkOutsideError(UnsupportedLayoutError):
    """A link into another file is on the way; whoever may follows it.

    Attributes
    ----------
    step : str
        Path of the link, by hard links.
    link : Link or None
        What it names.
    rest : list of str
        Names on the path behind it.
    """

    def __init__(
        self,
        message: str,
        *,
        url: str | None = None,
        path: str | None = None,
        step: str = "",
        link: Link | None = None,
        rest: Sequence[str] = (),
    ) -> None:
        super().__init__(message, url=url, path=path)
        self.step = step
        self.link = link
        self.rest = list(rest)


def link_outside(path: str, step: str, link: Link, rest: Sequence[str]) -> LinkOutsideError:
    """Return the error of a path that leads through a link into another file."""
    message = (
        f"{step} is a link into another file, {link.filename!r}, which is not followed: read that file itself, or "
        "allow for its folder with allow_external=[...] in storage_options or nwb_dask.options"
    )
    return LinkOutsideError(message, path=path, step=step, link=link, rest=rest)


def text(stored: bytes) -> str:
    """Return a name or path as text; bytes that are not UTF-8 are escaped."""
    return stored.decode("utf-8", "surrogateescape")


def stored_name(name: str) -> bytes:
    """Return a name as it is in the file."""
    return name.encode("utf-8", "surrogateescape")


def split_path(path: str) -> list[str]:
    """Return the names on a path: ``units/./x/`` has two."""
    return [part for part in path.split("/") if part not in ("", ".")]


def missing_member(path: str, group: str, name: str, members: Iterable[str]) -> PathNotFoundError:
    """Return the error for a name that `group` does not have, with the nearest of those that it has."""
    message = f"nothing is at {path}"
    near = get_close_matches(name, list(members), n=3)
    if near:
        message += "; did you mean " + " or ".join(join(group, one) for one in near) + "?"
    return PathNotFoundError(message, path=path)
