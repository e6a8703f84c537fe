"""The document of a LINDI file: keys of a Zarr v2 hierarchy, and what stands for each.

A value is a JSON object (``.zgroup``, ``.zarray``, ``.zattrs``), text (with ``base64:`` in front where it is binary),
or ``[url, offset, length]``; ``./blobs/...`` is a file of the same archive or folder. A URL may hold names in double
braces of ``templates``. Source: LINDI 0.4.6, ``LindiReferenceFileSystemStore``.
"""

from __future__ import annotations

import base64
import json
from typing import Any, TypeAlias

LindiDocument: TypeAlias = "dict[str, Any]"
"""The whole document: ``refs``, ``templates`` and whatever else a writer left in it."""

_BASE64 = "base64:"


def load_document(data: bytes) -> LindiDocument:
    """Return the document in a ``lindi.json``.

    Raises
    ------
    ValueError
        If it is none.
    """
    document = json.loads(data)
    if not isinstance(document, dict) or not isinstance(document.get("refs"), dict):
        raise ValueError("there are no 'refs' in it")  # noqa: TRY004  # one kind of error for all that is no document
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
    ValueError
        If it is text that is no base64.
    """
    if isinstance(value, str):
        return base64.b64decode(value[len(_BASE64) :]) if value.startswith(_BASE64) else value.encode()
    return json.dumps(value).encode()


def as_json(value: object) -> dict[str, Any]:
    """Return the JSON object of a metadata key, whichever way it is stored."""
    found = value if isinstance(value, dict) else json.loads(inline_bytes(value))
    return dict(found)
