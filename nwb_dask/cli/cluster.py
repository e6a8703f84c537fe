"""Whether the processes of a cluster that runs have the versions that this one has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from nwb_dask.errors import display_url

_SECONDS = 20


def cluster_checks(address: str) -> Iterator[tuple[str, Literal["ok", "warn", "fail"], str]]:
    """Yield a check of the scheduler at `address`, and one of each worker: name, state, detail.

    What is missing on the scheduler or on a worker fails; another version is worth a warning.
    """
    from distributed import Client  # noqa: PLC0415  # half a second that only this check pays

    from nwb_dask.preload import PACKAGES, compare, versions_of  # noqa: PLC0415  # likewise

    try:
        with Client(address, timeout=_SECONDS, set_as_default=False) as client:
            found = client.get_versions(packages=list(PACKAGES))
    except (OSError, ValueError, TypeError) as error:
        yield "scheduler", "fail", f"{display_url(address)} cannot be reached: {error}"
        return
    here = versions_of(found["client"])
    for name, reported in (("scheduler", found["scheduler"]), *sorted(found["workers"].items())):
        there = versions_of(reported)
        missing = [package for package in PACKAGES if not there[package]]
        words = [*compare(there, here, "here")]
        detail = f"nwb_dask {there['nwb_dask']}, dask {there['dask']}, python {there['python']}"
        yield name, "fail" if missing else "warn" if words else "ok", "; ".join(words) or detail
    if not found["workers"]:
        yield "workers", "warn", "there are none"
