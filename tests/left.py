"""What a run without the slow tests leaves out, and its words about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

_KEY = "left to slow runs"
_counts = pytest.StashKey[Counter[str]]()


def one_of_each_folder(paths: Iterable[Path], *, ids: Sequence[str] | None = None) -> list[Any]:
    """Return parameters of a test: all paths, of which all but one of each folder are left to slow runs.

    Real files lie in folders by who wrote them, and files of one writer are much alike. The test must not be the only
    one that compares what it compares, or the rest of the folder must be like the one that is chosen.
    """
    every = list(paths)
    names = [path.name for path in every] if ids is None else ids
    seen: set[Path] = set()
    found = []
    for path, name in zip(every, names, strict=True):
        marks = [pytest.mark.slow] if path.parent in seen else []
        seen.add(path.parent)
        found.append(pytest.param(path, id=name, marks=marks))
    return found


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count, by function, what is left to slow runs."""
    for item in items:
        if item.get_closest_marker("slow") is not None:
            name = item.nodeid.partition("[")[0]
            item.config.stash.setdefault(_counts, Counter())[name] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the counts of a process of xdist over to the main one."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        counts: Counter[str] = session.config.stash.setdefault(_counts, Counter())
        output[_KEY] = dict(counts)


def node_down(config: pytest.Config, node: Any) -> None:
    """Take the counts of a process of xdist; all of them leave out the same."""
    config.stash[_counts] = Counter(getattr(node, "workeroutput", {}).get(_KEY, {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many cases of how many tests are left to slow runs, and which of them are the most."""
    counts = terminalreporter.config.stash.setdefault(_counts, Counter())
    if not counts:
        return
    terminalreporter.section("left to slow runs (pytest -m slow)")
    terminalreporter.write_line(f"{counts.total()} cases of {len(counts)} tests")
    for name, n in counts.most_common(12):
        terminalreporter.write_line(f"  {n:5d} {name}")
