"""Kills conversions at every step, in processes of its own; run as a script by `test_killed.py`.

A step is a change of the file system, or a look at it, below the folder that is converted to. Python's audit events
announce them, `os.fsync` is replaced. The process ends before the step, without cleaning up, as a kill would end it.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import nwb_dask
from nwb_dask.conversion import convert
from nwb_dask.conversion.planning import load_format

EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link", "ctypes.dlsym"}
KILLED = 77


def tree(folder: Path) -> dict[str, str] | None:
    """Return the digest of every file below a folder; None if there is no folder."""
    if not folder.exists():
        return None
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def in_child(run: Callable[[], object], kill_after: float | None = None) -> int:
    """Run in a forked process and return how it ended; minus the signal if it was killed."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            warnings.simplefilter("error")
            run()
            code = 0
        except BaseException as error:  # noqa: BLE001  # the parent is told
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        finally:
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def die_at(step: int, root: Path) -> Callable[[], int]:
    """End this process before the step of this number below `root`; return what tells how many there were."""
    seen = 0
    inside = os.fspath(root)

    def count() -> None:
        nonlocal seen
        seen += 1
        if seen == step:
            os._exit(KILLED)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS:
            return
        name = arguments[0] if arguments else None
        path = os.fsdecode(name) if isinstance(name, str | bytes) else ""
        # `dlsym` is the exchange of two folders; names relative to an open folder are those of shutil.rmtree.
        if event == "ctypes.dlsym" or path.startswith(inside) or (path and not path.startswith("/")):
            count()

    true_fsync = os.fsync

    def fsync(handle: Any) -> None:
        count()
        true_fsync(handle)

    sys.addaudithook(hook)
    os.fsync = fsync  # type: ignore[assignment]  # a handle is all that is given
    return lambda: seen


def count_steps(run: Callable[[], object], root: Path) -> int:
    """Return how many steps a run has."""
    counts = root.parent / "steps.txt"

    def counted() -> None:
        tell = die_at(-1, root)
        run()
        counts.write_text(str(tell()))

    code = in_child(counted)
    if code:
        raise RuntimeError(f"the run to be killed fails by itself: {code}")
    return int(counts.read_text())


class Scenario:
    """Conversions of one format in a folder, over nothing or over an older output."""

    def __init__(self, folder: Path, sources: list[str], format_: str, *, over_old: bool) -> None:
        self.root = folder / f"{format_}-{'replacing' if over_old else 'fresh'}"
        self.root.mkdir()
        self.out = self.root / "out"
        self.sources = sources
        self.options: dict[str, Any] = {"format": format_, "overwrite": over_old, "progress": False}
        self.options["tables"] = ["/acquisition/lfp"] if format_ == "zarr" else ["/intervals/trials"]
        self.before = folder / f"{format_}-before" if over_old else None
        if self.before is not None and not self.before.exists():
            self.check(in_child(lambda: convert(sources[:1], self.before, **self.options)))  # type: ignore[arg-type]  # a path
        self.old = None if self.before is None else tree(self.before)
        self.check(in_child(self.run))
        self.new = tree(self.out)
        self.failures: list[str] = []
        self.reset()

    def check(self, code: int) -> None:
        if code:
            raise RuntimeError(f"{self.root.name}: a run that nobody killed ended with {code}")

    def run(self) -> None:
        """Convert."""
        convert(self.sources, self.out, **self.options)

    def reset(self) -> None:
        """Go back to before the first run."""
        shutil.rmtree(self.root)
        self.root.mkdir()
        if self.before is not None:
            shutil.copytree(self.before, self.out)

    def kill_at(self, step: int) -> None:
        """Kill a run before one of its steps, look at what a reader sees, and run again."""

        def dying() -> None:
            die_at(step, self.root)
            self.run()

        code = in_child(dying)
        self.finish(f"step {step}", code, {KILLED})

    def kill_after(self, seconds: float) -> None:
        """Kill a run at any moment."""
        code = in_child(self.run, kill_after=seconds)
        self.finish(f"{seconds:.3f} s", code, {0, -signal.SIGKILL})

    def finish(self, when: str, code: int, expected: set[int]) -> None:
        """Check what is there, run again, check what is there then."""
        seen = tree(self.out)
        if code not in expected:
            self.failures.append(f"{self.root.name}, {when}: ended with {code}")
        if seen not in (self.old, self.new):
            self.failures.append(f"{self.root.name}, {when}: a reader sees neither the old nor the new: {seen}")
        again = in_child(self.run)
        if again or tree(self.out) != self.new:
            self.failures.append(f"{self.root.name}, {when}: the next run ended with {again} and other bytes")
        if (names := [path.name for path in self.root.iterdir()]) != ["out"]:
            self.failures.append(f"{self.root.name}, {when}: left behind: {names}")
        self.reset()


def main(folder: Path, sources: list[str], formats: list[str], n_kills: int, n_signals: int) -> None:
    """Print what was killed and what went wrong; `n_kills` of the steps of each scenario, all if it is 0."""
    nwb_dask.read_table  # noqa: B018  # loads it
    for name in ("nwb_dask.read", "nwb_dask.adapters.metadata", "rich.progress", "pandas", "distributed"):
        import_module(name)
    report: dict[str, Any] = {"steps": {}, "killed": 0, "failures": []}
    chance = random.Random(0)
    for format_ in formats:
        load_format(format_)  # type: ignore[arg-type]  # one of the formats
        for over_old in (False, True):
            scenario = Scenario(folder, sources, format_, over_old=over_old)
            start = time.perf_counter()
            total = count_steps(scenario.run, scenario.root)
            seconds = time.perf_counter() - start
            scenario.reset()
            # The last steps put the output in its place: all of them are among those that are killed.
            steps = range(1, total + 1)
            chosen = list(steps) if not n_kills else sorted({*chance.sample(steps, n_kills), *steps[-n_kills:]})
            for step in chosen:
                scenario.kill_at(step)
            for _ in range(n_signals):
                scenario.kill_after(chance.uniform(0, seconds))
            report["steps"][scenario.root.name] = total
            report["killed"] += len(chosen) + n_signals
            report["failures"] += scenario.failures
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *json.loads(sys.argv[2]))
