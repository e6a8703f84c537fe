"""Paths inside a file, as text that gives back the bytes in the file."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from nwb_dask.errors import PathNotFoundError
from nwb_dask.index import join


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
