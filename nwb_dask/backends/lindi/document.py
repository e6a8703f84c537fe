"""The JSON document of a file of references: keys, and what stands behind them. Pure.

Three forms that agree in what they share: LINDI's, and kerchunk's versions 0 and 1. Of kerchunk's, ``gen`` (references
that a program makes) and templates with arguments or statements are refused, because nothing is evaluated here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nwb_dask.backends.lindi.noted import NotedFile, noted_files
from nwb_dask.backends.lindi.values import Json, Templates, Value, parse_templates, parse_value
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError

MAX_DOCUMENT_BYTES = 256 * 1024**2
"""Longest document that is parsed: 500 times those of usual sessions; it takes up to ten times as much in memory."""
METADATA = frozenset({".zgroup", ".zarray", ".zattrs", ".zmetadata", "zarr.json"})
"""Last parts of keys that hold JSON."""
_HEAD = re.compile(
    rb'\s*\{\s*(?:\}|"(?:refs|version|templates|gen|generationMetadata|(?:[^"\\]*/)?\.z(?:group|array|attrs))")'
)
_MAX_KEY = 4096


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document. Values are decoded when they are asked for."""

    refs: Mapping[str, Json]
    templates: Templates
    n_bytes: int
    """Length of its text."""
    files: Mapping[str, NotedFile]
    """What it notes of files that it refers to."""

    def get_value(self, key: str) -> Value | None:
        """Return what stands behind a key; None if there is none.

        Raises
        ------
        MalformedFileError, UnsupportedLayoutError
            As `parse_value`.
        """
        value = self.refs.get(key)
        if value is None:
            return None
        try:
            return parse_value(value, self.templates)
        except (MalformedFileError, UnsupportedLayoutError) as exc:
            raise exc.at(path=f"/{key}") from None

    def metadata(self) -> Iterator[tuple[str, Json]]:
        """Yield the keys that hold JSON, with it; text that stands for it is left for `get_value`."""
        for key, value in self.refs.items():
            if key.rpartition("/")[2] in METADATA:
                yield key, value


def is_document(head: bytes) -> bool:
    """Return whether a file that begins so may be a document of references."""
    return bool(_HEAD.match(head.removeprefix(b"\xef\xbb\xbf")))


def parse_document(data: bytes) -> Document:
    """Return the document in a text.

    Raises
    ------
    MalformedFileError
        If it is not one, or a key leads out of the hierarchy.
    UnsupportedLayoutError
        If it is longer than `MAX_DOCUMENT_BYTES`, or uses what would have to be evaluated.
    """
    found = parse_text(data)
    if found.get("gen"):
        raise UnsupportedLayoutError("its references are made by a program ('gen'), which is not run")
    refs = found["refs"] if "refs" in found else _version_0(found)
    if not isinstance(refs, dict):
        raise MalformedFileError("damaged: its 'refs' are no mapping")
    templates = parse_templates(found.get("templates"))
    return Document(MappingProxyType(_checked(refs)), templates, len(data), noted_files(found))


def parse_text(data: bytes) -> dict[str, Json]:
    """Return what a document says, of which nothing is looked at; raises as `parse_document`."""
    if len(data) > MAX_DOCUMENT_BYTES:
        raise too_long(len(data))
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise MalformedFileError("damaged: it is not JSON, or nested too deep") from None
    if not isinstance(found, dict):
        raise MalformedFileError("damaged: it is JSON, and no document of references")
    return found


def too_long(n_bytes: int) -> UnsupportedLayoutError:
    """Return the error of a document that is not parsed for its length."""
    limit = MAX_DOCUMENT_BYTES // 1024**2
    return UnsupportedLayoutError(f"the document of references has {n_bytes} bytes; up to {limit} MiB are read")


def _version_0(found: dict[str, Json]) -> dict[str, Json]:
    """Return the references of kerchunk's version 0, which has nothing else."""
    if not any(key.rpartition("/")[2] in METADATA for key in found):
        raise MalformedFileError("damaged: it is JSON without 'refs', and no document of references")
    return found


def _checked(refs: dict[str, Json]) -> dict[str, Json]:
    """Return references by key, no key of which leads elsewhere."""
    out: dict[str, Json] = {}
    for given, value in refs.items():
        key = given.removeprefix("/")
        parts = key.split("/")
        if not key or len(key) > _MAX_KEY or "\0" in key or not {"", ".", ".."}.isdisjoint(parts) or key in out:
            raise MalformedFileError(f"damaged: the key {given[:60]!r} names no object")
        out[key] = value
    return out
