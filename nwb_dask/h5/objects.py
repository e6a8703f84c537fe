"""What groups and datasets of a container have in common that h5py does not have open."""

from __future__ import annotations

import posixpath
from functools import partial
from typing import NoReturn

from h5py._hl.base import HLObject

from nwb_dask.h5.attributes import Attributes
from nwb_dask.h5.ids import ObjectId
from nwb_dask.h5.opened import Opened
from nwb_dask.h5.references import PathReference
from nwb_dask.h5.tree import Entry, Found


class FacadeObject(HLObject):  # type: ignore[misc]  # h5py has no types
    """A group or dataset of a `FacadeFile`.

    Parameters
    ----------
    file : Opened
        Where it is.
    found : Found
        What it is, and the path by which it was found.
    """

    def __init__(self, file: Opened, found: Found) -> None:
        self._file = file
        self._found = found

    @property
    def entry(self) -> Entry:
        """Its description."""
        return self._found.entry

    @property
    def id(self) -> ObjectId:
        """What stands for the object; it has few of the methods of libhdf5."""
        return ObjectId(self.file, self.entry)

    @property
    def _id(self) -> ObjectId:
        # Where h5py asks its own attribute.
        return self.id

    @property
    def file(self) -> Opened:
        """The file that it is in."""
        return self._file

    @property
    def name(self) -> str:
        """Path by which it was found."""
        return self._found.name

    @property
    def parent(self) -> FacadeObject:
        """The group that it is in."""
        found: FacadeObject = self.file[posixpath.dirname(self.name)]
        return found

    @property
    def attrs(self) -> Attributes:
        """Its attributes."""
        entry, tree = self.entry, self.file.tree
        where = f"{entry.path} of {self.file.filename}"
        stored = partial(tree.stored_attributes, entry.path)
        return self.file.attributes_class(entry.attributes, tree.problems(entry.path), where, stored)

    @property
    def ref(self) -> PathReference:
        """A reference to it."""
        return PathReference(self.entry.path)

    @property
    def regionref(self) -> NoReturn:
        """Refuse: regions are not made here."""
        raise NotImplementedError(f"region references into {self.name} of {self.file.filename} are not made")

    def __bool__(self) -> bool:
        return self.file.is_open

    def __hash__(self) -> int:
        return hash(self.id)

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, HLObject) else NotImplemented

    def __getnewargs__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise self._not_pickled()

    def __getstate__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise self._not_pickled()

    def _not_pickled(self) -> TypeError:
        return TypeError(
            f"objects of an open file are not pickled: {self.name} of {self.file.filename}; "
            "open it where it goes with nwb_dask.open_h5"
        )

    def _read_only(self, kind: type[Exception] = ValueError) -> Exception:
        """Return an error of the kind that h5py raises when somebody tries this with a file open for reading."""
        return kind(f"{self.file.filename} is open for reading only")
