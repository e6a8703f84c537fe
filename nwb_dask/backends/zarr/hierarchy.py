"""Fetches the documents of a Zarr hierarchy: all of them at once, in a round or two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from nwb_dask.backends.zarr import checks
from nwb_dask.backends.zarr.documents import Document, GroupDocument, Json
from nwb_dask.backends.zarr.parse import parse_array_v2, parse_node_v3
from nwb_dask.errors import MalformedFileError, NWBDaskError, UnsupportedLayoutError
from nwb_dask.index import FilePath, Source
from nwb_dask.storage import Buffer, KeyRange

V2 = (".zgroup", ".zarray", ".zattrs")
V3 = "zarr.json"
CONSOLIDATED = ".zmetadata"
_DOCUMENTS = frozenset({*V2, V3})
_LOCATION = ".specloc"
_SPECIFICATIONS = "specifications/"
_MAX_OBJECTS = 1_000_000


class KeySource(Protocol):
    """What a Zarr hierarchy is read from: `storage.Folder`, or anything else that has bytes by key."""

    @property
    def source(self) -> Source:
        """The hierarchy and its version."""

    @property
    def local_path(self) -> str | None:
        """Path of a local folder; None for what each round of requests costs time."""

    def read_keys(self, wanted: Sequence[KeyRange]) -> list[Buffer | None]:
        """Return values, or parts of them, in the order asked; None for a key that is not there."""

    def list_keys(self, prefix: str = "") -> list[str] | None:
        """Return all keys below a folder, sorted; None where there is no listing."""


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """All documents of a store by path; the root is ``"/"``."""

    documents: Mapping[str, Document]
    members: Mapping[str, tuple[str, ...]]
    """Names of the members of each group, sorted, whether they can be described or not."""
    problems: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Path -> reason, for documents that break the rules of the format or use what is not read."""


def load_hierarchy(keys: KeySource) -> Hierarchy:
    """Return all documents of a store.

    One round where they are consolidated (``.zmetadata`` in v2, in the root's ``zarr.json`` in v3). Else all keys are
    listed, and all documents fetched in one more.

    Raises
    ------
    MalformedFileError
        If it is no Zarr store, or what concerns all of it is damaged.
    UnsupportedLayoutError
        If its documents are not consolidated and the server has no listing.

    References
    ----------
    zarr-python, *Consolidated metadata*; it is not a part of either specification.
    """
    consolidated, root = keys.read_keys([(CONSOLIDATED, None), (V3, None)])
    if consolidated is not None:
        told = _consolidated_v2(consolidated)
        return hierarchy_v2({**told, **_left_out(keys, told)})
    if root is not None:
        document = checks.mapping(checks.parse_json(root, V3), V3)
        inline = _consolidated_v3(document)
        if inline is not None:
            return hierarchy_v3(inline)
    listed = keys.list_keys()
    if listed is None:
        return _unlisted(keys, root)
    return _listed(keys, listed)


def _unlisted(keys: KeySource, root: Buffer | None) -> Hierarchy:
    """Return the only array of a store of one; raise for all others."""
    found = keys.read_keys([(name, None) for name in V2])
    if found[1] is not None:
        return hierarchy_v2({name: checks.parse_json(data, name) for name, data in zip(V2, found, strict=True) if data})
    if root is not None and (document := checks.parse_json(root, V3)).get("node_type") == "array":
        return hierarchy_v3({"": document})
    if root is None and found[0] is None:
        raise MalformedFileError("it has no .zgroup, .zarray or zarr.json: it is no Zarr store")
    raise UnsupportedLayoutError(
        "the documents of this Zarr store are not consolidated, and its server has no listing, so that nobody can tell "
        "what is in it; run zarr.consolidate_metadata on the store, or read a copy in a bucket, a ZIP file or a folder"
    )


def _listed(keys: KeySource, listed: Iterable[str]) -> Hierarchy:
    chosen = [key for key in listed if key.rpartition("/")[2] in _DOCUMENTS]
    if len(chosen) > _MAX_OBJECTS:
        raise MalformedFileError(f"damaged: it has {len(chosen)} documents")
    if not chosen:
        raise MalformedFileError("it has no .zgroup, .zarray or zarr.json: it is no Zarr store")
    parsed: dict[str, Json] = {}
    problems: dict[str, str] = {}
    for key, data in zip(chosen, keys.read_keys([(key, None) for key in chosen]), strict=True):
        if data is None:
            continue
        try:
            parsed[key] = checks.parse_json(data, key)
        except MalformedFileError as exc:
            problems[_path_of(key)] = exc.message
    is_v3 = any(key.rpartition("/")[2] == V3 for key in chosen)
    if is_v3:
        nodes = {key.rpartition("/")[0]: value for key, value in parsed.items() if key.rpartition("/")[2] == V3}
        return hierarchy_v3(nodes, problems)
    return hierarchy_v2(parsed, problems)


def _left_out(keys: KeySource, told: Mapping[str, Json]) -> dict[str, Json]:
    """Return the documents of the specifications that a store carries, if the consolidated ones leave them out.

    hdmf-zarr 0.3 writes them after it has consolidated the others. They are looked for where the root says so, or where
    looking costs no request.
    """
    attributes = told.get(".zattrs")
    location = attributes.get(_LOCATION) if isinstance(attributes, dict) else None
    if any(key.startswith(_SPECIFICATIONS) for key in told) or (location is None and keys.local_path is None):
        return {}
    chosen = [key for key in keys.list_keys(_SPECIFICATIONS) or () if key.rpartition("/")[2] in V2]
    if not chosen or len(chosen) > _MAX_OBJECTS:
        return {}
    found: dict[str, Json] = {}
    for key, data in zip(chosen, keys.read_keys([(key, None) for key in chosen]), strict=True):
        # What is damaged here makes nothing of the rest unreadable.
        with suppress(MalformedFileError):
            found |= {} if data is None else {key: checks.parse_json(data, key)}
    return found


