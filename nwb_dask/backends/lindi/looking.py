"""What has to be looked up in a document to know what an object in it is."""

from __future__ import annotations

from nwb_dask.backends.lindi.document import Document
from nwb_dask.backends.lindi.keys import ReferenceKeys
from nwb_dask.backends.lindi.values import Json, Span
from nwb_dask.backends.zarr import checks
from nwb_dask.backends.zarr.documents import ArrayDocument, Attributes
from nwb_dask.backends.zarr.meaning import Values
from nwb_dask.backends.zarr.pipeline import Pipeline


def stored_attributes(document: Document, path: str) -> Attributes | None:
    """Return the attributes of the object at `path`; None where there is none. Those in other files are not seen.

    Raises
    ------
    MalformedFileError
        If they are not JSON.
    """
    folder = path.strip("/")
    prefix = f"{folder}/" if folder else ""
    if not any(prefix + name in document.refs for name in (".zgroup", ".zarray")):
        return None
    return checks.mapping(_parsed(document, prefix + ".zattrs"), ".zattrs")


def _parsed(document: Document, key: str) -> Json:
    value = document.refs.get(key, {})
    if isinstance(value, dict):
        return value
    found = document.get_value(key)
    return {} if found is None or isinstance(found, Span) else checks.parse_json(found, key)


def look_at(keys: ReferenceKeys, array: ArrayDocument) -> Values | None:
    """Return the first chunk of an array, decoded; None where nothing is stored.

    Raises
    ------
    MalformedFileError
        If it is damaged.
    UnsupportedLayoutError
        If its codecs are not known.
    """
    folder = array.path.strip("/")
    key = array.keys.key((0,) * len(array.shape))
    (found,) = keys.read_keys([(f"{folder}/{key}" if folder else key, None)])
    return None if found is None else Pipeline(array.codecs, array.dtype, array.chunks, array.order).decode(found)
