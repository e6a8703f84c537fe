"""Read two small files through the cluster at the address that is given, and compare with what was written.

::

    python deploy/local/smoke.py tcp://127.0.0.1:8786
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
from dask.distributed import Client

import nwb_dask.dataframe as dd

N_UNITS = 20


def write_units(path: Path, *, seed: int) -> list[int]:
    """Write a table of units to `path` and return the numbers of spikes of those with a rate above 5 Hz."""
    rng = np.random.default_rng(seed)
    n_spikes = rng.integers(0, 50, N_UNITS)
    rate = rng.uniform(0, 10, N_UNITS)
    columns = {
        "id": ("ElementIdentifiers", np.arange(N_UNITS)),
        "rate": ("VectorData", rate),
        "spike_times": ("VectorData", rng.uniform(0, 100, n_spikes.sum())),
        "spike_times_index": ("VectorIndex", np.cumsum(n_spikes)),
    }
    with h5py.File(path, "w") as file:
        file.attrs.update({"neurodata_type": "NWBFile", "namespace": "core", "nwb_version": "2.8.0"})
        units = file.create_group("units")
        units.attrs.update({"neurodata_type": "Units", "namespace": "core", "colnames": ["rate", "spike_times"]})
        for name, (kind, values) in columns.items():
            dataset = units.create_dataset(name, data=values)
            dataset.attrs.update({"neurodata_type": kind, "namespace": "hdmf-common"})
        units["spike_times_index"].attrs["target"] = units["spike_times"].ref
    return [int(count) for count in n_spikes[rate > 5]]


def main(address: str) -> None:
    """Run one filtered read on the workers at `address`."""
    with tempfile.TemporaryDirectory() as folder, Client(address, timeout="20s") as client:
        paths = [Path(folder, f"{seed}.nwb") for seed in range(2)]
        expected = [count for seed, path in enumerate(paths) for count in write_units(path, seed=seed)]
        client.wait_for_workers(1, timeout=20)
        units = dd.read_nwb(paths, "/units")
        spikes = units[units.rate > 5].spike_times.compute()
        found = [len(unit) for unit in spikes]
    if found != expected:
        sys.exit(f"wrong answer: {found}, expected {expected}")
    print(f"ok: {len(found)} units of {len(paths)} files through {address}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
