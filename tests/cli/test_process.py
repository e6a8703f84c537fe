"""What only a process of its own shows: what is imported, pipes that close, signals."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nwb_dask.testing import RangeServer
from tests.cli.conftest import Run

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "nwb_dask"]
HEAVY = {
    *("dask", "distributed", "fsspec", "h5py", "numpy", "obstore", "pandas", "polars", "pyarrow", "rich", "xarray"),
    *("zarr", "remfile", "requests", "s3fs"),
}


def test_help_version_and_completion_load_no_library() -> None:
    code = """
import os, sys
from nwb_dask.cli import main
from nwb_dask.cli.program import COMMANDS
def call(*arguments):
    sys.argv = ["nwb-dask", *arguments]
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code
call("--help"), call("--version")
for name in COMMANDS:
    call(name, "--help")
os.environ |= {"_NWB_DASK_COMPLETE": "bash_complete", "COMP_WORDS": "nwb-dask ta", "COMP_CWORD": "1"}
call()
print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert not set(ran.stderr.split()) & HEAVY
    assert "Usage: nwb-dask" in ran.stdout
    assert "plain,tables" in ran.stdout


def test_nothing_but_the_report_of_references_is_on_stdout(sessions: list[Path], tmp_path: Path) -> None:
    arguments = [
        "index",
        str(sessions[0]),
        "--format",
        "icechunk",
        "-o",
        str(tmp_path / "a.icechunk"),
        "--report",
        "json",
    ]
    ran = subprocess.run([*COMMAND, *arguments], check=True, capture_output=True, text=True, cwd=ROOT)
    assert [one["url"] for one in json.loads(ran.stdout)] == [f"file://{sessions[0]}"]


def test_a_reader_who_leaves_early_ends_the_command_quietly(sessions: list[Path]) -> None:
    arguments = [*COMMAND, "head", *map(str, sessions), "/units", "-n", "999", "--format", "jsonl"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 141


@pytest.mark.parametrize(
    ("arguments", "end", "exit_code", "said"),
    [
        ("--help", "| true", 141, ""),
        ("ls {file}", "> /dev/full", 3, "error: standard output cannot be written: No space left on device"),
        ("ls {file}", ">&-", 2, "error: standard output is closed"),
    ],
)
def test_an_output_that_cannot_be_written_ends_as_it_should(
    sessions: list[Path], arguments: str, end: str, exit_code: int, said: str
) -> None:
    line = f"{shlex.join(COMMAND)} {arguments.format(file=sessions[0])} {end}; exit ${{PIPESTATUS[0]}}"
    # With this setting Python keeps nothing back, and has nothing left to write at its end.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ran = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert (ran.returncode, ran.stdout) == (exit_code, "")
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert bool(said) == bool(ran.stderr)


def test_an_interrupt_ends_a_command_that_waits_for_a_server(sessions: list[Path]) -> None:
    with RangeServer(sessions[0].parent) as server:
        server.inject("a.nwb", "stall", seconds=20.0)
        arguments = [*COMMAND, "tables", server.url("a.nwb")]
        environment = {**os.environ, "NWB_DASK_CACHE": "off"}
        with subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=environment, text=True
        ) as process:
            while not server.n_requests and process.poll() is None:
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.strip() == "error: interrupted"


def test_a_terminal_gets_lines_that_fit_and_is_told_apart(sessions: list[Path]) -> None:
    controller, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": "50", "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    arguments = [*COMMAND, "schema", str(sessions[0]), "/units"]
    with os.fdopen(controller, "rb", buffering=0) as reader:
        ran = subprocess.run(arguments, stdout=terminal, stderr=subprocess.PIPE, cwd=ROOT, env=environment, check=True)
        os.close(terminal)
        shown = reader.read(20_000).decode()
    assert ran.stderr == b""
    assert "\x1b[1m" in shown
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in shown.splitlines()) <= 50
    assert "large_list" in shown


def test_the_script_of_the_package_is_the_same_program(run: Run) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'nwb-dask = "nwb_dask.cli:main"' in text
    assert run("--version").stdout.startswith("nwb-dask, version ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete_commands(run: Run, shell: str) -> None:
    result = run(env={"_NWB_DASK_COMPLETE": f"{shell}_source"})
    assert "_NWB_DASK_COMPLETE" in result.stdout
