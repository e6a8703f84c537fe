"""Attributes of an object, as h5py shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from nwb_dask.backends import StoredAttribute
from nwb_dask.errors import UnsupportedLayoutError
from nwb_dask.h5.values import attribute_value, stored_attribute
from nwb_dask.index import AttributeValue, Reference


@dataclass(frozen=True, slots=True)
class AttributeId:
    """Stands for the identifier of an attribute."""

    dtype: np.dtype[Any]
    """Of its elements."""
    shape: tuple[int, ...] | None
    """() for a scalar, None for the null dataspace."""


class Attributes(h5py.AttributeManager):  # type: ignore[misc]  # h5py has no types
    """Attributes of one object of a `FacadeFile`.

    Parameters
    ----------
    values : mapping
        As a `GroupEntry` or `ArrayEntry` has them.
    problems : mapping of str to str
        Why those that are not among `values` cannot be read.
    where : str
        File and object, for messages.
    stored : callable, optional
        Gives those of which the type says more than the value.
    """

    def __init__(
        self,
        values: Mapping[str, AttributeValue],
        problems: Mapping[str, str],
        where: str,
        stored: Callable[[], Mapping[str, StoredAttribute]] | None = None,
    ) -> None:
        self._values = values
        self._stored = stored
        self._problems = problems
        self._where = where

    def __getitem__(self, name: str | bytes) -> object:
        key = name.decode() if isinstance(name, bytes) else name
        typed = self._typed(key)
        if typed is not None:
            return stored_attribute(typed.values, typed.element)
        if key in self._values:
            return attribute_value(self._values[key])
        if key in self._problems:
            raise UnsupportedLayoutError(f"attribute {key!r} of {self._where} is not read: {self._problems[key]}")
        raise KeyError(f"there is no attribute {key!r} of {self._where}")

    def _typed(self, name: str) -> StoredAttribute | None:
        is_there = name in self._values or name in self._problems
        if self._stored is None or not is_there or isinstance(self._values.get(name), Reference):
            return None
        return self._stored().get(name)

    def __iter__(self) -> Iterator[str]:
        yield from self._values
        yield from (name for name in self._problems if name and name not in self._values)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        key = name.decode() if isinstance(name, bytes) else name
        return key in self._values or (bool(key) and key in self._problems)

    def get_id(self, name: str) -> AttributeId:
        """Return what stands for the identifier of an attribute: its type and shape."""
        value = self[name]
        if isinstance(value, str):
            return AttributeId(h5py.string_dtype(), ())
        if isinstance(value, h5py.Empty):
            return AttributeId(value.dtype, None)
        stored = np.asarray(value, h5py.ref_dtype if isinstance(value, h5py.Reference) else None)
        return AttributeId(stored.dtype, stored.shape)

    def __setitem__(self, name: str, value: object) -> None:
        raise self._read_only()

    def __delitem__(self, name: str) -> None:
        raise self._read_only(KeyError)

    def create(self, name: str, data: object, shape: object = None, dtype: object = None) -> None:  # as h5py has it
        """Refuse: the file is open for reading."""
        raise self._read_only()

    def modify(self, name: str, value: object) -> None:  # as h5py has it
        """Refuse: the file is open for reading."""
        raise self._read_only()

    def _read_only(self, kind: type[Exception] = OSError) -> Exception:
        return kind(f"{self._where} is open for reading only")

    def __repr__(self) -> str:
        return f"<Attributes of {self._where}>"
