"""Sessions that are converted."""

from __future__ import annotations

from pathlib import Path

import pytest

from nwb_dask.testing.files import write_session


@pytest.fixture(scope="session")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two sessions of one name in different folders; the second has a column more."""
    folder = tmp_path_factory.mktemp("sessions")
    paths = [folder / "day1" / "mouse.nwb", folder / "day2" / "mouse.nwb"]
    for path in paths:
        path.parent.mkdir()
    write_session(paths[0], seed=1, n_units=6, n_trials=5, n_samples=300)
    write_session(paths[1], seed=2, n_units=4, n_trials=7, n_samples=200, trial_columns={"note": list("abcdefg")})
    return paths
