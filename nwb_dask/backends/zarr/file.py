"""One open Zarr store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.boxes import Box, box_shape, checked_box
from nwb_dask.backends.hdf5.compose import Wanted as WantedAttributes
from nwb_dask.backends.hdf5.spans import count, tidy
from nwb_dask.backends.hdf5.types import native_dtype
from nwb_dask.backends.known import INLINE_BYTES, Known
from nwb_dask.backends.protocol import Request
from nwb_dask.backends.zarr import recent
from nwb_dask.backends.zarr.hdmf import HdmfConvention
from nwb_dask.backends.zarr.hierarchy import load_hierarchy
from nwb_dask.backends.zarr.meaning import Convention, Values
from nwb_dask.backends.zarr.placing import Places, form_of, locate_arrays
from nwb_dask.backends.zarr.reading import ArrayPlan, Reader, Wanted
from nwb_dask.backends.zarr.room import Room
from nwb_dask.backends.zarr.shard_index import ShardIndexes
from nwb_dask.backends.zarr.tree import Stored, Tree
from nwb_dask.errors import NWBDaskError
from nwb_dask.index import ArrayEntry, FileIndex, Placement, Source, ZarrForm, basename

_HDMF = HdmfConvention()


class ZarrFile:
    """One open Zarr store, v2 or v3; see `backends.File`.

    Its documents are fetched when it is first asked, all at once; those of a remote store once per process and version.

    Parameters
    ----------
    keys : Places
        Its bytes; stays open when this is closed.
    known : Known, optional
        What is known of this version of the store: the values of small arrays of a remote one; grows.
    convention : Convention, optional
        What is said in it that Zarr has no words for; by default as hdmf-zarr writes it, of whatever version.
    """

    def __init__(self, keys: Places, known: Known | None = None, *, convention: Convention | None = None) -> None:
        self._keys = keys
        self._is_remote = keys.local_path is None
        self._convention = _HDMF if convention is None else convention
        self._tree: Tree | None = None
        self._reader = Reader(keys)
        self._room = Room(keys)
        self.known = Known(keys.source) if known is None else known

    @property
    def source(self) -> Source:
        """The store and its version."""
        return self._keys.source

    @property
    def is_held(self) -> bool:
        """Whether another library has the store open: never."""
        return False

    @property
    def tree(self) -> Tree:
        """Its objects; fetches the documents when it is first asked for.

        Raises
        ------
        MalformedFileError
            If it is no Zarr store.
        UnsupportedLayoutError
            If its documents are not consolidated and the server has no listing.
        """
        if self._tree is None:
            with _place(self.source, None):
                self._tree = (
                    recent.opened(self.source, self._convention, self._load) if self._is_remote else self._load()
                )
        return self._tree

    def _load(self) -> Tree:
        tree = Tree(load_hierarchy(self._keys), self._convention)
        # The version is worth keeping: whoever opens the store next need not ask for it first.
        self.known.is_changed = True
        return tree

    def index(
        self,
        path: str,
        *,
        names: Collection[str] | None = None,
        recursive: bool = False,
        attributes: frozenset[str] | None = None,
        array_attributes: frozenset[str] | None = None,
        groups: bool = True,
        prepare: bool = False,
    ) -> FileIndex:
        """Return what is known of the object at `path` and of its members; see `backends.File.index`."""
        wanted = WantedAttributes(attributes, array_attributes, groups)
        with _place(self.source, path):
            found = self.tree.index(self.source, path, wanted, names=names, recursive=recursive)
        # Of a table as a whole all that is read comes in one round anyway, and it may be a part of it only.
        if prepare and self._is_remote and names is not None:
            parent = path.rstrip("/")
            self.prepare([one for one in found.arrays.values() if _is_next(one, parent, names)])
        return found

    def locate(self, entries: Sequence[ArrayEntry]) -> list[Placement | NWBDaskError]:
        """Return where the chunks of arrays are, shards looked into; see `backends.File.locate`."""
        with _place(self.source, None):
            documents = [self.tree.array(entry.path).document for entry in entries]
            return locate_arrays(self._keys, ShardIndexes(self._keys), documents) if documents else []

    def stored(self, entry: ArrayEntry) -> ArrayEntry | ZarrForm:
        """Return how Zarr version 2 says how the chunks of an array are stored; see `backends.File.stored`."""
        with _place(self.source, entry.path):
            return form_of(self.tree.array(entry.path).document)

    def holds(self, entry: ArrayEntry) -> bool:
        """Return whether all values of an array are at hand; see `backends.File.holds`."""
        return entry.shape is None or 0 in entry.shape or entry.path in self.known.values

    def prepare(self, entries: Iterable[ArrayEntry]) -> None:
        """Fetch the values of the small ones of `entries`, in one round; see `backends.File.prepare`."""
        if not self._is_remote:
            return
        small = [one for one in entries if one.path not in self.known.values and self._is_small(one)]
        try:
            self.read_many([(one, None, None) for one in small])
        except NWBDaskError:
            # It raises when it is read.
            return

    def require_room(self, entry: ArrayEntry, n_bytes: int) -> None:
        """Raise if the store cannot hold so much of an array; see `backends.File.require_room`."""
        with _place(self.source, entry.path):
            self._room.require(self.tree.array(entry.path).document, n_bytes)

    def read(self, entry: ArrayEntry, spans: npt.NDArray[np.int64] | None = None, inner: Box | None = None) -> Values:
        """Return rows of the first axis of an array, or a box of each; see `backends.File.read`."""
        return self.read_many([(entry, spans, inner)])[0]

    def read_many(self, requests: Sequence[Request]) -> list[Values]:
        """Return rows of many arrays, fetched together; see `backends.File.read_many`."""
        out: list[Values | None] = []
        plans: list[ArrayPlan] = []
        for entry, *where in requests:
            with _place(self.source, entry.path):
                made = self._planned(entry, *where)
            out.append(None if isinstance(made, ArrayPlan) else made)
            if isinstance(made, ArrayPlan):
                plans.append(made)
        with _place(self.source, None):
            found = iter(self._reader.read(plans)) if plans else iter(())
        for at, (entry, *where) in enumerate(requests):
            if out[at] is not None:
                continue
            with _place(self.source, entry.path):
                values = self.tree.array(entry.path).meaning.values(next(found))
            values = values if entry.shape else values.reshape(())
            if self._is_remote and all(one is None for one in where) and self._is_small(entry):
                self.known.values[entry.path] = values
                self.known.is_changed = True
            out[at] = values
        return [values for values in out if values is not None]

    def _planned(
        self, entry: ArrayEntry, spans: npt.NDArray[np.int64] | None = None, inner: Box | None = None
    ) -> ArrayPlan | Values:
        """Return what is to be read of an array, or the values that need nothing of the store."""
        stored = self.tree.array(entry.path)
        shape = stored.meaning.shape
        box = checked_box(inner, shape)
        tidied = tidy(spans if shape else None, n_rows=shape[0] if shape else 1)
        lengths = shape[1:] if box is None else box_shape(box)
        if not count(tidied) or 0 in (*shape, *lengths):
            return _empty(stored, (count(tidied), *lengths))
        kept = self.known.values.get(entry.path)
        if kept is not None:
            return _picked(kept, spans if shape else None, box)
        plan = ArrayPlan(Wanted(entry.path, stored, tidied, box))
        self._room.require(stored.document, plan.out_bytes)
        return plan

    def _is_small(self, entry: ArrayEntry) -> bool:
        try:
            document = self.tree.array(entry.path).document
        except NWBDaskError:
            return False
        return document.n_bytes <= INLINE_BYTES

    def close(self) -> None:
        """Give up the store; more than once is harmless. Its bytes stay open."""
        self._tree = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ZarrFile({self.source.url!r})"


@contextmanager
def _place(source: Source, path: str | None) -> Iterator[None]:
    """Context in which errors of ours get to name the store and the object."""
    try:
        yield
    except NWBDaskError as exc:
        exc.at(url=source.url, path=path)
        raise


def _is_next(entry: ArrayEntry, parent: str, names: Collection[str]) -> bool:
    """Return whether rows of an array will be read next: it, or what it is an index of, is among `names`."""
    name = basename(entry.path)
    if entry.path.rpartition("/")[0] != parent:
        return False
    return name in names or any(name.startswith(f"{one}_index") for one in names)


def _empty(stored: Stored, shape: tuple[int, ...]) -> Values:
    dtype = native_dtype(stored.meaning.element)
    return np.empty((*shape, *dtype.shape), dtype.base)


def _picked(kept: Values, spans: npt.NDArray[np.int64] | None, box: Box | None) -> Values:
    """Return rows of values that are at hand, or boxes of them."""
    if spans is not None:
        kept = kept[np.concatenate([np.arange(start, stop) for start, stop in spans.reshape(-1, 2).tolist()])]
    return kept if box is None else kept[:, *[slice(start, stop) for start, stop in box]]
