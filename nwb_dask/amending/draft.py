"""A reference document that grows: groups, datasets, attributes and links are added, and what was there stays.

Nothing is read of the original here. Values of added datasets are kept until they are many, and go to the output as
blobs; what the output is changes when `Draft.commit` is called, all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nwb_dask.amending.chunks import PendingChunks
from nwb_dask.amending.document import LindiDocument, as_json
from nwb_dask.amending.output import Output, writing
from nwb_dask.amending.values import EXTERNAL, REFERENCE, SOFT_LINK, attribute_json
from nwb_dask.errors import FormatError, NWBDaskError, OutputError, PathNotFoundError
from nwb_dask.index import Reference

_GROUP, _ARRAY, _ATTRIBUTES = ".zgroup", ".zarray", ".zattrs"
_NOTES, _OURS = "generationMetadata", "nwb_dask"


class Draft:
    """The tree of an amended file, to look at and to add to.

    Paths are absolute, as in the file: ``/units/id``; the root is ``/``.

    Parameters
    ----------
    document : dict
        Where it begins. It is not copied.
    output : Output
        Where additions go.
    """

    def __init__(self, document: LindiDocument, output: Output) -> None:
        self.document = document
        self.output = output
        self.refs: dict[str, Any] = document["refs"]
        self._members: dict[str, dict[str, None]] = {"": {}}
        self._arrays: set[str] = set()
        self._foreign: set[str] = set()
        self._blobbed: set[str] = set()
        for key, value in self.refs.items():
            folder, _, name = key.rpartition("/")
            if name in {_GROUP, _ARRAY}:
                self._enter(folder, is_array=name == _ARRAY)
            elif isinstance(value, list) and value:
                (self._blobbed if str(value[0]).startswith("./") else self._foreign).add(folder)
        added = self.notes().get("added")
        self.added = {one for one in added if isinstance(one, str)} if isinstance(added, list) else set[str]()
        self._made: set[str] = set()
        self.pending = PendingChunks(self.refs, output)
        self.is_changed = False

    # Looking.

    def has(self, path: str) -> bool:
        """Tell whether a group, dataset or link is at `path`."""
        key = _key(path)
        return key in self._members or key in self._arrays

    def is_array(self, path: str) -> bool:
        """Tell whether a dataset is at `path`."""
        return _key(path) in self._arrays

    def members(self, path: str) -> list[str]:
        """Return the names in a group, sorted."""
        if _key(path) not in self._members:
            raise PathNotFoundError(f"no group {path}", url=str(self.output.path), path=path)
        return sorted(self._members[_key(path)])

    def attributes(self, path: str) -> dict[str, Any]:
        """Return the attributes of an object as JSON, those that mean something to LINDI among them."""
        found = self.stored_attributes(path)
        return {} if found is None else self._json(found, path)

    def _json(self, value: object, path: str) -> dict[str, Any]:
        try:
            return as_json(value)
        except NWBDaskError as error:
            raise error.at(url=str(self.output.path), path=path) from None

    def stored_attributes(self, path: str) -> object:
        """Return the attributes of an object as the document has them; replaced by others when they change."""
        return self.refs.get(_join(_key(path), _ATTRIBUTES))

    def stored_array(self, path: str) -> object:
        """Return the ``.zarray`` of a dataset as the document has it; replaced by another when it changes."""
        return self.refs.get(_join(_key(path), _ARRAY))

    def array(self, path: str) -> dict[str, Any]:
        """Return the ``.zarray`` of a dataset."""
        if not self.is_array(path):
            raise PathNotFoundError(f"no dataset {path}", url=str(self.output.path), path=path)
        return self._json(self.refs[_join(_key(path), _ARRAY)], path)

    def soft_link(self, path: str) -> str | None:
        """Return where the link at `path` leads; None if it is no link."""
        found = self.attributes(path).get(SOFT_LINK)
        return str(found["path"]) if isinstance(found, Mapping) else None

    def resolve(self, path: str) -> str:
        """Return `path` with the links on the way, and at its end, followed.

        Raises
        ------
        PathNotFoundError
            If they lead round in a circle.
        """
        key, left = "", [part for part in path.split("/") if part]
        for _ in range(100 + len(left)):
            if not left:
                return "/" + key
            key = _join(key, left.pop(0))
            if target := self.soft_link("/" + key):
                base = [] if target.startswith("/") else [part for part in key.split("/")[:-1] if part]
                key, left = "", [*base, *(part for part in target.split("/") if part), *left]
        raise PathNotFoundError(f"the links of {path} lead round in a circle", url=str(self.output.path), path=path)

    def is_here(self, path: str) -> bool:
        """Tell whether all values of a dataset are in the document or the output, so that no other file is read."""
        return _key(path) not in self._foreign and EXTERNAL not in self.attributes(path)

    def is_new(self, path: str) -> bool:
        """Tell whether a dataset was made or written to since this was opened."""
        return _key(path) in self._made or self.pending.writes[_key(path)] > 0

    def is_own(self, path: str) -> bool:
        """Tell whether a dataset was added, here or by LINDI, so that it can be written to."""
        return "/" + _key(path) in self.added or (_key(path) in self._blobbed and self.is_here(path))

    # Adding.

    def create_group(self, path: str, attributes: Mapping[str, object] | None = None) -> None:
        """Add a group, and those above it that are not there.

        Raises
        ------
        OutputError
            If something is there, or a dataset is above it.
        """
        self._refuse_taken(path)
        for above in _above(path):
            if not self.has(above):
                self._add_group(above)
        self._add_group(path)
        self.set_attributes(path, attributes or {})

    def create_array(
        self, path: str, metadata: Mapping[str, Any], attributes: Mapping[str, object], special: Mapping[str, object]
    ) -> None:
        """Add a dataset without values, and the groups above it that are not there.

        Parameters
        ----------
        metadata : mapping
            Its ``.zarray``.
        attributes : mapping
            Its attributes.
        special : mapping
            Those that mean something to LINDI, as JSON.
        """
        self._refuse_taken(path)
        for above in _above(path):
            if not self.has(above):
                self._add_group(above)
        key = _key(path)
        self.refs[_join(key, _ARRAY)] = dict(metadata)
        if special:
            self.refs[_join(key, _ATTRIBUTES)] = dict(special)
        self._enter(key, is_array=True)
        self.added.add("/" + key)
        self._made.add(key)
        self.is_changed = True
        self.set_attributes(path, attributes)

    def link(self, path: str, target: str) -> None:
        """Add a soft link to `target`, an absolute path, which need not be there yet."""
        self._refuse_taken(path)
        self.create_group(path)
        self.refs[_join(_key(path), _ATTRIBUTES)] = {SOFT_LINK: {"path": target}}

    def set_attributes(self, path: str, changes: Mapping[str, object]) -> None:
        """Set attributes of an object, added or original; in the output only."""
        if not changes:
            return
        if not self.has(path):
            raise PathNotFoundError(f"nothing at {path}", url=str(self.output.path), path=path)
        made = {
            name: attribute_json(value, self.reference_json, f"attribute {name!r} of {path}")
            for name, value in changes.items()
        }
        self._put_attributes(path, {**self.attributes(path), **made})

    def set_special(self, path: str, name: str, value: object) -> None:
        """Set one of the attributes that mean something to LINDI, as JSON."""
        self._put_attributes(path, {**self.attributes(path), name: value})

    def delete_attribute(self, path: str, name: str) -> None:
        """Remove an attribute."""
        found = self.attributes(path)
        if name not in found:
            raise PathNotFoundError(f"no attribute {name!r} of {path}", url=str(self.output.path), path=path)
        del found[name]
        self._put_attributes(path, found)

    def set_array(self, path: str, metadata: Mapping[str, Any]) -> None:
        """Replace the ``.zarray`` of an added dataset."""
        self._made.add(_key(path))
        self.refs[_join(_key(path), _ARRAY)] = dict(metadata)
        self.is_changed = True

    def forget_chunks(self, path: str) -> None:
        """Remove all values of an added dataset."""
        key = _key(path)
        for name in [name for name in self.refs if name.startswith(f"{key}/") and _is_chunk_name(name[len(key) + 1 :])]:
            del self.refs[name]
        self.pending.drop(f"{key}/")
        self.is_changed = True

    def delete(self, path: str) -> None:
        """Remove an object and what is below it from the document; the original keeps it, and blobs stay."""
        key = _key(path)
        if not key or not self.has(path):
            raise PathNotFoundError(f"nothing to remove at {path}", url=str(self.output.path), path=path)
        for name in [name for name in self.refs if name.startswith(f"{key}/")]:
            del self.refs[name]
        self.pending.drop(f"{key}/")
        below = [one for one in {*self._members, *self._arrays} if one == key or one.startswith(f"{key}/")]
        for one in below:
            self._members.pop(one, None)
            for kept in (self._arrays, self._foreign, self._blobbed):
                kept.discard(one)
            self.added.discard("/" + one)
        folder, _, name = key.rpartition("/")
        self._members[folder].pop(name, None)
        self.is_changed = True

    def reference_json(self, reference: Reference) -> dict[str, Any]:
        """Return a reference as LINDI has it: path and ``object_id`` of the object, and of the file.

        Raises
        ------
        FormatError
            If it points to nothing.
        """
        path = reference.path
        if path is None or not self.has(path):
            raise FormatError(f"a reference to {path or 'nothing'}, which is not in {self.output.path}", path=path)
        own, root = self.attributes(path).get("object_id"), self.attributes("/").get("object_id")
        return {REFERENCE: {"object_id": own, "path": path, "source": ".", "source_object_id": root}}

    # What the document says of itself.

    def notes(self) -> dict[str, Any]:
        """Return what this project has noted in the document."""
        notes = self.document.get(_NOTES)
        found = notes.get(_OURS) if isinstance(notes, Mapping) else None
        return dict(found) if isinstance(found, Mapping) else {}

    def note(self, **changes: object) -> None:
        """Note something in the document, which LINDI keeps and ignores."""
        notes = self.document.get(_NOTES)
        kept = dict(notes) if isinstance(notes, Mapping) else {}
        self.document[_NOTES] = {**kept, _OURS: {**self.notes(), **changes}}

    def commit(self) -> None:
        """Bring all that was added to the output, which changes in one step. Without a change this does nothing."""
        self.pending.spill()
        if not self.is_pending and self.output.document is not None:
            return
        self.note(added=sorted(self.added))
        with writing(self.output):
            self.output.commit(self.document)
        self.is_changed = self.pending.is_changed = False

    @property
    def is_pending(self) -> bool:
        """Whether something was added since the last commit."""
        return self.is_changed or self.pending.is_changed

    def rollback(self) -> None:
        """Give back what is not committed. The draft is of no use afterwards."""
        self.pending.drop("")
        self.is_changed = self.pending.is_changed = False
        self.output.rollback()

    def _refuse_taken(self, path: str) -> None:
        url = str(self.output.path)
        if not path.startswith("/") or any(part in {"", ".", ".."} for part in path[1:].split("/")):
            raise OutputError(f"{path!r} is not the path of an object; give /group/name", url=url)
        name = path.rpartition("/")[2]
        if name in {_GROUP, _ARRAY, _ATTRIBUTES} or (_is_chunk_name(name) and self.is_array(path.rpartition("/")[0])):
            raise OutputError(f"{path!r} is a name that Zarr has for itself; choose another", url=url, path=path)
        if self.has(path):
            raise OutputError(f"{path} is there already; delete it first, or choose another name", url=url, path=path)
        for above in _above(path):
            if self.is_array(above):
                raise OutputError(f"{above} is a dataset; nothing can be added below it", url=url, path=path)

    def _add_group(self, path: str) -> None:
        key = _key(path)
        self.refs[_join(key, _GROUP)] = {"zarr_format": 2}
        self._enter(key, is_array=False)
        self.is_changed = True

    def _enter(self, key: str, *, is_array: bool) -> None:
        """Know of an object, and of the groups above it."""
        if is_array:
            self._arrays.add(key)
        else:
            self._members.setdefault(key, {})
        while key:
            folder, _, name = key.rpartition("/")
            self._members.setdefault(folder, {})[name] = None
            key = folder

    def _put_attributes(self, path: str, attributes: Mapping[str, Any]) -> None:
        self.refs[_join(_key(path), _ATTRIBUTES)] = dict(attributes)
        self.is_changed = True


def _key(path: str) -> str:
    return path.strip("/")


def _join(key: str, name: str) -> str:
    return f"{key}/{name}" if key else name


def _above(path: str) -> Iterator[str]:
    """Yield the groups above `path`, the highest first, without the root."""
    parts = path.strip("/").split("/")[:-1]
    yield from ("/" + "/".join(parts[: n + 1]) for n in range(len(parts)))


def _is_chunk_name(name: str) -> bool:
    return all(part.isdigit() for part in name.split("."))
