"""Timestamps that stand for a dataset in a file, and say what was read of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass
class Log:
    """What was read: half-open rows."""

    reads: list[tuple[int, int]] = field(default_factory=list)

    @property
    def n_bytes(self) -> int:
        return sum(stop - start for start, stop in self.reads) * 8

    def clear(self) -> None:
        self.reads.clear()


@dataclass(frozen=True)
class SimulatedStamps:
    """Stamps that are computed from row numbers, so that there may be more than memory holds."""

    address: str
    n: int
    block: int
    compute: Callable[[Rows], Labels] = field(compare=False)
    log: Log = field(default_factory=Log, compare=False)

    def read(self, start: int, stop: int) -> Labels:
        assert 0 <= start < stop <= self.n
        self.log.reads.append((start, stop))
        return self.compute(np.arange(start, stop))

    def __dask_tokenize__(self) -> object:
        return ("simulated", self.address)


@dataclass(frozen=True)
class ArrayStamps:
    """Stamps of an array in memory, known by a name."""

    address: str
    values: Labels = field(compare=False)
    block: int = field(default=64, compare=False)
    log: Log = field(default_factory=Log, compare=False)

    @property
    def n(self) -> int:
        return len(self.values)

    def read(self, start: int, stop: int) -> Labels:
        assert 0 <= start < stop <= self.n
        self.log.reads.append((start, stop))
        return self.values[start:stop]

    def __dask_tokenize__(self) -> object:
        return ("array", self.address)


@dataclass(frozen=True)
class H5Stamps:
    """Stamps of a dataset of an HDF5 file, opened for each read."""

    path: Path
    name: str

    @property
    def n(self) -> int:
        with h5py.File(self.path) as file:
            return int(file[self.name].shape[0])

    @property
    def block(self) -> int:
        with h5py.File(self.path) as file:
            chunks = file[self.name].chunks
        return 8192 if chunks is None else int(chunks[0])

    def read(self, start: int, stop: int) -> Labels:
        with h5py.File(self.path) as file:
            return np.asarray(file[self.name][start:stop], np.float64)

    def __dask_tokenize__(self) -> object:
        return ("h5", str(self.path), self.name)
