"""Reading a large compressed recording: chunks to values, against h5py on the same file in the same run.

::

    python -m benchmarks.decode                  # 288 MB in several shapes of chunks, results/<date>-decode.json
    python -m benchmarks.decode --check          # exit code 1 if a target is missed

LFP of 96 channels as int16. The file is in the page cache, so that what is measured is decoding. Each process reads in
turn with h5py and with nwb_dask, and is bound to one processor or to two; where the chunks are is known beforehand.
The best round counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt

from benchmarks.environments import ROOT, describe_machine
from benchmarks.sessions import WORK
from nwb_dask.backends.hdf5.array_read import plan_read
from nwb_dask.backends.hdf5.pages import Fetch
from nwb_dask.index import ArrayEntry, ChunkManifest, ElementType, FilePath, Filter

RESULTS = Path(__file__).parent / "results"

N_CHANNELS = 96
RATE = 1250.0
GZIP = {"compression": "gzip", "shuffle": True}
DATASETS: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {
    "gzip and shuffle, 4096 x 96": ((4096, 96), GZIP),
    "gzip and shuffle, 512 x 32": ((512, 32), GZIP),
    "gzip and shuffle, 65536 x 4": ((65536, 4), GZIP),
    "gzip, 4096 x 96": ((4096, 96), {"compression": "gzip"}),
    "lzf and shuffle, 4096 x 96": ((4096, 96), {"compression": "lzf", "shuffle": True}),
    "zstd and shuffle, 4096 x 96": ((4096, 96), {"shuffle": True, **hdf5plugin.Zstd()}),
    "blosc, 4096 x 96": ((4096, 96), dict(hdf5plugin.Blosc(cname="zstd"))),
}

BY_HAND = "h5py"
LOCAL, BATCHES = "nwb_dask", "nwb_dask in batches"
TARGETS = {1: 1.0, 2: 1.6}
"""Times as fast as h5py that `LOCAL` must read gzip and shuffle, by the number of processors."""


@dataclass(slots=True)
class Timing:
    """All rounds of one way of reading one dataset."""

    dataset: str
    way: str
    processors: int
    n_bytes: int
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    """Of all threads: what is left of the comparison where others have the processor."""

    @property
    def best(self) -> float:
        """Seconds of the fastest round."""
        return min(self.seconds)


def ensure_recording(n_rows: int) -> Path:
    """Return a file with the same recording in each of `DATASETS`, written if it is absent."""
    path = WORK / "decode" / f"lfp-{n_rows}.h5"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    phases = np.linspace(0, np.pi, N_CHANNELS)
    started = path.with_suffix(".part")
    with h5py.File(started, "w") as file:
        made = [
            file.create_dataset(name.replace(" ", "_"), (n_rows, N_CHANNELS), "<i2", chunks=chunks, **options)
            for name, (chunks, options) in DATASETS.items()
        ]
        step = 1 << 17
        for start in range(0, n_rows, step):
            stop = min(start + step, n_rows)
            seconds = np.arange(start, stop)[:, np.newaxis] / RATE
            slow = 200 * np.sin(2 * np.pi * 8 * seconds + phases) + rng.normal(0, 4, (stop - start, 1)).cumsum(axis=0)
            block = (slow + rng.normal(0, 8, (stop - start, N_CHANNELS))).astype("<i2")
            for dataset in made:
                dataset[start:stop] = block
    started.rename(path)
    return path


def describe(dataset: h5py.Dataset) -> tuple[ArrayEntry, ChunkManifest]:
    """Return the entry of a dataset and where its chunks are, as h5py has them."""
    properties = dataset.id.get_create_plist()
    filters = tuple(Filter(*properties.get_filter(i)[::2]) for i in range(properties.get_nfilters()))
    entry = ArrayEntry(
        FilePath(dataset.name),
        ElementType("int", dataset.dtype, size=dataset.dtype.itemsize),
        dataset.shape,
        "chunked",
        chunks=dataset.chunks,
        filters=filters,
    )
    found: list[Any] = []
    dataset.id.chunk_iter(found.append)
    n_inner = -(-dataset.shape[1] // dataset.chunks[1])
    found.sort(key=lambda one: one.chunk_offset)
    manifest = ChunkManifest(
        np.array(
            [
                one.chunk_offset[0] // dataset.chunks[0] * n_inner + one.chunk_offset[1] // dataset.chunks[1]
                for one in found
            ],
            np.int64,
        ),
        np.array([one.byte_offset for one in found], np.int64),
        np.array([one.size for one in found], np.int64),
        np.array([one.filter_mask for one in found], np.uint32),
    )
    return entry, manifest


def measure(path: Path, names: Sequence[str], *, rounds: int, processors: int) -> list[Timing]:
    """Time every way on every dataset, in turn; this process must be bound to `processors` before."""
    descriptor = os.open(path, os.O_RDONLY)
    size = os.fstat(descriptor).st_size

    def fetch(ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return [os.pread(descriptor, stop - start, start) for start, stop in ranges]

    timings = []
    with h5py.File(path) as file:
        for name in names:
            dataset = file[name.replace(" ", "_")]
            entry, manifest = describe(dataset)
            ways: dict[str, Callable[[], npt.NDArray[Any]]] = {
                BY_HAND: partial(dataset.__getitem__, ...),
                LOCAL: partial(read, entry, manifest, fetch, file_bytes=size, is_local=True),
                BATCHES: partial(read, entry, manifest, fetch, file_bytes=size, is_local=False),
            }
            timings += time_ways(ways, name, rounds=rounds, processors=processors)
    os.close(descriptor)
    return timings


def read(
    entry: ArrayEntry, manifest: ChunkManifest, fetch: Fetch, *, file_bytes: int, is_local: bool
) -> npt.NDArray[Any]:
    """Return all rows of a dataset."""
    assert entry.shape is not None
    return plan_read(entry, np.array([[0, entry.shape[0]]]), manifest, file_bytes=file_bytes).run(
        fetch, is_local=is_local
    )


def time_ways(
    ways: dict[str, Callable[[], npt.NDArray[Any]]], name: str, *, rounds: int, processors: int
) -> list[Timing]:
    """Return the timings of one dataset; a first round is not counted, and checks that all read the same."""
    values = ways[BY_HAND]()
    for way, ask in ways.items():
        assert np.array_equal(ask(), values), f"{way} reads other values of {name}"
    timings = {way: Timing(name, way, processors, values.nbytes) for way in ways}
    del values
    for _ in range(rounds):
        for way, ask in ways.items():
            began, began_cpu = time.perf_counter(), time.process_time()
            ask()
            timings[way].seconds.append(time.perf_counter() - began)
            timings[way].cpu_seconds.append(time.process_time() - began_cpu)
    return list(timings.values())


def measure_bound(path: Path, names: Sequence[str], *, rounds: int, processors: int) -> list[Timing]:
    """Return what a process of its own measures that may use so many processors."""
    task = json.dumps({"path": str(path), "names": list(names), "rounds": rounds, "processors": processors})
    command = [sys.executable, "-m", "benchmarks.decode", "--task", task]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return [Timing(**one) for one in json.loads(done.stdout)]


def run_task(task: dict[str, Any]) -> None:
    """Bind this process, before anything makes threads, and print what it measures."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: task["processors"]])
    timings = measure(Path(task["path"]), task["names"], rounds=task["rounds"], processors=task["processors"])
    print(json.dumps([asdict(timing) for timing in timings]))


