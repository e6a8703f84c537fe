"""Objects of an amended file, with what ``h5py`` has for writing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import h5py
import numpy as np
from h5py import h5s

from nwb_dask.amending.arguments import Given, dtype_of, fitting_chunks, from_h5py, storage_of, typed_values
from nwb_dask.amending.arrays import add_array, create_array, resize, write_selection
from nwb_dask.amending.codecs import storable
from nwb_dask.amending.draft import Draft
from nwb_dask.amending.linking import let_hdmf_link
from nwb_dask.amending.tree import DraftTree
from nwb_dask.errors import FormatError, OutputError
from nwb_dask.h5.attributes import Attributes
from nwb_dask.h5.dataset import FacadeDataset
from nwb_dask.h5.group import FacadeGroup
from nwb_dask.h5.ids import DatasetId, slices_of
from nwb_dask.h5.tree import Entry
from nwb_dask.index import ArrayEntry, GroupEntry, join


class _Amended:
    """What groups and datasets of an amended file have in common: they are described as they are now."""

    _file: Given
    _found: Given

    @property
    def draft(self) -> Draft:
        """What is added to."""
        tree: DraftTree = self._file_of.tree
        return tree.draft

    @property
    def _file_of(self) -> Given:
        return self.file  # type: ignore[attr-defined]  # of the class that this is mixed into

    @property
    def entry(self) -> Entry:
        """Its description."""
        tree: DraftTree = self._file_of.tree
        return tree.at(self._found.entry.path)

    @property
    def attrs(self) -> AmendedAttributes:
        """Its attributes."""
        entry = self.entry
        where = f"{entry.path} of {self._file_of.filename}"
        return AmendedAttributes(self._file_of, entry.path, where)


class AmendedAttributes(Attributes):
    """Attributes of one object; setting one changes the amended file and never the original."""

    def __init__(self, file: Given, path: str, where: str) -> None:
        self._file = file
        self._path = path
        super().__init__({}, {}, where)

    @property
    def _values(self) -> Mapping[str, Any]:
        tree: DraftTree = self._file.tree
        return tree.at(self._path).attributes

    @_values.setter
    def _values(self, value: object) -> None:
        """Keep nothing: the draft has them."""

    def __setitem__(self, name: str | bytes, value: object) -> None:
        self.create(name if isinstance(name, str) else name.decode(), value)

    def __delitem__(self, name: str) -> None:
        self._file.check_open()
        self._file.tree.draft.delete_attribute(self._path, name)

    def create(self, name: str, data: object, shape: object = None, dtype: object = None) -> None:  # noqa: ARG002  # as h5py has it
        """Set an attribute; of its type what JSON has."""
        self._file.check_open()
        if isinstance(data, h5py.Empty):
            raise FormatError(f"attribute {name!r} of {self._where}: LINDI has no place for one without a value")
        value = from_h5py(data)
        self._file.tree.draft.set_attributes(self._path, {name: value})

    def modify(self, name: str, value: object) -> None:
        """Set an attribute."""
        self.create(name, value)


class AmendedDatasetId(DatasetId):
    """Stands for a dataset of an amended file, with what hdmf asks of it to write data that arrive piece by piece."""

    def extend(self, shape: Sequence[int]) -> None:
        """Let the dataset be as large as this at least."""
        before = self.shape or ()
        self.set_extent([max(one, int(least)) for one, least in zip(before, shape, strict=True)])

    def set_extent(self, shape: Sequence[int]) -> None:
        """Let the dataset have another shape."""
        dataset: Any = self._dataset
        if tuple(shape) != self.shape:
            dataset.resize(shape)

    def write(
        self,
        mspace: h5s.SpaceID,
        fspace: h5s.SpaceID,
        values: Given,
        mtype: object = None,  # noqa: ARG002  # it is what numpy says
        dxpl: object = None,  # noqa: ARG002  # of libhdf5
    ) -> None:
        """Write what `mspace` selects of an array to what `fspace` selects; hdmf's text columns grow so."""
        dataset: Any = self._dataset
        where = slices_of(fspace)
        lengths = [len(range(*one.indices(size))) for one, size in zip(where, self.shape or (), strict=False)]
        given = np.asarray(np.asarray(values)[slices_of(mspace)])
        dataset[where or ...] = given.reshape(lengths if where else self.shape or ())


