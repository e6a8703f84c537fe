"""Small sessions that functions are called for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nwb_dask.testing.files import write_session


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sessions, of 3, 4 and 5 units."""
    folder = tmp_path_factory.mktemp("sessions")
    for i in range(3):
        write_session(folder / f"s{i}.nwb", n_units=3 + i, n_trials=2, n_samples=0, n_electrodes=0, seed=i)
    return folder


@pytest.fixture
def sessions(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(written, tmp_path / "in"))
