"""pynwb over one way to stream: opens the session, reads the trials and 1 s of LFP, and says how long each took.

Run by `benchmarks.pynwb_streaming` as ``python -m benchmarks.peers.stream_pynwb WAY``, in an environment that has what
the way needs. One line of standard input is the question; one line of standard output is the answer.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
import warnings

import h5py
import numpy as np
import pynwb

WAY = sys.argv[1]
if WAY == "nwb_dask":
    import nwb_dask
    import nwb_dask.h5
elif WAY == "remfile":
    import remfile
elif WAY == "fsspec":
    import fsspec.implementations.cached
    import fsspec.implementations.http
elif WAY == "lindi":
    import lindi


def open_session(url: str, chunk_cache: str) -> h5py.File:
    """Return the file as pynwb takes it."""
    if WAY == "nwb_dask":
        return nwb_dask.open_h5(url, storage_options={"chunk_cache": chunk_cache} if chunk_cache else None)
    if WAY == "remfile":
        return h5py.File(remfile.File(url), "r")
    if WAY == "fsspec":
        return h5py.File(fsspec.filesystem("http").open(url, "rb"), "r")
    if WAY == "lindi":
        return lindi.LindiH5pyFile.from_hdf5_file(url)
    return h5py.File(url, "r")


def main() -> None:
    """Answer one question."""
    warnings.simplefilter("ignore")
    pynwb.get_manager()
    pynwb.TimeSeries(name="warm", data=[0.0], unit="s", rate=1.0)
    answers, sys.stdout = sys.stdout, sys.stderr
    print(json.dumps({"ready": WAY}), file=answers, flush=True)
    question = json.loads(sys.stdin.readline())
    seconds: dict[str, float] = {}
    began, cpu = time.perf_counter(), time.process_time()
    with pynwb.NWBHDF5IO(file=open_session(question["url"], question["chunk_cache"]), mode="r") as io:
        nwb = io.read()
        seconds["open"] = time.perf_counter() - began
        began = time.perf_counter()
        columns = [name for name in nwb.trials.colnames if WAY != "lindi" or name != "timeseries"]
        trials = {name: nwb.trials[name][:] for name in columns if name != "timeseries"}
        if "timeseries" in columns:
            nwb.trials["timeseries"][:]
        seconds["trials"] = time.perf_counter() - began
        began = time.perf_counter()
        series = next(iter(nwb.processing["ecephys"]["LFP"].electrical_series.values()))
        start, stop = question["lfp"]
        lfp = np.asarray(series.data[start:stop])
        seconds["lfp"] = time.perf_counter() - began
        cpu = time.process_time() - cpu
        text = repr([[str(one) for one in np.ravel(np.asarray(trials[name], object))] for name in sorted(trials)])
    digest = hashlib.blake2b(lfp.astype("<i2").tobytes() + text.encode(), digest_size=8).hexdigest()
    answer = {"seconds": seconds, "cpu_seconds": cpu, "digest": digest}
    print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
