"""Chunks of added datasets on their way to the output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from nwb_dask.amending.codecs import blank_chunk, blank_value, check_metadata, decode_chunk, encode_chunk
from nwb_dask.amending.document import as_json, inline
from nwb_dask.amending.output import Output, blob_name, writing
from nwb_dask.backends.lindi.values import Span, parse_templates, parse_value
from nwb_dask.errors import MalformedFileError, NWBDaskError
from nwb_dask.storage import Buffer

_NO_TEMPLATES = parse_templates(None)
_BESIDE = "./"
_ALL = 1 << 62
_SPILL_BYTES = 32 << 20
_INLINE_BYTES = 1000
"""Chunks below this many bytes are part of the document, as LINDI has it."""


@dataclass(frozen=True, slots=True)
class Part:
    """The part of an array that lies in one chunk."""

    name: str
    """Of the chunk, ``0.3``."""
    inside: tuple[slice, ...]
    """Of the chunk."""
    outside: tuple[slice, ...]
    """Of the values that are written."""


def cut(chunks: tuple[int, ...], start: tuple[int, ...], stop: tuple[int, ...]) -> Iterator[Part]:
    """Yield the parts of the box from `start` to `stop`, chunk by chunk, the last axis fastest."""
    if any(first >= last for first, last in zip(start, stop, strict=True)):
        return
    numbers = (range(a // n, -(-b // n)) for a, b, n in zip(start, stop, chunks, strict=True))
    for number in product(*numbers):
        inside, outside = [], []
        for at, size, first, last in zip(number, chunks, start, stop, strict=True):
            begin, end = max(first, at * size), min(last, (at + 1) * size)
            inside.append(slice(begin - at * size, end - at * size))
            outside.append(slice(begin - first, end - first))
        yield Part(".".join(map(str, number)), tuple(inside), tuple(outside))


class PendingChunks:
    """Chunks that were written to and are not encoded yet; at most about 32 MiB of them.

    Parameters
    ----------
    refs : dict
        The keys of the document, which get what is encoded.
    output : Output
        Where blobs go.
    """

    def __init__(self, refs: dict[str, Any], output: Output) -> None:
        self._refs = refs
        self._output = output
        self._waiting: dict[str, dict[str, npt.NDArray[np.generic]]] = {}
        self._bytes = 0
        self.is_changed = False
        self.writes: Counter[str] = Counter()
        """How often each array was written to."""

    def write(self, key: str, start: tuple[int, ...], values: npt.NDArray[np.generic]) -> None:
        """Write values into the box of the array `key` (no leading slash) that begins at `start`."""
        meta = self._meta(key)
        chunks = tuple(meta["chunks"])
        stop = tuple(first + n for first, n in zip(start, values.shape, strict=True))
        for part in cut(chunks, start, stop):
            piece = values[part.outside]
            chunk = self._chunk(key, meta, part.name, is_whole=piece.shape == chunks)
            chunk[part.inside] = piece
            if self._bytes > _SPILL_BYTES:
                self.spill()
        self.writes[key] += 1
        self.is_changed = True

    def read(
        self, key: str, start: tuple[int, ...] | None = None, stop: tuple[int, ...] | None = None
    ) -> npt.NDArray[np.generic]:
        """Return the values of a box of an array whose chunks are in the document or the output; of all by default."""
        meta = self._meta(key)
        begin, end = start or (0,) * len(meta["shape"]), stop or tuple(meta["shape"])
        out = np.empty([last - first for first, last in zip(begin, end, strict=True)], dtype=meta["dtype"])
        for part in cut(tuple(meta["chunks"]), begin, end):
            chunk = self._waiting.get(key, {}).get(part.name)
            if chunk is None:
                chunk = self._stored(key, meta, part.name)
            out[part.outside] = blank_value(meta) if chunk is None else chunk[part.inside]
        return out

    def _meta(self, key: str) -> dict[str, Any]:
        """Return the ``.zarray`` of an array.

        Raises
        ------
        MalformedFileError, UnsupportedLayoutError
            If it is not one that is read.
        """
        try:
            meta = as_json(self._refs[f"{key}/.zarray"])
            check_metadata(meta)
        except NWBDaskError as error:
            raise error.at(url=str(self._output.path), path=f"/{key}") from None
        return meta

    def drop(self, prefix: str) -> None:
        """Forget what waits below a key (``"units/x/"``)."""
        self._waiting = {key: found for key, found in self._waiting.items() if not f"{key}/".startswith(prefix)}

    def spill(self) -> None:
        """Encode what waits: small chunks into the document, those of one array into one blob."""
        for key, found in self._waiting.items():
            self._write_blob(key, found)
        self._waiting, self._bytes = {}, 0

    def _write_blob(self, key: str, found: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Encode chunks of one array."""
        meta = self._meta(key)
        name = blob_name(self._output, key)
        places: dict[str, object] = {}

        def parts() -> Iterator[Buffer]:
            at = 0
            for chunk, values in found.items():
                data = encode_chunk(meta, values)
                if len(data) < _INLINE_BYTES:
                    places[chunk] = inline(data)
                    continue
                places[chunk] = [f"./{name}", at, len(data)]
                at += len(data)
                yield data

        encoded = parts()
        first = next(encoded, None)
        if first is not None:
            with writing(self._output):
                self._output.add_blob(name, _with_first(first, encoded))
        self._refs.update((f"{key}/{chunk}", place) for chunk, place in places.items())

    def _chunk(self, key: str, meta: Mapping[str, Any], name: str, *, is_whole: bool) -> npt.NDArray[np.generic]:
        """Return a chunk to write to."""
        waiting = self._waiting.setdefault(key, {})
        if name not in waiting:
            stored = None if is_whole else self._stored(key, meta, name)
            waiting[name] = blank_chunk(meta, key) if stored is None else stored
            self._bytes += waiting[name].nbytes
        return waiting[name]

    def _stored(self, key: str, meta: Mapping[str, Any], name: str) -> npt.NDArray[np.generic] | None:
        """Return the values of a chunk that is in the document or the output; None of one that was never written."""
        value = self._refs.get(f"{key}/{name}")
        if value is None:
            return None
        try:
            return decode_chunk(meta, self._stored_bytes(value))
        except NWBDaskError as error:
            raise error.at(url=str(self._output.path), path=f"/{key}") from None

    def _stored_bytes(self, value: object) -> bytes:
        found = parse_value(value, _NO_TEMPLATES)
        if not isinstance(found, Span):
            return found
        if not found.url.startswith(_BESIDE):
            raise MalformedFileError(f"damaged: it refers to {found.url[:80]!r}, which is not in the output")
        stop = _ALL if found.length is None else found.offset + found.length
        return self._output.read_blob(found.url.removeprefix(_BESIDE), found.offset, stop)


def _with_first(first: Buffer, rest: Iterator[Buffer]) -> Iterator[Buffer]:
    yield first
    yield from rest
