"""Reads damaged copies of a file in a process of its own, which a crash of libhdf5 would end.

Run as ``python -m tests.backends.mutations <file> <folder> <first seed> <seed after the last>``. Prints one line for
each copy, before it is read.
"""

from __future__ import annotations

import re
import resource
import signal
import sys
from pathlib import Path

import numpy as np

from nwb_dask.backends import open_file
from nwb_dask.errors import NWBDaskError
from tests.backends.stores import RemoteStore, open_local

_MEMORY_BYTES = 4 << 30
_SECONDS = 20


def damaged(body: bytes, seed: int) -> bytes:
    """Return a copy that is truncated, or in which some bytes are other ones."""
    rng = np.random.default_rng(seed)
    if seed % 5 == 0:
        return body[: int(rng.integers(0, len(body)))]
    out = np.frombuffer(body, np.uint8).copy()
    # What stands beside a signature of HDF5's is hit most often.
    marks = [match.start() for match in _SIGNATURES.finditer(body)] if seed % 5 in (3, 4) else []
    heaps = [match.start() for match in _HEAP.finditer(body)]
    for _ in range(int(rng.integers(1, 8))):
        at = int(rng.integers(0, len(out)))
        if marks:
            at = min(marks[at % len(marks)] + int(rng.integers(4, 64)), len(out) - 1)
        if not any(heap <= at < heap + _HEAP_BYTES for heap in heaps):
            out[at] = (0, 1, 127, 255, int(rng.integers(0, 256)))[int(rng.integers(0, 5))]
    return out.tobytes()


# Left whole: libhdf5 2.0 goes round for ever in some damaged global heaps (H5HG__cache_heap_deserialize), which hold
# all text of variable length, that of attributes included. Nothing but a parser of our own could prevent it.
_HEAP = re.compile(b"GCOL")
_HEAP_BYTES = 4096
_SIGNATURES = re.compile(b"OHDR|OCHK|TREE|SNOD|HEAP|FRHP|FHDB|FHIB|BTHD|BTLF|FAHD|EAHD|EAIB|FADB|\x89HDF")


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
        print(*read_all(path, remote=bool(seed % 2)), flush=True)  # noqa: T201  # the parent reads it


if __name__ == "__main__":
    main()
