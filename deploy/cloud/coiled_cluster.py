"""Start a cluster on Coiled, ask it what smoke.py asks, and end it.

::

    python deploy/cloud/coiled_cluster.py s3://my-bucket/smoke --image registry.example.org/nwb-dask:0.1.0
"""

from __future__ import annotations

import argparse
import runpy
from pathlib import Path
from typing import Any

SMOKE = Path(__file__).resolve().parents[1] / "smoke.py"


def arguments(*, image: str | None, region: str, n_workers: int) -> dict[str, Any]:
    """Return the arguments of ``coiled.Cluster``; without an image Coiled copies the packages that are here."""
    return {
        "name": "nwb-dask",
        "n_workers": n_workers,
        "worker_cpu": 4,
        "worker_memory": "16 GiB",
        "region": region,
        "container": image,
        "spot_policy": "spot_with_fallback",
        "idle_timeout": "20 minutes",
        "worker_options": {"nthreads": 4, "preload": ["nwb_dask.preload"]},
        "scheduler_options": {"preload": ["nwb_dask.preload"]},
        "environ": {"DASK_NWB_DASK__VERSIONS": "refuse"},
        "tags": {"project": "nwb-dask"},
    }


def main() -> None:
    """Take the arguments of the command line."""
    import coiled  # noqa: PLC0415  # arguments can be read without it

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="URL for sessions and Parquet, in a bucket of the region")
    parser.add_argument("--image", help="of deploy/docker, in a registry")
    parser.add_argument(
        "--region", default="us-east-2", help="that of the data: bytes that leave a region are paid for"
    )
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    wanted = arguments(image=given.image, region=given.region, n_workers=given.workers)
    with coiled.Cluster(**wanted) as cluster, cluster.get_client() as client:
        check = runpy.run_path(str(SMOKE))["check"]
        check(client, folder=given.folder, source=[], n_workers=given.workers, seconds=600.0)


if __name__ == "__main__":
    main()
