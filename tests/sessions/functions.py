"""Functions that tests call for sessions."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import h5py

from nwb_dask.adapters.browse import Session


def count(session: Session, factor: int = 1) -> dict[str, int]:
    """Return the number of units."""
    return {"n": len(session.units) * factor}


def last_spike(session: Session) -> dict[str, float]:
    """Return the time of the last spike of any unit."""
    return {"last": max(map(max, filter(len, session.read("/units", columns=["spike_times"])["spike_times"])))}


def noted(session: Session, folder: str) -> dict[str, int]:
    """Return the number of units, and leave a note of having been called."""
    with Path(folder, Path(session.name).name).open("a") as file:
        file.write("x")
    return count(session)


def deadly(session: Session, folder: str, name: str, n_times: int) -> dict[str, int]:
    """Do the same, and kill the worker so many times for one of the sessions."""
    found = noted(session, folder)
    if session.name.endswith(name) and len(Path(folder, name).read_text()) <= n_times:
        os.kill(os.getpid(), signal.SIGKILL)
    return found


def units_of(path: Path) -> int:
    """Return the number of units, by h5py."""
    with h5py.File(path) as file:
        return len(file["units/id"])
