"""Objects of an open HDF5 file, as a `FileIndex`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Literal

from h5py import h5d, h5g, h5l, h5o, h5p, h5r, h5s, h5t

from nwb_dask.backends.handles import Handle
from nwb_dask.backends.hdf5.attributes import HasAttributes, read_attributes, reference_address
from nwb_dask.backends.hdf5.boundary import H5PY_ERRORS
from nwb_dask.backends.hdf5.links import Member, find_object, list_members, read_link, stored_path, text
from nwb_dask.backends.hdf5.references import ReferencePaths
from nwb_dask.backends.hdf5.spans import n_chunks
from nwb_dask.backends.hdf5.types import NAMED_TYPE, StoredType, stored_type
from nwb_dask.backends.hdf5.virtual import require_fixed_extent
from nwb_dask.backends.protocol import ByteSource
from nwb_dask.errors import NWBDaskError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, AttributeValue, FileIndex, FilePath, Filter, GroupEntry, Link, join

_POINTER = b"target"
_Layout = Literal["contiguous", "compact", "chunked", "external", "virtual"]
_LAYOUTS: dict[int, _Layout] = {
    h5d.COMPACT: "compact",
    h5d.CONTIGUOUS: "contiguous",
    h5d.CHUNKED: "chunked",
    h5d.VIRTUAL: "virtual",
}
_COUNTED_CHUNKS = 64
"""Up to so many chunks their stored sizes are added up; libhdf5 reads the whole chunk index for it."""


@dataclass(frozen=True, slots=True)
class OpenArray:
    """An open dataset with what was found out about it."""

    did: h5d.DatasetID
    shape: tuple[int, ...] | None
    tid: h5t.TypeID
    stored: StoredType

    @property
    def properties(self) -> h5p.PropDCID:
        """How it was created: a copy that libhdf5 makes, so ask once."""
        return self.did.get_create_plist()


@dataclass(slots=True)
class _Group:
    """A group that is being described."""

    gid: h5g.GroupID
    found: bytes
    """Its path by hard links; the root is empty."""
    path: str
    """Its path as asked."""
    members: list[Member] = field(default_factory=list)
    soft: dict[int, str] = field(default_factory=dict)
    """Names of members that are soft links, by the address of what they lead to."""
    hard: dict[int, str] | None = None
    """Names of the other members, by address."""

    def step(self, member: Member) -> bytes:
        """Return the path of a link in it."""
        return self.found + b"/" + member.stored

    def name_at(self, address: int) -> str | None:
        """Return the name of the member at an address."""
        if self.hard is None:
            self.hard = {one.address: one.name for one in self.members if one.kind == h5l.TYPE_HARD}
        return self.hard.get(address) or self.soft.get(address)


class Indexer:
    """Describes objects of one open file.

    Parameters
    ----------
    store : ByteSource
        The file's bytes: its name and size.
    handle : Handle
        The file, open in h5py.
    attributes, array_attributes : frozenset of str or None
        Names of the attributes of groups and of datasets to read; None for all.
    """

    def __init__(
        self,
        store: ByteSource,
        handle: Handle,
        attributes: frozenset[str] | None,
        array_attributes: frozenset[str] | None,
    ) -> None:
        self._store = store
        self._fid = handle.fid
        self._attributes = attributes
        self._array_attributes = array_attributes
        self._references = ReferencePaths(handle.fid, handle.paths)
        self._groups: dict[str, GroupEntry] = {}
        self._arrays: dict[str, ArrayEntry] = {}
        self._problems: dict[str, str] = {}
        # Groups that were described, by address: hard links may lead in circles.
        self._seen: dict[int, str] = {}
        self._same: dict[str, str] = {}
        self.opened: dict[str, OpenArray] = {}
        """Datasets by the path under which they were described."""

    def index(self, path: str, *, names: Collection[str] | None, recursive: bool) -> FileIndex:
        """Return the index of the object at `path`."""
        asked = stored_path(path)
        found = find_object(self._fid, asked)
        oid = h5o.open(self._fid, found or b"/")
        name = text(asked) or "/"
        if isinstance(oid, h5d.DatasetID):
            self._add_array(oid, name, None)
        elif isinstance(oid, h5g.GroupID):
            if recursive:
                self._seen[h5o.get_info(oid).addr] = name
            chosen = None if names is None else {one.encode("utf-8", "surrogateescape") for one in names}
            self._describe_tree(oid, found, name, chosen, recursive=recursive)
        else:
            raise UnsupportedLayoutError(f"{name} is a named datatype, which holds no data", path=name)
        return FileIndex(
            self._store.source,
            self._groups,
            self._arrays,
            self._problems,
            self._same,
        )

    def _describe_tree(
        self, gid: h5g.GroupID, found: bytes, path: str, names: set[bytes] | None, *, recursive: bool
    ) -> None:
        # Depth first, as the file iterates; a stack, because a hostile file may nest deeper than Python recurses.
        stack = [_Group(gid, found, path)]
        while stack:
            group = stack.pop()
            try:
                group.members = list_members(group.gid)
                self._add_group(group)
                below = self._describe_members(group, names, recursive=recursive)
            except (*H5PY_ERRORS, NWBDaskError) as exc:
                if not self._groups:
                    raise
                self._problems[group.path] = _reason(exc)
            else:
                stack.extend(reversed(below))

    def _describe_members(self, group: _Group, names: set[bytes] | None, *, recursive: bool) -> list[_Group]:
        """Describe datasets and, unless they are to be descended into, groups; return the groups that are."""
        chosen = None if names is None else self._choose(group, names)
        objects: list[tuple[Member, HasAttributes]] = []
        for member in group.members:
            if chosen is not None and member.stored not in chosen:
                continue
            try:
                oid = self._open_member(group, member)
            except (*H5PY_ERRORS, NWBDaskError) as exc:
                self._problems[join(group.path, member.name)] = _reason(exc)
                continue
            if oid is not None:
                objects.append((member, oid))
        below = []
        for member, oid in objects:
            path = join(group.path, member.name)
            try:
                if isinstance(oid, h5d.DatasetID):
                    self._add_array(oid, path, group)
                elif not recursive:
                    self._add_group(_Group(oid, group.step(member), path, list_members(oid)))
                elif member.kind == h5l.TYPE_HARD and member.address in self._seen:
                    self._same[path] = self._seen[member.address]
                elif member.kind == h5l.TYPE_HARD:
                    self._seen[member.address] = path
                    below.append(_Group(oid, group.step(member), path))
            except (*H5PY_ERRORS, NWBDaskError) as exc:
                self._problems[path] = _reason(exc)
        return below

    def _open_member(self, group: _Group, member: Member) -> HasAttributes | None:
        """Return a member that was opened; None for a link into another file."""
        if member.kind == h5l.TYPE_HARD:
            oid = h5o.open(group.gid, member.stored)
        elif member.kind == h5l.TYPE_SOFT:
            oid = h5o.open(self._fid, find_object(self._fid, group.step(member)) or b"/")
            group.soft[h5o.get_info(oid).addr] = member.name
        else:
            return None
        if not isinstance(oid, (h5d.DatasetID, h5g.GroupID)):
            raise UnsupportedLayoutError(NAMED_TYPE)
        return oid

    def _choose(self, group: _Group, names: set[bytes]) -> set[bytes]:
        """Return the members that are in `names`, groups, or have a pointer that leads to one in `names`."""
        chosen: set[bytes] = set()
        groups: set[bytes] = set()
        targets: set[int] = set()
        pointers: dict[bytes, tuple[int, int]] = {}
        for member in group.members:
            if member.kind not in (h5l.TYPE_HARD, h5l.TYPE_SOFT):
                continue
            try:
                gid, step, address = group.gid, member.stored, member.address
                if member.kind == h5l.TYPE_SOFT:
                    gid, step = self._fid, find_object(self._fid, group.step(member)) or b"/"
                    address = h5o.get_info(gid, step).addr
                if member.stored in names:
                    targets.add(address)
                    chosen.add(member.stored)
                elif h5g.get_objinfo(gid, step).type == h5g.GROUP:
                    groups.add(member.stored)
                elif (target := reference_address(gid, _POINTER, step)) is not None:
                    pointers[member.stored] = (address, target)
            except (*H5PY_ERRORS, NWBDaskError):
                # Described, and found to be a problem, if it was asked for.
                chosen |= names & {member.stored}
        while new := {name for name, (_, target) in pointers.items() if target in targets}:
            targets |= {pointers.pop(name)[0] for name in new}
            chosen |= new
        return chosen | groups

    def _add_group(self, group: _Group) -> None:
        links: dict[str, Link] = {}
        for member in group.members:
            if member.kind != h5l.TYPE_HARD and (link := read_link(group.gid, member)) is not None:
                links[member.name] = link
        known, attributes = self._read_attributes(group.gid, group.path, group, self._attributes)
        names = tuple([member.name for member in group.members])
        self._groups[group.path] = GroupEntry(
            FilePath(group.path), attributes, names, links, frozenset(known) - attributes.keys()
        )

    def _add_array(self, did: h5d.DatasetID, path: str, group: _Group | None) -> None:
        opened = open_array(did)
        _, attributes = self._read_attributes(did, path, group, self._array_attributes)
        self._arrays[path] = describe_array(opened, path, attributes)
        self.opened[path] = opened

    def _read_attributes(
        self, oid: HasAttributes, path: str, group: _Group | None, wanted: frozenset[str] | None
    ) -> tuple[list[str], Mapping[str, AttributeValue]]:
        """Return the names of all attributes, and the values of those that are wanted."""
        resolve = self._references.path if group is None else partial(self._resolve, group)
        names, values, problems = read_attributes(oid, wanted, resolve, limit_bytes=self._store.size)
        for name, reason in problems.items():
            self._problems[f"{path}@{name}"] = reason
        return names, values

    def _resolve(self, group: _Group, address: int, reference: h5r.Reference) -> str | None:
        """Return the path of a target, as a member of the group that is described where it is one.

        So a pointer and its target stay together when the group was reached through a soft link.
        """
        near = group.name_at(address)
        return self._references.path(address, reference) if near is None else join(group.path, near)


def open_array(did: h5d.DatasetID) -> OpenArray:
    """Return a dataset with its shape and type.

    Raises
    ------
    UnsupportedLayoutError
        If it is virtual and its shape depends on other files, which libhdf5 would open to say it.
    """
    properties = did.get_create_plist()
    if properties.get_layout() == h5d.VIRTUAL:
        require_fixed_extent(properties)
    space, tid = did.get_space(), did.get_type()
    shape = None if space.get_simple_extent_type() == h5s.NULL else tuple(space.get_simple_extent_dims())
    return OpenArray(did, shape, tid, stored_type(tid))


def describe_array(opened: OpenArray, path: str, attributes: Mapping[str, AttributeValue]) -> ArrayEntry:
    """Return the entry of an open dataset."""
    did, shape, element = opened.did, opened.shape, opened.stored.element
    offset = did.get_offset()
    if offset is not None and offset % 2 == 0 and (stored_bytes := int(did.get_storage_size())):
        # Only allocated contiguous data have an address (H5Dget_offset). For all others in a file with a user block
        # libhdf5 2.0 gives the undefined address, -1, plus the block's size, which is a power of two: odd.
        exact = offset if opened.stored.exact else None
        return ArrayEntry(FilePath(path), element, shape, "contiguous", attributes, None, (), exact, stored_bytes)
    properties = opened.properties
    layout = _LAYOUTS[properties.get_layout()]
    chunks: tuple[int, ...] | None = None
    filters: tuple[Filter, ...] = ()
    exact = None
    if layout == "chunked":
        chunks = tuple(properties.get_chunk())
        filters = tuple([_filter(properties, i) for i in range(properties.get_nfilters())])
        stored_bytes = _chunked_bytes(opened, shape, chunks)
    else:
        # Not asked of chunked data: libhdf5 reads their whole chunk index for it.
        stored_bytes = int(did.get_storage_size())
    if layout == "contiguous" and properties.get_external_count():
        layout = "external"
    elif layout == "contiguous" and opened.stored.exact and stored_bytes:
        # Given only where the bytes there are the elements as `element.dtype` has them. Where nothing is allocated,
        # libhdf5 gives its undefined address plus the user block, which h5py does not recognise.
        exact = offset
    return ArrayEntry(FilePath(path), element, shape, layout, attributes, chunks, filters, exact, stored_bytes)


def _filter(properties: h5p.PropDCID, number: int) -> Filter:
    code, _flags, options, name = properties.get_filter(number)
    return Filter(int(code), tuple([int(option) for option in options]), name.decode("utf-8", "replace"))


def _chunked_bytes(opened: OpenArray, shape: tuple[int, ...] | None, chunks: tuple[int, ...]) -> int:
    """Return the stored bytes of a chunked dataset: exact for few chunks, else without compression."""
    total = 0 if shape is None else n_chunks(shape, chunks)
    if total <= _COUNTED_CHUNKS:
        return int(opened.did.get_storage_size())
    return total * prod(chunks) * int(opened.tid.get_size())


def _reason(exc: BaseException) -> str:
    return exc.message if isinstance(exc, NWBDaskError) else f"damaged: h5py says {str(exc) or type(exc).__name__!r}"
