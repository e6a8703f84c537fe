"""Runs commands in this process, on generated sessions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nwb_dask.cli.program import program
from nwb_dask.testing.files import write_session

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """A command as a shell would run it, with stdout and stderr apart."""

    def call(*arguments: object, **options: object) -> Result:
        return CliRunner().invoke(program, [str(one) for one in arguments], prog_name="nwb-dask", **options)  # type: ignore[arg-type]  # options of click's runner

    return call


@pytest.fixture(scope="session")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two sessions, of which the second has no trials and no series."""
    folder = tmp_path_factory.mktemp("cli")
    first = write_session(folder / "a.nwb", n_units=6, n_trials=4, n_samples=10, n_electrodes=2, seed=1)
    return [first, write_session(folder / "b.nwb", n_units=3, n_trials=0, n_samples=0, n_electrodes=0, seed=2)]


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A file that is no HDF5."""
    path = tmp_path / "bad.nwb"
    path.write_text("text")
    return path
