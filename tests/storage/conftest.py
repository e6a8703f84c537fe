from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nwb_dask.storage import retry
from nwb_dask.testing import DandiServer, RangeServer
from tests.storage import archives, keeping
from tests.storage.serving import CONTENT, NAME


@pytest.fixture
def bucket_server(tmp_path: Path) -> Iterator[RangeServer]:
    """Serves `CONTENT` as ``bucket/a.nwb``."""
    (tmp_path / NAME).parent.mkdir()
    (tmp_path / NAME).write_bytes(CONTENT)
    with RangeServer(tmp_path) as running:
        yield running


@pytest.fixture
def no_cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hides the credentials and endpoints of the machine."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_", "STORAGE_EMULATOR", "IDENTITY_", "NWB_DASK_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets tries follow each other without a pause worth mentioning."""
    monkeypatch.setattr(retry, "_FIRST_SECONDS", 0.001)


@pytest.fixture(scope="session")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files of an archive by path."""
    return archives.write_small(tmp_path_factory.mktemp("sessions"))


@pytest.fixture
def dandi(
    sessions: dict[str, Path], no_cloud: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DandiServer]:
    """An archive that stands for the one that is known as ``dandi``, asked by a process that knows no file."""
    monkeypatch.delenv("DANDI_API_KEY", raising=False)
    monkeypatch.setenv("NWB_DASK_CACHE_DIR", str(tmp_path / "cache"))
    with archives.serving(tmp_path / "archive", sessions) as archive:
        monkeypatch.setenv("NWB_DASK_DANDI_API", archive.api_url)
        yield archive


@pytest.fixture
def chunk_folder(no_cloud: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the chunk cache, which is switched on and empty."""
    monkeypatch.setenv("NWB_DASK_CHUNK_CACHE", "on")
    monkeypatch.setenv("NWB_DASK_CHUNK_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "chunks"


@pytest.fixture
def old_server(bucket_server: RangeServer) -> RangeServer:
    """Serves a file that was changed a year ago, so that it is believed for a day."""
    keeping.age(bucket_server, days=365)
    return bucket_server
