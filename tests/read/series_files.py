"""Opens files as `nwb_dask.read.series` wants them, and looks things up in what it says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from nwb_dask.backends import File, open_file
from nwb_dask.index import ArrayEntry
from nwb_dask.model.series import Label, Series
from nwb_dask.read.series import describe_series
from tests.backends.stores import open_local


@contextmanager
def opened(path: Path) -> Iterator[File]:
    """Return a local file, open for the length of the block."""
    with open_local(path) as store, open_file(store) as file:
        yield file


def described(path: Path, series: str) -> Series:
    """Return the description of one series of a file."""
    with opened(path) as file:
        return describe_series(file, series)


def label(series: Series, name: str) -> Label:
    """Return the label of that name."""
    return {one.name: one for one in series.labels}[name]


def values(series: Series, name: str) -> npt.NDArray[Any]:
    """Return the values of a label that is in memory."""
    found = label(series, name).values
    assert not isinstance(found, ArrayEntry)
    return np.asarray(found)


def address(entry: ArrayEntry | None) -> int:
    """Return where a dataset is stored."""
    assert entry is not None
    found = entry.offset if entry.chunk_index is None else entry.chunk_index.address
    assert found is not None
    return found


def text(stored: object) -> str:
    """Return a text of h5py."""
    return stored.decode() if isinstance(stored, bytes) else str(stored)


def column(file: h5py.File, path: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Return rows of a column as h5py reads them, text as `str`."""
    dataset = file[path]
    if h5py.check_string_dtype(dataset.dtype):
        dataset = dataset.asstr()
    return np.asarray(dataset[()])[rows]
