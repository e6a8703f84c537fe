"""Start workers as Slurm jobs, run a command with their scheduler's address, and end the jobs.

::

    DASK_CONFIG=deploy/slurm/jobqueue.yaml python deploy/slurm/cluster.py --jobs 2 -- python deploy/smoke.py

The scheduler runs here, on the login node or inside a job of one core; the command finds it in
DASK_SCHEDULER_ADDRESS. `--script` prints the job that would be submitted, and submits nothing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from dask_jobqueue import SLURMCluster


def main() -> None:
    """Take the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="how many jobs to submit")
    parser.add_argument("--adapt", action="store_true", help="between none and `--jobs`, as there is work")
    parser.add_argument("--script", action="store_true", help="print the job and end")
    parser.add_argument("command", nargs="*", help="what to run, after --")
    given = parser.parse_args()
    with SLURMCluster() as cluster:
        if given.script:
            print(cluster.job_script())
            return
        if given.adapt:
            cluster.adapt(minimum_jobs=0, maximum_jobs=given.jobs)
        else:
            cluster.scale(jobs=given.jobs)
        print(f"scheduler: {cluster.scheduler_address}", flush=True)
        environment = {**os.environ, "DASK_SCHEDULER_ADDRESS": cluster.scheduler_address}
        done = subprocess.run(given.command, env=environment, check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
