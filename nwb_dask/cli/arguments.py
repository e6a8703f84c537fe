"""The arguments and options that commands share."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import click

from nwb_dask.options import EngineName, options

Format: TypeAlias = Literal["table", "json", "jsonl", "csv", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)

_Command: TypeAlias = Callable[..., Any]
_NESTED_OPTIONS = frozenset({"client_kwargs", "client_options", "headers"})
_TEXT_SUFFIXES = frozenset({"", "log", "txt"})
_SWITCHES = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How files are reached, and what becomes of those that cannot be read."""

    storage_options: Mapping[str, object] = field(default_factory=dict, repr=False)
    errors: Literal["raise", "skip"] = "raise"


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """How an answer is given."""

    format: Format = "table"
    path: Path | None = None
    """None for stdout."""
    is_forced: bool = False
    """Whether a file that is there is replaced."""
    max_rows: int | None = None
    """More are an error; None or 0 for no bound."""


def source_argument(command: _Command) -> _Command:
    """Add ``SOURCE...``: one as text, several as a list."""
    return click.argument("source", nargs=-1, required=True, callback=_one_or_many)(command)


def table_argument(command: _Command) -> _Command:
    """Add ``TABLE``, which comes last."""
    return click.argument("table", callback=_not_empty)(command)


def query_argument(command: _Command) -> _Command:
    """Add ``QUERY``, which comes last."""
    return click.argument("query", callback=_query)(command)


def columns_option(command: _Command) -> _Command:
    """Add ``--columns A,B``: a list of names, or None for all columns."""
    return click.option(
        "--columns", "-c", multiple=True, metavar="A,B", callback=_names, help="Only these columns, in this order."
    )(command)


def types_option(command: _Command) -> _Command:
    """Add ``--type COLUMN=TYPE``, which the command gets as `types`: name or path of each column, and its type."""
    return click.option(
        "--type",
        "types",
        multiple=True,
        metavar="COLUMN=TYPE",
        callback=_types,
        help="Type of a column where files disagree, by its name or path: /units/quality=string; may be repeated.",
    )(command)


def types_of_table(types: Mapping[str, str], table: str) -> dict[str, str]:
    """Return the types by the names of the columns of one table.

    Raises
    ------
    click.UsageError
        If a path is one of another table.
    """
    found = {}
    for path, kind in types.items():
        above, slash, name = path.rpartition("/")
        if slash and above.strip("/") != table.strip("/"):
            raise click.UsageError(f"--type {path}={kind}: that is no column of {table}")
        found[name] = kind
    return found


