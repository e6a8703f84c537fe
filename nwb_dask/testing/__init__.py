"""Tools for tests of nwb_dask and of what is built on it.

==================== =======================================================================
server               an HTTP server in this process, or one of its own: what it is told
faulty               what goes wrong on command
counts               what is counted
connection           requests in, answers out
messages             requests and answers
ranges               files, parts of them, and conditions, as HTTP has them
s3                   listings, errors and signed URLs, as S3 has them
dandi                an archive that speaks the API of DANDI, on two such servers
line                 how fast bytes leave
process              the server as a process of its own
files                NWB files as a laboratory has them; `oddities` and `odd_columns` have the unusual ones
performance_sessions hundreds of small sessions of a task in blocks, a few milliseconds each
series               one file with every type of TimeSeries; `series_odd` has one with the wrong and the unusual
==================== =======================================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nwb_dask.testing.dandi import DandiServer as DandiServer
    from nwb_dask.testing.faulty import TRANSIENT as TRANSIENT
    from nwb_dask.testing.faulty import Failure as Failure
    from nwb_dask.testing.faulty import Fault as Fault
    from nwb_dask.testing.messages import Request as Request
    from nwb_dask.testing.process import RangeServerProcess as RangeServerProcess
    from nwb_dask.testing.server import RangeServer as RangeServer

_HOMES = {
    "DandiServer": "dandi",
    "TRANSIENT": "faulty",
    "Failure": "faulty",
    "Fault": "faulty",
    "RangeServer": "server",
    "RangeServerProcess": "process",
    "Request": "messages",
}

__all__ = [*_HOMES]  # noqa: PLE0604  # the keys are text, which the rule does not see


def __getattr__(name: str) -> object:
    """Load a name from its home at its first use: ``python -m nwb_dask.testing.server`` must load the server once."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
