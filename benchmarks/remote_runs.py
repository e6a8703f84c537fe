"""What `benchmarks.remote` measures: cases, runs, and how many bytes an answer needs at least."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from benchmarks.peers.remote_contest import Action, Mode
from nwb_dask.testing.ephys import PRESENCE_RATIO, QUALITY

OURS, LAZYNWB, REMFILE = "nwb_dask", "lazynwb", "remfile + h5py"

ACTIONS: Mapping[Action, str] = {
    "list": "open and list everything",
    "trials": "all columns of trials",
    "units": "filter units, spike_times of 10%",
    "lfp": "1 s of LFP",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One action on one session, or on many, of one layout."""

    layout: str
    action: Action
    is_many: bool = False

    @property
    def title(self) -> str:
        """What the case is called in messages."""
        return f"{self.layout}, {'many: ' if self.is_many else ''}{ACTIONS[self.action]}"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one contestant."""

    seconds: float
    cpu_seconds: float
    """Of all threads of the contestant."""
    requests: int
    sent_bytes: int
    """Of the bodies of all answers."""
    rounds: int
    """Times that something was in flight after nothing was."""
    spike_bytes: int = 0
    """Those of `sent_bytes` that lie in the storage of ``spike_times``."""


@dataclass(slots=True)
class Measurement:
    """All runs of one contestant on one case in one mode."""

    title: str
    case: Case
    mode: Mode
    runs: list[Run] = field(default_factory=list)
    error: str = ""
    wrong: set[str] = field(default_factory=set)
    """Columns that differ from those of h5py on the local file."""
    missing: set[str] = field(default_factory=set)
    """Columns that the contestant does not give."""
    imported: set[str] = field(default_factory=set)
    """Modules that were imported while the clock ran."""
    needed_bytes: int = 0
    """Stored bytes of the spikes that are wanted: their spans if stored without filters, their chunks otherwise."""

    @property
    def seconds(self) -> float:
        """Seconds of the fastest run."""
        return min(run.seconds for run in self.runs)

    @property
    def requests(self) -> int:
        """Requests of the run that needed most."""
        return max(run.requests for run in self.runs)

    @property
    def rounds(self) -> int:
        """Rounds of the run that needed most."""
        return max(run.rounds for run in self.runs)

    @property
    def sent_bytes(self) -> int:
        """Bytes of the run that needed most."""
        return max(run.sent_bytes for run in self.runs)

    @property
    def sent_share(self) -> float:
        """All bytes, as a multiple of the spikes that are needed."""
        return self.sent_bytes / self.needed_bytes

    @property
    def spike_share(self) -> float:
        """Bytes from the storage of ``spike_times``, as a multiple of those that are needed; metadata do not count."""
        return max(run.spike_bytes for run in self.runs) / self.needed_bytes

    @property
    def summary(self) -> str:
        """Requests, MB, rounds and seconds, with what is not right."""
        if self.error:
            return f"fails: {self.error}".splitlines()[0][:60].replace("|", "/")
        if not self.runs:
            return ""
        numbers = f"{self.requests} / {self.sent_bytes / 1e6:.2f} / {self.rounds} / {self.seconds:.3f}"
        return numbers + (" WRONG" if self.wrong else " (partial)" if self.missing else "")

    def record(self) -> dict[str, Any]:
        """Return what is saved."""
        return {
            "title": self.title,
            **asdict(self.case),
            "mode": self.mode,
            "error": self.error,
            "wrong": sorted(self.wrong),
            "missing": sorted(self.missing),
            "needed_bytes": self.needed_bytes,
            "best_seconds": self.seconds if self.runs else None,
            "median_seconds": statistics.median(run.seconds for run in self.runs) if self.runs else None,
            "runs": [asdict(run) for run in self.runs],
        }


Extents: TypeAlias = npt.NDArray[np.int64]
"""Half-open spans of bytes in a file, one per row."""


@dataclass(frozen=True, slots=True)
class Count:
    """Where the spikes of some files are stored, and how many bytes of them the action ``units`` needs."""

    extents: Mapping[str, Extents]
    """By name of the file on the server."""
    needed_bytes: int

    def overlap(self, name: str, start: int, stop: int) -> int:
        """Return how many bytes of a range of a file are spikes."""
        if name not in self.extents:
            return 0
        starts, stops = self.extents[name].T
        return int(np.maximum(np.minimum(stops, stop) - np.maximum(starts, start), 0).sum())


def count_spikes(files: list[Path], names: Mapping[Path, str]) -> Count:
    """Return the storage of the spikes of local files, which are known by `names` to the server."""
    extents, needed_bytes = {}, 0
    for file in files:
        with h5py.File(file) as opened:
            units, spikes = opened["units"], opened["units/spike_times"]
            is_wanted = (units["quality"].asstr()[:] == QUALITY) & (units["presence_ratio"][:] > PRESENCE_RATIO)
            ends = units["spike_times_index"][:].astype(np.int64)
            wanted = np.column_stack([np.append(0, ends[:-1]), ends])[is_wanted]
            stored = _stored(spikes)
        extents[names[file]] = stored[:, 2:]
        if _are_filtered(stored):
            touched = [((wanted[:, 0] < stop) & (start < wanted[:, 1])).any() for start, stop, _, _ in stored]
            needed_bytes += int((stored[:, 3] - stored[:, 2])[touched].sum())
        else:
            needed_bytes += 8 * int((wanted[:, 1] - wanted[:, 0]).sum())
    return Count(extents, needed_bytes)


def _stored(spikes: h5py.Dataset) -> Extents:
    """Return first element, element after the last, first byte and byte after the last of each piece of a column."""
    if spikes.chunks is None:
        offset = spikes.id.get_offset()
        return np.array([[0, len(spikes), offset, offset + spikes.id.get_storage_size()]])
    rows = []
    for number in range(spikes.id.get_num_chunks()):
        chunk = spikes.id.get_chunk_info(number)
        (first,) = chunk.chunk_offset
        rows.append((first, first + spikes.chunks[0], chunk.byte_offset, chunk.byte_offset + chunk.size))
    return np.array(rows, np.int64)


def _are_filtered(stored: Extents) -> bool:
    """Tell whether the pieces take fewer bytes than their elements."""
    return bool(((stored[:, 3] - stored[:, 2]) < 8 * (stored[:, 1] - stored[:, 0])).all())
