"""Stores that hdmf-zarr links to one another, against what it reads of them; in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import nwb_dask
from benchmarks.environments import ROOT, ensure_environment
from nwb_dask.errors import NWBDaskError

PEERS = Path(__file__).parent / "peers"

pytestmark = pytest.mark.slow


def test_stores_that_hdmf_zarr_links_have_its_values(tmp_path: Path) -> None:
    python = ensure_environment("test_hdmf_zarr", requirements=PEERS / "hdmf_zarr.txt")
    command = [python, "-W", "ignore", str(PEERS / "with_hdmf_zarr.py"), str(tmp_path)]
    # The stores are its own; numcodecs has to be told.
    environment = {**os.environ, "NUMCODECS_ALLOW_UNSAFE_PICKLE_DECODE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    expected = json.loads((tmp_path / "values.json").read_text())
    for store, series in expected.items():
        with nwb_dask.options(allow_external=[str(tmp_path)]):
            assert set(series) <= set(nwb_dask.open_nwb(store).contents)
            for path, (values, rate) in series.items():
                found = nwb_dask.open_timeseries(store, path)
                assert found.values.tolist() == values
                assert found.attrs.get("rate", rate) == rate
    linked = str(tmp_path / "linked.nwb.zarr")
    assert sorted(expected[linked]) == ["/acquisition/same_data", "/stimulus/presentation/raw"]
    for path in expected[linked]:
        with pytest.raises(NWBDaskError, match=r"allow_external=\["):
            nwb_dask.open_timeseries(linked, path)
    assert expected[linked]["/acquisition/same_data"][0] == expected[linked]["/stimulus/presentation/raw"][0]
