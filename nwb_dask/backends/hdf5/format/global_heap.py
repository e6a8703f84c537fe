"""The global heap: values of variable length, which datasets and attributes refer to."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from threading import Lock

from nwb_dask.backends.hdf5.format.space import AddressSpace, gather
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError

_SIGNATURE = b"GCOL"
_VERSION = 1
_PREFIX_BYTES = 8
"""Signature, version, and reserved bytes of a collection."""
_LEAST_BYTES = 4096
"""Size of the smallest collection (HDF5 file format, *Global Heap*)."""
_ALIGNMENT = 8
_MOST_GUESSED_BYTES = 4 << 20
"""Read at most of a collection that has not said yet how large it is."""
_KEPT_BYTES = 16 << 20
"""Memory for collections that are remembered, about."""
_PLACE_BYTES = 192
"""Memory for the place of one object, about."""
_CODES = {2: "H", 4: "I", 8: "Q"}


@dataclass(frozen=True, slots=True)
class _Collection:
    """The beginning of a collection, or all of it."""

    data: bytes
    size: int
    places: Mapping[int, tuple[int, int]]
    """Position in `data` and size of each object that is wholly there, by its index."""
    end: int
    """Where in `data` the objects go on that are not among these."""

    @property
    def is_whole(self) -> bool:
        return len(self.data) == self.size

    @property
    def memory_bytes(self) -> int:
        return len(self.data) + _PLACE_BYTES * len(self.places)


class GlobalHeap:
    """The global heap of one file; remembers the collections that were used last.

    Parameters
    ----------
    space : AddressSpace
        The file.
    """

    def __init__(self, space: AddressSpace) -> None:
        offset, length = _CODES.get(space.offset_bytes), _CODES.get(space.length_bytes)
        if offset is None or length is None:
            raise UnsupportedLayoutError(f"addresses of {space.offset_bytes} bytes, lengths of {space.length_bytes}")
        self._space = space
        self._kept: dict[int, _Collection] = {}
        self._kept_bytes = 0
        # Nothing is read while it is held.
        self._lock = Lock()
        self._element = struct.Struct(f"<I{offset}I")
        self._length = struct.Struct(f"<{length}")
        self._object = struct.Struct(f"<HHI{length}")
        # libhdf5 rounds up both headers, which matters where lengths are shorter than 8 bytes.
        self._header_bytes = _aligned(_PREFIX_BYTES + space.length_bytes)
        self._object_bytes = _aligned(self._object.size)

    @property
    def element_bytes(self) -> int:
        """Bytes of one element of variable length: count of items, address of the collection, index in it."""
        return self._element.size

    def texts(self, ids: bytes | memoryview, n: int) -> list[bytes]:
        """Return `n` texts, each up to its first zero, as libhdf5 hands them out; a null text is empty.

        See `items`.
        """
        if n == 1 and len(ids) == self.element_bytes:
            # Most are the only text of an attribute, in a collection that is here.
            count, address, index = self._element.unpack(ids)
            known = self._kept.get(address)
            begin, stored = known.places.get(index, (0, 0)) if known is not None else (0, 0)
            if known is not None and 0 < count <= stored:
                return _until_zero([known.data[begin : begin + count]])
        return _until_zero(self.items(ids, n, 1))

    def items(self, ids: bytes | memoryview, n: int, item_bytes: int) -> list[bytes]:
        """Return the values of `n` elements of variable length; that of a null element is empty.

        All collections are read together.

        Parameters
        ----------
        ids : bytes or memoryview
            The elements as stored, `element_bytes` each (HDF5 file format, *Reference Encoding for Heap Objects*).
        n : int
            How many there are.
        item_bytes : int
            Bytes of one item of an element's sequence.

        Raises
        ------
        MalformedFileError
            If an element leads to nothing, or claims more than there is, or a collection is damaged.
        """
        if len(ids) != n * self.element_bytes:
            raise MalformedFileError(f"damaged: {n} elements of variable length in {len(ids)} bytes")
        wanted: dict[int, dict[int, int]] = {}
        for count, address, index in self._element.iter_unpack(ids):
            if count and address:
                wanted.setdefault(address, {})[index] = count * item_bytes
        return self._cut(ids, item_bytes, self._collections(wanted) if wanted else {})

    def object(self, address: int, index: int) -> memoryview:
        """Return one object, such as the selection of a region reference; raises as `items`."""
        collection = self._collections({address: {index: 0}})[address]
        begin, size = collection.places[index]
        return memoryview(collection.data)[begin : begin + size]

    def _cut(self, ids: bytes | memoryview, item_bytes: int, collections: Mapping[int, _Collection]) -> list[bytes]:
        """Return the bytes of each element, out of collections that have them all."""
        left = sum([collection.size for collection in collections.values()])
        out: list[bytes] = []
        for count, address, index in self._element.iter_unpack(ids):
            if not count or not address:
                out.append(b"")
                continue
            collection, size = collections[address], count * item_bytes
            begin, stored = collection.places[index]
            if stored < size:
                raise MalformedFileError(f"damaged: {size} bytes are wanted of an object of {stored} in a global heap")
            left -= size
            if left < 0:
                return self._cut_shared(ids, item_bytes, collections)
            out.append(collection.data[begin : begin + size])
        return out

    def _cut_shared(
        self, ids: bytes | memoryview, item_bytes: int, collections: Mapping[int, _Collection]
    ) -> list[bytes]:
        """Return what `_cut` does; elements that share an object share its bytes too.

        So a small file cannot fill the memory.
        """
        left = sum([collection.size for collection in collections.values()])
        known: dict[tuple[int, int, int], bytes] = {}
        out: list[bytes] = []
        for element in self._element.iter_unpack(ids):
            count, address, index = element
            value = known.get(element) if count and address else b""
            if value is None:
                collection, size = collections[address], count * item_bytes
                begin, stored = collection.places[index]
                left -= size
                if stored < size or left < 0:
                    raise MalformedFileError(
                        "damaged: values of variable length are larger than the heap that holds them"
                    )
                known[element] = value = collection.data[begin : begin + size]
            out.append(value)
        return out

    def _collections(self, wanted: Mapping[int, Mapping[int, int]]) -> dict[int, _Collection]:
        """Return collections by address, with the objects that are wanted of each.

        Parameters
        ----------
        wanted : mapping
            Bytes of the objects, as far as they are known, by address and index.
        """
        found = {address: self._kept[address] for address in wanted if address in self._kept}
        guessed = {address: self._guess(address, wanted[address]) for address in wanted if address not in found}
        self._read(guessed, found)
        if sum(collection.size for collection in found.values()) > self._space.image.size:
            raise MalformedFileError("damaged: collections of the global heap overlap")
        # Few collections are larger than the least that they can be.
        short = {
            address: found[address].size
            for address, objects in wanted.items()
            if not found[address].places.keys() >= objects.keys() and not found[address].is_whole
        }
        self._read(short, found)
        for address, objects in wanted.items():
            places = found[address].places
            if not places.keys() >= objects.keys():
                lost = min(index for index in objects if index not in places)
                raise MalformedFileError(f"damaged: object {lost} is not in the global heap at {address}")
        return found

    def _guess(self, address: int, objects: Mapping[int, int]) -> int:
        """Return how much of a collection to read so that the objects are likely to be in it."""
        left = self._space.image.size - self._space.base - address
        claimed = (
            self._header_bytes + sum([size + 7 & -8 for size in objects.values()]) + self._object_bytes * len(objects)
        )
        if claimed > left:
            raise MalformedFileError(f"truncated: {claimed} bytes are wanted of the global heap at {address}")
        return min(max(claimed, _LEAST_BYTES), _MOST_GUESSED_BYTES, left)

    def _read(self, sizes: Mapping[int, int], found: dict[int, _Collection]) -> None:
        """Add to `found` so many bytes of the collections at these addresses."""
        views = gather([partial(self._space.read, address, size, once=True) for address, size in sizes.items()])
        for address, view in zip(sizes, views, strict=True):
            with self._lock:
                found[address] = self._add(address, view)

    def _add(self, address: int, view: memoryview) -> _Collection:
        """Return a collection of which `view` are the first bytes, and keep it."""
        known = self._kept.get(address)
        if known is not None and len(known.data) >= min(len(view), known.size):
            # Another thread has read as much of it meanwhile, or more.
            return known
        collection = self._parse(address, bytes(view), known)
        self._kept.pop(address, None)
        self._kept[address] = collection
        self._kept_bytes += collection.memory_bytes - (known.memory_bytes if known else 0)
        while self._kept_bytes > _KEPT_BYTES:
            self._kept_bytes -= self._kept.pop(next(iter(self._kept))).memory_bytes
        return collection

    def _parse(self, address: int, data: bytes, known: _Collection | None) -> _Collection:
        """Return what the first bytes of a collection hold, of which fewer may be known (*Global Heap*)."""
        if data[:4] != _SIGNATURE or len(data) < self._header_bytes:
            raise MalformedFileError(f"damaged: no collection of the global heap is at {address}")
        if data[4] != _VERSION:
            raise UnsupportedLayoutError(f"a global heap of version {data[4]}")
        size: int = self._length.unpack_from(data, _PREFIX_BYTES)[0]
        if size < self._header_bytes or self._space.base + address + size > self._space.image.size:
            raise MalformedFileError(f"damaged: the global heap at {address} claims {size} bytes")
        data = data[:size]
        places = {} if known is None else dict(known.places)
        at = self._header_bytes if known is None else known.end
        n_objects, last = len(places), len(data) - self._object_bytes
        unpack, header_bytes, end = self._object.unpack_from, self._object_bytes, at
        while at <= last:
            index, _, _, n_bytes = unpack(data, at)
            if not index:
                if n_bytes < header_bytes:
                    # Free space counts its own header: this leads nowhere.
                    break
                at += n_bytes
                continue
            end = at
            at += header_bytes
            places[index] = at, n_bytes
            n_objects += 1
            at += n_bytes + 7 & -8
        if len(places) != n_objects:
            raise MalformedFileError(f"damaged: objects of the global heap at {address} have the same index")
        if n_objects > (0 if known is None else len(known.places)):
            # Only the last one can reach past what is here, or past the collection.
            index, (begin, n_bytes) = places.popitem()
            if begin + n_bytes > size:
                raise MalformedFileError(
                    f"damaged: object {index} reaches past the end of the global heap at {address}"
                )
            if begin + n_bytes <= len(data):
                places[index] = begin, n_bytes
                end = at
        return _Collection(data, size, places, end)


def _until_zero(texts: list[bytes]) -> list[bytes]:
    distinct = dict.fromkeys(texts)
    # Few files have zeros in texts, and a search in all of them at once is fast.
    if b"\0" not in b"".join(distinct):
        return texts
    ended = {text: text.partition(b"\0")[0] for text in distinct}
    return [ended[text] for text in texts]


def _aligned(n_bytes: int) -> int:
    return n_bytes + 7 & -8
