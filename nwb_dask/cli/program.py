"""The group of commands. One is loaded when it is asked for, what it does when it is called: ``--help`` is quick."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import MappingProxyType
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

import nwb_dask
from nwb_dask.cli.failures import ClosedPipeError, ExitCode
from nwb_dask.cli.reporting import FLAGS, run
from nwb_dask.cli.signals import end_now, heed_interrupts
from nwb_dask.options import current_options

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "ls": "List the files that a source means.",
        "info": "Show what files hold: session, subject, tables, series.",
        "tables": "List tables and series, with rows and columns.",
        "schema": "Show the columns of a table and their types.",
        "head": "Show the first rows of a table.",
        "query": "Answer an SQL query over the tables of files.",
        "explain": "Show what a table or a query would read.",
        "convert": "Write tables and series in formats that other tools read.",
        "run": "Call a function for each session of many files.",
        "report": "Show what failed in a run, or run that again.",
        "metadata": "Show the metadata of sessions, one row per file.",
        "catalog": "Write, update and search catalogs of many files.",
        "index": "Learn what remote files hold, ahead of reading them.",
        "cache": "Show or clear what is kept of remote files.",
        "doctor": "Check versions, options, the cache, a source, and a cluster.",
    }
)
"""Name -> what it does; each is the `command` of a module of that name in `nwb_dask.cli.usage`."""


@contextmanager
def _quiet_pipes() -> Iterator[None]:
    """Say that who reads stdout went away, for which click would end with 1, an error of ours."""
    try:
        yield
    except BrokenPipeError as error:
        raise ClosedPipeError from error


class _Program(click.Group):
    """A group that loads the module of a command when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"nwb_dask.cli.usage.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401  # click's own options, passed on
    ) -> click.Context:
        # Here --help and --version are answered.
        with _quiet_pipes():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        with _quiet_pipes():
            return super().invoke(ctx)

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]  # noqa: ANN401  # click's own options, passed on
        """Run a command and end the process with its exit code."""
        given = list(sys.argv[1:] if args is None else args)
        end = given.index("--") if "--" in given else len(given)
        # Errors of parsing follow these flags too, wherever they stand.
        left = [one for number, one in enumerate(given) if number >= end or one not in FLAGS]
        extra |= {"standalone_mode": False}
        sys.exit(run(lambda told: super(_Program, self).main(left, prog_name, obj=told, **extra), given))


@click.group(
    cls=_Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Data go to stdout, everything else to stderr. Exit codes: 0 ok, 1 internal error, 2 wrong usage, "
    "3 bad input, 4 partial (files were skipped). --json-errors and --traceback may stand anywhere.",
)
@click.version_option(nwb_dask.__version__, prog_name="nwb-dask")
@click.option("--json-errors", is_flag=True, expose_value=False, help="Errors and warnings as JSON lines on stderr.")
@click.option("--traceback", is_flag=True, expose_value=False, help="Show where an error happened.")
def program() -> None:
    """Look into NWB files, near and far, many at once.

    SOURCE is a path, a URL (http, https, s3, gs, az, dandi), a glob, a folder, or a catalog; several may be given.
    """
    try:
        current_options()
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from None


def main() -> NoReturn:
    """Run ``nwb-dask`` with the arguments of the process, and end it."""
    heed_interrupts()
    try:
        program.main(prog_name="nwb-dask")
    except SystemExit as end:
        if end.code == ExitCode.INTERRUPTED:
            end_now(ExitCode.INTERRUPTED)
        raise
