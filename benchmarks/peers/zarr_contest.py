"""What the contestants of `benchmarks.zarr_sessions` have in common: a question comes, seconds and a digest go."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np


@dataclass(frozen=True, slots=True)
class Asked:
    """A question: the spikes of the units on some shanks."""

    url: str
    shanks: tuple[int, ...]
    n_times: int
    """How often it is asked, in this one process."""


def serve(read: Callable[[Asked], Iterable[object]]) -> None:
    """Answer one question from standard input; imports are done by then."""
    print("ready", flush=True)
    asked = Asked(**json.loads(sys.stdin.readline()))
    seconds = []
    for _ in range(asked.n_times):
        began, busy = time.perf_counter(), time.process_time()
        found = [np.ascontiguousarray(one, "<f8") for one in read(asked)]
        seconds.append((time.perf_counter() - began, time.process_time() - busy))
    digest = blake2b(b"".join(one.tobytes() for one in found), digest_size=8).hexdigest()
    wall, cpu = min(seconds)
    print(json.dumps({"seconds": wall, "cpu_seconds": cpu, "n_units": len(found), "digest": digest}), flush=True)
