"""What the layers above may ask of an open file, and what an open file asks of storage."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from types import TracebackType
from typing import Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.known import Known
from nwb_dask.errors import NWBDaskError
from nwb_dask.index import ArrayEntry, FileIndex, Placement, Source, ZarrForm
from nwb_dask.storage import Access, Buffer, Driver

Box: TypeAlias = "tuple[tuple[int, int], ...]"
"""Half-open ``(start, stop)`` along each axis behind the first."""

Request: TypeAlias = (
    "tuple[ArrayEntry, npt.NDArray[np.int64] | None] | tuple[ArrayEntry, npt.NDArray[np.int64] | None, Box | None]"
)
"""A dataset, with what is wanted of it: spans of rows, and a box of each; None for all. See `File.read`."""


class ByteSource(Protocol):
    """What a backend needs of a `storage.Store`."""

    @property
    def source(self) -> Source:
        """The file and its version."""

    @property
    def access(self) -> Access:
        """How the file was reached."""

    @property
    def local_path(self) -> str | None:
        """Path of a local file; None for a remote one."""

    @property
    def size(self) -> int:
        """Length of the file in bytes."""

    @property
    def driver(self) -> Driver | None:
        """How libhdf5 is to read the file itself, if the user wants it to; else None."""

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[Buffer]:
        """Return the bytes of each half-open range."""


class File(Protocol):
    """One open file. Its methods may be called from several threads; it is not picklable."""

    @property
    def source(self) -> Source:
        """The file and its version."""

    @property
    def known(self) -> Known:
        """What has been found out about the file; grows with every call."""

    @property
    def is_held(self) -> bool:
        """Whether another library has the file open, until `close`; whoever wants to write to it may be refused."""

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
        """Return what is known of the object at `path` and of its members.

        Parameters
        ----------
        path : str
            Absolute path of a group or dataset. Soft links are followed, and what is found stands under the path
            that was asked for.
        names : collection of str, optional
            Dataset members to describe (all by default), with those whose ``target`` attribute leads to one of
            them, in a chain of any depth. All members are named in the `GroupEntry` whatever `names` is.
        recursive : bool
            Describe everything below `path`.
        attributes, array_attributes : frozenset of str, optional
            Names of the attributes of groups, and of datasets, to read (all by default).
        groups : bool
            Whether to describe groups that are members. Otherwise, unless `recursive`, they may be there without
            attributes and members.
        prepare : bool
            Meanwhile do what `prepare` does for the members in `names`: rows of them will be read next.

        Raises
        ------
        PathNotFoundError
            If nothing is at `path`.
        MalformedFileError
            If the file is broken on the way to `path`. A broken member is put into `FileIndex.problems` instead.
        UnsupportedLayoutError
            If `path` leads through an external link that may not be followed.
        """

    def holds(self, entry: ArrayEntry) -> bool:
        """Return whether all values of a dataset are at hand, so that reading it asks nothing of the file."""

    def require_room(self, entry: ArrayEntry, n_bytes: int) -> None:
        """Raise if the file cannot hold so many bytes of a dataset, before memory is taken for them.

        What was never written counts up to 1 GiB. Each read is checked by itself; this is for results that several
        reads fill.

        Raises
        ------
        MalformedFileError
            If more is declared than the file can hold.
        """

    def read(
        self, entry: ArrayEntry, spans: npt.NDArray[np.int64] | None = None, inner: Box | None = None
    ) -> npt.NDArray[np.generic]:
        """Return rows of the first axis of a dataset, or a box of each row.

        Parameters
        ----------
        entry : ArrayEntry
            As `index` gave it, for this version of the file.
        spans : ndarray of int64, shape (n, 2), optional
            Half-open rows, increasing, without overlap; their rows are returned one after the other. All rows by
            default.
        inner : tuple of (int, int), optional
            Half-open range along each of the other axes. All by default. Of chunked data, only chunks that hold some
            of it are looked for, read and decoded. Of other data more is read where parts of rows lie near each other.

        Returns
        -------
        ndarray
            Numbers in native byte order; booleans for ``"bool"``; integers for ``"enum"``; ``S<n>`` for text of
            fixed length. Of ``object``: `bytes` for text of variable length, absolute path or None for references,
            int64 arrays of row numbers for region references, arrays for ``"sequence"``. A compound is a structured
            array of these. May be read-only.

        Raises
        ------
        IndexError
            If `spans` or `inner` reach outside of the dataset, or spans do not increase.
        MalformedFileError
            If the data are truncated or damaged.
        UnsupportedLayoutError
            If the type, layout or filter is not read.
        """

    def read_many(self, requests: Sequence[Request]) -> list[npt.NDArray[np.generic]]:
        """Return rows of many datasets, each as `read` does; what they need is fetched together."""

    def stored(self, entry: ArrayEntry) -> ArrayEntry | ZarrForm:
        """Return how the bytes that `locate` finds are to be read.

        An entry says it by its chunks and HDF5's filters. It is that of another dataset where a document of references
        says that the values are there, with `home` for where that is.

        Raises
        ------
        UnsupportedLayoutError
            If the codecs are none that Zarr version 2 has.
        NWBDaskError
            If the values are elsewhere, and that cannot be had.
        """

    def locate(self, entries: Sequence[ArrayEntry]) -> list[Placement | NWBDaskError]:
        """Return where all stored bytes of each dataset are, or why that cannot be told; looked up together.

        Raises
        ------
        SourceChangedError, SourceUnavailableError
            If the file itself cannot be had any more. What is wrong with one dataset stands in its place instead.
        """

    def prepare(self, entries: Iterable[ArrayEntry]) -> None:
        """Fetch what later reads of rows of `entries` need beside the rows: where their chunks are.

        Of a remote file also the values of small datasets. For a local file this does nothing. What cannot be had
        raises when it is read.
        """

    def close(self) -> None:
        """Give up the file; more than once is harmless. The store stays open, and what is asked next opens it again."""

    def __enter__(self) -> Self:
        """Return the file, which closes when the block ends."""

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        """Close."""
