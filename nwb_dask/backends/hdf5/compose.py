"""Puts a `FileIndex` together of what is known of a file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from nwb_dask.backends.known import GroupPart, Known
from nwb_dask.index import ArrayEntry, AttributeValue, FileIndex, GroupEntry, Reference, basename, join

POINTER = "target"
"""Attribute by which a dataset points to the one that it belongs to."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Names of the attributes of groups and of datasets that an index shows; None for all."""

    groups: frozenset[str] | None
    arrays: frozenset[str] | None
    members: bool = True
    """Whether groups that are members are described; if not, they may be only named."""

    def with_pointers(self) -> Wanted:
        """Return what is to be read so that `compose_index` can tell which datasets point to another."""
        return self if self.arrays is None else replace(self, arrays=self.arrays | {POINTER})


def collect_parts(
    known: Known, path: str, address: int, same: MutableMapping[str, str], *, recursive: bool
) -> list[GroupPart]:
    """Return the parts of the group at `path`, of its member groups, and if `recursive` of all groups below.

    Depth first, as the file iterates. A group that several hard links lead to comes once; its other paths are put into
    `same`, with the path that it stands under, if `recursive`.
    """
    top = known.parts[path]
    parts: list[GroupPart] = []
    if not recursive:
        members = [known.parts.get(join(path, name)) for name in top.group.members if name not in top.arrays]
        return [top, *(part for part in members if part is not None and part.depth != "links")]
    top_address: int | None = address
    stack = [(path, top_address)]
    seen: dict[int, str] = {}
    while stack:
        here, found = stack.pop()
        if found in seen:
            same[here] = seen[found]
            continue
        part = known.parts.get(here)
        if part is None or part.depth == "links":
            continue
        if found is not None:
            seen[found] = here
        parts.append(part)
        below = [
            (join(here, name), part.addresses.get(name))
            for name in part.group.members
            if name not in part.arrays and name not in part.group.links
        ]
        stack.extend(reversed(below))
    return parts


def note_problem(known: Known, path: str, reason: str) -> None:
    """Note, in the group that it is in, that the object at `path` cannot be described."""
    parent = path.rpartition("/")[0] or "/"
    part = known.parts.get(parent)
    if part is not None:
        known.parts[parent] = replace(part, problems={**part.problems, path: reason})
        known.is_changed = True


def unresolved(parts: Iterable[GroupPart], wanted: Wanted) -> set[int]:
    """Return the addresses of references, among the attributes that are shown, whose paths have to be looked up."""
    found: set[int] = set()
    for part in parts:
        if part.group.attributes:
            _add_addresses(_chosen(part.group.attributes, wanted.groups), found)
        for entry in part.arrays.values():
            if entry.attributes:
                _add_addresses(_chosen(entry.attributes, wanted.arrays), found)
    return found


def compose_index(
    known: Known,
    parts: Iterable[GroupPart],
    wanted: Wanted,
    names: Collection[str] | None = None,
    same: Mapping[str, str] = MappingProxyType({}),
) -> FileIndex:
    """Return the index of `parts`, with references as paths as far as `Known.paths` has them.

    Of the datasets of the first part, only `names` are shown and what points to one of them, if they are given.
    """
    groups: dict[str, GroupEntry] = {}
    arrays: dict[str, ArrayEntry] = {}
    problems: dict[str, str] = {}
    for part in parts:
        group = part.group
        if group.attributes:
            shown = _resolved(_chosen(group.attributes, wanted.groups), known.paths)
            unread = frozenset(group.attributes) - shown.keys()
            group = replace(group, attributes=shown, unread=unread)
        groups[group.path] = group
        shown_arrays = part.arrays if names is None or len(groups) > 1 else choose(part.arrays, names)
        for entry in shown_arrays.values():
            arrays[entry.path] = with_attributes(entry, wanted, known.paths) if entry.attributes else entry
        if part.problems:
            problems.update(_shown_problems(part, wanted, names if len(groups) == 1 else None))
    return FileIndex(known.source, groups, arrays, problems, same)


def choose(arrays: Mapping[str, ArrayEntry], names: Collection[str]) -> dict[str, ArrayEntry]:
    """Return the datasets in `names`, and those whose ``target`` leads to one of them in a chain of any depth."""
    chosen = {name for name in names if name in arrays}
    pointers: dict[str, str] = {}
    for name, entry in arrays.items():
        target = entry.attributes.get(POINTER)
        if isinstance(target, Reference) and target.path is not None:
            pointers[name] = basename(target.path)
    while new := {name for name, target in pointers.items() if target in chosen} - chosen:
        chosen |= new
    return {name: entry for name, entry in arrays.items() if name in chosen}


def _shown_problems(part: GroupPart, wanted: Wanted, members: Collection[str] | None) -> dict[str, str]:
    """Return the problems of a part without those of members and attributes that are not shown."""
    shown: dict[str, str] = {}
    for path, reason in part.problems.items():
        owner, mark, name = path.rpartition("@")
        names = wanted.groups if owner == part.group.path else wanted.arrays
        is_attribute = bool(mark) and (owner == part.group.path or basename(owner) in part.arrays)
        member = basename(owner if is_attribute else path)
        is_shown = members is None or member in members or (is_attribute and owner == part.group.path)
        if is_shown and (not is_attribute or names is None or name in names):
            shown[path] = reason
    return shown


def with_attributes(entry: ArrayEntry, wanted: Wanted, paths: Mapping[int, str | None]) -> ArrayEntry:
    """Return a dataset with the attributes that are shown."""
    shown = _resolved(_chosen(entry.attributes, wanted.arrays), paths)
    return entry if shown is entry.attributes else replace(entry, attributes=shown)


def _chosen(attributes: Mapping[str, AttributeValue], names: frozenset[str] | None) -> Mapping[str, AttributeValue]:
    if names is None or attributes.keys() <= names:
        return attributes
    return {key: value for key, value in attributes.items() if key in names}


def _add_addresses(attributes: Mapping[str, AttributeValue], found: set[int]) -> None:
    stack: list[AttributeValue] = list(attributes.values())
    while stack:
        value = stack.pop()
        if isinstance(value, Reference):
            if value.path is None and value.address is not None:
                found.add(value.address)
        elif isinstance(value, tuple):
            stack.extend(value)


def _resolved(
    attributes: Mapping[str, AttributeValue], paths: Mapping[int, str | None]
) -> Mapping[str, AttributeValue]:
    if not any(isinstance(value, (Reference, tuple)) for value in attributes.values()):
        return attributes
    return {key: _with_path(value, paths) for key, value in attributes.items()}


def _with_path(value: AttributeValue, paths: Mapping[int, str | None]) -> AttributeValue:
    if isinstance(value, Reference) and value.path is None and value.address is not None:
        return Reference(paths.get(value.address))
    if isinstance(value, tuple):
        return tuple([_with_path(item, paths) for item in value])
    return value
