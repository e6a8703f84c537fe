"""Checks of what stands in JSON documents. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from nwb_dask.backends.zarr.documents import Json
from nwb_dask.errors import MalformedFileError
from nwb_dask.storage import Buffer

MAX_NDIM = 32
MAX_LENGTH = 1 << 62
_MAX_DOCUMENT_BYTES = 1 << 28
_SHOWN = 64
_FORBIDDEN = frozenset({"", ".", ".."})


def parse_json(data: Buffer, key: str) -> Json:
    """Return what a JSON document holds; ``NaN`` and ``Infinity`` are numbers, as Python writes them.

    Raises
    ------
    MalformedFileError
        If it is none.
    """
    if len(data) > _MAX_DOCUMENT_BYTES:
        raise MalformedFileError(f"damaged: {key} has {len(data)} bytes, which no document needs")
    try:
        return json.loads(bytes(data))
    except (ValueError, RecursionError) as exc:
        raise MalformedFileError(f"damaged: {key} is no JSON: {exc}") from exc


def mapping(value: Json, what: str) -> Mapping[str, Json]:
    """Return `value`, which has to be a JSON object."""
    if not isinstance(value, dict):
        raise MalformedFileError(f"damaged: {what} is no JSON object")
    return value


def sequence(value: Json, what: str) -> Sequence[Json]:
    """Return `value`, which has to be a JSON array."""
    if not isinstance(value, list):
        raise MalformedFileError(f"damaged: {what} is no JSON array")
    return value


def integer(value: Json, what: str, *, least: int = 0, most: int = MAX_LENGTH) -> int:
    """Return `value`, which has to be an integer in ``[least, most]``."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        shown = repr(value)
        if len(shown) > _SHOWN:
            shown = shown[:_SHOWN] + "..."
        raise MalformedFileError(f"damaged: {what} is {shown}")
    return value


def lengths(value: Json, what: str, *, least: int = 0) -> tuple[int, ...]:
    """Return a shape, which has to be a JSON array of at most 32 integers."""
    found = sequence(value, what)
    if len(found) > MAX_NDIM:
        raise MalformedFileError(f"damaged: {what} has {len(found)} dimensions")
    return tuple([integer(one, what, least=least) for one in found])


def name(value: Json, what: str) -> str:
    """Return `value`, which has to be text."""
    if not isinstance(value, str):
        raise MalformedFileError(f"damaged: {what} is no text")
    return value


def is_sound_path(path: str) -> bool:
    """Return whether a path inside a hierarchy names an object in it: no part is empty or leads elsewhere."""
    return path == "" or not any(part in _FORBIDDEN or "\\" in part or "\0" in part for part in path.split("/"))
