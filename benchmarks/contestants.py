"""The programs that a benchmark compares: each runs by itself, is asked line by line, and answers line by line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.environments import ROOT, ensure_environment


@dataclass(frozen=True, slots=True)
class Program:
    """A contestant's program and the environment that it runs in."""

    title: str
    module: str
    environment: str | None = None
    """Stem of its requirements in ``benchmarks/peers``; None for the environment of nwb_dask itself."""
    slow: bool = False
    """Takes part in the first rounds only: it needs seconds where the others need milliseconds."""
    most: int | None = None
    """Opens so many of many sessions; its seconds are scaled to all."""


class Contestant:
    """A running program that answers one request at a time."""

    def __init__(self, program: Program, process: subprocess.Popen[str]) -> None:
        self.program = program
        self._process = process
        self.hello = self._answer()
        """What it says when its imports are done: the versions of its libraries, and the ways that it knows."""

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the libraries that take part, by the program's title and their names."""
        return {f"{self.program.title}: {name}": version for name, version in self.hello["versions"].items()}

    def ask(self, request: Mapping[str, object]) -> dict[str, Any]:
        """Return the answer to a request, after it has come."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            message = f"{self.program.title} ended without an answer; see its messages above"
            raise RuntimeError(message)
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def start(program: Program, environment: Mapping[str, str]) -> Iterator[Contestant]:
    """Start `program` with its imports done and some more environment variables, and end it with the context."""
    python = sys.executable if program.environment is None else ensure_environment(program.environment)
    command = [python, "-m", f"benchmarks.peers.{program.module}"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | environment
    ) as process:
        try:
            yield Contestant(program, process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
