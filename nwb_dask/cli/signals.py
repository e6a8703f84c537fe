"""Ends the process when the user interrupts it, whatever its threads wait for."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from nwb_dask.cli.failures import ExitCode, describe_failure
from nwb_dask.cli.reporting import Reporter, wants_json

_PATIENCE_SECONDS = 1.0
"""What the main thread has to clean up in; it may be waiting for threads that wait for a server."""


def heed_interrupts() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` as ever, and end the process soon after in any case."""
    signal.signal(signal.SIGINT, _interrupt)


def end_now(code: int) -> NoReturn:
    """End the process without waiting for its threads."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _interrupt(*_: object) -> NoReturn:
    last = threading.Timer(_PATIENCE_SECONDS, _give_up)
    last.daemon = True
    last.start()
    raise KeyboardInterrupt


def _give_up() -> NoReturn:
    Reporter(is_json=wants_json(sys.argv[1:])).fail(describe_failure(KeyboardInterrupt()))
    end_now(ExitCode.INTERRUPTED)
