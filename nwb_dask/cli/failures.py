"""Exit codes, and the code of each error: both are stable, scripts may rely on them.

====  =====================================================================
exit  meaning
====  =====================================================================
0     the answer is complete
1     an error of nwb_dask itself
2     the command was called wrongly
3     the input cannot be answered: files, tables, columns, filters, network
4     an answer without the files that ``--errors skip`` left out, or the sessions that failed in ``run``
130   interrupted
141   who read the answer went away
====  =====================================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from types import MappingProxyType

import click

from nwb_dask.errors import NWBDaskError, without_url_secrets


class ExitCode(IntEnum):
    """What the process tells the shell."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    INPUT = 3
    PARTIAL = 4
    INTERRUPTED = 130
    CLOSED_PIPE = 141


class CommandError(Exception):
    """The answer cannot be given as it was asked for.

    Parameters
    ----------
    code : str
        One of `CODES`.
    message : str
        What is wrong, and the way out.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ClosedPipeError(Exception):
    """Who reads stdout has gone away."""


CODES: Mapping[str, ExitCode] = MappingProxyType(
    {
        "path_not_found": ExitCode.INPUT,
        "malformed_file": ExitCode.INPUT,
        "unsorted_times": ExitCode.INPUT,
        "unsupported_layout": ExitCode.INPUT,
        "schema_conflict": ExitCode.INPUT,
        "irregular_times": ExitCode.INPUT,
        "too_many_labels": ExitCode.INPUT,
        "predicate": ExitCode.INPUT,
        "source_changed": ExitCode.INPUT,
        "source_unavailable": ExitCode.INPUT,
        "source_not_found": ExitCode.INPUT,
        "source_access": ExitCode.INPUT,
        "output": ExitCode.INPUT,
        "function": ExitCode.INPUT,
        "format": ExitCode.INPUT,
        "query": ExitCode.INPUT,
        "too_many_rows": ExitCode.INPUT,
        "output_exists": ExitCode.INPUT,
        "output_failed": ExitCode.INPUT,
        "missing_library": ExitCode.INPUT,
        "cache_off": ExitCode.INPUT,
        "input": ExitCode.INPUT,
        "skipped_files": ExitCode.PARTIAL,
        "usage": ExitCode.USAGE,
        "interrupted": ExitCode.INTERRUPTED,
        "internal": ExitCode.INTERNAL,
    }
)
"""Code of an error -> exit code.

An error of `nwb_dask.errors` has the name of its class: ``PathNotFoundError`` is ``path_not_found``. ``input`` is any
other error of the input; ``skipped_files`` comes as a warning."""

_HINTS: Mapping[str, str] = MappingProxyType(
    {
        "path_not_found": "`nwb-dask tables SOURCE` lists the tables, `nwb-dask schema SOURCE TABLE` the columns",
        "malformed_file": "`--errors skip` leaves out files that are corrupt",
        "source_not_found": "`nwb-dask ls SOURCE` lists the files that a source means",
        "source_access": "credentials come from the environment or from --storage-option, what documents of references "
        "may name from NWB_DASK_REMAP and NWB_DASK_ALLOW_HOSTS",
        "source_unavailable": "`nwb-dask doctor SOURCE` tries to reach it",
        "query": "`SHOW TABLES` lists the names; a path is written in double quotes",
        "internal": "`--traceback` shows where it happened",
    }
)
_SPELLINGS: Mapping[str, str] = MappingProxyType(
    {
        "overwrite=True replaces": "`--overwrite` of convert, `--force` of index replaces an earlier output",
        "resume=False": "`--no-resume` starts anew",
        "schema_overrides": "`--type` says the type of a column: see --help",
        "it out with exclude=": "`--exclude PATH` leaves it out",
    }
)
"""What messages say in Python -> how the command line says it."""
_POLARS_PLAN = "\n\nResolved plan until failure"
"""What follows is of the engine, and of no use to who wrote the query."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, for people and for scripts."""

    code: str
    message: str
    source: str | None = None
    """The file, without credentials and query string."""
    path: str | None = None
    """The object inside the file."""
    hint: str | None = None

    @property
    def exit_code(self) -> ExitCode:
        """What the process ends with."""
        return CODES[self.code]

    def fields(self) -> dict[str, str | None]:
        """Return the facts by name."""
        return asdict(self)


def describe_failure(error: BaseException) -> Failure:
    """Return what `error` means to who called the command."""
    if isinstance(error, NWBDaskError):
        code = next(filter(CODES.__contains__, map(_code_of, type(error).__mro__)), "input")
        message = _with_notes(str(error), error)
        hints = [hint for words, hint in _SPELLINGS.items() if words in message]
        return Failure(code, message, error.url, error.path, "; ".join(hints) or _HINTS.get(code))
    if isinstance(error, CommandError):
        return Failure(error.code, str(error))
    if isinstance(error, click.UsageError):
        command = None if error.ctx is None else f"`{error.ctx.command_path} --help` has the arguments"
        return Failure("usage", error.format_message(), hint=command)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return Failure("interrupted", "interrupted")
    message = without_url_secrets(_with_notes(str(error), error))
    # By name: polars is loaded where it is used, and only there.
    if any(kind.__name__ == "PolarsError" for kind in type(error).__mro__):
        return Failure("query", message.partition(_POLARS_PLAN)[0].rstrip())
    if isinstance(error, ImportError):
        return Failure("missing_library", message)
    return Failure("internal", f"{type(error).__name__}: {message}", hint=_HINTS["internal"])


def _code_of(kind: type) -> str:
    return re.sub(r"(?<!^)(?=[A-Z][a-z])", "_", kind.__name__.removesuffix("Error")).lower()


def _with_notes(message: str, error: BaseException) -> str:
    return "\n".join([message, *getattr(error, "__notes__", [])])
