"""What pynwb adds to an amended file is what it adds to a copy of the original, object by object."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import pynwb
import pytest

import nwb_dask
from nwb_dask.amending import amend
from nwb_dask.testing import RangeServer
from tests.amending.additions import add_in_rounds, write_original
from tests.h5.same import differences

PEER = Path(__file__).parents[1] / "references" / "peers" / "with_lindi.py"


STORAGE = {"maxshape", "chunks", "compression", "compression_opts", "shuffle", "fletcher32", "filter_ids", "fillvalue"}
"""What says how data are stored, which is another thing in LINDI."""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_original(tmp_path_factory.mktemp("original") / "session.nwb")


@pytest.fixture(scope="module")
def expected(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(original, tmp_path_factory.mktemp("plain"))


def copied(original: Path, folder: Path, **rounds: int) -> Path:
    """Return a copy of the original with what is added to it itself."""
    path = folder / "copy.nwb"
    shutil.copy(original, path)
    with pytest.MonkeyPatch.context() as patch:
        add_in_rounds(patch, lambda: pynwb.NWBHDF5IO(path, mode="r+"), **rounds)
    return path


def check(expected: Path, out: Path) -> None:
    with h5py.File(expected) as right, nwb_dask.open_h5(out) as seen:
        assert [one for one in differences(right, seen) if one[1] not in STORAGE] == []


def test_a_local_file(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "x.lindi.tar"
    add_in_rounds(monkeypatch, lambda: pynwb.NWBHDF5IO(file=amend(original, out), mode="r+"), rounds=2)
    check(copied(original, tmp_path, rounds=2), out)


@pytest.mark.slow
def test_a_file_that_is_remote_or_moves_also_for_lindi(
    original: Path, expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bucket = tmp_path / "data" / "bucket"
    bucket.mkdir(parents=True)
    shutil.copy(original, bucket)
    shutil.copytree(bucket, tmp_path / "before")
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    install = [
        str(environment / "bin" / "pip"),
        "install",
        "-q",
        "lindi==0.4.6",
        "zarr<3",
        "pynwb==4.2.0",
        "hdf5plugin",
    ]
    subprocess.run(install, check=True)
    with RangeServer(tmp_path / "data") as server:
        url = server.url("bucket/session.nwb")
        options = {"anon": True, "region": "us-east-1", "endpoint_url": server.base_url}
        more: dict[Path, tuple[Any, dict[str, Any]]] = {
            tmp_path / "before" / "x.lindi.d": (tmp_path / "before" / "session.nwb", {}),
            tmp_path / "http.lindi.tar": (url, {}),
            tmp_path / "s3.lindi.d": ("s3://bucket/session.nwb", {"url": url, "storage_options": options}),
        }
        for out, (source, said) in more.items():
            add_in_rounds(monkeypatch, lambda: pynwb.NWBHDF5IO(file=amend(source, out, **said), mode="r+"))  # noqa: B023  # called at once
            check(expected, out)
        pairs = [[str(out), str(expected)] for out in more]
        answer = tmp_path / "answer.json"
        command = [str(environment / "bin" / "python"), str(PEER), str(answer)]
        subprocess.run(command, input=json.dumps(pairs), text=True, check=True, capture_output=True)
    for found in json.loads(answer.read_text()):
        assert (found["differences"], found["pynwb"]) == ([], "same")
        assert found["n_arrays"] > 90
    (tmp_path / "before").rename(tmp_path / "after")
    check(expected, tmp_path / "after" / "x.lindi.d")
