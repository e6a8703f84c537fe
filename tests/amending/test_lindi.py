"""LINDI 0.4.6 opens amended files, with pynwb on top, and goes on amending them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from nwb_dask.amending import AmendedFile, amend
from nwb_dask.testing.files import write_session
from tests.amending.oracle import read_numbers

PEER = Path(__file__).with_name("peers") / "with_lindi.py"
NEAR = [[float(n)] * (n % 3) for n in range(6)]


def add(amended: AmendedFile) -> None:
    amended.add_column("/units", "contamination", np.linspace(0, 1, 6), description="share of foreign spikes")
    amended.add_column("/units", "label", [f"label {n}" for n in range(6)], description="what it is called")
    amended.add_column("/units", "near", NEAR, description="distances")
    amended.add_table(
        "/intervals/rests", {"start_time": [0.5, 1.5], "stop_time": [1.0, 2.0], "kind": ["a", "b"]}, description="rests"
    )
    amended.flush()
    amended.add_timeseries("/processing/motion/speed", np.arange(4000.0), unit="m/s", rate=50.0, chunks=(512,))


@pytest.mark.slow
def test_lindi_and_pynwb_read_what_was_added_and_lindi_adds_more(tmp_path: Path) -> None:
    session = write_session(tmp_path / "session.nwb", n_units=6, spikes_per_unit=400, n_trials=4, n_samples=2000)
    outs = [tmp_path / "x.lindi.tar", tmp_path / "x.lindi.d"]
    for out in outs:
        with amend(session, out) as amended:
            add(amended)
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    install = [str(environment / "bin" / "pip"), "install", "-q", "lindi==0.4.6", "zarr<3", "pynwb==4.2.0"]
    subprocess.run(install, check=True)
    run = subprocess.run(
        [environment / "bin" / "python", PEER],
        input=json.dumps(list(map(str, outs))),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    with h5py.File(session) as file:
        spikes = float(np.sum(file["units/spike_times"][:]))
    expected = {
        "problems": [],
        "contamination": np.linspace(0, 1, 6).tolist(),
        "label": [f"label {n}" for n in range(6)],
        "near": NEAR,
        "spikes": spikes,
        "rests": [[0.5, 1.5], ["a", "b"]],
        "speed": [50.0, float(np.arange(4000.0).sum())],
        "again": True,
    }
    # LINDI itself prints, too.
    assert json.loads(run.stdout.rpartition("\nfound ")[2].splitlines()[0]) == [expected, expected]
    for out in outs:
        # What LINDI added is not in the way, and can be added to.
        with amend(out) as amended:
            amended["units/by_lindi"].resize((1001,))
            amended["units/by_lindi"][1000] = 7.0
        assert read_numbers(out, "/units/by_lindi")[-1] == 7.0
        assert read_numbers(out, "/processing/motion/speed/data")[-1] == 3999.0
