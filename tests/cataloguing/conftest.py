"""Sessions as a laboratory has them, catalogs of them, and a bucket."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import botocore.session as botocore_session
import moto.server as moto_server
import pytest

import nwb_dask
from nwb_dask.cataloguing.catalog import Catalog
from nwb_dask.testing.files import write_session

CREDENTIALS = {"key": "AKIAXYZZY", "secret": "canary-of-storage-options"}


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four sessions, the last without trials."""
    folder = tmp_path_factory.mktemp("catalogued")
    for number in range(4):
        write_session(
            folder / f"s{number}.nwb",
            seed=number,
            n_units=5 + number,
            n_trials=4 if number < 3 else 0,
            n_samples=20,
            n_electrodes=3,
        )
    return folder


@pytest.fixture
def sessions(written: Path, tmp_path: Path) -> Path:
    """A folder with copies of the sessions, to be changed."""
    return Path(shutil.copytree(written, tmp_path / "sessions"))


@pytest.fixture(scope="session")
def catalog(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """A catalog of the four sessions."""
    return nwb_dask.build_catalog(written, tmp_path_factory.mktemp("out") / "catalog")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, object]]:
    """The storage options of a server with the bucket ``lab``."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = botocore_session.Session().create_client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id=CREDENTIALS["key"],
        aws_secret_access_key=CREDENTIALS["secret"],
    )
    client.create_bucket(Bucket="lab")
    yield {**CREDENTIALS, "endpoint_url": f"http://{host}:{port}", "region": "us-east-1"}
    client.close()
    server.stop()
