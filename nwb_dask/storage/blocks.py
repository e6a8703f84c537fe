"""A file object over a store, for libraries that read files on their own, such as h5py."""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from nwb_dask.storage.coalesce import Buffer
from nwb_dask.storage.remote import END_BYTES

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer  # exists for type checkers only

_BLOCK_BYTES = 64 * 1024
# A read longer than this goes by the cache, and sequential blocks grow to it: the longest request of a store.
_RUN_BYTES = 4 * 1024 * 1024
_CACHE_BYTES = 64 * 1024 * 1024


class CanRead(Protocol):
    """What a file object needs of a store."""

    @property
    def size(self) -> int:
        """Length of the file in bytes."""

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[Buffer]:
        """Return the bytes of each half-open range."""


Present: TypeAlias = "Callable[[int, int], Buffer | None]"
"""Start and stop of a range, and its bytes if they are there."""


def _nothing(_start: int, _stop: int) -> None:
    return None


class BlockFile(io.RawIOBase):
    """Read-only file object over a store that reads whole blocks and keeps some.

    Blocks have 64 KiB; a reader that goes forward gets twice as many each time, up to 4 MiB. At most 64 MiB are
    kept, plus the head and the tail of the file, which are fetched together when the object is made, unless someone
    else has what will be asked for (`present`).

    `read_at` may be called from several threads; the position of `seek` and `readinto` is one for all. Neither
    waits for another thread nor takes a lock: h5py calls them with its global lock held, and any Python thread that
    the call waited for may want that lock to collect a dead h5py object (h5py issues 2019 and 2021).

    Parameters
    ----------
    store : CanRead
        A `Store`, which stays open when this is closed.
    present : callable, optional
        Gives bytes of the file that someone else has in memory, or None; asked before anything is read.
    name : str, optional
        What `repr` gives, which h5py takes for the name of the file.
    """

    def __init__(self, store: CanRead, present: Present | None = None, name: str | None = None) -> None:
        super().__init__()
        self._store = store
        self._present = _nothing if present is None else present
        self._name = name
        self.size = store.size
        """Length of the file in bytes."""
        self._position = 0
        self._next = 0
        self._run = 1
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._ends: tuple[tuple[int, bytes], ...] = ()
        if present is None:
            head, tail = min(END_BYTES, self.size), max(self.size - END_BYTES, 0)
            ends = store.read([(0, head), (tail, self.size)])
            self._ends = ((0, bytes(ends[0])), (tail, bytes(ends[1])))

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to `offset` bytes from the start, the position or the end; return the new position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"position {base + offset} is before the start of the file")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill `buffer` from the position on; return how many bytes there were before the end."""
        view = memoryview(buffer).cast("B")
        n_bytes = max(min(len(view), self.size - self._position), 0)
        self._read_into(view[:n_bytes], self._position)
        self._position += n_bytes
        return n_bytes

    def read_at(self, start: int, stop: int) -> bytes:
        """Return the bytes of a half-open range of the file; the position stays."""
        out = bytearray(stop - start)
        self._read_into(memoryview(out), start)
        return bytes(out)

    def _read_into(self, view: memoryview, start: int) -> None:
        stop = start + len(view)
        for offset, body in self._ends:
            if offset <= start and stop <= offset + len(body):
                view[:] = body[start - offset : stop - offset]
                return
        present = self._present(start, stop)
        if present is not None:
            view[:] = present
            return
        if len(view) > _RUN_BYTES:
            self._read_past_cache(view, start)
            return
        at = start
        while at < stop:
            number = at // _BLOCK_BYTES
            block = self._block(number, last=(stop - 1) // _BLOCK_BYTES)
            offset = at - number * _BLOCK_BYTES
            part = block[offset : offset + stop - at]
            view[at - start : at - start + len(part)] = part
            at += len(part)

    def _read_past_cache(self, view: memoryview, start: int) -> None:
        for at in range(0, len(view), _RUN_BYTES):
            n_bytes = min(_RUN_BYTES, len(view) - at)
            view[at : at + n_bytes] = self._one(start + at, start + at + n_bytes)

    def _block(self, number: int, *, last: int) -> Buffer:
        """Return one block; if it is missing, fetch it with those up to `last`, or more if the reader goes forward."""
        block = self._blocks.get(number)
        if block is not None:
            self._touch(number)
            return block
        present = self._present(number * _BLOCK_BYTES, min((number + 1) * _BLOCK_BYTES, self.size))
        if present is not None:
            return present
        self._run = min(self._run * 2, _RUN_BYTES // _BLOCK_BYTES) if number == self._next else 1
        end = number + 1
        while end < number + max(self._run, last + 1 - number) and end not in self._blocks:
            end += 1
        body = self._one(number * _BLOCK_BYTES, min(end * _BLOCK_BYTES, self.size))
        self._next = end
        # Copies, so that one block in use does not keep the whole response in memory.
        fetched = [bytes(body[i : i + _BLOCK_BYTES]) for i in range(0, len(body), _BLOCK_BYTES)]
        for i, one in enumerate(fetched):
            self._blocks[number + i] = one
        while len(self._blocks) > _CACHE_BYTES // _BLOCK_BYTES:
            self._blocks.popitem(last=False)
        return fetched[0]

    def _touch(self, number: int) -> None:
        try:
            self._blocks.move_to_end(number)
        except KeyError:
            # Another thread dropped it after this one had it.
            return

    def __repr__(self) -> str:
        return super().__repr__() if self._name is None else self._name

    def _one(self, start: int, stop: int) -> Buffer:
        return self._store.read([(start, stop)])[0]
