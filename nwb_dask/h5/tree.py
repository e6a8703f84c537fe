"""Objects of one container by their paths; links are followed here."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from nwb_dask.backends import NAMED_TYPE, File, ReachingFile, StoredAttribute
from nwb_dask.errors import (
    MalformedFileError,
    NWBDaskError,
    PathNotFoundError,
    SourceChangedError,
    SourceUnavailableError,
    UnsupportedLayoutError,
)
from nwb_dask.index import ArrayEntry, GroupEntry, join

Entry: TypeAlias = "GroupEntry | ArrayEntry"

_MAX_LINKS = 40
"""Soft links followed on the way to one object."""


class ExternalLinkError(PathNotFoundError):
    """A path leads into another file."""


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
    prepare : bool
        Whether rows of many datasets will be read next; see `backends.File.index`.
    """

    def __init__(self, file: File, *, prepare: bool = False) -> None:
        self.file = file
        index = file.index("/", recursive=True, prepare=prepare)
        self.url = index.source.url
        self._groups = dict(index.groups)
        self._arrays = dict(index.arrays)
        self._problems = dict(index.problems)
        self._stored: dict[str, Mapping[str, StoredAttribute]] = {}

    def problems(self, path: str) -> dict[str, str]:
        """Return why attributes of the object at `path` cannot be read, by the name of the attribute."""
        start = f"{path}@"
        return {key[len(start) :]: reason for key, reason in self._problems.items() if key.startswith(start)}

    def stored_attributes(self, path: str) -> Mapping[str, StoredAttribute]:
        """Return attributes of the object at `path` of which their container knows more than their values.

        Only HDF5 does; of an object that is in another file nothing more is known.
        """
        found = self._stored.get(path)
        if found is None:
            try:
                found = self.file.hdf5.attributes(path) if isinstance(self.file, ReachingFile) else {}
            except (SourceChangedError, SourceUnavailableError):
                raise
            except NWBDaskError:
                found = {}
            self._stored[path] = found
        return found

    def arrays(self) -> Mapping[str, ArrayEntry]:
        """Return the datasets that are described, by path."""
        return self._arrays

    def groups(self) -> Mapping[str, GroupEntry]:
        """Return the groups that are described, by path."""
        return self._groups

    def datasets_by_group(self) -> dict[str, list[ArrayEntry]]:
        """Return the datasets that are described, by the path of their group."""
        found: dict[str, list[ArrayEntry]] = {}
        for path, entry in self._arrays.items():
            if entry.path == path:
                found.setdefault(path.rpartition("/")[0], []).append(entry)
        return found

    def has_external_links(self) -> bool:
        """Return whether some group has a link into another file."""
        return any(link.filename is not None for group in self._groups.values() for link in group.links.values())

    @property
    def reaches_out(self) -> bool:
        """Whether anything is, or may be, in other files; of an object that cannot be described nobody knows."""
        links = {join(group.path, name) for group in self._groups.values() for name in group.links}
        known = {*links, *self._arrays}
        is_unclear = any(
            "@" not in path and path not in known and reason != NAMED_TYPE for path, reason in self._problems.items()
        )
        return is_unclear or self.has_external_links() or self.has_data_in({"external", "virtual"})

    def has_data_in(self, layouts: Container[str]) -> bool:
        """Return whether some dataset is stored so; see `ArrayEntry.layout`."""
        return any(entry.layout in layouts for entry in self._arrays.values())

    def check_inside(self, path: str, start: str = "/") -> None:
        """Raise `PathNotFoundError` if a path leads into another file; see `find`."""
        try:
            self.find(path, start)
        except ExternalLinkError:
            raise
        except NWBDaskError:
            # What libhdf5 has to say of it.
            return

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
                place = join(here.path, member)
                message = (
                    f"{place} is a link into another file, which is not followed: read that file itself, or, where "
                    "both are local, let nwb_dask.options(allow_external=[folder]) name its folder"
                )
                raise ExternalLinkError(message, url=self.url, path=name)
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
