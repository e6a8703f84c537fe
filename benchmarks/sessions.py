"""Write the sessions that the benchmarks read: once, with pynwb, into ``benchmarks/.work``.

::

    python -m benchmarks.sessions --sessions 120 --layout contiguous
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from hdmf.common import VectorData, VectorIndex
from pynwb import NWBHDF5IO, NWBFile, __version__
from pynwb.epoch import TimeIntervals
from pynwb.misc import Units

WORK = Path(__file__).parent / ".work"
"""Everything that the benchmarks write and do not keep; ignored by git."""

Layout = Literal["contiguous", "chunked"]
LAYOUTS: tuple[Layout, ...] = ("contiguous", "chunked")
"""How pynwb stores columns: ``contiguous`` before version 4, in chunks of up to 4 MB since."""

AREAS = ("CA1", "CA3", "LGd", "VISp", "VISl")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the sessions hold; a set on disk with another recipe is written anew."""

    layout: Layout = "contiguous"
    n_sessions: int = 120
    n_units: int = 150
    n_spikes: int = 5000
    """Spikes per unit, on average; each session has exactly ``n_units * n_spikes``."""
    n_trials: int = 300
    n_electrodes: int = 64
    version: int = 1
    """Raised when this module writes something else for the same numbers."""

    @property
    def folder(self) -> Path:
        """Where the sessions of this recipe are."""
        return WORK / self.layout


def ensure_sessions(recipe: Recipe) -> list[Path]:
    """Return the files of `recipe` in order; those that are not there yet are written.

    A session depends on its number alone, so that sets of different lengths share their files.
    """
    described = recipe.folder / "recipe.json"
    wanted = {name: value for name, value in asdict(recipe).items() if name != "n_sessions"} | {"pynwb": __version__}
    if not described.exists() or json.loads(described.read_text()) != wanted:
        shutil.rmtree(recipe.folder, ignore_errors=True)
        recipe.folder.mkdir(parents=True)
        described.write_text(json.dumps(wanted))
    files = [recipe.folder / f"session_{number:04}.nwb" for number in range(recipe.n_sessions)]
    for number, file in enumerate(files):
        if not file.exists():
            # Written under another name first: an interrupted run leaves no half session behind.
            unfinished = file.with_suffix(".unfinished.nwb")
            write_session(unfinished, number, recipe)
            unfinished.rename(file)
    return files


def write_session(file: Path, number: int, recipe: Recipe) -> None:
    """Write the session `number` of `recipe` with pynwb."""
    rng = np.random.default_rng(number)
    nwb = NWBFile(
        session_description="synthetic session of the benchmarks",
        identifier=f"session-{number:04}",
        session_start_time=datetime(2024, 1, 1, tzinfo=UTC),
        session_id=f"{number:04}",
    )
    device = nwb.create_device("probe")
    groups = [
        nwb.create_electrode_group(f"shank{i}", description="a shank", location=AREAS[i], device=device)
        for i in range(4)
    ]
    for i in range(recipe.n_electrodes):
        group = groups[i * len(groups) // recipe.n_electrodes]
        nwb.add_electrode(group=group, location=group.location, x=0.0, y=20.0 * i, z=0.0)
    nwb.units = _units(rng, groups, recipe)
    nwb.trials = _trials(rng, recipe)
    with NWBHDF5IO(file, "w") as io:
        # Expandable columns are chunked; without any, pynwb 4 writes the contiguous layout of pynwb 3 and before.
        io.write(nwb, **({"expandable": ()} if recipe.layout == "contiguous" else {}))


def _units(rng: np.random.Generator, groups: list[Any], recipe: Recipe) -> Units:
    n_units, n_elements = recipe.n_units, recipe.n_units * recipe.n_spikes
    ends = np.sort(rng.choice(np.arange(1, n_elements), n_units - 1, replace=False, shuffle=False))
    ends = np.linspace(0, n_elements, n_units + 1)[1:].astype(np.int64) // 2 + np.append(ends, n_elements) // 2
    ends[-1] = n_elements
    spike_times = rng.uniform(0, 3600, n_elements)
    for start, stop in zip(np.append(0, ends[:-1]), ends, strict=True):
        spike_times[start:stop].sort()
    firing_rate = np.diff(ends, prepend=0) / 3600
    spikes = VectorData(name="spike_times", description="spike times (s)", data=spike_times)
    observed = VectorData(name="obs_intervals", description="observed (s)", data=np.tile([0.0, 3600.0], (n_units, 1)))
    return Units(
        name="units",
        description="sorted units",
        id=np.arange(n_units) + 1000,
        columns=[
            VectorIndex(name="spike_times_index", target=spikes, data=ends.astype(np.uint32)),
            spikes,
            VectorIndex(name="obs_intervals_index", target=observed, data=np.arange(1, n_units + 1, dtype=np.uint8)),
            observed,
            VectorData(
                name="quality",
                description="judged by a person",
                data=rng.choice(["good", "mua", "noise"], n_units, p=[0.5, 0.3, 0.2]).tolist(),
            ),
            VectorData(name="presence_ratio", description="share of time present", data=rng.uniform(0.5, 1, n_units)),
            VectorData(name="firing_rate", description="spikes per second", data=firing_rate),
            VectorData(name="location", description="brain area", data=rng.choice(AREAS, n_units).tolist()),
            VectorData(
                name="electrode_group",
                description="the shank",
                data=[groups[i * len(groups) // n_units] for i in range(n_units)],
            ),
        ],
    )


def _trials(rng: np.random.Generator, recipe: Recipe) -> TimeIntervals:
    start = np.sort(rng.uniform(0, 3600, recipe.n_trials))
    return TimeIntervals(
        name="trials",
        description="trials",
        columns=[
            VectorData(name="start_time", description="start (s)", data=start),
            VectorData(name="stop_time", description="stop (s)", data=start + rng.uniform(1, 5, recipe.n_trials)),
            VectorData(
                name="stimulus", description="shown", data=rng.choice(["left", "right"], recipe.n_trials).tolist()
            ),
        ],
    )


def main() -> None:
    """Write the sessions that the arguments ask for and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=Recipe().n_sessions)
    parser.add_argument("--layout", choices=LAYOUTS, default="contiguous")
    arguments = parser.parse_args()
    recipe = Recipe(layout=arguments.layout, n_sessions=arguments.sessions)
    start = time.perf_counter()
    files = ensure_sessions(recipe)
    size_bytes = sum(file.stat().st_size for file in files)
    print(f"{len(files)} sessions, {size_bytes / 1e6:.0f} MB, {time.perf_counter() - start:.1f} s: {recipe.folder}")


if __name__ == "__main__":
    main()