class AmendedDataset(_Amended, FacadeDataset):
    """A dataset of an amended file; an added one can be written to."""

    def __init__(self, file: Given, found: Given) -> None:
        super().__init__(file, found)
        # hdmf may be imported after this module, but not after it is given a dataset.
        let_hdmf_link(AmendedDataset)

    @property
    def array(self) -> ArrayEntry:
        """Its description."""
        entry = self.entry
        assert isinstance(entry, ArrayEntry)  # noqa: S101  # it was made as one
        return entry

    @property
    def id(self) -> AmendedDatasetId:
        """What stands for the dataset; it has few of the methods of libhdf5."""
        return AmendedDatasetId(self)

    @property
    def maxshape(self) -> tuple[int | None, ...] | None:
        """How far it may grow: an added one without bound, one of the original not at all."""
        shape = self.shape
        return (None,) * len(shape) if shape and self.draft.is_own(self.array.path) else shape

    def __setitem__(self, args: object, val: object) -> None:
        self.file.check_open()
        if isinstance(args, str) or (isinstance(args, tuple) and any(isinstance(one, str) for one in args)):
            raise FormatError(f"{self.name}: fields of records are written together, not one by one")
        dtype = self.dtype
        records = dtype if dtype.names is not None else None
        write_selection(self.draft, self.array.path, args, from_h5py(val, records))

    def resize(self, size: Given, axis: Given = None) -> None:
        """Let it have another shape, or another length along one axis."""
        self.file.check_open()
        shape: list[Any] = list(self.shape or ())
        if axis is None:
            shape = [size] if isinstance(size, (int, np.integer)) else list(size)
        else:
            shape[axis] = int(size)
        resize(self.draft, self.array.path, tuple(map(int, shape)))

    def write_direct(self, source: Given, source_sel: Given = None, dest_sel: Given = None) -> None:
        """Write what `source_sel` selects of an array to what `dest_sel` selects."""
        self[... if dest_sel is None else dest_sel] = source if source_sel is None else source[source_sel]


