"""Files of an object store and of ``file://`` URLs, through each engine that `open_h5` may be asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs

import nwb_dask
from nwb_dask.h5.guarded import GuardedFile
from nwb_dask.h5.streamed import StreamedFile
from nwb_dask.testing import RangeServer
from tests.h5.test_sources import check

CREDENTIALS = {"key": "AKIAXYZZY", "secret": "sesame-open"}


@pytest.fixture
def bucket(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[RangeServer]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    (tmp_path / "served" / "lab").mkdir(parents=True)
    (tmp_path / "served" / "lab" / path.name).write_bytes(path.read_bytes())
    with RangeServer(tmp_path / "served") as server:
        yield server


@pytest.mark.parametrize(
    ("engine", "credentials"),
    [("auto", {"anon": True}), ("auto", CREDENTIALS), ("obstore", CREDENTIALS), ("s3fs", CREDENTIALS)],
    ids=["anonymous", "keys", "obstore", "s3fs"],
)
def test_every_engine_opens_a_file_of_an_object_store(
    engine: str, credentials: dict[str, object], bucket: RangeServer, path: Path
) -> None:
    options = {**credentials, "endpoint_url": bucket.base_url, "engine": engine}
    file = nwb_dask.open_h5(f"s3://lab/{path.name}", storage_options=options)
    assert isinstance(file, StreamedFile)
    assert "sesame" not in repr(file)
    check(file, path)
    assert bucket.n_requests > 0


def test_a_file_system_of_an_object_store_is_used(bucket: RangeServer, path: Path) -> None:
    system = s3fs.S3FileSystem(**CREDENTIALS, client_kwargs={"endpoint_url": bucket.base_url}, skip_instance_cache=True)
    check(nwb_dask.open_h5(f"lab/{path.name}", storage_options={"fs": system}), path)
    check(nwb_dask.open_h5(f"s3://lab/{path.name}", storage_options={"fs": system}), path)


def test_a_file_url_is_a_local_file(path: Path, tmp_path: Path) -> None:
    copied = tmp_path / "a copy.h5"
    copied.write_bytes(path.read_bytes())
    check(nwb_dask.open_h5(copied.as_uri()), path)
    check(nwb_dask.open_h5(copied.as_uri(), storage_options={"engine": "fsspec"}), path)
    with nwb_dask.open_h5(copied.as_uri()) as file:
        assert not isinstance(file, (StreamedFile, GuardedFile))
