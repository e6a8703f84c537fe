"""Sessions that differ in everything that analysis must not stumble over, and what is in them.

========= =================================================================================
session 0  units with intervals, trials of three conditions, some without a response
session 1  units without intervals, with a column of their own; trials with a column of theirs
session 2  no trials
session 3  no units
session 4  one unit without spikes, one never observed; trials none of which has a response
session 5  units whose spikes are not sorted, and of float32
========= =================================================================================
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from pynwb import NWBHDF5IO, NWBFile

SECONDS = 200.0


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """One session as it was written."""

    path: Path
    ids: list[int]
    spikes: list[npt.NDArray[np.floating]]
    observed: list[list[tuple[float, float]]] | None
    trials: pd.DataFrame


def write_sessions(folder: Path) -> list[Session]:
    """Write the sessions and return what is in them."""
    return [_write(folder / f"session-{number}.nwb", number) for number in range(6)]


def _write(path: Path, number: int) -> Session:
    random = np.random.default_rng(number)
    n_units = [5, 4, 3, 0, 2, 3][number]
    n_trials = [30, 20, 0, 12, 8, 15][number]
    spikes: list[npt.NDArray[np.floating]] = [
        np.sort(random.uniform(0, SECONDS, random.integers(50, 3000))) for _ in range(n_units)
    ]
    observed = None
    if number == 0:
        observed = [[(0.0, SECONDS)], [(10.0, 60.0), (80.5, 150.0)], [(0.0, SECONDS)], [(30.0, 31.0)], [(0.0, 99.0)]]
    if number == 4:
        spikes[0], observed = np.empty(0), [[(0.0, SECONDS)], []]
    if number == 5:
        spikes = [random.permutation(unit).astype(np.float32) for unit in spikes]
    starts = np.sort(random.uniform(0, SECONDS, n_trials))
    response = starts + random.uniform(0.1, 1, n_trials)
    response[random.random(n_trials) < 0.3] = np.nan
    trials = pd.DataFrame({"start_time": starts, "stop_time": starts + 1.5, "response_time": response})
    trials["condition"] = random.choice(["go", "nogo", ""], n_trials)
    trials["block"] = np.arange(n_trials) // 7
    if number == 4:
        trials["response_time"] = np.nan
    if number == 1:
        trials["laser"] = random.random(n_trials) < 0.5
    session = Session(path, [100 + number * 10 + i for i in range(n_units)], spikes, observed, trials)
    _store(session, number)
    return session


def _store(session: Session, number: int) -> None:
    file = NWBFile(
        session_description="one session",
        identifier=str(number),
        session_start_time=datetime(2024, 1, 1 + number, tzinfo=UTC),
    )
    extra = {1: "depth", 5: "quality"}.get(number)
    if session.ids:
        file.add_unit_column("area", "brain area")
        if extra:
            file.add_unit_column(extra, "only in this session")
    for row, (label, times) in enumerate(zip(session.ids, session.spikes, strict=True)):
        intervals = (
            {} if session.observed is None else {"obs_intervals": np.array(session.observed[row]).reshape(-1, 2)}
        )
        more = {extra: row} if extra else {}
        file.add_unit(spike_times=times, id=label, area="ab"[row % 2], **intervals, **more)
    for name in session.trials.columns[2:]:
        if len(session.trials):
            file.add_trial_column(name, name)
    for trial in session.trials.to_dict("records"):
        file.add_trial(**{str(name): value for name, value in trial.items()})
    with warnings.catch_warnings():
        # pynwb's hints about best practice do not concern files that tests write.
        warnings.simplefilter("ignore", UserWarning)
        with NWBHDF5IO(str(session.path), "w") as io:
            io.write(file)
