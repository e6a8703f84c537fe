"""A Slurm of one node on this machine: its daemons, in a folder of their own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.deploy.clusters import running

PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo", "scancel")
START_SECONDS = 60

# No systemd and no cgroups: processes are followed by their parents, and nothing is bound or accounted for.
_CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=1,sched_interval=2
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=16000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing_programs() -> list[str]:
    """Return what of Slurm is not installed."""
    return [name for name in PROGRAMS if _find(name) is None]


def _find(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _command(name: str, *arguments: str) -> list[str]:
    return [_find(name) or name, *arguments]


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Start munge, the controller and one node; yields the environment in which ``sbatch`` finds them."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    folder.chmod(0o755)
    configuration = folder / "slurm.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            host=socket.gethostname().partition(".")[0],
            user=getpass.getuser(),
            folder=folder,
            controller_port=_free_port(),
            node_port=_free_port(),
        ),
        encoding="utf-8",
    )
    environment = {"SLURM_CONF": str(configuration)}
    subprocess.run(_command("mungekey", "--create", f"--keyfile={folder}/munge.key"), check=True)
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    munge = [f"--{name}={folder}/munge.{end}" for name, end in files.items()]
    with ExitStack() as stack:
        stack.enter_context(running(_command("munged", "--foreground", "--force", *munge), folder / "munged.out"))
        _wait_for((folder / "munge.socket").exists, "munged", folder)
        stack.enter_context(running(_command("slurmctld", "-D", "-i"), folder / "slurmctld.log", **environment))
        stack.enter_context(running(_command("slurmd", "-D"), folder / "slurmd.log", **environment))
        _wait_for(lambda: "idle" in _states(environment), "slurmd", folder)
        stack.callback(_end_jobs, environment)
        yield environment


def _states(environment: dict[str, str]) -> str:
    found = subprocess.run(
        _command("sinfo", "--noheader", "--format=%T"),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return found.stdout


def _end_jobs(environment: dict[str, str]) -> None:
    command = _command("scancel", "--user", getpass.getuser())
    subprocess.run(command, env={**os.environ, **environment}, check=False, timeout=30)
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and "idle" not in _states(environment):
        time.sleep(0.5)


def _wait_for(is_true: Callable[[], bool], what: str, folder: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while not is_true():
        if time.monotonic() > until:
            logs = [f"{one.name}:\n{one.read_text(errors='replace')[-2000:]}" for one in sorted(folder.glob("*.log"))]
            message = f"{what} has not started in {START_SECONDS} s\n" + "\n".join(logs)
            raise TimeoutError(message)
        time.sleep(0.2)
