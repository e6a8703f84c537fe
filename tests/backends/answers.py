"""What a reader says of a file, as plain values that two readers can be compared by.

An answer is kept under a key: ``/g`` says what an object is, ``/g@a`` is the value of an attribute, ``/g/l>`` is where
a soft or external link leads, ``/x#chunks`` says where chunks are, ``/x#values`` what is in them, and ``/x#rows`` what
some rows are. Who cannot say leaves a `Refusal` under the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.paths import split_path

Array = npt.NDArray[Any]
Answer = Any
"""Nested tuples of text, numbers, bytes, `To` and `At`; or a `Refusal`."""

_SHORT_BYTES = 32
_MAX_STEPS = 200
_NO_FILTER = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class To:
    """A reference as the path that it leads to; None for nothing."""

    path: str | None


@dataclass(frozen=True, slots=True)
class At:
    """A reference as the address that it leads to; 0 for nothing, -1 if nobody can say."""

    address: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no answer."""

    reason: str


UNKNOWN = Refusal("unknown")
"""Part of an answer that one reader leaves open."""


@dataclass(slots=True)
class Answers:
    """All answers of one reader about one file."""

    found: dict[str, Answer] = field(default_factory=dict)
    links: dict[int, dict[str, int | str]] = field(default_factory=dict)
    """Of each group, by address: what its members lead to, an address or the path in a soft link."""
    root: int = 0
    faults: list[str] = field(default_factory=list)
    """What must not be, whatever is in the file: errors that are none of ours, members that are left out."""

    def address(self, path: str) -> int | None:
        """Return where the object at a path is, or None."""
        left = split_path(path)[::-1]
        here, above = self.root, [self.root]
        for _ in range(_MAX_STEPS):
            if not left:
                return here
            target = self.links.get(here, {}).get(left.pop())
            if target is None:
                return None
            if isinstance(target, int):
                here = target
                above.append(here)
            else:
                here = self.root if target.startswith("/") else above[-1]
                left.extend(split_path(target)[::-1])
        return None

    @property
    def reachable(self) -> set[int]:
        """Addresses that hard links lead to."""
        inside = {target for members in self.links.values() for target in members.values() if isinstance(target, int)}
        return inside | {self.root}


def told(values: Array, item: Callable[[Any], Answer] = lambda one: one) -> Answer:
    """Return an array as an answer: equal if shape, type and bytes are. `item` makes answers of objects."""
    shape = tuple(values.shape)
    if values.dtype.names is not None:
        return (shape, tuple([(name, told(values[name], item)) for name in values.dtype.names]))
    if values.dtype.kind == "O":
        return (shape, tuple([_told_item(one, item) for one in values.reshape(-1)]))
    native = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("=")))
    return (shape, native.dtype.str, short(native.tobytes()))


def _told_item(one: Any, item: Callable[[Any], Answer]) -> Answer:
    if isinstance(one, np.ndarray):
        return told(one, item)
    return short(one) if isinstance(one, bytes) else item(one)


def short(data: bytes) -> bytes | str:
    """Return bytes, or their digest if they are many."""
    return data if len(data) <= _SHORT_BYTES else hashlib.blake2b(data, digest_size=16).hexdigest()


def told_scalar(value: complex) -> Answer:
    kind = next(kind for kind in (bool, int, float, complex) if isinstance(value, kind))
    return ("scalar", kind.__name__, repr(value))


def is_same(ours: Answer, theirs: Answer, tree: Answers) -> bool:
    """Return whether two answers say the same; `tree` knows where paths lead."""
    if ours == UNKNOWN:
        return True
    if isinstance(theirs, At):
        return isinstance(ours, To) and _leads_there(ours.path, theirs.address, tree)
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        return len(ours) == len(theirs) and all(
            is_same(one, other, tree) for one, other in zip(ours, theirs, strict=True)
        )
    return type(ours) is type(theirs) and bool(ours == theirs)


def _leads_there(path: str | None, address: int, tree: Answers) -> bool:
    if address < 0:
        return True
    if path is None:
        return not address or address not in tree.reachable
    return tree.address(path) == address


@dataclass(frozen=True, slots=True)
class Difference:
    """One key about which two readers do not say the same."""

    key: str
    ours: Answer
    theirs: Answer

    def __str__(self) -> str:
        return f"{self.key}: {_clipped(self.ours)} is {_clipped(self.theirs)} by h5py"


def _clipped(answer: Answer) -> str:
    text = repr(answer)
    return text if len(text) < 300 else f"{text[:300]}..."  # as much as one reads


def differences(ours: Answers, theirs: Answers, *, leave_out: Iterable[str] = ()) -> Iterator[Difference]:
    """Yield the keys that one has an answer to and the other has not, or another one."""
    left_out = set(leave_out)
    for key in sorted(ours.found.keys() | theirs.found.keys()):
        one, other = ours.found.get(key, Refusal("absent")), theirs.found.get(key, Refusal("absent"))
        if isinstance(ours.found.get(key.partition("#")[0]), Refusal) and one == Refusal("absent"):
            # Of what is refused as a whole nothing else is said.
            continue
        if key in left_out or (isinstance(one, Refusal) and isinstance(other, Refusal)):
            continue
        if key.endswith("#chunks") and not isinstance(one, Refusal) and not isinstance(other, Refusal):
            one = comparable_chunks(one, other)
        if not is_same(one, other, theirs):
            yield Difference(key, one, other)


def comparable_chunks(ours: Answer, theirs: Answer) -> Answer:
    """Return where chunks are by us, as far as h5py says it.

    It does not say the number of a chunk where it would say a wrong one, and takes no filter to be skipped for chunks
    that are not filtered because they reach past the shape.
    """
    if any(number is None for number, *_ in theirs):
        ours = tuple(sorted((None, *rest) for _, *rest in ours))
    known = {mask for *_, mask in theirs}
    return tuple([(*where, 0 if mask == _NO_FILTER not in known else mask) for *where, mask in ours])


def groups_in(answers: Answers) -> list[str]:
    """Return the paths of the groups."""
    return [key for key, answer in answers.found.items() if isinstance(answer, tuple) and answer[:1] == ("group",)]


def counts(answers: Mapping[str, Answer]) -> dict[str, int]:
    """Return how many objects, attributes, chunks, datasets and values there are answers about."""
    out = dict.fromkeys(("objects", "attributes", "chunks", "datasets", "values"), 0)
    for key, answer in answers.items():
        if isinstance(answer, Refusal):
            continue
        if key.endswith("#chunks"):
            out["chunks"] += len(answer)
        elif key.endswith("#values"):
            out["values"] += int(np.prod(answer[0], dtype=np.int64))
        elif "#" in key or key.endswith(">"):
            continue
        elif "@" in key:
            out["attributes"] += 1
        else:
            out["objects"] += 1
            out["datasets"] += answer[0] == "array"
    return out
