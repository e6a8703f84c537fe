"""Reads damaged copies of a file in a process of its own, which a crash of libhdf5 would end.

Run as ``python -m tests.backends.mutations <file> <folder> <first seed> <seed after the last>``. Prints one line for
each copy, before it is read.
"""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

import numpy as np

from nwb_dask.backends import open_file
from nwb_dask.errors import NWBDaskError
from tests.backends.zoo import RemoteStore, open_local

_MEMORY_BYTES = 4 << 30
_SECONDS = 20


def damaged(body: bytes, seed: int) -> bytes:
    """Return a copy that is truncated, or in which some bytes are other ones."""
    rng = np.random.default_rng(seed)
    if seed % 5 == 0:
        return body[: int(rng.integers(0, len(body)))]
    out = np.frombuffer(body, np.uint8).copy()
    # Metadata is where bytes are not zero, and what stands beside a signature of HDF5's is hit most often.
    marks = [i for i in range(len(body)) if body[i : i + 4] in _SIGNATURES] if seed % 5 > 2 else []  # noqa: PLR2004
    heaps = [i for i in range(len(body)) if body[i : i + 4] == _HEAP]
    for _ in range(int(rng.integers(1, 8))):
        at = int(rng.choice(marks)) + int(rng.integers(4, 64)) if marks else int(rng.integers(0, len(out)))
        at = min(at, len(out) - 1)
        if any(heap <= at < heap + _HEAP_BYTES for heap in heaps):
            continue
        out[at] = rng.choice([0, 1, 255, 127, rng.integers(0, 256)])
    return out.tobytes()


# Left whole: libhdf5 2.0 goes round for ever in some damaged global heaps (H5HG__cache_heap_deserialize), which hold
# all text of variable length, that of attributes included. Nothing but a parser of our own could prevent it.
_HEAP = b"GCOL"
_HEAP_BYTES = 4096
_SIGNATURES = {b"OHDR", b"OCHK", b"TREE", b"SNOD", b"HEAP", b"FRHP", b"FHDB", b"FHIB", b"BTHD", b"BTLF",
               b"FAHD", b"EAHD", b"EAIB", b"FADB", b"\x89HDF"}  # fmt: skip


def read_all(path: Path, *, remote: bool) -> tuple[int, int]:
    """Return how many datasets were read, and how many refused."""
    read = refused = 0
    try:
        with open_local(path) as store, open_file(RemoteStore(store) if remote else store) as file:
            index = file.index("/", recursive=True)
            for entry in index.arrays.values():
                try:
                    if int(np.prod(entry.shape or (1,), dtype=np.float64)) < 1 << 24:
                        file.read(entry)
                    file.read(entry, np.array([[0, min(3, (entry.shape or (3,))[0])]], np.int64))
                except NWBDaskError:
                    refused += 1
                else:
                    read += 1
    except NWBDaskError:
        return read, refused + 1
    return read, refused


def main() -> None:
    """Read copies with the seeds that were asked for."""
    source, folder, first, last = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    body = source.read_bytes()
    for seed in range(first, last):
        signal.alarm(_SECONDS)
        print(seed, end=" ", flush=True)  # noqa: T201  # the parent shows it if this process dies
        path = folder / "damaged.h5"
        path.write_bytes(damaged(body, seed))
        print(*read_all(path, remote=bool(seed % 2)), flush=True)  # noqa: T201  # (the same)


if __name__ == "__main__":
    main()
