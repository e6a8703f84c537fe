"""What a worker needs for partitions with ragged columns: its peak over 30 and over 120 of them, next to the largest.

::

    python -m benchmarks.memory                  # writes 120 sessions once; results/memory-<date>.json and .md
    python -m benchmarks.memory --check          # exit code 1 if a bound is missed

Each measurement has a cluster of its own with one worker of one thread. The worker reads one small partition first, for
what is loaded once; then its peak is reset (``/proc/self/clear_refs``), and it reads all partitions: on Linux only.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pandas as pd
from distributed import Client, LocalCluster

import nwb_dask
import nwb_dask.dataframe as dd
from benchmarks.environments import describe_machine
from benchmarks.memory_sessions import Layout, write_memory_sessions
from benchmarks.sessions import WORK
from nwb_dask.testing import RangeServerProcess

RESULTS = Path(__file__).parent / "results"

FACTOR = 2.5
"""Most of what a worker may need more than before, over the size of the largest partition in Arrow."""
CONSTANT_BYTES = 32 << 20
"""What it may need beside: threads, connections, libraries that are loaded late."""
GROWTH_BYTES = 16 << 20
"""What the peak of 120 partitions may be above that of 30."""
LARGEST_BYTES = 40_000_000

QUERIES: Mapping[str, Mapping[str, Any]] = {
    "all columns": {},
    "filter, spike_times": {"columns": ["spike_times"], "filters": [("quality", "==", "good")]},
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One query over some partitions by a fresh worker."""

    layout: str
    where: str
    query: str
    n_partitions: int
    largest_bytes: int
    """The largest partition in Arrow: rows and columns of the query only."""
    base_bytes: int
    """Resident when the partitions began."""
    peak_bytes: int
    """The most that was resident."""
    end_bytes: int
    """Resident when they were done."""

    @property
    def factor(self) -> float:
        """What was needed more than before, over the largest partition."""
        return (self.peak_bytes - self.base_bytes) / self.largest_bytes

    def is_bounded(self) -> bool:
        """Tell whether the peak is within the bound."""
        return self.peak_bytes - self.base_bytes <= FACTOR * self.largest_bytes + CONSTANT_BYTES


def measure(sources: Sequence[str], *, layout: str, where: str, query: str) -> Measured:
    """Return what one worker needs for the units of `sources`, the smallest of which is first, the largest last."""
    options = QUERIES[query]
    largest = nwb_dask.read_table(sources[-1], "/units", "arrow", **options)
    with _worker() as client:
        client.compute(_sizes(sources[:1], options), sync=True)
        (base,) = client.run(_reset_peak).values()
        client.compute(_sizes(sources, options), sync=True)
        ((peak, end),) = client.run(_resident).values()
    return Measured(layout, where, query, len(sources), largest.nbytes, base, peak, end)


@contextmanager
def _worker() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, memory_limit=0, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def _sizes(sources: Sequence[str], query: Mapping[str, Any]) -> Any:  # noqa: ANN401  # a collection of dask
    return dd.read_nwb(list(sources), "/units", **query).map_partitions(_n_rows, meta=pd.Series([0])).optimize()


def _n_rows(frame: pd.DataFrame) -> pd.Series:
    return pd.Series([len(frame)])


def _status() -> dict[str, int]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return {
        name: int(value.split()[0]) * 1024
        for name, _, value in (line.partition(":") for line in lines)
        if name in {"VmRSS", "VmHWM"}
    }


def _reset_peak() -> int:
    # proc(5): 5 sets the peak of the resident memory to what is resident.
    Path("/proc/self/clear_refs").write_text("5")
    return _status()["VmRSS"]


def _resident() -> tuple[int, int]:
    found = _status()
    return found["VmHWM"], found["VmRSS"]


def measure_all(work: Path, *, largest_bytes: int, counts: Sequence[int]) -> list[Measured]:
    """Return all measurements, in the order of layout, place, query and count; the sessions are written into `work`."""
    found = []
    for layout in get_args(Layout):
        folder = work / f"memory-{layout}-{largest_bytes}"
        paths = write_memory_sessions(folder, layout, n_sessions=max(counts), largest_bytes=largest_bytes)
        with RangeServerProcess(folder) as server:
            for where, query, count in itertools.product(("local", "remote"), QUERIES, counts):
                # The same sizes in the same shares, the largest last.
                chosen = paths[:: len(paths) // count]
                chosen[-1] = paths[-1]
                sources = [str(path) if where == "local" else server.url(path.name) for path in chosen]
                found.append(measure(sources, layout=layout, where=where, query=query))
                print(_row(found[-1]), flush=True)
    return found


def missed(found: Sequence[Measured]) -> list[str]:
    """Return the bounds that are missed."""
    said = []
    few = {(one.layout, one.where, one.query): one for one in reversed(found)}
    for one in found:
        first, name = few[one.layout, one.where, one.query], f"{one.layout}, {one.where}, {one.query}"
        if not one.is_bounded():
            said.append(f"{name}: {one.n_partitions} partitions take the worker over the bound")
        if one.peak_bytes - first.peak_bytes > GROWTH_BYTES:
            said.append(f"{name}: {one.n_partitions} partitions need more than {first.n_partitions}")
    return said


HEAD = """\
| layout | where | query | partitions | largest | base | peak | at the end | (peak - base) / largest |
|---|---|---|---:|---:|---:|---:|---:|---:|
"""


def _row(one: Measured) -> str:
    sizes = (one.largest_bytes, one.base_bytes, one.peak_bytes, one.end_bytes)
    shown = " | ".join(f"{size / 1e6:.1f}" for size in sizes)
    return f"| {one.layout} | {one.where} | {one.query} | {one.n_partitions} | {shown} | {one.factor:.2f} |"


def main() -> None:
    """Measure, print a table and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit code 1 if a bound is missed")
    chosen = parser.parse_args()
    print(HEAD, end="")
    found = measure_all(WORK, largest_bytes=LARGEST_BYTES, counts=(30, 120))
    said = missed(found)
    machine = describe_machine()
    today = datetime.now(UTC).date()
    document = {"machine": machine, "measured": [asdict(one) for one in found], "missed": said}
    (RESULTS / f"memory-{today}.json").write_text(json.dumps(document, indent=1) + "\n")
    bound = f"{FACTOR} times the largest partition and {CONSTANT_BYTES / 1e6:.0f} MB"
    lines = [
        HEAD + "\n".join(map(_row, found)),
        "",
        f"Sizes in MB. Bound of peak - base: {bound}; missed: {said or 'none'}.",
    ]
    lines += ["", f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}."]
    (RESULTS / f"memory-{today}.md").write_text("\n".join(lines) + "\n")
    print("\n".join(said), file=sys.stderr)
    sys.exit(1 if said and chosen.check else 0)


if __name__ == "__main__":
    main()
