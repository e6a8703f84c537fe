"""What every adapter does for the workers of a cluster, if there is one."""

from __future__ import annotations

import sys
from importlib import import_module


def share_access(access: object) -> None:
    """Send the secrets that reach files to the workers of the current client; without either, do nothing."""
    # There can be a client only if distributed is loaded already; loading it takes half a second.
    if getattr(access, "handle", None) is not None and "distributed" in sys.modules:
        import_module("nwb_dask.adapters.cluster_secrets").share_secrets(access)
