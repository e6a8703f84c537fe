"""Objects of one container by their paths; links are followed here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from nwb_dask.backends import File
from nwb_dask.errors import MalformedFileError, NWBDaskError, PathNotFoundError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, GroupEntry, Link, join

Entry: TypeAlias = "GroupEntry | ArrayEntry"

_MAX_LINKS = 40
"""Soft links followed on the way to one object."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object that a path leads to."""

    name: str
    """The path by which it was found, absolute; parts of it may be soft links."""
    entry: Entry
    """What is there; its `path` is that without links."""


class Tree:
    """What one container holds, described once.

    Parameters
    ----------
    file : backends.File
        Open as long as this is used.
    """

    def __init__(self, file: File) -> None:
        self.file = file
        index = file.index("/", recursive=True)
        self.url = index.source.url
        self._groups = dict(index.groups)
        self._arrays = dict(index.arrays)
        self._problems = dict(index.problems)

    def problems(self, path: str) -> dict[str, str]:
        """Return why attributes of the object at `path` cannot be read, by the name of the attribute."""
        start = f"{path}@"
        return {key[len(start) :]: reason for key, reason in self._problems.items() if key.startswith(start)}

    def link(self, group: GroupEntry, name: str) -> Link | None:
        """Return the link that the member `name` of a group is; None if it is an object."""
        return group.links.get(name)

    def find(self, path: str, start: str = "/") -> Found:
        """Return what is at `path`, relative to the group at `start` unless it begins with a slash.

        Raises
        ------
        PathNotFoundError
            If nothing is there, or what is there is in another file.
        MalformedFileError, UnsupportedLayoutError
            If the object cannot be described, or links lead in circles.
        """
        name = path if path.startswith("/") else join(start, path)
        parts = [part for part in name.split("/") if part not in ("", ".")]
        left, n_links = parts[::-1], 0
        here: Entry = self._at("/")
        while left:
            member = left.pop()
            if not isinstance(here, GroupEntry) or member not in here.members:
                raise self._absent(name, here, member)
            link = here.links.get(member)
            if link is None:
                here = self._at(join(here.path, member))
                continue
            n_links += 1
            if link.filename is not None:
                message = f"{join(here.path, member)} is a link into another file, which is not followed"
                raise PathNotFoundError(message, url=self.url, path=name)
            if n_links > _MAX_LINKS:
                raise MalformedFileError("soft links lead in circles", url=self.url, path=name)
            if link.target.startswith("/"):
                here = self._at("/")
            left.extend([part for part in link.target.split("/") if part not in ("", ".")][::-1])
        return Found("/" + "/".join(parts), here)

    def _at(self, path: str) -> Entry:
        """Return what stands at a path without soft links."""
        found: Entry | None = self._groups.get(path) or self._arrays.get(path)
        if found is not None:
            return found
        if path in self._problems:
            raise UnsupportedLayoutError(f"{path} cannot be read: {self._problems[path]}", url=self.url, path=path)
        # A second hard link to a group: what is below was described under the first.
        index = self.file.index(path, recursive=True)
        self._groups = {**index.groups, **self._groups}
        self._arrays = {**index.arrays, **self._arrays}
        found = self._groups.get(path) or self._arrays.get(path)
        if found is None:
            raise PathNotFoundError(f"nothing is at {path}", url=self.url, path=path)
        return found

    def _absent(self, name: str, here: Entry, member: str) -> NWBDaskError:
        if isinstance(here, GroupEntry):
            message = f"there is no {member!r} in {here.path}"
        else:
            message = f"{here.path} is a dataset, and has no members"
        return PathNotFoundError(message, url=self.url, path=name)
