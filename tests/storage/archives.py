"""An archive with a few sessions, for tests of what is read through it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import nwb_dask
from nwb_dask.testing import DandiServer
from nwb_dask.testing.files import write_session

VERSION = "0.231012.2129"
DANDISET = "dandi://dandi/000363"
NAMES = ("sub-1/sub-1_ses-1.nwb", "sub-1/sub-1_ses-2.nwb", "sub-B/sub-B_ses-1.nwb", "sub-a/sub-a_ses-1.nwb")
"""As they are sorted by character, which is not how a database sorts them."""
KEY = "canary-of-a-key"


def write_small(folder: Path) -> dict[str, Path]:
    """Write the sessions of `NAMES`, each of other values, and return their files by path."""
    return {
        name: write_session(
            folder / f"{i}.nwb", seed=i, session_id=f"session-{i}", n_units=5, spikes_per_unit=10, n_samples=2000
        )
        for i, name in enumerate(NAMES)
    }


@contextmanager
def serving(folder: Path, files: dict[str, Path]) -> Iterator[DandiServer]:
    """Return an archive that has the files in a draft and a version; pages hold three assets."""
    folder.mkdir()
    with DandiServer(folder, page_size=3) as archive:
        for name, file in files.items():
            archive.add("000363", name, file)
        archive.publish("000363", VERSION)
        yield archive


def named(path: str, version: str = VERSION) -> str:
    """Return the name of an asset."""
    return f"{DANDISET}@{version}/{path}"


def asked(archive: DandiServer, what: str) -> int:
    """Return how many questions of the API were about this."""
    return sum(what in request.target for request in archive.api.log)


def forget(archive: DandiServer) -> None:
    """Count from nothing."""
    archive.api.reset()
    archive.storage.reset()


def units_and_series(source: object) -> tuple[list[float], list[float]]:
    """Read a ragged column and a series of one file, whose order of requests does not matter."""
    frame = nwb_dask.read_table(source, "/units", "arrow", columns=["spike_times"])
    spikes = [value for row in frame["spike_times"].to_pylist() for value in row]
    return spikes, [float(value) for value in nwb_dask.open_timeseries(source, "lfp", dtype="float64").values.ravel()]


def kept_text(folder: Path) -> bytes:
    """Return everything in the files below a folder."""
    paths = [Path(place, name) for place, _, names in os.walk(folder) for name in names]
    return b"".join(path.read_bytes() for path in paths)


def everything_said(caplog: pytest.LogCaptureFixture) -> str:
    """Return all that was logged, at any level."""
    return "\n".join(logging.Formatter().format(record) for record in caplog.records)
