"""Start a cluster on AWS Fargate, ask it what smoke.py asks, and end it.

::

    python deploy/cloud/fargate_cluster.py s3://my-bucket/smoke --image REGISTRY/nwb-dask:0.1.0 --policy ARN
"""

from __future__ import annotations

import argparse
import runpy
from pathlib import Path
from typing import Any

SMOKE = Path(__file__).resolve().parents[1] / "smoke.py"
_PRELOAD = ["--preload", "nwb_dask.preload"]


def arguments(*, image: str, region: str, n_workers: int, policies: list[str]) -> dict[str, Any]:
    """Return the arguments of ``dask_cloudprovider.aws.FargateCluster``.

    Workers have a role, and no keys: none is in an environment, a task definition or a log.
    """
    return {
        "image": image,
        "region_name": region,
        "n_workers": n_workers,
        "scheduler_cpu": 1024,
        "scheduler_mem": 4096,
        "scheduler_extra_args": _PRELOAD,
        "worker_cpu": 2048,
        "worker_mem": 16384,
        "worker_nthreads": 2,
        "worker_extra_args": [*_PRELOAD, "--memory-limit", "14GiB"],
        "task_role_policies": policies,
        "fargate_use_private_ip": True,
        "fargate_spot": True,
        "environment": {"DASK_NWB_DASK__VERSIONS": "refuse", "AWS_REGION": region},
        "cloudwatch_logs_default_retention": 7,
        "tags": {"project": "nwb-dask"},
    }


def main() -> None:
    """Take the arguments of the command line."""
    from dask.distributed import Client  # noqa: PLC0415  # arguments can be read without a cluster
    from dask_cloudprovider.aws import FargateCluster  # noqa: PLC0415  # the same

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="URL for sessions and Parquet, in a bucket of the region")
    parser.add_argument("--image", required=True, help="of deploy/docker, in a registry")
    parser.add_argument(
        "--region", default="us-east-2", help="that of the data: bytes that leave a region are paid for"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--policy", action="append", required=True, help="ARN of a policy for the bucket; repeat it")
    given = parser.parse_args()
    wanted = arguments(image=given.image, region=given.region, n_workers=given.workers, policies=given.policy)
    with FargateCluster(**wanted) as cluster, Client(cluster) as client:
        check = runpy.run_path(str(SMOKE))["check"]
        check(client, folder=given.folder, source=[], n_workers=given.workers, seconds=600.0)


if __name__ == "__main__":
    main()
