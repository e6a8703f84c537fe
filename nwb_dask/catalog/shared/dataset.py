"""A catalog that is open: its tables as Arrow, each read when it is asked for, and some of its sessions chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nwb_dask.catalog.shared.indexes import StoredIndexes
from nwb_dask.catalog.shared.manifest import Manifest, read_manifest
from nwb_dask.catalog.shared.parts import read_table
from nwb_dask.errors import SourceNotFoundError
from nwb_dask.index import Url
from nwb_dask.storage.access import Access
from nwb_dask.storage.named import Named
from nwb_dask.storage.target import Target, open_target
from nwb_dask.storage.urls import make_url

Self_ = TypeVar("Self_", bound="SharedCatalog")


class SharedCatalog:
    """What a catalog says of files, without opening one. Tables are read once, when they are asked for.

    Nothing of it changes: a catalog that is written anew has to be opened again. It is a list of files wherever a
    source is asked for (`files`).

    Parameters
    ----------
    target : Target
        Where it is.
    manifest : Manifest
        Which parts count.
    urls : mapping of str to str, optional
        Name of a file -> where it is read instead of where it was.
    """

    def __init__(self, target: Target, manifest: Manifest, urls: Mapping[str, Url] | None = None) -> None:
        self._target = target
        self._manifest = manifest
        self._urls = dict(urls or {})
        self._tables: dict[str, pa.Table] = {}
        self._chosen: npt.NDArray[np.int64] | None = None

    @property
    def name(self) -> str:
        """Where it is, without what is secret."""
        return self._target.name

    @property
    def options(self) -> Mapping[str, object]:
        """What it was built with."""
        return self._manifest.options

    @property
    def n_sessions(self) -> int:
        """How many files are chosen, those that failed included."""
        if self._chosen is not None:
            return len(self._chosen)
        return sum(part.n_rows for part in self._manifest.parts["sessions"])

    @property
    def indexes(self) -> StoredIndexes | None:
        """Where the indexes of files are; None if there are none, as in a catalog of local files."""
        parts = self._manifest.parts["places"]
        access = getattr(self._target, "access", Access())
        return StoredIndexes(self.name, access, parts) if any(part.n_rows for part in parts) else None

    def table(self, name: str) -> pa.Table:
        """Return a table of the catalog, as `layout` says, of the sessions that are chosen; rows are in their order."""
        rows = self._whole(name)
        if self._chosen is None or name == "schemas":
            return rows
        if name == "sessions":
            return rows.take(pa.array(self._chosen))
        numbers = self.session_numbers(name)
        return rows.filter(pa.array(numbers >= 0))

    def session_numbers(self, name: str) -> npt.NDArray[np.int64]:
        """Return for each row of a whole table the number of its session among those chosen; -1 for no such."""
        column = self._whole(name).column("source").combine_chunks()
        if isinstance(column, pa.DictionaryArray):
            found = pc.index_in(column.dictionary, value_set=self._sources)
            places = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
            numbers: npt.NDArray[np.int64] = places[column.indices.to_numpy(zero_copy_only=False)]
            return numbers
        numbers = pc.fill_null(pc.index_in(column, value_set=self._sources), -1).to_numpy(zero_copy_only=False)
        return numbers.astype(np.int64)

    def whole_table(self, name: str) -> pa.Table:
        """Return a table of the catalog with the rows of all sessions, chosen or not."""
        return self._whole(name)

    def choose(self, numbers: npt.NDArray[np.int64] | Sequence[int]) -> Self:
        """Return the catalog of these sessions only, by their place among those chosen, in the order given."""
        numbers = np.asarray(numbers, np.int64)
        other = type(self)(self._target, self._manifest, self._urls)
        # Tables are read once for all.
        vars(other)["_tables"] = self._tables
        vars(other)["_chosen"] = numbers if self._chosen is None else self._chosen[numbers]
        return other

    @cached_property
    def files(self) -> tuple[Named, ...]:
        """The files, in order, as `storage.Sources` has them."""
        rows = self.table("sessions")
        names, urls = rows.column("_nwb_path").to_pylist(), rows.column("url").to_pylist()
        if not names:
            raise self.none_left()
        return tuple(
            Named(name, make_url(self._urls.get(name, url)), name) for name, url in zip(names, urls, strict=True)
        )

    def none_left(self) -> SourceNotFoundError:
        """Return the error for a catalog of no session, where files are wanted."""
        return SourceNotFoundError(f"no session of the catalog {self.name} is left", url=self.name)

    def url_of(self, name: str) -> Url | None:
        """Return where a file is read instead of where it was; None if nothing was said of it."""
        return self._urls.get(name)

    @property
    def has_other_urls(self) -> bool:
        """Whether some files are read from elsewhere."""
        return bool(self._urls)

    def __len__(self) -> int:
        """Return the number of sessions."""
        return self.n_sessions

    def __bool__(self) -> bool:
        """Return True: an empty catalog is one."""
        return True

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle as where it is and what was chosen; the tables are read again."""
        chosen = None if self._chosen is None else self._chosen.tobytes()
        return (_unpickled, (type(self), self._target, self._manifest, self._urls, chosen))

    @cached_property
    def _sources(self) -> pa.Array:
        return self.table("sessions").column("source").combine_chunks()

    def _whole(self, name: str) -> pa.Table:
        # Two threads may both read it; either is as good.
        if name not in self._tables:
            self._tables[name] = read_table(self._target, self._manifest, name)
        return self._tables[name]


def open_shared(kind: type[Self_], where: object, access: Access, urls: Mapping[str, Url] | None = None) -> Self_:
    """Return the catalog at a folder or URL; only its manifest is read now.

    Raises
    ------
    SourceNotFoundError
        If there is none.
    UnsupportedLayoutError, MalformedFileError
        If it is of another version, or damaged.
    """
    target = open_target(where, access)
    return kind(target, read_manifest(target), urls)


def _unpickled(
    kind: type[Self_], target: Target, manifest: Manifest, urls: Mapping[str, Url], chosen: bytes | None
) -> Self_:
    found = kind(target, manifest, urls)
    if chosen is not None:
        found._chosen = np.frombuffer(chosen, np.int64)  # noqa: SLF001  # of this module
    return found
