"""Damages files where the parser looks: bytes, numbers, ends; with checksums that are wrong, or made right again."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
from numcodecs.jenkins import jenkins_lookup3

from nwb_dask.backends.hdf5.format import fractal_heap
from nwb_dask.backends.hdf5.format.space import AddressSpace
from nwb_dask.backends.hdf5.pages import Pages
from tests.backends.answers import Answers, groups_in
from tests.backends.answers_of_ours import ask_ours
from tests.backends.stores import open_local

N_PARTS = 64
WAYS = ("local", "remote", "by group")
"""How we read a damaged file: at once from a local and from a remote one, and group by group from a local one."""
_NEAR_DATA = 4096


@dataclass(frozen=True, slots=True)
class Mutation:
    """What is changed in a file."""

    name: str
    """The file."""
    edits: tuple[tuple[int, bytes], ...] = ()
    """Positions and the bytes that are written there."""
    size: int | None = None
    """Where the file is cut off."""
    sealed: bool = False
    """Whether checksums over what is changed are made right again."""

    def __str__(self) -> str:
        cut = "" if self.size is None else f" cut to {self.size}"
        edits = ", ".join(f"{data.hex()} at {at}" for at, data in self.edits)
        return f"{self.name!r}{cut} {edits}{' sealed' if self.sealed else ''}"


@dataclass
class Outcome:
    """What was said of one damaged file."""

    number: int
    """Of the mutation in the plan."""
    answers: list[Answers] = field(default_factory=list)
    """By us in each of `WAYS`; or by h5py."""
    seconds: float = 0
    grown_bytes: int = 0
    """Memory that was taken beyond what any file before took."""
    fallbacks: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A file, and which of its bytes the parser looks at."""

    body: bytes
    looked_at: tuple[int, ...]
    """Positions of metadata, increasing."""
    checked: tuple[tuple[int, int, int], ...]
    """First byte of each structure with a checksum, the byte after it, and the position of the checksum."""
    groups: tuple[str, ...]

    def damaged(self, mutation: Mutation) -> bytes:
        """Return the damaged file."""
        out = bytearray(self.body)
        for at, data in mutation.edits:
            out[at : at + len(data)] = data[: max(len(out) - at, 0)]
        if mutation.sealed:
            for start, stop, at in self.checked:
                if any(begin < stop and begin + len(data) > start for begin, data in mutation.edits):
                    out[at : at + 4] = bytes(4) if at + 4 != stop else out[at : at + 4]
                    whole = bytes(out[start:stop]) if at + 4 != stop else bytes(out[start:at])
                    out[at : at + 4] = struct.pack("<I", jenkins_lookup3(whole, 0))
        return bytes(out if mutation.size is None else out[: mutation.size])


def dissect(path: Path) -> Anatomy:
    """Return a file with what the parser looks at to read all of it."""
    looked_at: set[int] = set()
    checked: dict[int, tuple[int, int]] = {}
    view, check, direct = Pages.view, AddressSpace.checked, fractal_heap._read_direct

    def viewing(self: Pages, start: int, stop: int, *, once: bool = False) -> memoryview:
        if stop - start <= _NEAR_DATA:
            looked_at.update(range(start, stop))
        return view(self, start, stop, once=once)

    def checking(self: AddressSpace, address: int, n_bytes: int, *, what: str) -> memoryview:
        start = self.base + address
        checked[start] = (start + n_bytes, start + n_bytes - 4)
        return check(self, address, n_bytes, what=what)

    def reading(space: AddressSpace, header: fractal_heap._Header, block: fractal_heap._Block) -> memoryview:
        start = space.base + block.address
        if header.is_checked:
            checked[start] = (start + block.size, start + 5 + space.offset_bytes + header.at_bytes)
        return direct(space, header, block)

    with (
        mock.patch.object(Pages, "view", viewing),
        mock.patch.object(AddressSpace, "checked", checking),
        mock.patch.object(fractal_heap, "_read_direct", reading),
        open_local(path) as store,
    ):
        answers = ask_ours(store, max_bytes=1 << 24, rows=some_rows)
    places = tuple(sorted(looked_at))
    checks = tuple((start, *rest) for start, rest in sorted(checked.items()))
    return Anatomy(path.read_bytes(), places, checks, tuple(groups_in(answers)))


def some_rows(_path: str, n: int) -> list[tuple[int, int]]:
    """Return the first rows and the last."""
    return [(0, min(3, n)), *([(max(n - 2, 4), n)] if n > 4 else [])]  # not next to the first


def cuts(name: str, anatomy: Anatomy) -> list[Mutation]:
    """Return the file cut off at each 64th of it, and just before its end.

    Once as it is, which the superblock tells; and once with a superblock that agrees.
    """
    body, size = anatomy.body, len(anatomy.body)
    places = sorted({size * i // N_PARTS for i in range(N_PARTS)} | {size - 1})
    at, width, base = _end_of_file(body)
    agreeing = [
        Mutation(name, ((at, (place - base).to_bytes(width, "little")),), size=place, sealed=True)
        for place in places
        if place > at + width
    ]
    return [Mutation(name, size=place) for place in places] + agreeing


def _end_of_file(body: bytes) -> tuple[int, int, int]:
    """Return where the superblock has the end of the file, in how many bytes, and from where it counts."""
    base = body.index(b"\x89HDF\r\n\x1a\n")
    version = body[base + 8]
    if version >= 2:
        width = body[base + 9]
        return base + 12 + 2 * width, width, base
    width = body[base + 13]
    return base + 24 + 4 * version + 2 * width, width, base


def random_mutations(name: str, anatomy: Anatomy, seed: int, n: int) -> Iterator[Mutation]:
    """Yield `n` mutations, the same ones for the same seed."""
    rng = np.random.default_rng([seed, len(name), *name.encode()])
    body, size = anatomy.body, len(anatomy.body)
    numbers = (
        0,
        1,
        2,
        0x7F,
        0xFF,
        1 << 16,
        1 << 31,
        (1 << 32) - 1,
        (1 << 63) - 1,
        (1 << 64) - 1,
        size,
        size - 1,
        size + 1,
    )
    for _ in range(n):
        edits = []
        for _ in range(int(rng.choice([1, 1, 1, 2, 4]))):
            # One in eight anywhere: data, and what is not looked at.
            at = int(rng.integers(size)) if rng.random() < 1 / 8 else int(rng.choice(anatomy.looked_at))
            kind = int(rng.integers(4))
            if kind == 0:
                edits.append((at, bytes([body[at] ^ 1 << int(rng.integers(8))])))
            elif kind == 1:
                edits.append((at, bytes([int(rng.choice([0, 1, 2, 3, 127, 255, int(rng.integers(256))]))])))
            elif kind == 2:  # the third of four
                width = int(rng.choice([2, 4, 8]))
                number = numbers[int(rng.integers(len(numbers)))] & (1 << 8 * width) - 1
                at -= at % 2
                edits.append((at, number.to_bytes(width, "little")))
            else:
                # A small change of a number, as of a count, a length or an address.
                width = int(rng.choice([1, 2, 4, 8]))
                number = int.from_bytes(body[at : at + width], "little") + int(rng.choice([-8, -1, 1, 8, 16, 512]))
                edits.append((at, (number & (1 << 8 * width) - 1).to_bytes(width, "little")))
        yield Mutation(name, tuple(edits), sealed=bool(rng.random() < 2 / 3))
