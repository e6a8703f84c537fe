"""Prints what was compared with h5py, and what was not read by the own parser and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

COMPARED = "compared with h5py"
"""Name of the property in which a test leaves its counts, as JSON: xdist carries it to the process that prints."""
DAMAGED = "damaged files"
STORES = "stores compared"


def _properties(reporter: pytest.TerminalReporter, name: str) -> Iterator[dict[str, Any]]:
    for status in ("passed", "failed"):
        for report in reporter.stats.get(status, []):
            for key, value in getattr(report, "user_properties", []):
                if key == name:
                    yield json.loads(str(value))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print counts of what was compared, and each reason why something went through h5py or was refused."""
    compared = list(_properties(terminalreporter, COMPARED))
    damaged = list(_properties(terminalreporter, DAMAGED))
    stores = list(_properties(terminalreporter, STORES))
    if stores:
        terminalreporter.section("Zarr stores")
        for line in sorted({entry["text"] for entry in stores}):
            terminalreporter.write_line(line)
    if not compared and not damaged:
        return
    write = terminalreporter.write_line
    terminalreporter.section("the parser and h5py")
    for kind in sorted({entry["kind"] for entry in compared}):
        entries = [entry for entry in compared if entry["kind"] == kind]
        total: Counter[str] = Counter()
        for entry in entries:
            total.update(entry["counts"])
        write(f"{len(entries)} {kind}: " + ", ".join(f"{n:,} {name}" for name, n in total.items()))
        for what in ("through h5py", "refused"):
            _write_reasons(write, entries, what)
    for entry in damaged:
        write("damaged files: " + entry["text"])


def _write_reasons(write: Any, entries: list[dict[str, Any]], what: str) -> None:
    objects = [(reason, entry["file"], path) for entry in entries for path, reason in entry[what]]
    write(f"  {what}: {len(objects)} objects")
    for reason, n in Counter(reason for reason, _, _ in objects).most_common():
        _, file, path = next(one for one in objects if one[0] == reason)
        write(f"    {n:5d} {reason}: {path} of {file}{' ...' if n > 1 else ''}")
