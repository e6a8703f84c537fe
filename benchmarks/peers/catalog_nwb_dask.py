"""nwb_dask: one question over a catalog, planned, pruned and optimized; nothing is read. See `benchmarks.catalog`."""

from __future__ import annotations

import json
import pickle
import sys
import time

import distributed.protocol.pickle as wire

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.cataloguing.catalog import Catalog

QUESTIONS = {
    "everything": None,
    "predicate": lambda df, _: df[(df.firing_rate > 0.95) & (df.location == "CA1")],
    "one session by session_id": lambda df, number: df[df.session_id == f"ses-{number:05d}"],
    "one file by path": lambda df, number: df[df["_nwb_path"] == path_of(number)],
}


def path_of(number: int) -> str:
    """Return the path of a session of a simulated catalog."""
    return f"s3://simulated/sub-{number // 4:05d}/sub-{number // 4:05d}_ses-{number:05d}.nwb"


def ask(catalog: Catalog, question: str) -> dict[str, float]:
    """Return what one question costs the client, and what it sends."""
    start = time.perf_counter()
    frame = dd.read_nwb(catalog, "/units", session_columns=["session_id"])
    planned = time.perf_counter()
    query = QUESTIONS[question]
    asked = frame if query is None else query(frame, frame.npartitions // 2)
    optimized = asked.optimize()
    done = time.perf_counter()
    sent = len(wire.dumps(optimized.expr, protocol=pickle.HIGHEST_PROTOCOL))
    graph = optimized.__dask_graph__()
    return {
        "plan_seconds": planned - start,
        "optimize_seconds": done - planned,
        "partitions": optimized.npartitions,
        "tasks": len(graph),
        "sent_bytes": sent,
    }


def main() -> None:
    """Ask once cold and twice more; dask and the reader have been used on another catalog, which is their import."""
    folder, question, small = sys.argv[1:]
    ask(nwb_dask.open_catalog(small), question)
    before, start = time.process_time(), time.perf_counter()
    catalog = nwb_dask.open_catalog(folder)
    opened = time.perf_counter() - start
    cold = ask(catalog, question)
    cold["plan_seconds"] += opened
    cold["cpu_seconds"] = time.process_time() - before
    warm = [ask(catalog, question) for _ in range(3)]
    print(json.dumps({"cold": cold, "warm": min(warm, key=lambda one: one["plan_seconds"] + one["optimize_seconds"])}))


if __name__ == "__main__":
    main()
