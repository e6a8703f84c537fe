"""What the process tells the shell, and what scripts read on stderr."""

from __future__ import annotations

import json
import re
import sys
import warnings
from pathlib import Path
from typing import Literal

import pytest

from nwb_dask import errors
from nwb_dask.cli import failures
from nwb_dask.cli.commands import head
from nwb_dask.cli.failures import CODES, ExitCode, Failure, describe_failure
from nwb_dask.cli.program import COMMANDS, program
from nwb_dask.errors import NWBDaskError
from nwb_dask.testing import RangeServer
from tests.cli.conftest import Run

CASES = [
    ("ls {good}", 0, None),
    ("head {good} /units", 0, None),
    ("ls {good} {absent} --errors skip", 4, "skipped_files"),
    ("info {good} {bad} --errors skip", 4, "skipped_files"),
    ("tables {good} {bad} --errors skip", 4, "skipped_files"),
    ("schema {good} {bad} /units --errors skip", 4, "skipped_files"),
    ("head {good} {bad} /units --errors skip", 4, "skipped_files"),
    ("metadata {good} {bad} --errors skip", 4, "skipped_files"),
    ("explain {good} {bad} /units --errors skip", 4, "skipped_files"),
    ("ls {absent}", 3, "source_not_found"),
    ("ls {folder}/*.zip", 3, "source_not_found"),
    ("info {absent}", 3, "source_not_found"),
    ("info {bad}", 3, "malformed_file"),
    ("tables {good} {bad}", 3, "malformed_file"),
    ("tables {bad} --errors skip", 3, "malformed_file"),
    ("schema {good} /unit", 3, "path_not_found"),
    ("head {good} /units --columns dept", 3, "path_not_found"),
    ("head {good} /units --where 'dept > 3'", 3, "path_not_found"),
    ("head {good} /units --where 'spike_times > 3'", 3, "predicate"),
    ("head {good} /units --where 'depth >'", 3, "predicate"),
    ("explain {good} /unit", 3, "path_not_found"),
    ("explain {good} 'SELECT * FROM unit'", 3, "path_not_found"),
    ("explain {good} 'SELECT * FROM units' --columns id", 2, "usage"),
    ("query {good} 'SELECT id FROM units'", 0, None),
    ("query {good} {bad} 'SELECT id FROM units' --errors skip", 4, "skipped_files"),
    ("query {good} 'SELECT id FROM unit'", 3, "path_not_found"),
    ("query {good} 'SELECT dept FROM units'", 3, "query"),
    ("query {good} 'SELECT id FRM units'", 3, "query"),
    ("query {good} 'DROP TABLE units'", 3, "query"),
    ("query {good} 'SELECT id FROM units' --max-rows 3", 3, "too_many_rows"),
    ("metadata {good} --columns nothing", 3, "path_not_found"),
    ("head {good} /units --max-rows 1", 3, "too_many_rows"),
    ("ls {good} -o {bad} --format csv", 3, "output_exists"),
    ("", 2, None),
    ("convert {good} {folder}/full", 0, None),
    ("convert {good} {bad} {folder}/part --errors skip", 4, "skipped_files"),
    ("convert {good} {bad} {folder}/none", 3, "malformed_file"),
    ("convert {good} {folder}/none --tables /unit", 3, "path_not_found"),
    ("convert {good} {folder}", 3, "output"),
    ("convert {good} {folder}/none --format zarr --layout one", 2, "usage"),
    ("convert {good} {folder}/none --type units", 2, "usage"),
    ("convert {good} {folder}/none --type /units/id=nothing", 2, "usage"),
    ("convert {good} {folder}/none --type /units/idd=string", 3, "path_not_found"),
    ("head {good} /units --type id=string -n 1", 0, None),
    ("head {good} /units --type /units/id=string -n 1", 0, None),
    ("head {good} /units --type /trials/id=string", 2, "usage"),
    ("head {good} /units --type idd=string", 3, "path_not_found"),
    ("schema {good} /units --type id=nothing", 2, "usage"),
    ("explain {good} /units --type units", 2, "usage"),
    ("query {good} 'SELECT id FROM units LIMIT 1' --type id=string", 2, "usage"),
    ("convert {good}", 2, "usage"),
    ("lss", 2, "usage"),
    ("ls", 2, "usage"),
    ("head {good}", 2, "usage"),
    ("head {good} /units -n -1", 2, "usage"),
    ("head {good} ''", 2, "usage"),
    ("ls {good} --format xml", 2, "usage"),
    ("ls {good} --force", 2, "usage"),
    ("ls {good} -o {folder}/no/such.json", 2, "usage"),
    ("ls {good} -o {folder}/table.xlsx", 2, "usage"),
    ("ls {good} -o {folder}/table.dat --format csv", 0, None),
    ("ls {good} -o {folder}/table.txt", 0, None),
    ("ls {good} --storage-option hush", 2, "usage"),
    ("ls {good} --storage-option kez=hush", 2, "usage"),
    ("ls {good} --storage-option key=hush", 2, "usage"),
    ("ls {good} --storage-option client_kwargs=hush", 2, "usage"),
    ("ls {good} --storage-option deadline=hush", 2, "usage"),
    ("ls {good} --engine carrier-pigeon", 2, "usage"),
]


