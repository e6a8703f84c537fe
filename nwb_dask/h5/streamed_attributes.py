"""Attributes of objects of a streamed file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
from h5py import h5a, h5t
from h5py._objects import phil

from nwb_dask.index import AttributeValue


class StreamedAttributes(h5py.AttributeManager):  # type: ignore[misc]  # h5py has no types
    """Attributes of an object that is open in h5py, of which texts are known.

    h5py takes seven times as long to read a text as to tell of which type it is, and most attributes of NWB are texts.

    Parameters
    ----------
    parent : h5py.Group or h5py.Dataset
        The object.
    known : mapping
        Attributes as the own parser has read them.
    """

    def __init__(self, parent: Any, known: Mapping[str, AttributeValue]) -> None:
        super().__init__(parent)
        self._known = known

    def __getitem__(self, name: str | bytes) -> Any:
        """Return the value of an attribute; see ``h5py.AttributeManager``."""
        value = self._known.get(name) if type(name) is str else None
        if type(value) is str and _has_variable_length(h5a.open(self._id, self._e(name))):
            return value
        return super().__getitem__(name)


def _has_variable_length(attribute: h5a.AttrID) -> bool:
    """Return whether h5py gives a text as `str`; one of fixed length is `bytes`."""
    with phil:
        kind = attribute.get_type()
        return isinstance(kind, h5t.TypeStringID) and bool(kind.is_variable_str())
