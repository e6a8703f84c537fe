"""Prints what the parity tests compared, and what they left out and why."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest

OUTCOME = "parity"
"""Name of the property in which a test leaves its outcomes, as JSON: xdist carries it to the process that prints."""
FILE_OUTCOME = "parity file"
SERIES_OUTCOME = "parity of series"
QUERY_OUTCOME = "parity of queries"
_N_NAMED = 4


def _properties(reporter: pytest.TerminalReporter, name: str) -> Iterator[dict[str, str]]:
    for status in ("passed", "failed"):
        for report in reporter.stats.get(status, []):
            for key, value in getattr(report, "user_properties", []):
                if key == name:
                    yield from json.loads(str(value))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts of files and tables: compared, passed, left out with the reasons."""
    outcomes: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    columns: Counter[tuple[str, str]] = Counter()
    raising: Counter[tuple[str, str]] = Counter()
    for entry in _properties(terminalreporter, OUTCOME):
        outcomes[entry["file"], entry["table"]][entry["engine"]] = entry["outcome"]
        columns[entry["file"], entry["table"]] = int(entry["columns"])
        raising[entry["file"], entry["table"]] = int(entry["raising"])
    files = {entry["file"]: entry["outcome"] for entry in _properties(terminalreporter, FILE_OUTCOME)}
    if not outcomes and not files:
        return
    write = terminalreporter.write_line
    terminalreporter.section("parity with h5py and pynwb")
    for reason, count in sorted(Counter(files.values()).items()):
        write(f"{count:5d} files {reason}")
        if "left out" in reason:
            for file in (name for name, found in files.items() if found == reason):
                write(f"          {file}")
    verdicts = {key: _verdict(found) for key, found in outcomes.items()}
    compared = [key for key, verdict in verdicts.items() if not verdict.startswith("left out")]
    write(
        f"{len(verdicts):5d} tables found, {len(compared)} compared ({sum(columns[key] for key in compared)} columns)"
    )
    for verdict, count in sorted(Counter(verdicts.values()).items(), reverse=True):
        write(f"{count:5d} tables {verdict}")
        if verdict.startswith("left out"):
            for file, table in (key for key, found in verdicts.items() if found == verdict):
                write(f"          {table} of {file}")
    write(f"{raising.total():5d} columns that h5py cannot show either must raise an error that names them")
    engines = sorted({engine for found in outcomes.values() for engine in found})
    write(f"      engines: {', '.join(engines)}; each table once per engine")


def series_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts of series compared, and where the oracle is not what it should be."""
    every = list(_properties(terminalreporter, SERIES_OUTCOME))
    if not every:
        return
    write = terminalreporter.write_line
    terminalreporter.section("series and pynwb")
    files, values, times = ({one["file"] for one in every}, 0, 0)
    for one in every:
        values += int(one.get("values", 0)) if str(one.get("values", "")).isdecimal() else 0
        times += int(one.get("times", 0)) if str(one.get("times", "")).isdecimal() else 0
    write(f"{len(every):5d} series of {len(files)} files; {values:,} values and {times:,} times equal")
    for kind, count in sorted(Counter(one["kind"] for one in every if one["kind"]).items()):
        write(f"{count:9d} {kind}")
    for what in ("oracle", "values", "times"):
        said = Counter(str(one[what]) for one in every if what in one and not str(one[what]).isdecimal())
        for text, count in sorted(said.items()):
            where = next(one for one in every if str(one.get(what)) == text)
            write(f"{count:5d} {what}: {text}: {where['series']} of {where['file']}{' ...' * (count > 1)}")


def _verdict(found: dict[str, str]) -> str:
    for kind in ("failed", "left out", "passed"):
        matching = sorted({outcome for outcome in found.values() if outcome.startswith(kind)})
        if matching:
            return matching[0]
    return "failed"


def query_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many queries each engine answered as in memory, and which it was not asked and why."""
    every = list(_properties(terminalreporter, QUERY_OUTCOME))
    if not every:
        return
    write = terminalreporter.write_line
    terminalreporter.section("queries of three engines")
    for engine in sorted({one["engine"] for one in every}):
        equal = [one for one in every if one["engine"] == engine and one["outcome"] == "equal"]
        count = sum(int(one.get("count", 1)) for one in equal)
        write(f"{count:5d} queries answered by {engine} as in memory")
    unasked: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in every:
        if one["outcome"] != "equal":
            unasked[one["engine"], one["outcome"]].append(one["query"])
    for (engine, outcome), names in sorted(unasked.items()):
        more = f" and {len(names) - _N_NAMED} more" if len(names) > _N_NAMED else ""
        write(f"{len(names):5d} {engine}: {outcome}: {', '.join(names[:_N_NAMED])}{more}")
