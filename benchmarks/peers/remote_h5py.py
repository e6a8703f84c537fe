"""h5py by hand: what somebody who knows the file layout writes.

With the argument ``local`` it reads local files: what the others are compared with. With ``remfile`` it reads URLs
through remfile, whose cache on disk is kept in the mode ``warm``. Many files are read on threads.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import h5py
import numpy as np

from benchmarks.peers.remote_contest import UNIT_COLUMNS, Columns, Question, Way, listed, serve

IS_LOCAL = sys.argv[1:] == ["local"]
CHUNK_CACHE_BYTES = 64 * 1024 * 1024
"""With h5py's default, chunks of 10 MB would be inflated again for each unit."""
THREADS = 16

Open = Callable[[str, Question], Any]


def open_file(url: str, question: Question) -> h5py.File:
    """Return a local file or one behind a URL, open."""
    if IS_LOCAL:
        return h5py.File(url)
    import remfile  # noqa: PLC0415  # the environment of nwb_dask's own reference run need not have it

    cache = None if question.mode == "cold" else remfile.DiskCache(str(question.kept("remfile")))
    return h5py.File(remfile.File(url, disk_cache=cache), rdcc_nbytes=CHUNK_CACHE_BYTES)


def list_objects(question: Question) -> dict[str, tuple[Any, ...]]:
    """Return shape, dtype, type and column names of every object."""
    found: dict[str, tuple[Any, ...]] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        shape, dtype = (item.shape, item.dtype) if isinstance(item, h5py.Dataset) else (None, None)
        found[f"/{name}"] = (shape, dtype, item.attrs.get("neurodata_type"), item.attrs.get("colnames"))

    with open_file(question.urls[0], question) as file:
        file.visititems(visit)
    return found


def summarize(found: dict[str, tuple[Any, ...]]) -> Columns:
    """Return tables and series of what `list_objects` found."""
    tables = {
        path: (found[f"{path}/id"][0][0], [str(name) for name in names])
        for path, (_, _, _, names) in found.items()
        if names is not None
    }
    series = {
        path: found[f"{path}/data"][0][0]
        for path in found
        if f"{path}/data" in found and (f"{path}/timestamps" in found or f"{path}/starting_time" in found)
    }
    return listed(tables, series)


def read_trials(url: str, question: Question) -> dict[str, Any]:
    """Return all columns of the trials."""
    with open_file(url, question) as file:
        table = file["intervals/trials"]
        columns = {name: table[name][()] for name in table}
        references = {series: file[series].name for series in columns["timeseries"]["timeseries"]}
        columns["timeseries"] = [
            (int(start), int(count), references[series].rpartition("/")[2])
            for start, count, series in columns["timeseries"]
        ]
    for name in [name for name in columns if f"{name}_index" in columns]:
        ends = columns.pop(f"{name}_index")
        columns[name] = [columns[name][start:stop] for start, stop in zip((0, *ends[:-1]), ends, strict=True)]
    return columns


def read_units(url: str, question: Question) -> dict[str, Any]:
    """Return columns and spike times of the units that are wanted, read unit by unit."""
    with open_file(url, question) as file:
        units = file["units"]
        wanted = (units["quality"][:] == question.quality.encode()) & (
            units["presence_ratio"][:] > question.presence_ratio
        )
        columns = {name: units[name][:][wanted] for name in UNIT_COLUMNS if name != "spike_times"}
        ends = units["spike_times_index"][:].astype(np.int64)
        starts = np.append(0, ends[:-1])
        elements = units["spike_times"]
        spikes = [elements[start:stop] for start, stop in zip(starts[wanted], ends[wanted], strict=True)]
    return columns | {"spike_times": spikes}


def read_lfp(url: str, question: Question) -> dict[str, Any]:
    """Return the samples that are wanted."""
    with open_file(url, question) as file:
        series = file[question.series]
        starting_time = series["starting_time"]
        first, rate = float(starting_time[()]), float(starting_time.attrs["rate"])
        start, stop = question.span(first, rate)
        return {"timestamps": np.arange(start, stop) / rate + first, "data": series["data"][start:stop]}


def _each(read: Callable[[str, Question], dict[str, Any]]) -> Callable[[Question], list[dict[str, Any]]]:
    def read_all(question: Question) -> list[dict[str, Any]]:
        if len(question.urls) == 1:
            return [read(question.urls[0], question)]
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(lambda url: read(url, question), question.urls))

    return read_all


def _joined(parts: list[dict[str, Any]]) -> Columns:
    return {
        name: np.concatenate([part[name] for part in parts])
        if isinstance(parts[0][name], np.ndarray)
        else [value for part in parts for value in part[name]]
        for name in parts[0]
    }


if __name__ == "__main__":
    serve(
        {
            "list": Way(list_objects, summarize),
            "trials": Way(_each(read_trials), _joined),
            "units": Way(_each(read_units), _joined),
            "lfp": Way(_each(read_lfp), _joined),
        },
        ["h5py"] if IS_LOCAL else ["h5py", "remfile"],
        preload=["encodings.ascii", "netrc", "shlex", *([] if IS_LOCAL else ["remfile"])],
    )
