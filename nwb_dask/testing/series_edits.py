"""Copies of a series of a file with one thing changed, by h5py: what pynwb would not write."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, TypeAlias

import h5py
import numpy.typing as npt

Data: TypeAlias = "Sequence[object] | npt.NDArray[Any] | h5py.Empty | str | float"
"""What h5py makes a dataset of."""


def variant(file: h5py.File, path: str, *, like: str) -> h5py.Group:
    """Return a copy of the series at `like` that is put at `path`, with object ids of its own."""
    file.copy(like, path)
    group = file[path]
    group.attrs["object_id"] = object_id(group.name)
    group.visititems(_identify)
    for name in group:
        if group.get(name, getclass=True) is h5py.Dataset and "table" in group[name].attrs:
            # HDF5 does not copy references.
            group[name].attrs["table"] = file[like][name].attrs["table"]
    return group


def _identify(_: str, item: h5py.Group | h5py.Dataset) -> None:
    if "object_id" in item.attrs:
        item.attrs["object_id"] = object_id(item.name)


def object_id(path: str) -> str:
    """Return the id of the object at a path, the same each time."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, path))


def replace(group: h5py.Group, name: str, data: Data, **storage: object) -> h5py.Dataset:
    """Write other values, of any shape and type, into a dataset of a group that keeps its attributes, and return it."""
    attributes = dict(group[name].attrs) if name in group else {}
    if name in group:
        del group[name]
    dataset = group.create_dataset(name, data=data, **storage)
    dataset.attrs.update(attributes)
    return dataset


def relink(group: h5py.Group, name: str, link: h5py.SoftLink | h5py.ExternalLink | h5py.HLObject) -> None:
    """Put a link where a dataset of a group was."""
    if group.get(name, getlink=True) is not None:
        del group[name]
    group[name] = link