def ratio(timings: Sequence[Timing], timing: Timing) -> float:
    """Return how many times as fast as h5py on as many processors it is."""
    base = next(
        one for one in timings if (one.dataset, one.processors, one.way) == (timing.dataset, timing.processors, BY_HAND)
    )
    return base.best / timing.best


def format_table(timings: Sequence[Timing]) -> str:
    """Return a Markdown table: MB of values per second, and ratios against h5py on as many processors."""
    ways = [(way, n) for way in (BY_HAND, LOCAL, BATCHES) for n in sorted({timing.processors for timing in timings})]
    lines = ["| MB/s | " + " | ".join(f"{way}, {n} cpu" for way, n in ways) + " |", "|---|" + "--:|" * len(ways)]
    for name in dict.fromkeys(timing.dataset for timing in timings):
        cells = []
        for way, n in ways:
            timing = next(one for one in timings if (one.dataset, one.way, one.processors) == (name, way, n))
            speed = timing.n_bytes / timing.best / 1e6
            cells.append(f"{speed:.0f}" if way == BY_HAND else f"{speed:.0f} ({ratio(timings, timing):.2f} x)")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def find_missed(timings: Sequence[Timing]) -> list[str]:
    """Return the targets that are missed, one line each."""
    return [
        f"{timing.dataset} on {timing.processors} cpu: {ratio(timings, timing):.2f} times h5py, target {target:g}"
        for timing in timings
        if timing.way == LOCAL and timing.dataset.startswith("gzip and shuffle")
        for target in (TARGETS[timing.processors],)
        if ratio(timings, timing) < target
    ]


def save(path: Path, timings: Sequence[Timing], *, n_rows: int) -> None:
    """Write the measurements as JSON."""
    path.parent.mkdir(exist_ok=True)
    record = {
        "recording": {"rows": n_rows, "channels": N_CHANNELS, "dtype": "<i2"},
        "machine": describe_machine(),
        "versions": {name: version(name) for name in ("h5py", "hdf5plugin", "isal", "numcodecs", "numpy")},
        "timings": [asdict(timing) | {"ratio": ratio(timings, timing)} for timing in timings],
    }
    path.write_text(json.dumps(record, indent=1) + "\n")


def main() -> int:
    """Measure, print the table, save the result; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_500_000, help="of 96 channels")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", default=[], help="beginnings of names of datasets")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a target is missed")
    parser.add_argument("--no-save", action="store_true", help="print only")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task is not None:
        run_task(json.loads(arguments.task))
        return 0
    path = ensure_recording(arguments.rows)
    names = [name for name in DATASETS if not arguments.only or name.startswith(tuple(arguments.only))]
    timings = [timing for n in TARGETS for timing in measure_bound(path, names, rounds=arguments.rounds, processors=n)]
    print(format_table(timings))
    if not arguments.no_save:
        save(RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-decode.json", timings, n_rows=arguments.rows)
    missed = find_missed(timings)
    for line in missed:
        print(f"MISSED {line}")
    return 1 if arguments.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
