"""One writer at a time: a lock of the system on a file next to the output, which ends with the process."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from nwb_dask.errors import OutputError


class WriterLock:
    """The right to write to one output, held from construction to `release`.

    Parameters
    ----------
    out : Path
        The output. The lock is the file ``.<name>.lock`` beside it, which says who has it.

    Raises
    ------
    OutputError
        If another process, or another `amend` of this one, writes to it.
    """

    def __init__(self, out: Path) -> None:
        self._path = out.with_name(f".{out.name}.lock")
        self._handle = self._take(out)

    def _take(self, out: Path) -> int:
        while True:
            try:
                handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            except OSError as error:
                message = f"{out} cannot be written: {error.strerror or error}"
                raise OutputError(message, url=str(out)) from error
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.pread(handle, 200, 0).decode(errors="replace").strip()
                os.close(handle)
                message = f"{out} is being amended{f' by {owner}' if owner else ''}; close it there first"
                raise OutputError(message, url=str(out)) from None
            if self._is_current(handle):
                os.ftruncate(handle, 0)
                os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
                return handle
            # It was released and removed between the two calls.
            os.close(handle)

    def _is_current(self, handle: int) -> bool:
        try:
            return os.path.samestat(os.fstat(handle), self._path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let others write; more than once is harmless."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            # Removed while it is held: whoever opens the next one finds nobody in it.
            self._path.unlink(missing_ok=True)
            os.close(handle)
