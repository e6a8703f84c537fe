"""Write the ephys sessions that `benchmarks.remote` serves: once, with pynwb, into ``benchmarks/.work/ephys``.

::

    python -m benchmarks.ephys --layout chunked
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pynwb import __version__

from benchmarks.sessions import WORK
from nwb_dask.testing.ephys import EphysLayout, write_ephys

LAYOUTS: tuple[EphysLayout, ...] = ("contiguous", "chunked", "gzip")
FOLDER = WORK / "ephys"
"""What is served; files are named below it."""

FULL: Mapping[str, Any] = {}
"""One session with 500 units, 5.7 million spikes and 20 minutes of LFP: 270 MB."""
ONE_OF_MANY: Mapping[str, Any] = {
    "seconds": 120.0, "n_units": 50, "n_spikes": 400_000, "n_trials": 300, "n_presentations": 400,
    "lfp_shape": (150_000, 32),
}  # fmt: skip
"""The same objects, smaller: 13 MB."""
TINY: Mapping[str, Any] = {
    "seconds": 20.0, "n_units": 40, "n_spikes": 20_000, "n_trials": 30, "n_presentations": 40,
    "lfp_shape": (50_000, 8), "lfp_chunk": (5000, 4),
}  # fmt: skip
"""For `--check`."""

N_MANY = 120
N_DISTINCT = 12
"""Sessions of the set of many that are written; the others are copies of these under names of their own."""
VERSION = 1
"""Raised when the sessions are to be written anew."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """One session, and many smaller ones, of one layout."""

    layout: EphysLayout
    one: Path
    many: list[Path]

    def name(self, file: Path) -> str:
        """Return the name of a file below the folder that is served."""
        return file.relative_to(FOLDER).as_posix()


def ensure_ephys(layout: EphysLayout, *, is_tiny: bool = False, n_many: int = N_MANY) -> Sessions:
    """Return the sessions of a layout; those that are absent or not as large as they were written are written."""
    folder = FOLDER / (f"{layout}-tiny" if is_tiny else layout)
    one = _ensure(folder, "session", TINY if is_tiny else FULL, layout, seed=0)
    smaller = TINY if is_tiny else ONE_OF_MANY
    distinct = [
        _ensure(folder, f"many_{number:03}", smaller, layout, seed=number + 1)
        for number in range(min(n_many, N_DISTINCT))
    ]
    many = list(distinct)
    for number in range(len(distinct), n_many):
        original, copy = distinct[number % len(distinct)], folder / f"many_{number:03}.nwb"
        if copy.exists() and copy.stat().st_mtime < original.stat().st_mtime:
            copy.unlink()
        # A copy, no link: its inode and so its ETag are its own.
        _ensure_file(copy, original.stat().st_size, partial(shutil.copyfile, original))
        many.append(copy)
    return Sessions(layout, one, many)


def _ensure(folder: Path, name: str, sizes: Mapping[str, Any], layout: EphysLayout, *, seed: int) -> Path:
    file, described = folder / f"{name}.nwb", folder / f"{name}.json"
    recipe = json.loads(json.dumps({**sizes, "layout": layout, "seed": seed, "pynwb": __version__, "version": VERSION}))
    written = json.loads(described.read_text()) if described.exists() else {}
    if written.get("recipe") != recipe:
        file.unlink(missing_ok=True)
    _ensure_file(file, written.get("bytes"), partial(write_ephys, layout=layout, seed=seed, **sizes))
    described.write_text(json.dumps({"recipe": recipe, "bytes": file.stat().st_size}) + "\n")
    return file


def _ensure_file(file: Path, size_bytes: int | None, write: Any) -> None:  # noqa: ANN401  # any function of a path
    if file.exists() and file.stat().st_size == size_bytes:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    # Written under another name first: an interrupted run leaves no half session behind.
    unfinished = file.with_suffix(".unfinished.nwb")
    write(unfinished)
    unfinished.rename(file)


def main() -> None:
    """Write the sessions that the arguments ask for and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layout", choices=LAYOUTS, nargs="*", default=LAYOUTS)
    parser.add_argument("--many", type=int, default=N_MANY)
    arguments = parser.parse_args()
    for layout in arguments.layout:
        start = time.perf_counter()
        sessions = ensure_ephys(layout, n_many=arguments.many)
        one, many = (sum(file.stat().st_size for file in files) / 1e6 for files in ([sessions.one], sessions.many))
        print(
            f"{layout}: one of {one:.0f} MB, {len(sessions.many)} of {many:.0f} MB, {time.perf_counter() - start:.1f} s"
        )


if __name__ == "__main__":
    main()
