"""pynwb as its documentation streams files: over remfile or over fsspec, which the argument names.

fsspec keeps what it has fetched on disk, in a `CachingFileSystem`, which is its fastest way even if nobody reads the
disk again; remfile does in the modes ``fill`` and ``warm``, in its `DiskCache`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, BinaryIO

import fsspec.implementations.cached
import h5py
import numpy as np
import pandas as pd
import remfile
from hdmf.common import DynamicTable
from pynwb import NWBHDF5IO, NWBFile, TimeSeries

from benchmarks.peers.remote_contest import UNIT_COLUMNS, Columns, Question, Way, listed, serve

CHUNK_CACHE_BYTES = 64 * 1024 * 1024
"""With h5py's default, chunks of 10 MB would be inflated again for each unit."""
BLOCK_BYTES = 256 * 1024
"""Best of fsspec's modes for HDF5: of its default, 5 MB of read-ahead, nearly all is in vain."""

Listing = tuple[dict[str, tuple[int, tuple[str, ...]]], dict[str, int]]


def open_remfile(question: Question) -> BinaryIO:
    """Return the file, through remfile."""
    cache = None if question.mode == "cold" else remfile.DiskCache(str(question.kept("remfile")))
    file: BinaryIO = remfile.File(question.urls[0], disk_cache=cache)
    return file


def open_fsspec(question: Question) -> BinaryIO:
    """Return the file, through fsspec."""
    kept = fsspec.implementations.cached.CachingFileSystem("http", cache_storage=str(question.kept("fsspec")))
    file: BinaryIO = kept.open(question.urls[0], "rb", block_size=BLOCK_BYTES)
    return file


OPEN = {"remfile": open_remfile, "fsspec": open_fsspec}[sys.argv[1]]


@contextmanager
def open_nwb(question: Question) -> Iterator[tuple[NWBFile, NWBHDF5IO]]:
    """Give the session, and close everything at the end: fsspec notes only then which blocks it has."""
    with (
        closing(OPEN(question)) as file,
        h5py.File(file, rdcc_nbytes=CHUNK_CACHE_BYTES) as opened,
        NWBHDF5IO(file=opened) as io,
    ):
        yield io.read(), io


def list_objects(question: Question) -> Listing:
    """Return every table with its columns and every series, by path."""
    tables: dict[str, tuple[int, tuple[str, ...]]] = {}
    series: dict[str, int] = {}
    with open_nwb(question) as (nwb, io):
        for item in nwb.objects.values():
            if not isinstance(item, DynamicTable | TimeSeries):
                continue
            builder = io.manager.get_builder(item)
            path = f"{builder.location}/{builder.name}".replace("root", "", 1).replace("//", "/")
            if isinstance(item, DynamicTable):
                for column in item.columns:
                    _ = column.data.shape, column.data.dtype
                tables[path] = (len(item), item.colnames)
            else:
                series[path] = item.data.shape[0]
    return tables, series


def read_trials(question: Question) -> pd.DataFrame:
    """Return all columns of the trials."""
    with open_nwb(question) as (nwb, _):
        frame: pd.DataFrame = nwb.trials.to_dataframe()
        return frame


def read_units(question: Question) -> Columns:
    """Return columns and spike times of the units that are wanted, read unit by unit."""
    with open_nwb(question) as (nwb, _):
        units = nwb.units
        quality = np.asarray(units["quality"].data[:])
        wanted = (quality == question.quality) & (units["presence_ratio"].data[:] > question.presence_ratio)
        columns = {name: np.asarray(units[name].data[:])[wanted] for name in UNIT_COLUMNS if name != "spike_times"}
        return columns | {"spike_times": [units.get_unit_spike_times(int(unit)) for unit in np.flatnonzero(wanted)]}


def read_lfp(question: Question) -> Columns:
    """Return the samples that are wanted."""
    with open_nwb(question) as (nwb, _):
        _, _, module, container, name = question.series.split("/")
        series = nwb.processing[module][container][name]
        start, stop = question.span(series.starting_time, series.rate)
        return {
            "timestamps": np.arange(start, stop) / series.rate + series.starting_time,
            "data": series.data[start:stop],
        }


def _trials(frame: pd.DataFrame) -> Columns:
    columns: dict[str, Any] = {"id": frame.index.to_numpy()} | {name: list(frame[name]) for name in frame.columns}
    columns["timeseries"] = [
        [part for reference in row for part in (reference.idx_start, reference.count, reference.timeseries.name)]
        for row in columns["timeseries"]
    ]
    return columns


if __name__ == "__main__":
    serve(
        {
            "list": Way(list_objects, lambda found: listed(*found)),
            "trials": Way(read_trials, _trials),
            "units": Way(read_units, lambda columns: columns),
            "lfp": Way(read_lfp, lambda columns: columns),
        },
        ["pynwb", "hdmf", "h5py", "fsspec", "remfile"],
        preload=["encodings.ascii", "netrc", "shlex", "fsspec.implementations.http"],
    )
