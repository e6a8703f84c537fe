"""Bytes of a file as the parser sees them: all at hand, or page by page in rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from nwb_dask.backends.hdf5.format.space import AddressSpace
from nwb_dask.backends.hdf5.format.superblock import read_superblock
from nwb_dask.backends.hdf5.pages import Pages
from nwb_dask.backends.hdf5.rounds import run

T = TypeVar("T")


def pages_of(body: bytes, rounds: list[int] | None = None, *, page_bytes: int = 512) -> Pages:
    """Return the file's pages; with `rounds`, they are fetched when asked for and the bytes of each round noted."""

    def fetch(ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        if rounds is not None:
            rounds.append(sum(stop - start for start, stop in ranges))
        return [body[start:stop] for start, stop in ranges]

    return Pages(len(body), fetch, page_bytes=page_bytes, at_once=rounds is None)


def space_of(body: bytes) -> AddressSpace:
    return read_superblock(pages_of(body)).space


def in_rounds(
    body: bytes, work: Callable[[AddressSpace], T], *, page_bytes: int = 64, known: AddressSpace | None = None
) -> tuple[T, list[int]]:
    """Return what `work` returns where nothing is at hand at first, and the bytes of each round that it took."""
    like = known or space_of(body)
    rounds: list[int] = []
    pages = pages_of(body, rounds, page_bytes=page_bytes)
    space = AddressSpace(pages, like.base, like.offset_bytes, like.length_bytes)
    out: list[T] = []

    def task() -> None:
        out.append(work(space))

    run([task], pages)
    return out[0], rounds