def _consolidated_v2(data: Buffer) -> Mapping[str, Json]:
    document = checks.mapping(checks.parse_json(data, CONSOLIDATED), CONSOLIDATED)
    return checks.mapping(document.get("metadata"), f"what {CONSOLIDATED} holds")


def _consolidated_v3(document: Mapping[str, Json]) -> dict[str, Json] | None:
    """Return the nodes by path, the root included; None if they are not consolidated."""
    found = document.get("consolidated_metadata")
    if found is None:
        return None
    consolidated = checks.mapping(found, "its consolidated metadata")
    if consolidated.get("kind") != "inline":
        return None
    nodes = {"": document}
    _add_nodes(nodes, "", checks.mapping(consolidated.get("metadata"), "its consolidated metadata"))
    return nodes


def _add_nodes(nodes: dict[str, Json], above: str, found: Mapping[str, Json]) -> None:
    # zarr-python writes all nodes below the root in one mapping; within a group there may be one of its own.
    stack = [(above, found)]
    while stack:
        prefix, here = stack.pop()
        for name, value in here.items():
            path = f"{prefix}/{name}" if prefix else name
            nodes.setdefault(path, value)
            inner = value.get("consolidated_metadata") if isinstance(value, dict) else None
            below = inner.get("metadata") if isinstance(inner, dict) else None
            if isinstance(below, dict) and below:
                stack.append((path, below))
            if len(nodes) > _MAX_OBJECTS:
                raise MalformedFileError(f"damaged: it has more than {_MAX_OBJECTS} documents")


def hierarchy_v2(parsed: Mapping[str, Json], problems: Mapping[str, str] = MappingProxyType({})) -> Hierarchy:
    """Return a hierarchy of version 2.

    Parameters
    ----------
    parsed : mapping of str to JSON
        Documents by key: ``units/id/.zarray``. Other keys are left out.
    problems : mapping of str to str
        Path -> reason, for documents that could not be parsed.
    """
    kinds: dict[str, dict[str, Json]] = {}
    for key, value in parsed.items():
        folder, _, name = key.rpartition("/")
        if name in V2:
            kinds.setdefault(folder, {})[name] = value
    building = _Building(dict(problems))
    for folder, found in kinds.items():
        if not building.is_sound(folder) or (".zarray" not in found and ".zgroup" not in found):
            continue
        path = FilePath(f"/{folder}")
        try:
            attributes = MappingProxyType(dict(checks.mapping(found.get(".zattrs") or {}, ".zattrs")))
            document: Document = (
                parse_array_v2(path, found[".zarray"], attributes)
                if ".zarray" in found
                else GroupDocument(path, attributes)
            )
        except NWBDaskError as exc:
            building.problems[path] = exc.message
            continue
        building.documents[path] = document
    return building.finish()


def hierarchy_v3(nodes: Mapping[str, Json], problems: Mapping[str, str] = MappingProxyType({})) -> Hierarchy:
    """Return a hierarchy of version 3; `nodes` are the contents of ``zarr.json`` by path, ``""`` for the root."""
    building = _Building(dict(problems))
    for folder, value in nodes.items():
        if not building.is_sound(folder):
            continue
        path = FilePath(f"/{folder}")
        try:
            building.documents[path] = parse_node_v3(path, value)
        except NWBDaskError as exc:
            building.problems[path] = exc.message
    return building.finish()


class _Building:
    """Documents on the way to a hierarchy."""

    def __init__(self, problems: dict[str, str]) -> None:
        self.documents: dict[str, Document] = {}
        self.problems = problems

    def is_sound(self, folder: str) -> bool:
        """Return whether a folder may be the path of an object; note it if not."""
        if checks.is_sound_path(folder):
            return True
        self.problems[f"/{folder[:200]}"] = "damaged: its path leads elsewhere"
        return False

    def finish(self) -> Hierarchy:
        """Return the hierarchy, with the groups that only their members imply."""
        members: dict[str, set[str]] = {}
        sound = [path for path in self.problems if checks.is_sound_path(path.removeprefix("/"))]
        for path in (*self.documents, *sound):
            here = path
            while here != "/":
                parent, _, name = here.rpartition("/")
                parent = parent or "/"
                known = members.setdefault(parent, set())
                if name in known:
                    break
                known.add(name)
                here = parent
        for path in members:
            # In v3 a folder with an object in it is a group without being told.
            if path not in self.problems:
                self.documents.setdefault(path, GroupDocument(FilePath(path), MappingProxyType({})))
        if not self.documents and not self.problems:
            raise MalformedFileError("it has no .zgroup, .zarray or zarr.json: it is no Zarr store")
        found = {path: tuple(sorted(names)) for path, names in members.items()}
        return Hierarchy(MappingProxyType(self.documents), MappingProxyType(found), MappingProxyType(self.problems))


def _path_of(key: str) -> str:
    return f"/{key.rpartition('/')[0]}"
