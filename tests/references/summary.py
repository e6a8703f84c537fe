"""Prints what was compared of files that were written as references and read back, and what was left out."""

from __future__ import annotations

import json
from collections import Counter

import pytest

ROUND_TRIPS = "round trips through references"
"""Name of the property in which a test leaves its counts, as JSON: xdist carries it to the process that prints."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the sums of all files, and each reason for which something is not in the references."""
    found = [
        json.loads(str(value))
        for report in terminalreporter.stats.get("passed", [])
        for key, value in getattr(report, "user_properties", [])
        if key == ROUND_TRIPS
    ]
    if not found:
        return
    write = terminalreporter.write_line
    terminalreporter.section(ROUND_TRIPS)
    counts = sum((Counter(one["counts"]) for one in found), Counter[str]())
    write(f"{len(found):6d} files")
    for name, count in sorted(counts.items()):
        write(f"{count:6d} {name}")
    for reason, count in sorted(Counter(reason for one in found for _, reason in one["left_out"]).items()):
        where = next(f"{path} of {one['file']}" for one in found for path, why in one["left_out"] if why == reason)
        write(f"{count:6d} left out: {reason}: {where}{' ...' * (count > 1)}")