def types_of_tables(types: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the types by the paths of tables, then by the names of columns.

    Raises
    ------
    click.UsageError
        If a column has no path.
    """
    found: dict[str, dict[str, str]] = {}
    for path, kind in types.items():
        table, _, name = path.rpartition("/")
        if not path.startswith("/"):
            raise click.UsageError(f"--type {path}={kind}: in a query the path of the column is wanted, /units/quality")
        found.setdefault(table or "/", {})[name] = kind
    return found


def source_options(command: _Command) -> _Command:
    """Add the options of reaching files, which the command gets as `reach`; ``--engine`` holds while it runs."""

    @functools.wraps(command)
    def wrapped(*, storage_options: Mapping[str, object], errors: Any, **rest: Any) -> object:  # noqa: ANN401  # click's values
        return command(reach=SourceOptions(storage_options, errors), **rest)

    return access_options(
        click.option(
            "--errors",
            type=click.Choice(["raise", "skip"]),
            default="raise",
            show_default=True,
            help="Files that are corrupt or missing: an error, or left out; the exit code is then 4.",
        )(wrapped)
    )


def access_options(command: _Command) -> _Command:
    """Add the options of reaching files, which the command gets as `storage_options`; ``--engine`` holds meanwhile."""

    @functools.wraps(command)
    def wrapped(*, storage_option: Mapping[str, object], engine: str | None, **rest: Any) -> object:  # noqa: ANN401  # click's values
        with options(**({} if engine is None else {"engine": engine})):
            _check_access(SourceOptions(storage_option))
            return command(storage_options=storage_option, **rest)

    wrapped = click.option(
        "--engine", type=click.Choice(get_args(EngineName)), help="Which library fetches the bytes of remote files."
    )(wrapped)
    return click.option(
        "--storage-option",
        multiple=True,
        metavar="KEY=VALUE",
        callback=_storage_options,
        help="A credential, an endpoint ...: anon=true, key=..., endpoint_url=...; as storage_options in Python. "
        "Other users of the machine may see it; the environment and profiles hide it.",
    )(wrapped)


def run_options(command: _Command) -> _Command:
    """Add the options of where functions of sessions run and what they write to."""
    for option in (
        click.option("--retries", type=click.IntRange(min=0), default=2, show_default=True, help="Of what may pass."),
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            metavar="N",
            help="Run in N processes of this machine, not threads.",
        ),
        click.option("--scheduler", metavar="ADDRESS", help="Run on a cluster of dask: tcp://host:8786."),
        click.option(
            "--out-option",
            multiple=True,
            metavar="KEY=VALUE",
            callback=_storage_options,
            help="As --storage-option, of a bucket that is written to.",
        ),
    ):
        command = option(command)
    return access_options(command)


def settings_option(command: _Command) -> _Command:
    """Add ``--set NAME=VALUE``, which the command gets as `settings`: JSON values, or text where that is no JSON."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_settings,
        help="An argument of the function; the value is JSON, or else text. It is kept beside the result. "
        "May be repeated.",
    )(command)


