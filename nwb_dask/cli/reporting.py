"""What goes to stderr: errors, warnings and notes, in words or as one JSON object per line."""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import TextIO

import click

from nwb_dask.cli.failures import ClosedPipeError, ExitCode, Failure, describe_failure
from nwb_dask.cli.safe_text import escape_json, escape_lines
from nwb_dask.errors import SkippedFilesWarning, without_url_secrets

JSON_FLAG = "--json-errors"
TRACEBACK_FLAG = "--traceback"
FLAGS = frozenset({JSON_FLAG, TRACEBACK_FLAG})
_JSON_FORMATS = frozenset({"json", "jsonl"})
_FORMAT_FLAGS = ("--format", "-f")
_REPORT_FLAGS = ("--report",)
"""What chooses the format of stdout in `convert`, whose ``--format`` is that of its files."""
_QUIET = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


class Reporter:
    """Tells what happens, on stderr.

    Parameters
    ----------
    is_json : bool
        Whether each message is one line with a JSON object; else it is text.
    """

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json
        self.is_partial = False
        """Whether files were left out."""
        self._said: set[str] = set()

    def fail(self, failure: Failure) -> None:
        """Say what went wrong."""
        if self.is_json:
            self._write_json({"level": "error", **failure.fields()})
            return
        self._write(f"error: {failure.message}")
        if failure.hint:
            self._write(f"hint: {failure.hint}")

    def warn(self, message: str, *, code: str = "warning") -> None:
        """Say what the user may want to change; the same only once."""
        if message in self._said:
            return
        self._said.add(message)
        self._say("warning", code, message)

    def note(self, message: str) -> None:
        """Say what was done, or what the answer does not show."""
        self._say("note", "note", message)

    @contextmanager
    def shown_warnings(self) -> Iterator[None]:
        """Pass on what libraries warn of inside the block; warnings for developers only if Python is told to."""
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.resetwarnings()
                for category in _QUIET:
                    warnings.simplefilter("ignore", category)
            # They make the answer partial, whatever Python is told of warnings.
            warnings.simplefilter("always", SkippedFilesWarning)
            warnings.showwarning = self._show
            yield

    def _show(  # noqa: PLR0917  # as `warnings.showwarning` is called
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,  # noqa: ARG002  # likewise
        lineno: int,  # noqa: ARG002  # likewise
        file: TextIO | None = None,  # noqa: ARG002  # likewise
        line: str | None = None,  # noqa: ARG002  # likewise
    ) -> None:
        is_skipping = issubclass(category, SkippedFilesWarning)
        self.is_partial |= is_skipping
        self.warn(without_url_secrets(str(message)), code="skipped_files" if is_skipping else "warning")

    def _say(self, level: str, code: str, message: str) -> None:
        if self.is_json:
            self._write_json({"level": level, "code": code, "message": message})
        else:
            self._write(f"{level}: {message}")

    def _write(self, text: str) -> None:
        click.echo(escape_lines(text).encode("utf-8", "backslashreplace"), err=True)

    def _write_json(self, fields: dict[str, str | None]) -> None:
        click.echo(escape_json(json.dumps(fields, ensure_ascii=False)).encode("utf-8", "backslashreplace"), err=True)


def reporter() -> Reporter:
    """Return the reporter of the command that runs."""
    found = click.get_current_context().find_object(Reporter)
    return found if found is not None else Reporter(is_json=False)


def wants_json(arguments: Sequence[str]) -> bool:
    """Tell whether messages are to be JSON, from arguments that may themselves be wrong."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    command = next((one for one in own if not one.startswith("-")), "")
    flags = _REPORT_FLAGS if command == "convert" else _FORMAT_FLAGS
    formats = [after for flag, after in pairwise(own) if flag in flags]
    formats += [after for flag, equals, after in (one.partition("=") for one in own) if equals and flag in flags]
    return JSON_FLAG in own or bool(_JSON_FORMATS.intersection(formats))


def run(call: Callable[[Reporter], object], arguments: Sequence[str]) -> ExitCode:
    """Return the exit code of a command, with what went wrong said.

    Parameters
    ----------
    call : callable
        The command; what it returns is an exit code, or nothing if all went well.
    arguments : sequence of str
        What the process was given.
    """
    told = Reporter(is_json=wants_json(arguments))
    try:
        with told.shown_warnings():
            code = call(told)
    except ClosedPipeError:
        _give_up_stdout()
        return ExitCode.CLOSED_PIPE
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return ExitCode.USAGE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # here every error becomes an exit code
        if TRACEBACK_FLAG in arguments:
            told.note(without_url_secrets(traceback.format_exc()))
        failure = describe_failure(error)
        told.fail(failure)
        _flush_stdout()
        return failure.exit_code
    if isinstance(code, int) and code:
        return ExitCode(code)
    return ExitCode.PARTIAL if told.is_partial else ExitCode.OK


def _flush_stdout() -> None:
    """Write what is left; if that cannot be written, the interpreter shall not try again when it ends."""
    try:
        sys.stdout.flush()
    except (AttributeError, OSError, ValueError):
        # It is full; or it is closed, and then there may be no stream at all.
        _give_up_stdout()


def _give_up_stdout() -> None:
    """Let the interpreter end without an attempt to write what nobody reads."""
    with suppress(AttributeError, OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
