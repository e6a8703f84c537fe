"""What stands behind a key of a document of references: bytes, or a range of a file. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError

Json: TypeAlias = Any
"""Whatever a JSON document holds."""

_MOST_BYTES = 1 << 62
_PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_NAME = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*")
_BASE64 = "base64:"


@dataclass(frozen=True, slots=True)
class Span:
    """A range of a file, or all of it."""

    url: str
    """As the document has it, templates filled in."""
    offset: int = 0
    length: int | None = None
    """None for all that follows `offset`."""


Value: TypeAlias = bytes | Span


@dataclass(frozen=True, slots=True)
class Templates:
    """Names that stand for parts of URLs; a name is replaced by its text and nothing is evaluated."""

    texts: Mapping[str, str]

    def fill(self, url: str) -> str:
        """Return a URL with each ``{{name}}`` replaced.

        Raises
        ------
        MalformedFileError
            For a name that there is no template for.
        UnsupportedLayoutError
            For an expression, as jinja would evaluate it.
        """
        return url if "{{" not in url and "{%" not in url else _PLACEHOLDER.sub(self._text_of, _plain(url))

    def _text_of(self, match: re.Match[str]) -> str:
        name = _NAME.fullmatch(match[1])
        if name is None:
            raise UnsupportedLayoutError(f"a URL holds the expression {match[0][:60]!r}; only names are replaced")
        found = self.texts.get(name[1])
        if found is None:
            raise MalformedFileError(f"damaged: a URL holds {match[0][:60]!r}, and there is no such template")
        return found


def _plain(url: str) -> str:
    if "{%" in url or "{#" in url:
        raise UnsupportedLayoutError(f"a URL holds a statement of a template: {url[:60]!r}; only names are replaced")
    return url


def parse_templates(value: Json) -> Templates:
    """Return the templates of a document.

    Raises
    ------
    MalformedFileError
        If they are no texts by name.
    UnsupportedLayoutError
        If one holds another, or takes arguments, as jinja would evaluate them.
    """
    if value is None:
        return Templates(MappingProxyType({}))
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise MalformedFileError("damaged: its templates are not texts by name")
    for name, text in value.items():
        if "{{" in text or "{%" in text:
            raise UnsupportedLayoutError(f"its template {name[:60]!r} holds another one; they are not evaluated")
    return Templates(MappingProxyType(dict(value)))


def parse_value(value: Json, templates: Templates) -> Value:
    """Return what stands behind a key.

    Text is itself as UTF-8, or bytes in base64 behind ``base64:``; a mapping is the JSON text of it; a list is a URL,
    or a URL, an offset and a length.

    Raises
    ------
    MalformedFileError
        If it is none of these.
    UnsupportedLayoutError
        If its URL holds an expression.

    References
    ----------
    kerchunk, *References specification*, versions 0 and 1; LINDI, ``LindiReferenceFileSystemStore``, which adds
    mappings and takes no list of a URL alone.
    """
    if isinstance(value, str):
        return _decoded(value)
    if isinstance(value, dict):
        return json.dumps(value).encode()
    if not isinstance(value, list):
        raise MalformedFileError(f"damaged: a value is a {type(value).__name__}, not text or a reference")
    if len(value) not in (1, 3) or not isinstance(value[0], str) or not value[0]:
        raise MalformedFileError("damaged: a reference is not [url] or [url, offset, length]")
    url = templates.fill(value[0])
    if len(value) == 1:
        return Span(url)
    offset, length = value[1:]
    if not (_is_size(offset) and _is_size(length)):
        raise MalformedFileError("damaged: the offset or the length of a reference is not a number of bytes")
    return Span(url, offset, length)


def _is_size(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_BYTES


def _decoded(text: str) -> bytes:
    try:
        if text.startswith(_BASE64):
            return base64.b64decode(text[len(_BASE64) :], validate=True)
        return text.encode()
    except (binascii.Error, ValueError):
        raise MalformedFileError("damaged: a value that should be base64, or text, is not") from None
