"""What a process of a Dask cluster does before its first task: ``dask worker … --preload nwb_dask.preload``.

For schedulers and workers (``distributed.scheduler.preload``, ``distributed.worker.preload``) and clients
(``distributed.client.preload``). The configuration of dask says, in YAML or in the environment:

======================  ========================  ==============================================================
name                    environment               what it decides
======================  ========================  ==============================================================
``nwb-dask.versions``   DASK_NWB_DASK__VERSIONS   what a worker with other versions than the scheduler does:
                                                  ``warn`` (the default), ``refuse`` to stay, ``ignore``
``nwb-dask.options``    DASK_NWB_DASK__OPTIONS    options of `nwb_dask.options` for the process, by name
======================  ========================  ==============================================================

What the environment of a worker says already is left as it is, each variable by itself.

===========================  ===================================================================================
HDF5_USE_FILE_LOCKING        FALSE: workers only read, and many shared file systems cannot lock
OMP_NUM_THREADS and others   1: what a library does for a task, it does on the thread of the task
POLARS_MAX_THREADS           as many as the worker has; polars shares them among its tasks
NWB_DASK_DECODE_THREADS      likewise
NWB_DASK_REQUESTS_PER_HOST   16 for each thread, at most 64: all workers ask one server together
===========================  ===================================================================================
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Literal, TypeAlias, get_args

import dask
from distributed import Client, Scheduler, Worker
from distributed.versions import get_versions

from nwb_dask.options import Options

_Policy: TypeAlias = Literal["warn", "refuse", "ignore"]

PACKAGES = ("nwb_dask", "dask", "distributed", "pandas", "pyarrow")
"""What schedulers, workers and clients pickle for each other must be the same in these, and in Python."""

_log = logging.getLogger(__name__)
_ONE_THREAD = (
    *("BLOSC_NTHREADS", "NUMEXPR_NUM_THREADS", "NUMEXPR_MAX_THREADS"),
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
)
_REQUESTS_PER_THREAD = 16
_READ_BY = {
    "HDF5_USE_FILE_LOCKING": "h5py",
    "NUMEXPR_MAX_THREADS": "numexpr",
    "POLARS_MAX_THREADS": "polars",
}
"""Libraries that look at a variable when they are loaded, and never again."""


async def dask_setup(server: object) -> None:
    """Prepare a scheduler, a worker or a client of a cluster.

    Parameters
    ----------
    server : Scheduler, Worker, Client or Nanny
        Who loads this; nannies are left as they are.
    """
    if isinstance(server, Worker):
        set_environment(worker_environment(server.state.nthreads))
        _load_reader()
        await _check_worker(server)
    elif isinstance(server, Scheduler):
        set_environment(_chosen_options())
        _load_reader()
    elif isinstance(server, Client) and server.scheduler is not None:
        found = await server.scheduler.versions(packages=list(PACKAGES))
        _warn(_differences("client", found))


def dask_teardown(server: object) -> None:
    """Close the files that a worker has kept open; those in use close with their last user."""
    if isinstance(server, Worker):
        from nwb_dask.read import close_idle_files  # noqa: PLC0415  # it loads h5py: see _load_reader

        close_idle_files()


def _load_reader() -> None:
    """Load what tasks and graphs need, which takes seconds that an event loop would not answer in later.

    Not when this module is loaded: h5py and polars look at the environment once.
    """
    import nwb_dask.adapters.dask_frame  # noqa: F401, PLC0415  # see above


def worker_environment(n_threads: int) -> dict[str, str]:
    """Return the variables that suit a worker, and what the configuration says of options.

    Parameters
    ----------
    n_threads : int
        How many tasks the worker runs at once.
    """
    return {
        "HDF5_USE_FILE_LOCKING": "FALSE",
        **dict.fromkeys(_ONE_THREAD, "1"),
        "POLARS_MAX_THREADS": str(n_threads),
        "NWB_DASK_DECODE_THREADS": str(n_threads),
        "NWB_DASK_REQUESTS_PER_HOST": str(min(_REQUESTS_PER_THREAD * n_threads, Options().requests_per_host)),
        **_chosen_options(),
    }


def set_environment(wanted: Mapping[str, str]) -> None:
    """Set variables that are not set, and warn of those that come too late."""
    for name, value in wanted.items():
        if name in os.environ:
            continue
        os.environ[name] = value
        library = _READ_BY.get(name)
        if library in sys.modules:
            _log.warning(
                "%s was loaded before nwb_dask.preload, and %s=%s comes too late: set it where the worker is started",
                *(library, name, value),
            )


def _chosen_options() -> dict[str, str]:
    """Return the variables for ``nwb-dask.options``.

    Raises
    ------
    TypeError
        For an option that does not exist.
    """
    chosen = dask.config.get("nwb-dask.options", default=None) or {}
    known = {one.name for one in fields(Options)}
    unknown = sorted({name.replace("-", "_") for name in chosen} - known)
    if unknown:
        raise TypeError(f"nwb-dask.options in dask's configuration: there is no option {unknown[0]!r}")
    return {f"NWB_DASK_{name.replace('-', '_').upper()}": str(value) for name, value in chosen.items()}


async def _check_worker(worker: Worker) -> None:
    policy: _Policy = dask.config.get("nwb-dask.versions", default="warn")
    if policy not in get_args(_Policy):
        raise ValueError(f"nwb-dask.versions={policy!r} is none of {', '.join(get_args(_Policy))}")
    if policy == "ignore":
        return
    found = await worker.scheduler.versions(packages=list(PACKAGES))
    different = _differences("worker", found)
    _warn(different)
    if different and policy == "refuse":
        worker.loop.add_callback(_leave, worker, f"nwb-dask.versions is 'refuse', and {'; '.join(different)}")


async def _leave(worker: Worker, reason: str) -> None:
    """Close a worker and its nanny, which would start it again if it ended before it had begun."""
    await worker.start()
    await worker.close(reason=reason, nanny=True)


def _warn(different: list[str]) -> None:
    for one in different:
        _log.warning("%s; install the same where the scheduler, the workers and the client run", one)


def _differences(who: str, scheduler: Mapping[str, Any]) -> list[str]:
    here, there = (versions_of(one) for one in (get_versions(packages=PACKAGES), scheduler))
    return [f"this {who} has {one}" for one in compare(here, there, "the scheduler")]


def versions_of(reported: Mapping[str, Any]) -> dict[str, str]:
    """Return what matters of the versions that a process of dask reports; ``""`` for what is not installed.

    Of Python, the first two numbers.
    """
    packages = reported["packages"]
    found = {name: str(packages.get(name) or "") for name in PACKAGES}
    return found | {"python": ".".join(packages["python"].split(".")[:2])}


def compare(here: Mapping[str, str], there: Mapping[str, str], whose: str) -> Iterator[str]:
    """Yield a few words on each version that differs."""
    for name in here:
        if here[name] != there[name]:
            yield f"{name} {here[name] or '(none)'}, {whose} {there[name] or 'none'}"
