"""VirtualiZarr: a manifest of the chunks of a series, opened by xarray through zarr.

Datasets that it cannot describe are dropped by name. It does not know what the times of a regular series are; they are
computed by hand, and so is ``conversion``. ``manifest kept`` opens manifests that an earlier run has made.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from obspec_utils.registry import ObjectStoreRegistry  # type: ignore[import-not-found]  # in this one's environment
from obstore.store import LocalStore
from virtualizarr.parsers import HDFParser  # type: ignore[import-not-found]  # the same

from benchmarks.peers.series_contest import (
    Answer,
    Question,
    Way,
    many,
    opened,
    part,
    serve,
    two_workers,
    whole,
)

REGISTRY = ObjectStoreRegistry({"file://": LocalStore()})
DROPPED = ["electrodes", "reference_frame"]
"""References of objects, and text of variable length."""
CHUNK_BYTES = 64 * 1024 * 1024
"""As nwb_dask has them: with one task for each stored chunk, the mean takes longer."""

Open = Callable[[str, str], xr.Dataset]


def make_manifest(file: str, path: str) -> Any:  # noqa: ANN401  # a ManifestStore
    """Return where the chunks of a series are."""
    return HDFParser(group=path, drop_variables=DROPPED)(Path(file).as_uri(), REGISTRY)


def open_first(file: str, path: str) -> xr.Dataset:
    """Return a series of which nothing is known."""
    return _open(make_manifest(file, path))


def open_kept(file: str, path: str) -> xr.Dataset:
    """Return a series whose manifest is kept in this process."""
    return _open(_kept_manifest(file, path))


@cache
def _kept_manifest(file: str, path: str) -> Any:  # noqa: ANN401  # a ManifestStore
    return make_manifest(file, path)


def _open(manifest: Any) -> xr.Dataset:  # noqa: ANN401  # a ManifestStore
    dataset: xr.Dataset = xr.open_zarr(manifest, consolidated=False, zarr_format=3, decode_times=False, chunks={})
    return dataset


def describe(_: Question, dataset: xr.Dataset) -> Answer:
    """Return the shape, and the times where they are stored."""
    stamps = dataset["timestamps"].to_numpy() if "timestamps" in dataset else None
    return opened(dataset["data"].shape, None if stamps is None else (stamps[0], stamps[-1]))


def read_part(question: Question, open_series: Open) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the samples that are wanted, in units, with their times."""
    dataset = open_series(question.files[0], question.series)
    data = dataset["data"]
    if "timestamps" in dataset:
        stamps = dataset["timestamps"].to_numpy()
        start, stop = np.searchsorted(stamps, [question.start_time, question.stop_time])
        times = stamps[start:stop]
    else:
        first, rate = float(dataset["starting_time"]), float(dataset["starting_time"].attrs["rate"])
        start, stop = question.span(first, rate)
        times = np.arange(start, stop) / rate + first
    return times, data[start:stop].to_numpy() * data.attrs["conversion"]


def read_stored(question: Question, open_series: Open) -> npt.NDArray[Any]:
    """Return all samples as they are stored."""
    values: npt.NDArray[Any] = open_series(question.files[0], question.series)["data"].to_numpy()
    return values


def read_in_units(question: Question, open_series: Open) -> npt.NDArray[Any]:
    """Return all samples in units, float64."""
    data = open_series(question.files[0], question.series)["data"]
    values: npt.NDArray[Any] = data.to_numpy() * data.attrs["conversion"]
    return values


def read_mean(question: Question, open_series: Open) -> npt.NDArray[Any]:
    """Return the mean over time, in units, computed by the cluster."""
    data = open_series(question.files[0], question.series)["data"]
    time, channel = data.dims
    rows = data.chunks[0][0] if data.chunks else len(data)
    rows *= max(CHUNK_BYTES // (rows * data.shape[1] * data.dtype.itemsize), 1)
    with two_workers().as_current():
        mean: npt.NDArray[Any] = data.chunk({time: rows, channel: -1}).mean([time]).to_numpy()
    return np.asarray(mean * data.attrs["conversion"])


def open_many(question: Question, open_series: Open) -> list[xr.Dataset]:
    """Return all series."""
    return [open_series(file, question.series) for file in question.files]


def describe_many(question: Question, result: list[xr.Dataset]) -> Answer:
    """Return all shapes, and rows of some."""
    data = {file: dataset["data"] for file, dataset in zip(question.files, result, strict=True)}
    rows = [data[file][0].to_numpy() * data[file].attrs["conversion"] for file in question.sampled]
    return many((data[file].shape for file in question.files), rows)


def keep(question: Question) -> None:
    """Make the manifests."""
    for file in question.files:
        _kept_manifest(file, question.series)


def _ways(open_series: Open, learn: Callable[[Question], None]) -> dict[Any, Way]:
    def summed(read: Callable[[Question, Open], npt.NDArray[Any]]) -> Way:
        return Way(lambda question: read(question, open_series), lambda _, values: whole(values), learn)

    def prepare_mean(question: Question) -> None:
        learn(question)
        two_workers()

    opening = Way(lambda question: open_series(question.files[0], question.series), describe, learn)
    slicing = Way(partial(read_part, open_series=open_series), lambda _, result: part(*result), learn)
    return {
        "open": opening,
        "open_stamped": opening,
        "slice": slicing,
        "slice_stamped": slicing,
        "whole_stored": summed(read_stored),
        "whole": summed(read_in_units),
        "mean": Way(partial(read_mean, open_series=open_series), lambda _, mean: {"mean": mean}, prepare_mean),
        "many": Way(partial(open_many, open_series=open_series), describe_many, learn),
    }


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "Numcodecs codecs are not in the Zarr version 3 specification")
    serve(
        {
            "VirtualiZarr": _ways(open_first, lambda _: None),
            "VirtualiZarr, manifest kept": _ways(open_kept, keep),
        },
        ["virtualizarr", "xarray", "zarr", "obstore", "dask", "numpy"],
    )