@pytest.mark.parametrize("case", CASES, ids=[case[0] or "nothing" for case in CASES])
def test_every_end_has_its_exit_code_and_its_code(
    run: Run, sessions: list[Path], bad: Path, case: tuple[str, int, str | None]
) -> None:
    line, exit_code, code = case
    places = {"good": sessions[0], "bad": bad, "absent": bad.with_name("absent.nwb"), "folder": bad.parent}
    words = [word[1:-1] if word[:1] == "'" else word for word in re.findall(r"'[^']*'|\S+", line.format(**places))]
    result = run(*words, *(["--json-errors"] if words else []))
    assert result.exit_code == exit_code, result.stderr
    said = [json.loads(one) for one in result.stderr.splitlines()] if words else []
    assert [one["code"] for one in said if one["level"] != "note"] == ([code] if code else [])
    assert "hush" not in result.stderr
    if code and code != "skipped_files":
        assert result.stdout == ""
        assert CODES[code] == exit_code
        assert set(said[-1]) == {"level", "code", "message", "source", "path", "hint"}


def test_errors_name_the_file_and_the_path(run: Run, sessions: list[Path]) -> None:
    result = run("--json-errors", "head", sessions[0], "/unit")
    said = json.loads(result.stderr)
    assert (said["source"], said["path"]) == (str(sessions[0]), "/unit")
    assert "did you mean '/units'" in said["message"]


def test_an_error_of_a_query_has_no_plan_of_the_engine(run: Run, sessions: list[Path]) -> None:
    said = json.loads(run("query", sessions[0], "SELECT nope FROM units", "--json-errors").stderr)
    assert said["code"] == "query"
    assert said["message"].startswith('unable to find column "nope"')
    assert "\n" not in said["message"]


def test_json_output_has_json_errors_and_text_output_has_text(run: Run, bad: Path) -> None:
    for flags in (["--format", "json"], ["-f", "jsonl"], ["--format=json"]):
        assert json.loads(run("info", bad, *flags).stderr)["code"] == "malformed_file"
    text = run("info", bad, "--format", "csv").stderr
    assert text.startswith("error: not an HDF5 file")
    assert "hint: " in text


def test_warnings_leave_stdout_to_the_data(run: Run, sessions: list[Path], bad: Path) -> None:
    result = run("tables", *sessions, bad, "--errors", "skip", "--format", "json")
    assert {one["n_files"] for one in json.loads(result.stdout)} == {1, 2}
    (warning,) = map(json.loads, result.stderr.splitlines())
    assert (warning["level"], str(bad) in warning["message"]) == ("warning", True)
    plain = run("info", *sessions, bad, "--errors", "skip").stderr
    assert plain.count("warning: 1 of 3 files are left out") == 1


