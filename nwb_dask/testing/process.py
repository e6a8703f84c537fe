"""The test server as a process of its own: what it does takes no time from what is measured."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote


class RangeServerProcess:
    """`nwb_dask.testing.RangeServer` in a process that ends with the ``with`` block, or with this process.

    Parameters
    ----------
    folder : Path
        What to serve.
    delay_seconds, bytes_per_second, line_bytes_per_second
        As `RangeServer` has them.
    """

    def __init__(
        self,
        folder: Path,
        *,
        delay_seconds: float = 0.0,
        bytes_per_second: float | None = None,
        line_bytes_per_second: float | None = None,
    ) -> None:
        command = [sys.executable, "-m", "nwb_dask.testing.server", str(folder), "--until-eof"]
        command += ["--delay", str(delay_seconds)]
        for option, value in (("--connection", bytes_per_second), ("--line", line_bytes_per_second)):
            command += [] if value is None else [option, str(value)]
        self._command = command

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603  # our own
        assert self._process.stdout is not None  # noqa: S101  # it is a pipe
        self.base_url = self._process.stdout.readline().strip()
        if not self.base_url:
            self._process.communicate(timeout=10)
            raise RuntimeError("the server did not start; what it said is above")
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        # The server ends when its input does.
        self._process.communicate(timeout=10)

    def url(self, path: str) -> str:
        """Return the URL of a file below the folder, percent-encoded."""
        return f"{self.base_url}/{quote(path)}"

    def counted(self) -> dict[str, Any]:
        """Return what was counted: ``requests``, ``bytes``, ``max_in_flight``, ``connections``, ``by_path``."""
        return self._ask("log")

    def reset(self) -> None:
        """Forget what was counted."""
        self._ask("reset")

    def _ask(self, command: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.base_url}/-/{command}", timeout=10) as answer:  # noqa: S310  # our own
            counted: dict[str, Any] = json.load(answer)
        return counted