class AmendedGroup(_Amended, FacadeGroup):
    """A group of an amended file, to which members can be added."""

    @property
    def group(self) -> GroupEntry:
        """Its description."""
        entry = self.entry
        assert isinstance(entry, GroupEntry)  # noqa: S101  # it was made as one
        return entry

    def _place(self, name: object) -> str:
        """Return the absolute path of a member that may be absent; links of groups above it are followed."""
        self.file.check_open()
        text = name.decode() if isinstance(name, bytes) else name
        if not isinstance(text, str) or not text.strip("/"):
            raise TypeError(f"{name!r} is no name for a member of {self.name}")
        path = text.rstrip("/") if text.startswith("/") else join(self.group.path, text.rstrip("/"))
        above, _, last = path.rpartition("/")
        return join(self.draft.resolve(above or "/"), last)

    def create_group(self, name: object, *_args: object, **_kwargs: object) -> Given:
        """Add a group, with those above it that are not there."""
        path = self._place(name)
        _as_h5py(lambda: self.draft.create_group(path))
        return self[path]

    def require_group(self, name: object, **_kwargs: object) -> Given:
        """Return the group of that name, which is made if it is absent."""
        found = self.get(name)  # type: ignore[arg-type]  # a name, as h5py has it
        if found is None:
            return self.create_group(name)
        if not isinstance(found, h5py.Group):
            raise TypeError(f"Incompatible object ({type(found).__name__}) already exists: {name!r}")
        return found

    def create_dataset(  # type: ignore[override]  # that of a file which is read takes whatever it refuses
        self, name: object, shape: Given = None, dtype: Given = None, data: Given = None, **options: Given
    ) -> Given:
        """Add a dataset, as ``h5py.Group.create_dataset``.

        Compression is gzip or none. ``maxshape`` means nothing: every added dataset can grow.
        """
        path = self._place(name)
        if data is not None and isinstance(data, h5py.Empty):
            raise FormatError(f"{path}: LINDI has no place for a dataset without a shape")
        storage = storage_of(options, path)
        if dtype is not None:
            storable(dtype_of(dtype), path)
        if data is None:
            lengths = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape or ())
            made = dtype_of(dtype)
            storage["chunks"] = fitting_chunks(storage["chunks"], lengths)
            _as_h5py(lambda: create_array(self.draft, path, lengths, made, **storage))
        else:
            values = typed_values(data, dtype)
            if shape is not None:
                values = values.reshape(shape)
            storage["chunks"] = fitting_chunks(storage["chunks"], values.shape)
            _as_h5py(lambda: add_array(self.draft, path, values, **storage))
        return self[path]

    def require_dataset(self, name: object, *args: Given, **options: Given) -> Given:
        """Return the dataset of that name, which is made if it is absent; ``shape`` and ``dtype`` have to fit."""
        given = dict(zip(("shape", "dtype", "exact"), args, strict=False)) | options
        exact = given.pop("exact", False)
        found = self.get(name)  # type: ignore[arg-type]  # a name, as h5py has it
        if found is None:
            return self.create_dataset(name, **given)
        if not isinstance(found, h5py.Dataset):
            raise TypeError(f"Incompatible object ({type(found).__name__}) already exists: {name!r}")
        shape, dtype = given.get("shape"), dtype_of(given.get("dtype"))
        lengths = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape or ())
        if found.shape != lengths:
            raise TypeError(f"Shapes do not match (existing {found.shape} vs new {lengths}): {name!r}")
        if found.dtype != dtype and (exact or not np.can_cast(dtype, found.dtype)):
            raise TypeError(f"Datatypes do not fit (existing {found.dtype} vs new {dtype}): {name!r}")
        return found

    def __setitem__(self, name: object, obj: object) -> None:
        path = self._place(name)
        if isinstance(obj, h5py.SoftLink):
            target = obj.path if obj.path.startswith("/") else join(path.rpartition("/")[0] or "/", obj.path)
            _as_h5py(lambda: self.draft.link(path, target))
        elif isinstance(obj, h5py.ExternalLink):
            raise FormatError(f"{path}: LINDI has no place for a link into another file")
        elif isinstance(obj, (h5py.Group, h5py.Dataset)):
            if obj.file != self.file:
                raise FormatError(f"{path}: {obj.name} is in another file; read it and add the values")
            # LINDI has no second names: a link says the same.
            _as_h5py(lambda: self.draft.link(path, str(obj.name)))
        else:
            self.create_dataset(name, data=obj)

    def move(self, source: object, dest: object) -> NoReturn:
        """Refuse: references and links name what they lead to by its path."""
        message = f"{self._place(source)} keeps its name, by which references lead to it; add {dest!r} and delete it"
        raise OutputError(message, url=str(self.draft.output.path))

    def copy(self, source: object, dest: object, *_args: object, **_kwargs: object) -> NoReturn:  # noqa: ARG002  # as h5py has it
        """Refuse: what is here is linked to, and what is in another file is read and added."""
        message = f"copies are not made; link to what is here (file[{dest!r}] = file[...]), or read and add its values"
        raise OutputError(message, url=str(self.draft.output.path))

    def __delitem__(self, name: object) -> None:
        path = self._place(name)
        _as_h5py(lambda: self.draft.delete(path))


def _as_h5py(run: Callable[[], None]) -> None:
    """Run; that a name is taken is a `ValueError` too, as h5py has it."""
    try:
        run()
    except OutputError as error:
        if "is there already" in error.message:
            raise NameTakenError(error.message, url=error.url, path=error.path) from None
        raise


class NameTakenError(OutputError, ValueError):
    """Something has that name already."""
