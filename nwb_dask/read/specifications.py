"""Types that extensions define, from the specifications that a file carries."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from nwb_dask.backends import File
from nwb_dask.catalog import recent_tables
from nwb_dask.errors import NWBDaskError
from nwb_dask.index import ArrayEntry, FileIndex
from nwb_dask.model.series import parse_types
from nwb_dask.model.series.texts import text_of
from nwb_dask.read.small_values import STORAGE_ERRORS, read_small

_ROOT = "/specifications"
_SCHEMAS = frozenset({"core", "hdmf-common", "hdmf-experimental"})
"""Namespaces whose types are known without reading them."""
_MAX_TEXTS = 1000
_NONE: Mapping[str, str] = MappingProxyType({})


def extension_types(file: File, index: FileIndex | None = None) -> Mapping[str, str]:
    """Return the parent of each type that the extensions of a file define; nothing in them is executed.

    Parameters
    ----------
    index : FileIndex, optional
        Of the whole file, if it is at hand.

    Returns
    -------
    mapping of str to str
        Empty if the file carries no specifications, as NWB files need not. Remembered for this version of the file.

    References
    ----------
    NWB storage specification, *Caching format specifications*: JSON texts at
    ``/specifications/<namespace>/<version>/<source>``.
    """
    key = ("extension types", file.source)
    known = recent_tables.get(key)
    if isinstance(known, Mapping):
        return known
    found = _read_types(file, index)
    recent_tables.put(key, found)
    return found


def _read_types(file: File, index: FileIndex | None) -> Mapping[str, str]:
    try:
        here = file.index(_ROOT, recursive=True, attributes=frozenset(), prepare=True) if index is None else index
    except STORAGE_ERRORS:
        raise
    except NWBDaskError:
        # Without specifications types are told by their members.
        return _NONE
    texts = [entry for entry in here.arrays.values() if _is_text_of_extension(entry)]
    types: dict[str, str] = {}
    for values in read_small(file, texts[:_MAX_TEXTS])[0].values():
        types |= parse_types(text_of(values.reshape(-1).tolist()[0]))
    return MappingProxyType(types)


def _is_text_of_extension(entry: ArrayEntry) -> bool:
    match entry.path.split("/"):
        case ["", "specifications", namespace, _version, source]:
            is_text = entry.shape == () and entry.element.kind in {"string", "bytes"}
            return is_text and namespace not in _SCHEMAS and source != "namespace"
    return False
