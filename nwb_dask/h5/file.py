"""A container that is not open in h5py, with the interface of ``h5py.File``."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import ClassVar, Self

import h5py

from nwb_dask.errors import display_url
from nwb_dask.h5.attributes import Attributes
from nwb_dask.h5.dataset import FacadeDataset
from nwb_dask.h5.group import FacadeGroup
from nwb_dask.h5.reads import Reads
from nwb_dask.h5.tree import Found, Tree
from nwb_dask.index import ArrayEntry

_tokens = itertools.count()


class FacadeFile(FacadeGroup, h5py.File):  # type: ignore[misc]  # h5py has no types
    """Any container, as h5py would show it.

    Its objects are instances of h5py's classes, and have none of libhdf5's identifiers. It is read only, and not
    pickled.

    Parameters
    ----------
    tree : Tree
        What is in it.
    on_close : callable
        Gives up what is behind `tree`.
    reads : Reads, optional
        Reads rows ahead, of a file that does not change.
    """

    group_class: ClassVar[type[FacadeGroup]] = FacadeGroup
    """Of the groups in it."""
    dataset_class: ClassVar[type[FacadeDataset]] = FacadeDataset
    """Of the datasets in it."""
    attributes_class: ClassVar[type[Attributes]] = Attributes
    """Of the attributes of these."""

    def __init__(self, tree: Tree, on_close: Callable[[], None], reads: Reads | None = None) -> None:
        self.tree = tree
        self.reads = reads
        self.token = next(_tokens)
        """Tells open files apart."""
        # Also when it is dropped, or the interpreter ends.
        self._closing = weakref.finalize(self, on_close)
        self._found = tree.find("/")

    def made(self, found: Found) -> FacadeGroup | FacadeDataset:
        """Return the object that was found."""
        if isinstance(found.entry, ArrayEntry):
            return self.dataset_class(self, found)
        return self.group_class(self, found)

    @property
    def file(self) -> Self:
        """The file itself."""
        return self

    @property
    def is_open(self) -> bool:
        """Whether `close` was not called."""
        return self._closing.alive

    def check_open(self) -> None:
        """Raise `ValueError` if it is closed."""
        if not self.is_open:
            raise ValueError(f"{self.filename} is closed")

    @property
    def filename(self) -> str:
        """Its URL, without what is secret in it."""
        return display_url(self.tree.url)

    @property
    def driver(self) -> str:
        """``nwb_dask``: no driver of libhdf5 is at work."""
        return "nwb_dask"

    @property
    def mode(self) -> str:
        """``r``."""
        return "r"

    @property
    def libver(self) -> tuple[str, str]:
        """Versions of libhdf5 that new objects are made for; none are."""
        return ("earliest", "latest")

    @property
    def userblock_size(self) -> int:
        """0."""
        return 0

    @property
    def meta_block_size(self) -> int:
        """0."""
        return 0

    @property
    def swmr_mode(self) -> bool:
        """False: what is read is of one version of the file."""
        return False

    @swmr_mode.setter
    def swmr_mode(self, value: bool) -> None:
        raise self._read_only(RuntimeError)

    def flush(self) -> None:
        """Do nothing: nothing is written."""

    def close(self) -> None:
        """Give up the file; more than once is harmless."""
        self._closing()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
