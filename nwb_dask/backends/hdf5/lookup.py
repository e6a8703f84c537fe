"""Paths and links of a file, by the own parser."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from nwb_dask.backends.hdf5.format.global_heap import GlobalHeap
from nwb_dask.backends.hdf5.format.links import read_links, read_table
from nwb_dask.backends.hdf5.format.object_header import (
    SYMBOL_TABLE,
    Message,
    kind_of,
    read_first_messages,
    read_messages,
)
from nwb_dask.backends.hdf5.format.space import AddressSpace, gather
from nwb_dask.backends.hdf5.format.stored_link import StoredLink, SymbolTable
from nwb_dask.backends.hdf5.format.superblock import read_superblock
from nwb_dask.backends.hdf5.object_attributes import PARSER_ERRORS
from nwb_dask.backends.hdf5.pages import Pages
from nwb_dask.backends.hdf5.paths import link_outside, missing_member, split_path, text
from nwb_dask.backends.known import Depth, GroupPart, Known
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import FilePath, GroupEntry, Link, join

_MAX_SOFT_LINKS = 40
"""Soft links followed on the way to one object, as in libhdf5's users' guide for loops."""
_KEPT_LINKS = 64
"""Members of a group that is remembered: many files have the same."""
_MAX_LINKED = 64
"""Groups of a local file whose links are remembered."""
_DEPTHS: Mapping[Depth, int] = {"links": 0, "attributes": 1, "members": 2}


@dataclass(frozen=True, slots=True)
class Found:
    """An object that a path leads to."""

    path: str
    """Its path by hard links only; the root is ``"/"``."""
    address: int


class Lookup:
    """Finds objects of one file by their paths; its methods may raise `Need`.

    Parameters
    ----------
    known : Known
        What is known already; grows.
    pages : Pages
        The file's bytes.
    """

    def __init__(self, known: Known, pages: Pages) -> None:
        self.known = known
        self._pages = pages
        self._space: AddressSpace | None = None
        self._heap: GlobalHeap | None = None
        self._tables: dict[int, SymbolTable] = {}
        self._linked: MutableMapping[str, GroupPart] = {}
        self._messages: dict[int, tuple[Message, ...]] = {}

    def apart(self) -> Lookup:
        """Return one of the same file that knows no more of its objects than links; raises `Need` as `space` does."""
        space, known = self.space, self.known
        facts = Known(known.source, known.base, known.offset_bytes, known.length_bytes, known.root)
        other = Lookup(facts, self._pages)
        other._space, other._heap, other._linked = space, self.heap, self._linked
        return other

    @property
    def root_table(self) -> SymbolTable | None:
        """Where the superblock says that the members of the root group are, if it does."""
        return self._tables.get(self.known.root)

    @property
    def space(self) -> AddressSpace:
        """The file as its superblock says to address it; read when it is first asked for, which may raise `Need`."""
        if self._space is None:
            known = self.known
            if not known.offset_bytes:
                superblock = read_superblock(self._pages)
                if superblock.table is not None:
                    self._tables[superblock.root] = superblock.table
                known.base, known.root = superblock.space.base, superblock.root
                known.length_bytes = superblock.space.length_bytes
                # Last, since other threads take it as the sign that all is known.
                known.offset_bytes = superblock.space.offset_bytes
                known.is_changed = True
                self._space = superblock.space
                return self._space
            self._space = AddressSpace(self._pages, known.base, known.offset_bytes, known.length_bytes)
        return self._space

    @property
    def heap(self) -> GlobalHeap:
        """Text and sequences of the file; may raise `Need` the first time."""
        if self._heap is None:
            self._heap = GlobalHeap(self.space)
        return self._heap

    def find(self, path: str) -> Found:
        """Return what is at `path`, following soft links; raises `Need`, and as `describe`."""
        left = split_path(path)[::-1]
        here = Found("/", self._root())
        n_links = 0
        while left:
            name = left.pop()
            part = self.links(here)
            if name in part.addresses:
                here = Found(join(here.path, name), part.addresses[name])
                continue
            link = part.group.links.get(name)
            if link is None and name in part.group.members:
                raise UnsupportedLayoutError(
                    f"{join(here.path, name)} is behind a link that only h5py follows", path=path
                )
            if link is None:
                raise missing_member(path, here.path, name, part.group.members)
            if link.filename is not None:
                raise link_outside(path, join(here.path, name), link, left[::-1])
            n_links += 1
            if n_links > _MAX_SOFT_LINKS:
                raise MalformedFileError("soft links lead in circles", path=path)
            if link.target.startswith("/"):
                here = Found("/", self._root())
            left.extend(split_path(link.target)[::-1])
        return here

    def _root(self) -> int:
        if not self.known.offset_bytes:
            # Reading the superblock sets the root.
            self.space.read(0, 0)
        return self.known.root

    def links(self, found: Found) -> GroupPart:
        """Return the part of a group, of its links at least; one without members for what is no group.

        Links that led somewhere are remembered for what is asked next, also by those that are `apart`.
        """
        part = self.known.parts.get(found.path) or self._linked.get(found.path)
        if part is None:
            messages = self.with_links(found.address)
            part = self.linked(found.path, messages)
            if kind_of(messages) == "group":
                self.keep(part)
                if not self._pages.waits and len(self._linked) < _MAX_LINKED:
                    self._linked[found.path] = part
        return part

    def with_links(self, address: int) -> tuple[Message, ...]:
        """Return the messages of an object, those with its links at least.

        What the link to a group says of it is fetched with the header, and not believed.
        """
        if address in self._messages or not self._pages.waits:
            return self.messages(address)
        first: list[tuple[Message, ...]] = []
        gather([lambda: first.append(read_first_messages(self.space, address)), lambda: self._look_ahead(address)])
        if any(message.type == SYMBOL_TABLE for message in first[0]):
            return first[0]
        return self.messages(address)

    def messages(self, address: int) -> tuple[Message, ...]:
        """Return the messages of an object; they are read once while a part of the file is described."""
        found = self._messages.get(address)
        if found is None:
            found = read_messages(self.space, address)
            self._messages[address] = found
        return found

    def forget_messages(self) -> None:
        """Let go of what was read to describe a part of the file."""
        self._messages = {}

    def _look_ahead(self, address: int) -> None:
        """Ask for the members of a group, if the link to it says where they are."""
        table = self._tables.get(address)
        if table is not None:
            with suppress(*PARSER_ERRORS):
                read_table(self.space, table)

    def linked(self, path: str, messages: tuple[Message, ...]) -> GroupPart:
        """Return the part of the group with these messages, of its links only."""
        if kind_of(messages) != "group":
            return GroupPart(GroupEntry(FilePath(path), {}, ()), depth="links")
        stored = read_links(self.space, messages)
        if self._pages.waits:
            self._tables.update({one.address: one.table for one in stored if one.table and one.address is not None})
        return (_kept_part if len(stored) <= _KEPT_LINKS else _linked_part)(path, stored)

    def keep(self, part: GroupPart) -> None:
        """Put a group into what is known, unless more is known of it."""
        path = part.group.path
        before = self.known.parts.get(path)
        if before is None or _DEPTHS[before.depth] < _DEPTHS[part.depth]:
            self.known.parts[path] = part
            self.known.is_changed = True


def _linked_part(path: str, stored: tuple[StoredLink, ...]) -> GroupPart:
    names: list[str] = []
    addresses: dict[str, int] = {}
    elsewhere: dict[str, Link] = {}
    subgroups: list[str] = []
    for one in stored:
        name = text(one.name)
        names.append(name)
        if one.kind == "hard":
            if one.address is not None:
                addresses[name] = one.address
            if one.is_group:
                subgroups.append(name)
        elif one.kind != "user":
            filename = text(one.filename) if one.kind == "external" else None
            elsewhere[name] = Link(text(one.target), filename)
    group = GroupEntry(FilePath(path), {}, tuple(names), elsewhere)
    return GroupPart(group, addresses=addresses, subgroups=frozenset(subgroups), depth="links")


_kept_part = lru_cache(maxsize=512)(_linked_part)
