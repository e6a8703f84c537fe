from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import dask
import pytest

from nwb_dask.testing import RangeServer
from nwb_dask.testing.ephys import EphysLayout
from nwb_dask.testing.files import Layout
from tests.budgets import ephys
from tests.budgets.elsewhere import Elsewhere, another_process
from tests.budgets.knowing import Knowledge
from tests.budgets.sessions import LAYOUTS, write_large_session

Fresh = Callable[[Layout], Path]
"""Layout -> a file of it under a name that nothing in this process has seen."""


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> dict[Layout, Path]:
    """Sessions of more than 20 MB with the same values in every layout."""
    folder = tmp_path_factory.mktemp("large")
    return {layout: write_large_session(folder / f"{layout}.nwb", layout) for layout in LAYOUTS}


@pytest.fixture
def fresh(large: dict[Layout, Path], tmp_path: Path) -> Fresh:
    """Gives files that no cache of this process knows."""
    numbers = count()

    def link(layout: Layout) -> Path:
        path = tmp_path / f"{layout}-{next(numbers)}.nwb"
        path.hardlink_to(large[layout])
        return path

    return link


@pytest.fixture(scope="session")
def ephys_sessions(tmp_path_factory: pytest.TempPathFactory) -> dict[EphysLayout, Path]:
    """Sessions of 400 objects with the same values in every layout, alone in their folder."""
    folder = tmp_path_factory.mktemp("ephys")
    return {layout: ephys.write_small_ephys(folder / f"{layout}.nwb", layout) for layout in ephys.LAYOUTS}


@pytest.fixture(scope="session")
def elsewhere() -> Iterator[Elsewhere]:
    """Gives a process that knows nothing of what this one knows."""
    with another_process() as process:
        yield process


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    """Serves the files of `fresh`."""
    with RangeServer(tmp_path) as running:
        yield running


@pytest.fixture(autouse=True)
def knowledge(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Knowledge:
    """Nothing is known of any file when a test begins: ports and names of files return."""
    monkeypatch.setenv("NWB_DASK_CACHE_DIR", "")
    return Knowledge(tmp_path_factory.mktemp("knowledge"))


@pytest.fixture(autouse=True)
def on_threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compute on threads, unless there is a client."""
    with dask.config.set({} if "client" in request.fixturenames else {"scheduler": "threads"}):
        yield
