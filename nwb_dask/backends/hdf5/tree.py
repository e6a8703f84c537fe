"""Finds groups and datasets of a file with the own parser, and keeps what it finds in a `Known`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

from nwb_dask.backends.hdf5.compose import POINTER, Wanted
from nwb_dask.backends.hdf5.format.layout import describe_array
from nwb_dask.backends.hdf5.format.object_header import (
    Message,
    kind_of,
)
from nwb_dask.backends.hdf5.format.space import gather
from nwb_dask.backends.hdf5.lookup import Found, Lookup
from nwb_dask.backends.hdf5.object_attributes import (
    PARSER_ERRORS,
    STORAGE_ERRORS,
    as_damage,
    has_references,
    may_have_attribute,
    names_by_address,
    near_paths,
    read_attributes,
    with_near,
)
from nwb_dask.backends.hdf5.pages import Pages
from nwb_dask.backends.hdf5.paths import split_path, stored_name
from nwb_dask.backends.hdf5.rounds import Rest, Task, run
from nwb_dask.backends.hdf5.scout import scout_task
from nwb_dask.backends.hdf5.types import NAMED_TYPE
from nwb_dask.backends.known import Depth, GroupPart
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, AttributeValue, FilePath, GroupEntry, join

_log = logging.getLogger(__name__)

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_MAX_GROUPS = 200_000
"""Groups described in one go; hard links that form a lattice make a few groups look like many."""


class _Above(NamedTuple):
    """The groups that a group is in, the nearest first."""

    address: int
    above: _Above | None

    def holds(self, address: int) -> bool:
        """Return whether a group is one of these: then its links lead in a circle."""
        here: _Above | None = self
        while here is not None:
            if here.address == address:
                return True
            here = here.above
        return False


@dataclass(slots=True)
class _Members:
    """The members of a group that is being described."""

    part: GroupPart
    left: int
    soft: dict[str, int] = field(default_factory=dict)
    """What members that are soft links lead to."""
    arrays: dict[str, ArrayEntry] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


class Tree:
    """Describes a part of one file, once.

    Parameters
    ----------
    lookup : Lookup
        The file; what is found is put into what is known of it.
    pages : Pages
        The file's bytes.
    wanted : Wanted
        Attributes to read. Unless it is all of them, what becomes known is not complete, and is for this call only.
    on_array : callable
        Gives the work that is to be done meanwhile for each dataset that is met, before its attributes are known.
    names : collection of str, optional
        Datasets to describe, besides those that point to another, of which the caller chooses. If they are given, what
        becomes known is not complete either.
    """

    def __init__(
        self,
        lookup: Lookup,
        pages: Pages,
        wanted: Wanted,
        on_array: Callable[[ArrayEntry], Iterable[Task | Rest]],
        names: Collection[str] | None = None,
    ) -> None:
        self.lookup = lookup
        self.known = lookup.known
        self._pages = pages
        self._wanted = wanted
        self._on_array = on_array
        self._names = None if names is None else frozenset(names)
        self._n_groups = 0
        self._asked = ""
        self.damaged: dict[str, str] = {}
        """Paths of groups that could not be described, with the reason."""
        self.uncovered: dict[str, str] = {}
        """Paths of objects that the parser could not read, with the reason; h5py may."""

    def describe(self, path: str, *, recursive: bool) -> tuple[int, ArrayEntry | None]:
        """Learn the object at `path` and its members; everything below too if `recursive`.

        Parameters
        ----------
        path : str
            Absolute; what is found stands in `Known.parts` under this path, whatever links it leads through.

        Returns
        -------
        address : int
            Of the object.
        entry : ArrayEntry or None
            The dataset at `path`; None for a group.

        Raises
        ------
        PathNotFoundError
            If nothing is at `path`.
        UnsupportedLayoutError
            If it leads through an external link.
        MalformedFileError
            If the file is broken on the way.
        """
        seen: list[tuple[int, ArrayEntry | None]] = []
        asked = "/" + "/".join(split_path(path))
        self._n_groups = 0

        def start() -> Iterable[Task]:
            found = self.lookup.find(asked)
            self._asked = found.path
            part = self.known.parts.get(asked)
            if part is None or part.depth == "links":
                entry = self._alone(asked, found)
                if entry is not None:
                    seen.append((found.address, entry))
                    return ()
            seen.append((found.address, None))
            return [self._group_task(asked, found.address, "members", None, recursive=recursive)]

        tasks: list[Task] = [start]
        if self._pages.waits and not recursive and asked not in self.known.parts:
            names = [stored_name(name) for name in split_path(asked)]
            tasks.append(scout_task(lambda: self.lookup.space, lambda: self.lookup.root_table, names))
        try:
            run(tasks, self._pages)
        finally:
            self.lookup.forget_messages()
        return seen[0]

    def _alone(self, asked: str, found: Found) -> ArrayEntry | None:
        """Return the dataset that was found, or None for a group."""
        parent, _, name = asked.rpartition("/")
        part = self.known.parts.get(parent or "/")
        if part is not None and name in part.arrays:
            return part.arrays[name]
        messages = self.lookup.messages(found.address)
        kind = kind_of(messages)
        if kind == "datatype":
            raise UnsupportedLayoutError(f"{asked} is a named datatype, which holds no data", path=asked)
        if kind == "group":
            return None
        values = self._attributes(messages, asked, {}, self._wanted.arrays)
        return describe_array(self.lookup.space, messages, FilePath(asked), values)

    def _group_task(self, path: str, address: int, to: Depth, above: _Above | None, *, recursive: bool) -> Task:
        """Return the work of describing a group, and what is below it."""
        here = _Above(address, above)

        def task() -> Iterable[Task | Rest]:
            if above is not None and above.holds(address):
                return ()
            part = self.known.parts.get(path)
            if part is None or part.depth == "links":
                if self._n_groups > _MAX_GROUPS:
                    raise MalformedFileError(f"damaged: it seems to have more than {_MAX_GROUPS} groups", path=path)
                part = self._attributed(path, address, is_kept=above is None and path == self._asked)
                self._n_groups += 1
                self.lookup.keep(part)
            if to == "attributes":
                return ()
            if part.depth == "members":
                return self._below(part, here, recursive=recursive)
            names = [*part.addresses, *(name for name, link in part.group.links.items() if link.filename is None)]
            members = _Members(part, len(names))
            if not names:
                self._finish(members)
            if not self._pages.waits:
                return self._members_now(members, names, here, recursive=recursive)
            return [self._member_task(members, name, here, recursive=recursive) for name in names]

        def fail(reason: str) -> None:
            self.damaged[path] = reason

        return task if above is None else self._guarded(task, path, fail)

    def _attributed(self, path: str, address: int, *, is_kept: bool) -> GroupPart:
        """Return a group with its links, which are kept for what is asked next if `is_kept`, and its attributes."""
        problems: dict[str, str] = {}
        if not self._pages.waits:
            messages = self.lookup.messages(address)
            linked = self.lookup.links(Found(path, address)) if is_kept else self.lookup.linked(path, messages)
            return self._with_attributes(
                linked, self._attributes(messages, path, problems, self._wanted.groups), problems
            )
        links: list[GroupPart] = []
        values: list[Mapping[str, AttributeValue]] = []
        calls: list[Callable[[], None]] = [
            lambda: links.append(self.lookup.linked(path, self.lookup.with_links(address))),
            lambda: values.append(self._attributes(self.lookup.messages(address), path, problems, self._wanted.groups)),
        ]
        gather(calls)
        return self._with_attributes(links[-1], values[-1], problems)

    def _with_attributes(
        self, linked: GroupPart, values: Mapping[str, AttributeValue], problems: Mapping[str, str]
    ) -> GroupPart:
        group = linked.group
        attributes = values
        if has_references(values):
            attributes = near_paths(values, group.path, names_by_address(linked.addresses, {}))
        return GroupPart(
            GroupEntry(group.path, attributes, group.members, group.links),
            linked.arrays,
            linked.addresses,
            linked.subgroups,
            problems,
            "attributes",
        )

    def _below(self, part: GroupPart, here: _Above, *, recursive: bool) -> list[Task]:
        """Return the work that is left below a group whose members are known."""
        path = part.group.path
        to: Depth = "members" if recursive else "attributes"
        return [
            self._group_task(join(path, name), address, to, here, recursive=recursive)
            for name, address in part.addresses.items()
            if name not in part.arrays and join(path, name) not in part.problems
        ]

    def _member_task(self, members: _Members, name: str, here: _Above, *, recursive: bool) -> Task:
        path = join(members.part.group.path, name)

        def fail(reason: str) -> None:
            members.problems[path] = reason
            self._one_less(members)

        return self._guarded(lambda: self._member(members, name, here, fail, recursive=recursive), path, fail)

    def _members_now(
        self, members: _Members, names: Iterable[str], here: _Above, *, recursive: bool
    ) -> list[Task | Rest]:
        """Describe the members of a group, all bytes being at hand; return the work that is left below."""
        following: list[Task | Rest] = []
        for name in names:
            try:
                following += self._member(members, name, here, None, recursive=recursive)
            except STORAGE_ERRORS:
                raise
            except PARSER_ERRORS as exc:
                path = join(members.part.group.path, name)
                members.problems[path] = self._reason(exc, path)
                self._one_less(members)
        return following

    def _member(
        self, members: _Members, name: str, here: _Above, fail: Callable[[str], None] | None, *, recursive: bool
    ) -> list[Task | Rest]:
        """Describe a member of a group and return the work that follows, of which `fail` is told what went wrong.

        Without `fail` all bytes are at hand.
        """
        group = members.part.group
        path = join(group.path, name)
        is_hard = name in members.part.addresses
        address = members.part.addresses[name] if is_hard else self._target(group, name)
        messages = self.lookup.messages(address)
        kind = kind_of(messages)
        if not is_hard:
            members.soft[name] = address
        following: list[Task | Rest] = []
        if kind == "array":
            if self._is_left_out(name, messages):
                self._one_less(members)
            elif fail is None:
                self._add_array(members, name, path, messages)
            else:
                entry = describe_array(self.lookup.space, messages, path, {})
                attributes = self._attribute_task(members, name, entry, messages)
                task = self._guarded(attributes, path, fail)
                following = [*self._on_array(entry), Rest(task) if recursive else task]
            return following
        if kind == "datatype":
            members.problems[path] = NAMED_TYPE
        elif not self._wanted.members and not recursive:
            self.lookup.keep(GroupPart(GroupEntry(path, _NOTHING, ()), _NOTHING, _NOTHING, depth="attributes"))
        elif is_hard or not recursive:
            to: Depth = "members" if is_hard and recursive else "attributes"
            following = [self._group_task(path, address, to, here, recursive=recursive)]
        self._one_less(members)
        return following

    def _is_left_out(self, name: str, messages: tuple[Message, ...]) -> bool:
        """Return whether nobody asks for a dataset; one that points to another may be asked for with that."""
        if self._names is None or name in self._names:
            return False
        return not may_have_attribute(messages, POINTER)

    def _add_array(self, members: _Members, name: str, path: FilePath, messages: tuple[Message, ...]) -> None:
        """Describe a dataset whose attributes are at hand."""
        problems: dict[str, str] = {}
        found = self._attributes(messages, path, problems, self._wanted.arrays)
        names = self._wanted.arrays
        values = found if names is None else {key: value for key, value in found.items() if key in names}
        members.arrays[name] = describe_array(self.lookup.space, messages, path, values)
        members.problems.update(problems)
        self._one_less(members)

    def _attribute_task(
        self, members: _Members, name: str, entry: ArrayEntry, messages: tuple[Message, ...]
    ) -> Callable[[], Iterable[Task | Rest]]:
        def task() -> Iterable[Task]:
            problems: dict[str, str] = {}
            values = self._attributes(messages, entry.path, problems, self._wanted.arrays)
            members.arrays[name] = replace(entry, attributes=values)
            members.problems.update(problems)
            self._one_less(members)
            return ()

        return task

    def _target(self, group: GroupEntry, name: str) -> int:
        """Return the address of what a soft link leads to."""
        target = group.links[name].target
        if not target.startswith("/"):
            target = f"{self.lookup.find(group.path).path}/{target}"
        return self.lookup.find(target).address

    def _guarded(self, task: Callable[[], Iterable[Task | Rest]], path: str, fail: Callable[[str], None]) -> Task:
        """Return the task with its errors noted: one object that cannot be read does not hide the others."""

        def guarded() -> Iterable[Task | Rest]:
            try:
                return task()
            except STORAGE_ERRORS:
                raise
            except PARSER_ERRORS as exc:
                fail(self._reason(exc, path))
                return ()

        return guarded

    def _reason(self, exc: BaseException, path: str) -> str:
        """Return why an object could not be described, which is noted if h5py may."""
        reason = as_damage(exc).message
        if isinstance(exc, UnsupportedLayoutError):
            _log.debug("%s is not covered by the parser: %s", path, reason)
            self.uncovered[path] = reason
        return reason

    def _one_less(self, members: _Members) -> None:
        members.left -= 1
        if not members.left:
            self._finish(members)

    def _finish(self, members: _Members) -> None:
        """Keep a group whose members have all been looked at, in the order of its links."""
        part = members.part
        arrays = {name: members.arrays[name] for name in part.group.members if name in members.arrays}
        if any(has_references(entry.attributes) for entry in arrays.values()):
            near = names_by_address(part.addresses, members.soft)
            arrays = {name: with_near(entry, part.group.path, near) for name, entry in arrays.items()}
        problems = {**part.problems, **members.problems}
        self.lookup.keep(replace(part, arrays=arrays, problems=problems, depth="members"))

    def _attributes(
        self, messages: tuple[Message, ...], path: str, problems: dict[str, str], names: frozenset[str] | None
    ) -> Mapping[str, AttributeValue]:
        values, failed = read_attributes(self.lookup.space, lambda: self.lookup.heap, messages, names)
        problems.update({f"{path}@{name}": reason for name, reason in failed.items()})
        return values
