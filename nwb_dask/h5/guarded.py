"""Files that h5py opens by their path, of which no reference leads to what was not checked.

What a file has in other files is found by a walk along its links, and such a file is not opened so. But a reference
may lead to an object that no link leads to, and libhdf5 would open what that names.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import h5py
from h5py import h5o

from nwb_dask.errors import UnsupportedLayoutError


class _Guarded:
    """What groups and datasets have in common."""

    _file: GuardedFile

    @property
    def file(self) -> GuardedFile:
        """The file that it is in."""
        return self._file


class GuardedGroup(_Guarded, h5py.Group):  # type: ignore[misc]  # h5py has no types
    """A group of a `GuardedFile`."""

    def __init__(self, gid: Any, file: GuardedFile) -> None:
        h5py.Group.__init__(self, gid)
        self._file = file

    def __getitem__(self, name: object) -> Any:
        """Return a member by name or path, or what a reference points to, if a link leads there, too."""
        found = super().__getitem__(name)
        if isinstance(name, h5py.Reference):
            self.file.check_linked(found)
        return self._guarded(found)

    def get(self, name: Any, default: Any = None, getclass: bool = False, getlink: bool = False, **more: Any) -> Any:
        """Return a member, its class, or the link that leads to it; see ``h5py.Group.get``."""
        found = super().get(name, default, getclass=getclass, getlink=getlink, **more)
        return found if found is default else self._guarded(found)

    def _guarded(self, found: Any) -> Any:
        if isinstance(found, h5py.Dataset):
            return GuardedDataset(found.id, self.file)
        return GuardedGroup(found.id, self.file) if isinstance(found, h5py.Group) else found


class GuardedDataset(_Guarded, h5py.Dataset):  # type: ignore[misc]  # h5py has no types
    """A dataset of a `GuardedFile`."""

    # h5netcdf 1.8 tells datasets of h5py by the module of their class.
    __module__ = h5py.Dataset.__module__

    def __init__(self, did: Any, file: GuardedFile) -> None:
        h5py.Dataset.__init__(self, did, readonly=True)
        self._file = file


class GuardedFile(GuardedGroup, h5py.File):  # type: ignore[misc]  # h5py has no types
    """A file that is open in h5py by its path, read only."""

    def __init__(self, path: str, **driver: Any) -> None:
        h5py.File.__init__(self, path, "r", **driver)

    @property
    def file(self) -> GuardedFile:
        """The file itself."""
        return self

    def check_linked(self, found: Any) -> None:
        """Raise `UnsupportedLayoutError` if no link leads to an object."""
        if h5o.get_info(found.id).addr not in self._linked:
            raise UnsupportedLayoutError("a reference leads to an object that nothing else does", url=self.filename)

    @cached_property
    def _linked(self) -> frozenset[int]:
        """Addresses of the objects that links lead to."""
        found: set[int] = {h5o.get_info(self.id).addr}
        h5o.visit(self.id, lambda _, info: found.add(info.addr), info=True)
        return frozenset(found)
