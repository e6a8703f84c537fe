"""Opens amended files in LINDI and reads them with pynwb; runs where LINDI and pynwb are, without nwb_dask.

Reads ``[path, ...]`` as JSON from standard input, and prints what is found in each; then adds to each with LINDI.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import lindi
import numpy as np
import pynwb


def found_in(path: str) -> dict[str, Any]:
    file = lindi.LindiH5pyFile.from_lindi_file(path)
    with pynwb.NWBHDF5IO(file=file, mode="r") as io:
        session = io.read()
        rests = session.intervals["rests"]
        speed = session.processing["motion"]["speed"]
        return {
            "problems": [str(one) for one in pynwb.validate(io=io)],
            "contamination": session.units["contamination"][:].tolist(),
            "label": [str(one) for one in session.units["label"][:]],
            "near": [list(map(float, session.units["near"][row])) for row in range(len(session.units))],
            "spikes": float(np.sum(session.units["spike_times"].target[:])),
            "rests": [list(map(float, rests["start_time"][:])), [str(one) for one in rests["kind"][:]]],
            "speed": [speed.rate, float(np.sum(speed.data[:]))],
        }


def main() -> None:
    warnings.simplefilter("ignore")
    paths = json.load(sys.stdin)
    out = []
    for path in paths:
        found = found_in(path)
        file = lindi.LindiH5pyFile.from_lindi_file(path, mode="r+")
        file["units"].create_dataset("by_lindi", data=np.random.default_rng(0).normal(size=1000))
        file.close()
        out.append({**found, "again": found_in(path) == found})
    sys.stdout.write(f"\nfound {json.dumps(out)}\n")


if __name__ == "__main__":
    main()
