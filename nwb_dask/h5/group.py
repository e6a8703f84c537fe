"""Groups of a container that is not open in h5py, with the interface of ``h5py.Group``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, KeysView
from typing import Any, NoReturn

import h5py
import numpy as np
from h5py._hl.base import HLObject, KeysViewHDF5

from nwb_dask.h5.objects import FacadeObject
from nwb_dask.h5.references import PathReference
from nwb_dask.h5.views import Items, Values
from nwb_dask.index import GroupEntry, Link


class FacadeGroup(FacadeObject, h5py.Group):  # type: ignore[misc]  # h5py has no types
    """A group of a `FacadeFile`: its members by name or path, and links as they are."""

    @property
    def group(self) -> GroupEntry:
        """Its description."""
        entry = self._found.entry
        assert isinstance(entry, GroupEntry)  # noqa: S101  # the file makes datasets of everything else
        return entry

    def __getitem__(self, name: object) -> Any:
        """Return a member by name or path, or what a reference points to.

        Raises
        ------
        KeyError
            If nothing is there, or what is there is in another file.
        """
        file = self.file
        file.check_open()
        if isinstance(name, PathReference):
            if name.path is None:
                raise ValueError("Invalid HDF5 object reference")
            return file.made(file.tree.find(name.path))
        if isinstance(name, bytes):
            name = name.decode()
        if not isinstance(name, str):
            raise TypeError(f"Accessing a group is done with bytes or str, not {type(name)}")
        if not name:
            raise KeyError("the name of an object cannot be empty")
        return file.made(file.tree.find(name, self.name))

    def get(
        self,
        name: str | bytes,
        default: Any = None,
        getclass: bool = False,  # as h5py has it
        getlink: bool = False,  # as h5py has it
        **_more: object,
    ) -> Any:
        """Return a member, its class, or the link that leads to it; see ``h5py.Group.get``."""
        path = name.decode() if isinstance(name, bytes) else name
        if getlink:
            link = self._link(path)
            return default if link is None else type(link) if getclass else link
        try:
            found = self[path]
        except KeyError:
            return default
        return (h5py.Dataset if isinstance(found, h5py.Dataset) else h5py.Group) if getclass else found

    def _link(self, path: str) -> h5py.HardLink | h5py.SoftLink | h5py.ExternalLink | None:
        """Return the last link on the way along a path; None if there is none."""
        folder, _, name = path.rstrip("/").rpartition("/")
        try:
            holder = self[folder or "/"] if folder or path.startswith("/") else self
        except KeyError:
            return None
        if not isinstance(holder, FacadeGroup) or name not in holder.group.members:
            return None
        return _as_h5py(holder.group.links.get(name))

    def __iter__(self) -> Iterator[str]:
        self.file.check_open()
        return iter(self.group.members)

    def __reversed__(self) -> Iterator[str]:
        return iter(self.group.members[::-1])

    def __len__(self) -> int:
        return len(self.group.members)

    def __contains__(self, name: object) -> bool:
        if isinstance(name, PathReference):
            return self._leads_somewhere(name)
        path = name.decode() if isinstance(name, bytes) else name
        if not isinstance(path, str):
            return False
        if path in self.group.members:
            # A link is a member whether or not it leads somewhere.
            return True
        return self._leads_somewhere(path)

    def _leads_somewhere(self, name: str | PathReference) -> bool:
        try:
            self[name]
        except (KeyError, ValueError):
            return False
        return True

    def keys(self) -> KeysView[str]:
        """Return the names of the members."""
        names: KeysView[str] = KeysViewHDF5(self)
        return names

    def values(self) -> Values:
        """Return the members; None for a link that leads nowhere."""
        return Values(self)

    def items(self) -> Items:
        """Return names and members; None for a link that leads nowhere."""
        return Items(self)

    def visit(self, func: Callable[[str], Any]) -> Any:
        """Call `func` with the path of each object below; each object once, and links are not followed."""
        return self._visit(lambda path, _: func(path))

    def visititems(self, func: Callable[[str, Any], Any]) -> Any:
        """Call `func` with the path of each object below and the object; see `visit`."""
        return self._visit(func)

    def _visit(self, func: Callable[[str, Any], Any]) -> Any:
        seen = {self.group.path}
        stack = [("", self, iter(self.group.members))]
        while stack:
            before, here, names = stack[-1]
            name = next(names, None)
            if name is None:
                stack.pop()
                continue
            found = None if name in here.group.links else here[name]
            if found is None or found.entry.path in seen:
                continue
            seen.add(found.entry.path)
            answer = func(before + name, found)
            if answer is not None:
                return answer
            if isinstance(found, FacadeGroup):
                stack.append((f"{before}{name}/", found, iter(found.group.members)))
        return None

    def visit_links(self, func: Callable[[str], Any]) -> Any:
        """Call `func` with the path of each link below."""
        return self.visititems_links(lambda path, _: func(path))

    def visititems_links(self, func: Callable[[str, Any], Any]) -> Any:
        """Call `func` with the path of each link below and the link."""
        stack = [(f"{name}", self) for name in reversed(self.group.members)]
        while stack:
            path, holder = stack.pop()
            name = path.rpartition("/")[2]
            link = _as_h5py(holder.group.links.get(name))
            answer = func(path, link)
            if answer is not None:
                return answer
            found = holder[name] if isinstance(link, h5py.HardLink) else None
            if isinstance(found, FacadeGroup):
                stack.extend((f"{path}/{one}", found) for one in reversed(found.group.members))
        return None

    def create_group(self, name: object, *_args: object, **_kwargs: object) -> Any:
        """Refuse: the file is open for reading."""
        raise self._read_only()

    def create_dataset(self, name: object, *_args: object, **_kwargs: object) -> Any:
        """Refuse: the file is open for reading."""
        raise self._read_only()

    def create_virtual_dataset(self, name: object, *_args: object, **_kwargs: object) -> NoReturn:
        """Refuse: the file is open for reading."""
        raise self._read_only()

    def require_dataset(
        self, name: object, shape: object = None, dtype: object = None, exact: bool = False, **_more: object
    ) -> Any:
        """Return the dataset of that name, which `shape` and `dtype` have to fit; one that is absent is not made."""
        found = self.get(name)  # type: ignore[arg-type]  # a name, as h5py has it
        if found is None:
            raise self._read_only()
        if not isinstance(found, h5py.Dataset):
            raise TypeError(f"Incompatible object ({type(found).__name__}) already exists")
        lengths = (shape,) if isinstance(shape, int) else tuple(shape or ())  # type: ignore[arg-type]  # a shape
        if found.shape != lengths:
            raise TypeError(f"Shapes do not match (existing {found.shape} vs new {lengths})")
        wanted = np.dtype(dtype)  # type: ignore[call-overload]  # whatever it takes
        if found.dtype != wanted and (exact or not np.can_cast(wanted, found.dtype)):
            raise TypeError(f"Datatypes cannot be safely cast (existing {found.dtype} vs new {wanted})")
        return found

    def __setitem__(self, name: object, obj: object) -> None:
        is_link = isinstance(obj, (HLObject, h5py.SoftLink, h5py.ExternalLink))
        raise self._read_only(OSError if is_link else ValueError)

    def __delitem__(self, name: object) -> None:
        raise self._read_only(KeyError)

    def copy(self, source: object, dest: object, *_args: object, **_kwargs: object) -> NoReturn:
        """Refuse: libhdf5 does not know these objects."""
        raise NotImplementedError(f"{self.file.filename} is not open in libhdf5, which copies; read and write instead")

    def move(self, source: object, dest: object) -> NoReturn:
        """Refuse: the file is open for reading."""
        raise self._read_only()


def _as_h5py(link: Link | None) -> h5py.HardLink | h5py.SoftLink | h5py.ExternalLink:
    if link is None:
        return h5py.HardLink()
    return h5py.SoftLink(link.target) if link.filename is None else h5py.ExternalLink(link.filename, link.target)
