"""What h5py says is in a file, in the form in which a backend should give it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5s

from nwb_dask.index import AttributeValue, Reference

Array = npt.NDArray[Any]


def every_dataset(file: h5py.File) -> Iterator[h5py.Dataset]:
    """Yield the datasets of a file, each under its first path."""
    found: list[h5py.Dataset] = []

    def visit(_name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(item)

    file.visititems(visit)
    yield from found


def what_h5py_says(dataset: h5py.Dataset) -> Array:
    """Return all values as `File.read` should give them, by the high level of h5py."""
    if dataset.shape is None:
        return np.empty(0, dataset.dtype.newbyteorder("="))
    stored = dataset[()]
    if not isinstance(stored, np.ndarray):
        scalar = np.empty((), dataset.dtype)
        scalar[()] = stored
        stored = scalar
    return converted(stored, dataset.dtype, dataset.file)


def converted(stored: Array, dtype: np.dtype[Any], file: h5py.File) -> Array:
    """Return h5py's values with references as paths, and numbers in native byte order."""
    if dtype.names is not None:
        fields = {name: converted(stored[name], dtype[name], file) for name in dtype.names}
        made = np.empty(stored.shape, [(name, one.dtype, one.shape[stored.ndim :]) for name, one in fields.items()])
        for name, one in fields.items():
            made[name] = one
        return made
    if h5py.check_ref_dtype(dtype) is h5py.Reference:
        return each(stored, lambda one: name_of(file, one))
    if h5py.check_ref_dtype(dtype) is h5py.RegionReference:
        return each(stored, lambda one: selected(file, one))
    if h5py.check_string_dtype(dtype) is None and h5py.check_vlen_dtype(dtype) is not None:
        base = h5py.check_vlen_dtype(dtype)
        # h5py 3.16 hands out the bytes of other byte orders as they are, and calls them native.
        return each(stored, lambda one: np.asarray(one).view(base).astype(base.newbyteorder("=")))
    if dtype.kind == "O":
        return stored
    plain = np.dtype(dtype.str) if dtype.subdtype is None else stored.dtype
    return np.asarray(stored, plain).astype(plain.newbyteorder("="))


def each(stored: Array, function: Any) -> Array:
    out = np.empty(stored.size, object)
    for i, one in enumerate(stored.reshape(-1)):
        out[i] = function(one)
    return out.reshape(stored.shape)


def name_of(file: h5py.File, reference: h5py.Reference) -> str | None:
    try:
        name: str | None = file[reference].name if reference else None
    except KeyError:
        return None
    return name


def selected(file: h5py.File, reference: h5py.RegionReference) -> Array | None:
    """Return the rows of a region: the values there of an array that counts its rows."""
    if not reference:
        return None
    target = file[reference]
    mask = np.zeros(target.shape, bool)
    with h5py.File("counting.h5", "w", driver="core", backing_store=False) as scratch:
        rows = scratch.create_dataset("rows", data=np.arange(len(mask)))
        region = h5py.h5r.get_region(reference, file.id)
        if not region.get_select_npoints():
            return np.empty(0, np.int64)
        out = np.zeros(region.get_select_npoints(), np.int64)
        rows.id.read(h5s.create_simple(out.shape), region, out)
        return out


def assert_same(ours: Array, theirs: Array) -> None:
    """Compare values, NaN equal to itself, and the type."""
    assert ours.shape == theirs.shape
    if theirs.dtype.names is not None:
        assert ours.dtype.names == theirs.dtype.names
        for name in theirs.dtype.names:
            assert_same(ours[name], theirs[name])
    elif theirs.dtype.kind == "O":
        assert ours.dtype.kind == "O"
        for one, other in zip(ours.reshape(-1), theirs.reshape(-1), strict=True):
            if isinstance(other, np.ndarray):
                assert_same(one, other)
            else:
                assert type(one) is type(other)
                assert one == other
    else:
        assert ours.dtype == theirs.dtype
        assert ours.dtype.isnative
        np.testing.assert_array_equal(ours, theirs)


def assert_attributes(ours: Mapping[str, AttributeValue], theirs: h5py.Group | h5py.Dataset, file: h5py.File) -> None:
    """Compare the attributes of an object with what the high level of h5py reads."""
    scales = {"DIMENSION_LIST", "REFERENCE_LIST"}
    assert set(ours) - scales == set(theirs.attrs) - scales
    for name in ours:
        assert_attribute(ours[name], theirs.attrs[name], file)


def assert_attribute(ours: AttributeValue, theirs: Any, file: h5py.File) -> None:
    if isinstance(theirs, h5py.Empty):
        assert ours is None
    elif isinstance(theirs, h5py.Reference):
        assert isinstance(ours, Reference)
        # An object may have several paths.
        assert (file[ours.path] == file[theirs]) if ours.path else not theirs
    elif isinstance(theirs, np.ndarray) and theirs.dtype.kind in "OS":
        assert isinstance(ours, tuple)
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_attribute(one, other, file)
    elif isinstance(theirs, np.ndarray):
        assert isinstance(ours, np.ndarray)
        assert ours.dtype == theirs.dtype.newbyteorder("=")
        np.testing.assert_array_equal(ours, theirs)
    elif isinstance(theirs, (str, bytes)):
        assert ours == (theirs if isinstance(theirs, str) else theirs.decode())
    elif isinstance(theirs, np.floating) and theirs.dtype != np.float64:
        assert isinstance(ours, np.ndarray)
        assert (ours.shape, ours.dtype) == ((), theirs.dtype.newbyteorder("="))
        np.testing.assert_array_equal(ours, theirs)
    else:
        assert isinstance(ours, (int, float, bool, complex))
        np.testing.assert_array_equal(ours, theirs)
        assert isinstance(ours, bool) == isinstance(theirs, np.bool_)
