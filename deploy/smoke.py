"""Ask a cluster a few questions about some sessions, and print a digest of the answers: the same on every cluster.

::

    python deploy/smoke.py tcp://127.0.0.1:8786
    python deploy/smoke.py scheduler.json --folder /shared/disk
    python deploy/smoke.py tls://scheduler:8786 --folder s3://bucket/smoke --workers 2

Without an address, that of DASK_SCHEDULER_ADDRESS, or of the file that SCHEDULER_FILE names. It writes three small
sessions below `--folder`, which scheduler, workers and this process must reach, and compares the answers with what was
written; with `--source` it takes other sessions with a table of units. Parquet is written below `--folder` too; all
of it is removed at the end.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import dask
import fsspec
import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
from dask.distributed import Client

import nwb_dask
import nwb_dask.dataframe as dd

N_SESSIONS, N_UNITS, FIRST_ID = 3, 20, 5
COLUMNS = ["_nwb_path", "id", "spike_times"]

Answers: TypeAlias = dict[str, list[str]]
_Unit: TypeAlias = tuple[str, int, npt.ArrayLike]


def write_session(path: Path, *, seed: int) -> list[_Unit]:
    """Write a table of units to `path`; return file name, id and spike times of each."""
    rng = np.random.default_rng(seed)
    ends = np.cumsum(rng.integers(0, 50, N_UNITS))
    spikes = rng.uniform(0, 100, ends[-1])
    columns = {
        "id": ("ElementIdentifiers", np.arange(N_UNITS)),
        "spike_times": ("VectorData", spikes),
        "spike_times_index": ("VectorIndex", ends),
    }
    with h5py.File(path, "w") as file:
        file.attrs.update({"neurodata_type": "NWBFile", "namespace": "core", "nwb_version": "2.8.0"})
        units = file.create_group("units")
        units.attrs.update({"neurodata_type": "Units", "namespace": "core", "colnames": ["spike_times"]})
        for name, (kind, values) in columns.items():
            dataset = units.create_dataset(name, data=values)
            dataset.attrs.update({"neurodata_type": kind, "namespace": "hdmf-common"})
        units["spike_times_index"].attrs["target"] = units["spike_times"].ref
    return [(path.name, row, one) for row, one in enumerate(np.split(spikes, ends[:-1]))]


def write_sessions(folder: str) -> tuple[list[str], list[_Unit]]:
    """Put sessions into `folder`, a path or a URL; return where they are and what is in them."""
    system, path = fsspec.core.url_to_fs(folder)
    system.makedirs(path, exist_ok=True)
    urls, units = [], []
    with tempfile.TemporaryDirectory() as here:
        for seed in range(N_SESSIONS):
            name = f"session-{seed}.nwb"
            units += write_session(Path(here, name), seed=seed)
            urls.append(f"{folder}/{name}")
            system.put_file(str(Path(here, name)), f"{path}/{name}")
    return urls, units


def unit_line(path: str, number: int, spikes: npt.ArrayLike | None) -> str:
    """Return one row as text, to the last bit."""
    values = np.ascontiguousarray(np.asarray([] if spikes is None else spikes, dtype="<f8"))
    name = str(path).rstrip("/").rpartition("/")[2]
    return f"{name} {number} {len(values)} {hashlib.sha256(values.tobytes()).hexdigest()}"


def unit_lines(frame: pd.DataFrame) -> list[str]:
    """Return rows as text, in an order that does not depend on who came first."""
    return sorted(unit_line(*row) for row in zip(frame["_nwb_path"], frame["id"], frame["spike_times"], strict=True))


def group_lines(frame: pd.DataFrame) -> list[str]:
    """Return a table of count, least and most per file as text."""
    rows = zip(frame.index, frame["count"], frame["min"], frame["max"], strict=True)
    return sorted(f"{str(path).rpartition('/')[2]} {count} {least} {most}" for path, count, least, most in rows)


def ask(units: dd.DataFrame, folder: str) -> Answers:
    """Return the answers to all questions about `units`, a Dask DataFrame; Parquet is written to `folder`."""
    some = units[units.id >= FIRST_ID]
    found = {"filter": unit_lines(some.compute())}
    found["groupby"] = group_lines(units.groupby("_nwb_path").id.agg(["count", "min", "max"]).compute())
    # On a cluster both are P2P: ragged columns travel between workers.
    found["shuffle"] = unit_lines(units.shuffle("id", npartitions=4).compute())
    keys = some[["_nwb_path", "id"]]
    found["merge"] = unit_lines(keys.merge(units, on=["_nwb_path", "id"], how="inner")[COLUMNS].compute())
    some.to_parquet(f"{folder}/units.parquet", write_index=False)
    found["parquet"] = unit_lines(dd.read_parquet(f"{folder}/units.parquet").compute())
    return found


def expect(units: Iterable[_Unit]) -> Answers:
    """Return the answers that follow from what was written, without reading it."""
    units = list(units)
    every = sorted(unit_line(*one) for one in units)
    some = sorted(unit_line(*one) for one in units if one[1] >= FIRST_ID)
    names = sorted({name for name, _, _ in units})
    groups = [f"{name} {N_UNITS} 0 {N_UNITS - 1}" for name in names]
    return {"filter": some, "groupby": groups, "shuffle": every, "merge": some, "parquet": some}


def digest_of(answers: Answers) -> str:
    """Return a digest of all answers."""
    text = "\n".join(f"{name}\n" + "\n".join(lines) for name, lines in sorted(answers.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def connect(address: str | None, seconds: float) -> Client:
    """Return a client of the cluster at an address or in a scheduler file."""
    address = address or os.environ.get("DASK_SCHEDULER_ADDRESS") or os.environ.get("SCHEDULER_FILE")
    if not address:
        sys.exit("no cluster: give the address of a scheduler, or set SCHEDULER_FILE or DASK_SCHEDULER_ADDRESS")
    try:
        if "://" in address:
            return Client(address, timeout=seconds)
        until = time.monotonic() + seconds
        while not Path(address).exists() and time.monotonic() < until:
            time.sleep(0.2)
        if not Path(address).exists():  # the client would wait for it for ever
            sys.exit(f"no cluster at {address}: there is no such file after {seconds:g} s")
        return Client(scheduler_file=address, timeout=seconds)
    except (OSError, ValueError, TypeError) as error:
        sys.exit(f"no cluster at {address}: {error}")


def check(client: Client, *, folder: str | None, source: Sequence[str], n_workers: int, seconds: float) -> None:
    """Ask the cluster of `client`, compare, and print the digest; exit with words if something is wrong."""
    with ExitStack() as stack:
        base = folder or stack.enter_context(tempfile.TemporaryDirectory())
        place = f"{base.rstrip('/')}/smoke-{uuid.uuid4().hex[:8]}"
        system, path = fsspec.core.url_to_fs(place)
        stack.callback(lambda: system.exists(path) and system.rm(path, recursive=True))
        try:
            client.wait_for_workers(n_workers, timeout=seconds)
        except TimeoutError:
            n_found = len(client.scheduler_info()["workers"])
            sys.exit(f"{n_found} of {n_workers} workers after {seconds:g} s: look into the logs of the workers")
        written: list[_Unit] = []
        if not source:
            source, written = write_sessions(place)
        start = time.perf_counter()
        answers = ask(dd.read_nwb(list(source), "/units", columns=COLUMNS[1:])[COLUMNS], place)
        took = time.perf_counter() - start
        n_found = len(client.scheduler_info()["workers"])
    report(answers, expect(written) if written else None)
    print(f"ok: {len(source)} sessions, {n_found} workers, {took:.1f} s, nwb_dask {nwb_dask.__version__}")


def report(answers: Answers, expected: Answers | None) -> None:
    """Print the digest, or exit with the name of a question whose answer is wrong."""
    for name, lines in (expected or {}).items():
        if answers[name] != lines:
            wrong = len(set(answers[name]) ^ set(lines))
            sys.exit(f"wrong answer: {name} gives {len(answers[name])} rows, {len(lines)} are expected; {wrong} differ")
    print(f"digest: {digest_of(answers)}")


def run_on_parts(parts: str) -> None:
    """Ask the same of Parquet that a job array has written from the sessions, without a cluster."""
    with tempfile.TemporaryDirectory() as folder, dask.config.set(scheduler="threads"):
        units = dd.read_parquet(f"{parts.rstrip('/')}/share-*[0-9]/*.parquet")
        # Of lists in plain Parquet dask makes Python objects, which it cannot write again.
        units = units.astype({"spike_times": "nwb[list<double>]"})
        report(ask(units[COLUMNS], folder), None)
    print("ok: parts of a job array")


def main(arguments: Sequence[str] | None = None) -> None:
    """Take the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", nargs="?", help="of the scheduler, or a scheduler file")
    parser.add_argument("--folder", help="path or URL for sessions and Parquet; a temporary folder by default")
    parser.add_argument("--source", nargs="+", default=[], help="sessions to ask about, in place of those it writes")
    parser.add_argument("--workers", type=int, default=1, help="how many to wait for")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for them")
    parser.add_argument("--write", metavar="FOLDER", help="only write the sessions, into FOLDER")
    parser.add_argument("--parts", metavar="FOLDER", help="ask about the parts of a job array, without a cluster")
    given = parser.parse_args(arguments)
    if given.write:
        print("\n".join(write_sessions(given.write)[0]))
    elif given.parts:
        run_on_parts(given.parts)
    else:
        with connect(given.address, given.timeout) as client:
            wanted = {"folder": given.folder, "source": given.source}
            check(client, **wanted, n_workers=given.workers, seconds=given.timeout)


if __name__ == "__main__":
    main()
