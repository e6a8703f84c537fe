from __future__ import annotations

from pathlib import Path

import pytest

from nwb_dask.testing.files import write_session


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("written") / "session.nwb"
    write_session(path, n_units=6, spikes_per_unit=10, n_trials=4, n_samples=0, waveform_samples=4)
    return path.read_bytes()


@pytest.fixture
def session(written: bytes, tmp_path: Path) -> Path:
    """A small good file that a test may change."""
    path = tmp_path / "good.nwb"
    path.write_bytes(written)
    return path