def _settings(_: click.Context, parameter: click.Parameter, value: Iterable[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for one in value:
        name, equals, text = one.partition("=")
        if not (equals and name.isidentifier()):
            raise click.BadParameter(f"NAME=VALUE is wanted, and {one!r} is not that", param=parameter)
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def output_options(command: _Command) -> _Command:
    """Add the options of giving an answer, which the command gets as `output`."""

    @functools.wraps(command)
    def wrapped(*, format_: Format | None, out: Path | None, force: bool, max_rows: int | None, **rest: Any) -> object:  # noqa: ANN401  # click's values
        output = OutputOptions(format_ or _format_of(out), out, force, max_rows)
        _check_output(output)
        return command(output=output, **rest)

    return _output_options(wrapped, FORMATS, "How rows are given.  [default: table]", is_folder=False)


def output_options_with(others: Mapping[str, str], help_: str) -> Callable[[_Command], _Command]:
    """Return what adds the same, where ``--format`` also takes `others`, which are no rows.

    Parameters
    ----------
    others : mapping of str to str
        Formats, and the ends of names that choose them. The command gets what was chosen as `other`, or None, and then
        `output` says where it goes.
    help_ : str
        Of ``--format``.
    """

    def decorate(command: _Command) -> _Command:
        @functools.wraps(command)
        def wrapped(
            *,
            format_: str | None,
            out: Path | None,
            force: bool,
            max_rows: int | None,
            **rest: Any,  # noqa: ANN401  # click's values
        ) -> object:
            ends = [name for name, end in others.items() if out is not None and out.name.endswith(end)]
            other = format_ if format_ in others else next(iter(ends), None) if format_ is None else None
            if other is not None:
                if out is None or str(out) == "-":
                    raise click.UsageError(f"--format {other} is written to a file or folder; give -o its name")
                return command(output=OutputOptions("table", out, force, max_rows), other=other, **rest)
            chosen = next((one for one in FORMATS if one == format_), None)
            output = OutputOptions(chosen or _format_of(out), out, force, max_rows)
            _check_output(output)
            return command(output=output, other=None, **rest)

        return _output_options(wrapped, (*FORMATS, *others), help_, is_folder=True)

    return decorate


def _output_options(wrapped: _Command, formats: Iterable[str], help_: str, *, is_folder: bool) -> _Command:
    wrapped = click.option("--force", is_flag=True, help="Replace the file of -o.")(wrapped)
    wrapped = click.option(
        "--max-rows",
        type=click.IntRange(min=0),
        metavar="N",
        help="An answer of more rows is an error (exit 3), never cut; 0: no bound.",
    )(wrapped)
    wrapped = click.option(
        "-o",
        "--output",
        "out",
        type=click.Path(path_type=Path, dir_okay=is_folder),
        metavar="FILE",
        help="Write to a file, which appears when it is complete; its suffix chooses the format.",
    )(wrapped)
    return click.option("-f", "--format", "format_", type=click.Choice(list(formats)), help=help_)(wrapped)


def _one_or_many(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> str | list[str]:
    if not all(value):
        raise click.UsageError("a SOURCE is empty")
    return value[0] if len(value) == 1 else list(value)


def _not_empty(_: click.Context, parameter: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("it is empty", param=parameter)
    return value


def _query(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Return a query, read from stdin if it is a dash."""
    return _not_empty(context, parameter, sys.stdin.read() if value == "-" else value)


def _names(_: click.Context, __: click.Parameter, value: Iterable[str]) -> list[str] | None:
    names = [name.strip() for one in value for name in one.split(",") if name.strip()]
    return list(dict.fromkeys(names)) or None


def _types(_: click.Context, parameter: click.Parameter, value: Iterable[str]) -> dict[str, str]:
    from nwb_dask.model import parse_type  # noqa: PLC0415  # not for --help

    found: dict[str, str] = {}
    for one in value:
        path, equals, kind = one.rpartition("=")
        if not (path and equals):
            raise click.BadParameter(f"COLUMN=TYPE is wanted, and {one!r} is not that", param=parameter)
        try:
            parse_type(kind)
        except (TypeError, ValueError) as error:
            raise click.BadParameter(str(error), param=parameter) from None
        found[path] = kind
    return found


def _storage_options(_: click.Context, parameter: click.Parameter, value: Iterable[str]) -> dict[str, object]:
    """Return the options by name. No message shows a value, which may be secret."""
    found: dict[str, object] = {}
    for one in value:
        name, equals, text = one.partition("=")
        if not (name and equals):
            raise click.BadParameter("KEY=VALUE is wanted, and one has no '='", param=parameter)
        found[name] = _parsed(name, text, parameter)
    return found


def _parsed(name: str, text: str, parameter: click.Parameter) -> object:
    if name in _NESTED_OPTIONS:
        try:
            return json.loads(text)
        except ValueError:
            failed = click.BadParameter(f"the value of {name!r} is wanted as a JSON object", param=parameter)
        raise failed
    if name in {"deadline", "requests_per_host"}:
        try:
            return float(text) if name == "deadline" else int(text)
        except ValueError:
            raise click.BadParameter(f"the value of {name!r} is no number", param=parameter) from None
    return _SWITCHES.get(text.lower(), text)


def _check_access(reach: SourceOptions) -> None:
    """Make wrong options, given or from the environment, an error of usage."""
    from nwb_dask.storage import make_access  # noqa: PLC0415  # not for --help

    try:
        make_access(reach.storage_options)
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from None


def _format_of(out: Path | None) -> Format:
    suffix = "" if out is None else out.suffix.lower().removeprefix(".")
    found = next((one for one in FORMATS if one == suffix), None)
    if found is None and suffix not in _TEXT_SUFFIXES:
        raise click.UsageError(f"the suffix of {out} names none of {', '.join(FORMATS)}; say --format")
    return found or "table"


def _check_output(output: OutputOptions) -> None:
    if output.path is None:
        # The type of `sys.stdout` hides that it may be closed.
        if getattr(sys, "stdout", None) is None:
            raise click.UsageError("standard output is closed; give -o FILE")
        if output.is_forced:
            raise click.UsageError("--force replaces the file of -o, and none is given")
        if output.format == "parquet" and sys.stdout.isatty():
            raise click.UsageError("Parquet is no text for a terminal; give -o FILE, or redirect the output")
    elif not output.path.parent.is_dir():
        raise click.UsageError(f"the folder of -o does not exist: {output.path.parent}")
