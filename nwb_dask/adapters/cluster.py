"""What every adapter does for the workers of a cluster, if there is one."""

from __future__ import annotations

import sys
from importlib import import_module

from nwb_dask.plan.scan import Scan


def share_access(access: object) -> None:
    """Send the secrets that reach files to the workers of the current client; without either, do nothing."""
    # There can be a client only if distributed is loaded already; loading it takes half a second.
    if getattr(access, "handle", None) is not None and "distributed" in sys.modules:
        import_module("nwb_dask.adapters.cluster_secrets").share_secrets(access)


def share_scan(scan: Scan) -> None:
    """Send the secrets that a scan needs on workers: those of its files, and of the catalog that planned it."""
    share_access(scan.access)
    share_access(getattr(scan.indexes, "access", None))
