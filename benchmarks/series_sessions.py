"""Sessions that `benchmarks.series` reads: copies of one recording, one for each round, and many small ones."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.ephys import TINY, ensure_ephys
from benchmarks.sessions import WORK
from nwb_dask.testing.ephys import LFP_PATH, LFP_START, write_ephys

FOLDER = WORK / "series"
SMALL: Mapping[str, Any] = {
    **TINY, "n_units": 20, "n_spikes": 5000, "n_trials": 20, "n_presentations": 10, "lfp_shape": (20_000, 16),
    "lfp_chunk": (5000, 8),
}  # fmt: skip
"""One of many: the objects of the large one, in some 2 MB."""
N_DISTINCT = 10
"""Small sessions that are written; the others are copies of these."""
VERSION = 1
"""Raised when the sessions are to be written anew."""

SAMPLED = LFP_PATH
"""A series with a rate and gzip chunks."""
STAMPED = "/processing/behavior/Position/gaze"
"""A series with timestamps."""
START = LFP_START


def ensure_copies(count: int, *, is_tiny: bool) -> list[Path]:
    """Return `count` copies of one recording, in the page cache.

    Files of their own, no links: libhdf5 knows a file that is open by its inode, and what a library remembers of one
    copy is of no use for the next.
    """
    original = ensure_ephys("gzip", is_tiny=is_tiny, n_many=0).one
    copies = [FOLDER / ("tiny" if is_tiny else "full") / f"session_{number:02}.nwb" for number in range(count)]
    for copy in copies:
        _ensure_copy(copy, original)
    return [_warm(copy) for copy in copies]


def ensure_small(count: int) -> list[Path]:
    """Return `count` small sessions in the page cache, of which every tenth has the same values."""
    folder = FOLDER / f"small-{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    distinct = [folder / f"original_{number}.nwb" for number in range(min(count, N_DISTINCT))]
    for number, original in enumerate(distinct):
        if not original.exists():
            # Written under another name first: an interrupted run leaves no half session behind.
            unfinished = original.with_suffix(".unfinished.nwb")
            write_ephys(unfinished, layout="gzip", seed=number, **SMALL)
            unfinished.rename(original)
    copies = [folder / f"session_{number:04}.nwb" for number in range(count)]
    for number, copy in enumerate(copies):
        _ensure_copy(copy, distinct[number % len(distinct)])
    return [_warm(copy) for copy in copies]


def _ensure_copy(copy: Path, original: Path) -> None:
    stale = copy.exists() and copy.stat().st_mtime < original.stat().st_mtime
    if copy.exists() and not stale and copy.stat().st_size == original.stat().st_size:
        return
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(original, copy)


def _warm(file: Path) -> Path:
    with file.open("rb", buffering=0) as opened:
        while opened.read(1 << 24):
            pass
    return file
