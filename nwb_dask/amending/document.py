"""The document of a LINDI file: keys of a Zarr v2 hierarchy, and what stands for each.

A value is a JSON object (``.zgroup``, ``.zarray``, ``.zattrs``), text (with ``base64:`` in front where it is binary),
or ``[url, offset, length]``; ``./blobs/...`` is a file of the same archive or folder. A URL may hold names in double
braces of ``templates``. Source: LINDI 0.4.6, ``LindiReferenceFileSystemStore``.
"""

from __future__ import annotations

import base64
import json
from typing import Any, TypeAlias

from nwb_dask.backends.lindi.document import parse_text
from nwb_dask.backends.lindi.values import Span, parse_templates, parse_value
from nwb_dask.backends.zarr.checks import mapping, parse_json
from nwb_dask.errors import MalformedFileError

LindiDocument: TypeAlias = "dict[str, Any]"
"""The whole document: ``refs``, ``templates`` and whatever else a writer left in it."""

_BASE64 = "base64:"
_NO_TEMPLATES = parse_templates(None)


def load_document(data: bytes) -> LindiDocument:
    """Return the document in a ``lindi.json``.

    Raises
    ------
    MalformedFileError
        If it is none.
    UnsupportedLayoutError
        If it is longer than what is parsed.
    """
    document = parse_text(data)
    if not isinstance(document.get("refs"), dict):
        raise MalformedFileError("damaged: there are no 'refs' in it")
    return document


def dump_document(document: LindiDocument) -> bytes:
    """Return a document as the bytes of a ``lindi.json``."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def inline(data: bytes) -> str:
    """Return bytes as the text that stands for them in a document."""
    return _BASE64 + base64.b64encode(data).decode("ascii")


def inline_bytes(value: object) -> bytes:
    """Return the bytes that an inline value stands for.

    Raises
    ------
    MalformedFileError
        If it is text that is no base64, or neither text nor a JSON object.
    """
    found = parse_value(value, _NO_TEMPLATES)
    if isinstance(found, Span):
        raise MalformedFileError("damaged: a value is in another file, which should be in the document")
    return found


def as_json(value: object) -> dict[str, Any]:
    """Return the JSON object of a metadata key, whichever way it is stored.

    Raises
    ------
    MalformedFileError
        If it is none.
    """
    found = value if isinstance(value, dict) else parse_json(inline_bytes(value), "metadata")
    return dict(mapping(found, "metadata"))
