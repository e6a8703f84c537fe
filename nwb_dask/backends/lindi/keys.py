"""The values of a document's keys: inline, in its own container, or in other files; many at once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nwb_dask.backends.lindi.loading import Container, Contents
from nwb_dask.backends.lindi.policy import Place, Policy
from nwb_dask.backends.lindi.targets import Targets
from nwb_dask.backends.lindi.values import Span
from nwb_dask.errors import MalformedFileError, SourceNotFoundError
from nwb_dask.index import Source
from nwb_dask.storage import Buffer, Folder, KeyPlace, KeyRange, Store, display_url

Part = tuple[int, int] | int | None
"""What is wanted of a value; see `KeyRange`."""

_INSIDE = "./"
_MOST_BYTES = 1 << 31
"""Of a file in a folder, whose length nothing says."""


class _Ranged(NamedTuple):
    """Some of a span in a file."""

    number: int
    """Of the key among those that are wanted."""
    key: str
    span: Span
    part: Part


class ReferenceKeys:
    """What a Zarr hierarchy is read from, where a document says what its keys hold.

    Parameters
    ----------
    container : Store or Folder
        What the document came in; stays open.
    contents : Contents
        The document.
    policy : Policy
        Which files it may refer to.
    targets : Targets
        Those that are open.
    """

    def __init__(self, container: Container, contents: Contents, policy: Policy, targets: Targets) -> None:
        self._container = container
        self._contents = contents
        self._policy = policy
        self._targets = targets
        self._sorted: list[str] | None = None

    @property
    def source(self) -> Source:
        """The document and its version."""
        return self._container.source

    @property
    def local_path(self) -> str | None:
        """Path of a local document; None for a remote one."""
        return self._container.local_path

    def list_keys(self, prefix: str = "") -> list[str]:
        """Return all keys below a folder, sorted."""
        if self._sorted is None:
            self._sorted = sorted(self._contents.document.refs)
        start = bisect_left(self._sorted, prefix)
        stop = bisect_left(self._sorted, prefix + "\U0010ffff")
        return self._sorted[start:stop]

    def read_keys(self, wanted: Sequence[KeyRange]) -> list[Buffer | None]:
        """Return values, or parts of them; see `Folder.read_keys`.

        Raises
        ------
        MalformedFileError
            If a value is damaged, or reaches past the end of its file.
        SourceAccessError
            If it is in a file that the document may not refer to.
        SourceUnavailableError, SourceChangedError
            If that file cannot be had, or is another one than before.
        """
        out: list[Buffer | None] = [None] * len(wanted)
        elsewhere: list[_Ranged] = []
        for number, (key, part) in enumerate(wanted):
            value = self._contents.document.get_value(key)
            if isinstance(value, Span):
                elsewhere.append(_Ranged(number, key, value, part))
            elif value is not None:
                start, stop = _clipped(part, len(value))
                out[number] = memoryview(value)[start:stop]
        inside = [one for one in elsewhere if self._is_inside(one.span)]
        outside = [one for one in elsewhere if not self._is_inside(one.span)]
        if inside:
            self._read_inside(inside, out)
        if outside:
            self._read_outside(outside, out)
        return out

    def locate_keys(self, keys: Sequence[str]) -> list[KeyPlace | bytes | None]:
        """Return where values are, or those that are inline; None for a key that is not there.

        Raises
        ------
        SourceAccessError
            If one is in a file that the document may not refer to.
        MalformedFileError, SourceUnavailableError, SourceChangedError
            As `read_keys`.
        """
        found = [self._contents.document.get_value(key) for key in keys]
        inside = {one.url for one in found if isinstance(one, Span) and self._is_inside(one)}
        known = self._locate_inside([url.removeprefix(_INSIDE) for url in sorted(inside)])
        return [
            self._located(key, one, known) if isinstance(one, Span) else one
            for key, one in zip(keys, found, strict=True)
        ]

    def _locate_inside(self, names: Sequence[str]) -> dict[str, KeyPlace | None]:
        """Return where files are that are in the tar file, or in the folder, of the document."""
        if isinstance(self._container, Folder):
            return dict(zip(names, self._container.locate_keys(names), strict=True))
        entries = self._contents.entries or {}
        return {name: KeyPlace(self.source.url, *entries[name]) if name in entries else None for name in names}

    def _located(self, key: str, span: Span, known: Mapping[str, KeyPlace | None]) -> KeyPlace:
        if self._is_inside(span):
            name = span.url.removeprefix(_INSIDE)
            place = known[name]
            if place is None:
                raise MalformedFileError(f"damaged: there is no {name[:200]!r}", path=f"/{key}")
            start, stop = self._range(key, span, None, place.stop - place.start)
            return KeyPlace(place.url, place.start + start, place.start + stop)
        place_of = self._policy.place(span.url)
        if span.length is not None:
            return KeyPlace(place_of.url, span.offset, span.offset + span.length)
        return KeyPlace(place_of.url, *self._range(key, span, None, self._targets.open(place_of).size))

    def _is_inside(self, span: Span) -> bool:
        return span.url.startswith(_INSIDE) and self._has_inside

    def stored_bytes(self, prefix: str) -> int:
        """Return at most how many bytes all values below a folder (``"units/id/"``) have."""
        return sum(self._length(key) for key in self.list_keys(prefix))

    def _length(self, key: str) -> int:
        value = self._contents.document.get_value(key)
        if not isinstance(value, Span):
            return len(value or b"")
        if value.length is not None:
            return value.length
        if self._is_inside(value):
            start, stop = (self._contents.entries or {}).get(value.url.removeprefix(_INSIDE), (0, _MOST_BYTES))
            return stop - start
        return self._targets.open(self._policy.place(value.url)).size

    @property
    def _has_inside(self) -> bool:
        return self._contents.entries is not None or isinstance(self._container, Folder)

    def _read_inside(self, wanted: Sequence[_Ranged], out: list[Buffer | None]) -> None:
        """Read what is in the tar file, or in the folder, of the document."""
        if isinstance(self._container, Folder):
            self._read_folder(self._container, wanted, out)
            return
        entries = self._contents.entries or {}
        ranges: list[tuple[int, int]] = []
        for _, key, span, part in wanted:
            name = span.url.removeprefix(_INSIDE)
            if name not in entries:
                raise MalformedFileError(f"damaged: its tar file has no {name[:200]!r}", path=f"/{key}")
            first, end = entries[name]
            start, stop = self._range(key, span, part, end - first)
            ranges.append((first + start, first + stop))
        for one, data in zip(wanted, self._container.read(ranges), strict=True):
            out[one.number] = data

    def _read_folder(self, folder: Folder, wanted: Sequence[_Ranged], out: list[Buffer | None]) -> None:
        asked: list[KeyRange] = []
        for _, key, span, part in wanted:
            name = span.url.removeprefix(_INSIDE)
            if not {"", ".", ".."}.isdisjoint(name.split("/")):
                raise MalformedFileError(f"damaged: {name[:200]!r} names no file in its folder", path=f"/{key}")
            if span.length is not None:
                start, stop = _clipped(part, span.length)
                asked.append((name, (span.offset + start, span.offset + stop)))
            else:
                asked.append((name, part))
        for (number, key, span, _), (name, where), data in zip(wanted, asked, folder.read_keys(asked), strict=True):
            if data is None:
                raise SourceNotFoundError(f"the folder has no {name[:200]!r}", url=self.source.url, path=f"/{key}")
            if span.length is not None and isinstance(where, tuple) and len(data) != where[1] - where[0]:
                raise MalformedFileError(f"damaged: a reference reaches past the end of {name!r}", path=f"/{key}")
            out[number] = data

    def _read_outside(self, wanted: Sequence[_Ranged], out: list[Buffer | None]) -> None:
        by_place: dict[Place, list[_Ranged]] = {}
        places: dict[str, Place] = {}
        for one in wanted:
            place = places.get(one.span.url)
            if place is None:
                place = places[one.span.url] = self._policy.place(one.span.url)
            by_place.setdefault(place, []).append(one)
        chosen = list(by_place)
        stores: list[Store] = self._targets.at_once(chosen, lambda at: self._targets.open(chosen[at]))
        asked = [
            (place, [self._range(one.key, one.span, one.part, store.size) for one in by_place[place]])
            for place, store in zip(chosen, stores, strict=True)
        ]
        for place, found in zip(chosen, self._targets.read(asked), strict=True):
            for one, data in zip(by_place[place], found, strict=True):
                out[one.number] = data

    def _range(self, key: str, span: Span, part: Part, size: int) -> tuple[int, int]:
        """Return what is wanted of a span as bytes of its file, which has `size` bytes."""
        length = max(size - span.offset, 0) if span.length is None else span.length
        if span.offset + length > size:
            raise MalformedFileError(
                f"damaged: a reference to bytes {span.offset} to {span.offset + length} of {display_url(span.url)}, "
                f"which has {size}",
                path=f"/{key}",
            )
        start, stop = _clipped(part, length)
        return span.offset + start, span.offset + stop

    def close(self) -> None:
        """Close the files that it refers to."""
        self._targets.close()


def _clipped(part: Part, size: int) -> tuple[int, int]:
    if isinstance(part, tuple):
        return min(part[0], size), min(part[1], size)
    return (0 if part is None else max(size - part, 0)), size
