"""A hierarchy as a `FileIndex`: paths through links, members, attributes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from nwb_dask.backends.hdf5.compose import Wanted, choose, with_attributes
from nwb_dask.backends.hdf5.paths import LinkOutsideError, missing_member, split_path
from nwb_dask.backends.zarr.describe import describe_array
from nwb_dask.backends.zarr.documents import ArrayDocument, Document, GroupDocument
from nwb_dask.backends.zarr.hierarchy import Hierarchy
from nwb_dask.backends.zarr.meaning import ArrayMeaning, Convention, GroupMeaning, source_of
from nwb_dask.errors import MalformedFileError, NWBDaskError, PathNotFoundError, display_url
from nwb_dask.index import (
    ArrayEntry,
    AttributeValue,
    FileIndex,
    FilePath,
    GroupEntry,
    Link,
    Reference,
    Source,
    join,
)

_MAX_LINKS = 40
_MAX_GROUPS = 200_000


class Found(NamedTuple):
    """Where a path leads."""

    path: str
    """Of the document."""
    document: Document


class Stored(NamedTuple):
    """An array, as it is stored and as it is seen."""

    document: ArrayDocument
    meaning: ArrayMeaning


class Tree:
    """Objects of one store.

    Parameters
    ----------
    hierarchy : Hierarchy
        Its documents.
    convention : Convention
        What they mean.
    """

    def __init__(self, hierarchy: Hierarchy, convention: Convention) -> None:
        self._hierarchy = hierarchy
        self._convention = convention
        self._groups: dict[str, GroupMeaning] = {}
        self._arrays: dict[str, Stored] = {}

    def find(self, path: str) -> Found:
        """Return what is at `path`, links followed.

        Raises
        ------
        PathNotFoundError
            If nothing is there.
        LinkOutsideError
            If it leads through a link into another store.
        UnsupportedLayoutError
            If it leads to what is not read.
        MalformedFileError
            If links lead in circles, or what is there is damaged.
        """
        left = split_path(path)[::-1]
        here = "/"
        n_links = 0
        while left:
            name = left.pop()
            link = self._link(here, name)
            if link is None:
                members = self._hierarchy.members.get(here, ())
                if name not in members or isinstance(self._hierarchy.documents.get(here), ArrayDocument):
                    raise missing_member(path, here, name, self._names(here))
                here = join(here, name)
                continue
            if link.filename is not None:
                step = join(here, name)
                raise LinkOutsideError(_outside(step, link), path=path, step=step, link=link, rest=left[::-1])
            n_links += 1
            if n_links > _MAX_LINKS:
                raise MalformedFileError("soft links lead in circles", path=path)
            if link.target.startswith("/"):
                here = "/"
            left.extend(split_path(link.target)[::-1])
        document = self._hierarchy.documents.get(here)
        if document is None:
            raise MalformedFileError(self._hierarchy.problems.get(here, "it has no document"), path=path)
        return Found(here, document)

    def array(self, path: str) -> Stored:
        """Return the array at `path`; raises as `find`, and if it is none."""
        found = self.find(path)
        if not isinstance(found.document, ArrayDocument):
            raise PathNotFoundError(f"{path} is a group, and holds no values", path=path)
        return self._stored(found.document)

    def index(
        self, source: Source, path: str, wanted: Wanted, *, names: Collection[str] | None, recursive: bool
    ) -> FileIndex:
        """Return the index of the object at `path`; see `backends.File.index`."""
        asked = "/" + "/".join(split_path(path))
        found = self.find(asked)
        if isinstance(found.document, ArrayDocument):
            entry = self._entry(asked, found.document, found.path)
            return FileIndex(source, {}, {asked: with_attributes(entry, wanted, {})})
        making = _Making(self, wanted)
        making.add(asked, found.path, names=names, recursive=recursive)
        return FileIndex(source, making.groups, making.arrays, making.problems)

    def group(self, path: str) -> GroupMeaning:
        """Return what the group whose document is at `path` is."""
        known = self._groups.get(path)
        if known is None:
            document = self._hierarchy.documents[path]
            assert isinstance(document, GroupDocument)  # noqa: S101  # its callers know
            known = self._convention.group(document)
            links = dict(known.links)
            for name in self._hierarchy.members.get(path, ()):
                below = self._hierarchy.documents.get(join(path, name))
                if isinstance(below, GroupDocument) and (link := self._convention.link(below)) is not None:
                    links[name] = link
            known = self._groups[path] = replace(known, links=links)
        return known

    def members(self, path: str) -> tuple[str, ...]:
        """Return the names of all members of a group, links included, sorted."""
        return tuple(sorted({*self._hierarchy.members.get(path, ()), *self.group(path).links}))

    def problem(self, path: str) -> str | None:
        """Return why the document at `path` could not be read."""
        return self._hierarchy.problems.get(path)

    def _link(self, path: str, name: str) -> Link | None:
        """Return the link that a name stands for; one that references make is at the root, where nothing else is."""
        found = self._links(path).get(name)
        if found is None and path == "/" and name not in self._hierarchy.members.get("/", ()):
            source = source_of(name)
            return None if source is None else Link("/", source)
        return found

    def _links(self, path: str) -> Mapping[str, Link]:
        return self.group(path).links if isinstance(self._hierarchy.documents.get(path), GroupDocument) else {}

    def _names(self, path: str) -> tuple[str, ...]:
        return self.members(path) if isinstance(self._hierarchy.documents.get(path), GroupDocument) else ()

    def _stored(self, document: ArrayDocument) -> Stored:
        known = self._arrays.get(document.path)
        if known is None:
            known = self._arrays[document.path] = Stored(document, self._convention.array(document))
        return known

    def _entry(self, path: str, document: ArrayDocument, real: str) -> ArrayEntry:
        """Return the entry of an array, which stands under `path` and is at `real`."""
        entry = describe_array(document, self._stored(document).meaning, FilePath(path))
        attributes = self.followed(entry.attributes, path.rpartition("/")[0] or "/", real.rpartition("/")[0] or "/")
        return replace(entry, attributes=attributes)

    def entry(self, path: str, found: Found) -> ArrayEntry:
        """Return the entry of the array that was found, under the path that was asked for."""
        assert isinstance(found.document, ArrayDocument)  # noqa: S101  # its callers know
        return self._entry(path, found.document, found.path)

    def followed(self, attributes: Mapping[str, AttributeValue], group: str, real: str) -> Mapping[str, AttributeValue]:
        """Return attributes with references that lead nowhere as such.

        Those to members of the group at `real`, which was reached as `group`, lead to paths below that, so that a
        pointer and its target stay together.
        """
        if not any(isinstance(value, (Reference, tuple)) for value in attributes.values()):
            return attributes
        return {key: self._followed(value, group, real) for key, value in attributes.items()}

    def _followed(self, value: AttributeValue, group: str, real: str) -> AttributeValue:
        if isinstance(value, tuple):
            return tuple([self._followed(one, group, real) for one in value])
        if not isinstance(value, Reference) or value.path is None:
            return value
        parent, _, name = value.path.rpartition("/")
        if group != real and (parent or "/") == real:
            return Reference(join(group, name))
        try:
            return Reference(self.find(value.path).path)
        except PathNotFoundError:
            return Reference(None)
        except NWBDaskError:
            return value


def _outside(step: str, link: Link) -> str:
    """Return why a link into another store is not followed."""
    where = f"{display_url(link.filename or '')[:200]!r} (at {link.target[:200]!r})"
    return (
        f"{step} is a link into another Zarr store, {where}, which is not followed: read that store itself, or allow "
        "for its folder with allow_external=[...] in storage_options or nwb_dask.options"
    )


class _Making:
    """A `FileIndex` that grows."""

    def __init__(self, tree: Tree, wanted: Wanted) -> None:
        self.groups: dict[str, GroupEntry] = {}
        self.arrays: dict[str, ArrayEntry] = {}
        self.problems: dict[str, str] = {}
        self._tree = tree
        self._wanted = wanted

    def add(self, asked: str, real: str, *, names: Collection[str] | None, recursive: bool) -> None:
        """Describe the group at `real`, under the path `asked`, and its members; all below it if `recursive`."""
        stack = [(asked, real)]
        while stack:
            path, here = stack.pop()
            if len(self.groups) > _MAX_GROUPS:
                raise MalformedFileError(f"damaged: it seems to have more than {_MAX_GROUPS} groups", path=asked)
            if not self._add_group(path, here):
                continue
            below = list(self._add_members(path, here, names if path == asked else None))
            if recursive:
                stack.extend((inner, found.path) for inner, found, is_link in reversed(below) if not is_link)
            elif path == asked and self._wanted.members:
                for inner, found, _ in below:
                    self._add_group(inner, found.path)

    def _add_group(self, path: str, real: str) -> bool:
        try:
            meaning = self._tree.group(real)
            members = self._tree.members(real)
        except NWBDaskError as exc:
            self.problems[path] = exc.message
            return False
        attributes = self._tree.followed(meaning.attributes, path, real)
        names = self._wanted.groups
        shown = attributes if names is None else {key: value for key, value in attributes.items() if key in names}
        unread = frozenset(attributes) - shown.keys()
        self.groups[path] = GroupEntry(FilePath(path), shown, members, meaning.links, unread)
        return True

    def _add_members(
        self, path: str, real: str, names: Collection[str] | None
    ) -> Iterator[tuple[FilePath, Found, bool]]:
        """Describe the arrays in a group; yield its groups, and whether they were reached through a link."""
        links = self._tree.group(real).links
        arrays: dict[str, ArrayEntry] = {}
        problems: dict[str, str] = {}
        for name in self._tree.members(real):
            link = links.get(name)
            if link is not None and link.filename is not None:
                continue
            inner = join(path, name)
            try:
                found = self._tree.find(join(real, name))
                if isinstance(found.document, ArrayDocument):
                    arrays[name] = self._tree.entry(inner, found)
                    continue
            except NWBDaskError as exc:
                problems[name] = exc.message
                continue
            yield inner, found, link is not None
        chosen = arrays if names is None else choose(arrays, names)
        self.arrays.update({join(path, name): with_attributes(one, self._wanted, {}) for name, one in chosen.items()})
        self.problems.update(
            {join(path, name): reason for name, reason in problems.items() if names is None or name in names}
        )