@pytest.mark.parametrize("told", ["ignore", "error"])
def test_an_answer_without_some_files_is_partial_whatever_python_is_told_of_warnings(
    run: Run, sessions: list[Path], bad: Path, monkeypatch: pytest.MonkeyPatch, told: Literal["ignore", "error"]
) -> None:
    monkeypatch.setattr(sys, "warnoptions", [told])
    with warnings.catch_warnings():
        warnings.simplefilter(told)
        result = run("tables", *sessions, bad, "--errors", "skip")
    assert result.exit_code == 4
    assert result.stderr.count("warning: 1 of 3 files are left out") == 1


def test_a_refused_file_shows_no_signature(run: Run, sessions: list[Path]) -> None:
    with RangeServer(sessions[0].parent) as server:
        server.inject("a.nwb", "status", status=403)
        result = run("tables", f"{server.url('a.nwb')}?X-Signature=hush", "--json-errors")
    said = json.loads(result.stderr)
    assert (result.exit_code, said["code"]) == (3, "source_access")
    assert "hush" not in result.stderr
    assert said["source"] == server.url("a.nwb")


def test_a_wrong_variable_of_the_environment_is_an_error_of_usage(
    run: Run, sessions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NWB_DASK_DEADLINE", "soon")
    for arguments in (("ls", sessions[0]), ("cache", "path")):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "NWB_DASK_DEADLINE" in result.stderr


def test_an_error_of_ours_is_internal_and_shows_no_secret(
    run: Run, sessions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("at https://me:pass@host/a.nwb?sig=hush")

    monkeypatch.setattr(head, "scan_sources", fail)
    result = run("head", sessions[0], "/units", "--json-errors", "--traceback")
    note, error = map(json.loads, result.stderr.splitlines())
    assert (result.exit_code, error["code"]) == (1, "internal")
    assert error["message"] == "ZeroDivisionError: at https://host/a.nwb"
    assert "test_exit_codes.py" in note["message"]
    assert "hush" not in result.stderr
    assert "pass@" not in result.stderr


def test_an_interrupt_has_the_exit_code_of_shells(
    run: Run, sessions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(head, "scan_sources", interrupt)
    result = run("head", sessions[0], "/units", "--json-errors")
    assert result.exit_code == 130
    assert json.loads(result.stderr)["code"] == "interrupted"


def every_error(kind: type[NWBDaskError] = NWBDaskError) -> list[type[NWBDaskError]]:
    return [kind, *(one for child in kind.__subclasses__() for one in every_error(child))]


def test_every_error_of_the_tree_has_a_code_of_its_own() -> None:
    kinds = [kind for kind in every_error() if kind.__module__ == errors.__name__]
    codes = {kind: describe_failure(kind("x")).code for kind in kinds}
    assert len(set(codes.values())) == len(kinds)
    assert set(codes.values()) <= set(CODES)


def test_codes_stay_what_they_are() -> None:
    assert {code for code, number in CODES.items() if number == ExitCode.INPUT} == {
        *("path_not_found", "malformed_file", "unsorted_times", "unsupported_layout", "schema_conflict"),
        *("irregular_times", "too_many_labels", "predicate", "source_changed", "source_unavailable"),
        *("source_not_found", "source_access", "query", "too_many_rows", "output_exists", "output_failed"),
        *("cache_off", "missing_library", "input", "output", "format", "function"),
    }
    assert {name: int(one) for name, one in ExitCode.__members__.items()} == {
        "OK": 0, "INTERNAL": 1, "USAGE": 2, "INPUT": 3, "PARTIAL": 4, "INTERRUPTED": 130, "CLOSED_PIPE": 141,
    }  # fmt: skip
    assert set(failures._HINTS) <= set(CODES)
    assert Failure("usage", "").exit_code == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_of_a_command_what_the_command_says(run: Run, name: str) -> None:
    command = program.get_command(program.make_context("nwb-dask", [name]), name)
    assert command is not None
    assert command.help is not None
    assert command.help.splitlines()[0] == COMMANDS[name]
    shown = run(name, "--help")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert COMMANDS[name] in run("--help").stdout
