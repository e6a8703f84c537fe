"""A draft as the tree that h5py's interface is put on: what was just added is seen at once.

Objects are described from the draft. Values are read from the draft where they are in it, and else through the
references that it began with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from operator import is_
from typing import Any

import numpy as np
import numpy.typing as npt

from nwb_dask.amending.draft import Draft
from nwb_dask.backends import File
from nwb_dask.backends.lindi import LindiConvention, make_policy
from nwb_dask.backends.protocol import Box
from nwb_dask.backends.zarr import ArrayDocument, ArrayMeaning, GroupDocument, describe_array, parse_array_v2
from nwb_dask.errors import NWBDaskError, PathNotFoundError
from nwb_dask.h5.tree import Found
from nwb_dask.index import ArrayEntry, AttributeValue, FilePath, GroupEntry, Link, Url, join
from nwb_dask.storage import Access


class DraftTree:
    """What a draft holds; see `nwb_dask.h5.tree.Tree`.

    Parameters
    ----------
    draft : Draft
        Described as it is when it is asked for.
    original : backends.File
        What the draft began with.
    access : Access
        How it is reached.
    """

    def __init__(self, draft: Draft, original: File, access: Access) -> None:
        self.draft = draft
        self.url = Url(str(draft.output.path))
        self._original = original
        policy = make_policy(self.url, access, is_folder=draft.output.path.is_dir())
        self._convention = LindiConvention(policy, self._attributes_of, self._peek)
        self._arrays: dict[str, tuple[tuple[object, object, int], ArrayMeaning | None, ArrayEntry]] = {}

    @property
    def file(self) -> DraftTree:
        """What reads values: this."""
        return self

    def problems(self, _path: str) -> dict[str, str]:
        """Return nothing: attributes that cannot be read are errors of their object."""
        return {}

    def link(self, group: GroupEntry, name: str) -> Link | None:
        """Return the link that the member `name` of a group is; None if it is an object."""
        return group.links.get(name)

    def find(self, path: str, start: str = "/") -> Found:
        """Return what is at `path`, relative to the group at `start` unless it begins with a slash; links followed.

        Raises
        ------
        PathNotFoundError
            If nothing is there.
        """
        name = path if path.startswith("/") else join(start, path)
        parts = [part for part in name.split("/") if part not in ("", ".")]
        real = self.draft.resolve("/" + "/".join(parts))
        if not self.draft.has(real):
            raise PathNotFoundError(f"nothing is at {name}", url=self.url, path=name)
        return Found("/" + "/".join(parts), self.at(real))

    def at(self, path: str) -> GroupEntry | ArrayEntry:
        """Return the description of what is at a path without links."""
        return self._array(path)[1] if self.draft.is_array(path) else self._group(path)

    def read(
        self,
        entry: ArrayEntry,
        spans: npt.NDArray[np.int64] | None = None,
        inner: Box | None = None,
    ) -> npt.NDArray[np.generic]:
        """Return rows of a dataset, or a box of each; see `backends.File.read`."""
        try:
            return self._read(entry.path, spans, inner)
        except NWBDaskError as error:
            raise error.at(url=self.url, path=entry.path) from error.__cause__

    def _read(self, path: str, spans: npt.NDArray[np.int64] | None, inner: Box | None) -> npt.NDArray[np.generic]:
        if not self.draft.is_new(path):
            return self._original.read(self._array_of_original(path), spans, inner)
        meaning, key = self._array(path)[0], path.strip("/")
        assert meaning is not None  # noqa: S101  # its values are here
        if not meaning.shape:
            return meaning.values(self.draft.pending.read(key)).reshape(())
        box = tuple(inner) if inner is not None else tuple((0, size) for size in meaning.shape[1:])
        rows = np.array([[0, meaning.shape[0]]]) if spans is None else spans.reshape(-1, 2)
        begin, end = tuple(first for first, _ in box), tuple(last for _, last in box)
        parts = [self.draft.pending.read(key, (int(first), *begin), (int(last), *end)) for first, last in rows.tolist()]
        empty = self.draft.pending.read(key, (0, *begin), (0, *end))
        return meaning.values(np.concatenate([empty, *parts]))

    def _array_of_original(self, path: str) -> ArrayEntry:
        found = self._original.index(path).array(path)
        if found is None:
            raise PathNotFoundError(f"the original has no dataset {path}", url=self.url, path=path)
        return found

    def _group(self, path: str) -> GroupEntry:
        names = tuple(self.draft.members(path))
        links = {name: Link(target) for name in names if (target := self.draft.soft_link(join(path, name)))}
        return GroupEntry(FilePath(path), self._shown_attributes(path), names, links)

    def _shown_attributes(self, path: str) -> Mapping[str, AttributeValue]:
        """Return the attributes of an object without those that mean something to LINDI."""
        document = GroupDocument(FilePath(path), self.draft.attributes(path))
        try:
            return self._convention.group(document).attributes
        except NWBDaskError as error:
            raise error.at(url=self.url, path=path) from None

    def _array(self, path: str) -> tuple[ArrayMeaning | None, ArrayEntry]:
        """Return what a dataset is, made anew only if it changed; no meaning of what the original reads."""
        # Whether objects are text or references is told by the first that is written.
        state = (
            self.draft.stored_array(path),
            self.draft.stored_attributes(path),
            self.draft.pending.writes[path.strip("/")],
        )
        known = self._arrays.get(path)
        if known is not None and all(map(is_, known[0], state)):
            return known[1:]
        meaning, entry = self._described(path)
        self._arrays[path] = (state, meaning, entry)
        return meaning, entry

    def _described(self, path: str) -> tuple[ArrayMeaning | None, ArrayEntry]:
        if not self.draft.is_here(path):
            return None, replace(self._array_of_original(path), attributes=self._shown_attributes(path))
        try:
            document = parse_array_v2(FilePath(path), self.draft.array(path), self.draft.attributes(path))
            meaning = self._convention.array(document)
        except NWBDaskError as error:
            raise error.at(url=self.url, path=path) from None
        return meaning, describe_array(document, meaning, FilePath(path))

    def _attributes_of(self, path: str) -> dict[str, Any] | None:
        return self.draft.attributes(path) if self.draft.has(path) else None

    def _peek(self, document: ArrayDocument) -> npt.NDArray[Any] | None:
        """Return values of a dataset that show whether they are text or references."""
        if 0 in document.shape:
            return None
        first = (0,) * len(document.shape)
        return self.draft.pending.read(document.path.strip("/"), first, (1,) * len(document.shape))
