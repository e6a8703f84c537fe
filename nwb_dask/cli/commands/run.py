"""``nwb-dask run`` and ``nwb-dask report``: a function for each session, and what failed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Literal

import click

from nwb_dask.cli.arguments import OutputOptions
from nwb_dask.cli.failures import CommandError, ExitCode
from nwb_dask.cli.output import check_target, write_rows
from nwb_dask.cli.reporting import reporter
from nwb_dask.sessions import MappedSessions, Report, map_sessions, read_report
from nwb_dask.sessions.records import output_at, quarantine_table
from nwb_dask.storage import make_access

_CALLED = "called"
"""What is noted of the call, for ``--rerun``."""


def answer(
    *,
    function: str,
    source: str | list[str],
    out: str,
    settings: dict[str, object],
    session_column: tuple[str, ...],
    resume: bool,
    errors: Literal["quarantine", "raise"],
    storage_options: Mapping[str, object],
    out_option: Mapping[str, object],
    scheduler: str | None,
    workers: int | None,
    retries: int,
) -> int:
    """Call a function for each session, and write what it returns as Parquet."""
    mapped = _mapped(function, source, settings, session_column, storage_options)
    with _client(scheduler, workers) as client:
        done = replace(mapped, client=client).to_parquet(
            out,
            resume=resume,
            errors=errors,
            retries=retries,
            storage_options=out_option,
            progress=_is_shown(),
        )
    return _told(done)


def answer_report(
    *,
    out_dir: str,
    rerun: bool,
    storage_options: Mapping[str, object],
    out_option: Mapping[str, object],
    scheduler: str | None,
    workers: int | None,
    retries: int,
    output: OutputOptions,
) -> int:
    """Show what failed in a run, or run that again."""
    check_target(output)
    if rerun:
        mapped = _mapped_before(out_dir, storage_options, out_option)
        with _client(scheduler, workers) as client:
            replace(mapped, client=client).to_parquet(
                out_dir, resume="quarantine", retries=retries, storage_options=out_option, progress=_is_shown()
            )
    found = read_report(out_dir, storage_options=out_option)
    write_rows(quarantine_table(found.quarantined), output)
    return _told(found)


def _told(done: Report) -> int:
    reporter().note(repr(done).partition("\n")[0])
    return ExitCode.PARTIAL if done.quarantined else ExitCode.OK


def _is_shown() -> bool:
    return sys.stderr.isatty() and not reporter().is_json


def _mapped(
    function: str,
    source: object,
    settings: Mapping[str, object],
    columns: tuple[str, ...],
    storage_options: Mapping[str, object],
) -> MappedSessions:
    func = find_function(function)
    try:
        mapped = map_sessions(func, source, storage_options=storage_options, session_columns=columns, **settings)
    except TypeError as error:
        raise click.UsageError(str(error)) from error
    return replace(mapped, notes={_CALLED: {"function": function, "set": dict(settings)}})


def _mapped_before(out: str, storage_options: Mapping[str, object], out_option: Mapping[str, object]) -> MappedSessions:
    asked = output_at(out, make_access(out_option)).run()
    called = (asked or {}).get(_CALLED)
    if asked is None or not isinstance(called, dict):
        raise CommandError("input", f"{out} holds no result of `nwb-dask run`; --rerun does again what that has done")
    columns = asked["session_columns"]
    names = tuple(columns) if isinstance(columns, list) else ()
    return _mapped(str(called["function"]), asked["sources"], called["set"], names, storage_options)


def find_function(text: str) -> Callable[..., object]:
    """Return the function that ``module:function`` or ``file.py:function`` names.

    Raises
    ------
    click.UsageError
        If there is none.
    """
    place, _, name = text.rpartition(":")
    if not (place and name):
        raise click.UsageError(f"MODULE:FUNCTION is wanted, and {text!r} is not that")
    try:
        found: object = _from_file(Path(place)) if place.endswith(".py") else _from_here(place)
    except ModuleNotFoundError as error:
        raise click.UsageError(f"{place} cannot be imported: {error}") from error
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise click.UsageError(f"{place} has no function {name!r}")
    return found


def _from_here(name: str) -> ModuleType:
    # As `python -m` does; the command itself stands elsewhere.
    here = os.getcwd()  # noqa: PTH109  # text, as in sys.path
    if here not in sys.path:
        sys.path.insert(0, here)
    return import_module(name)


def _from_file(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ModuleNotFoundError(f"no file {path}")
    module = module_from_spec(spec)
    # Where pickle and its kin look for it.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def _client(scheduler: str | None, workers: int | None) -> Iterator[object]:
    """Yield the client to run with, and leave nothing behind."""
    if scheduler is not None and workers is not None:
        raise click.UsageError("--workers starts processes here, and --scheduler names others; give one of them")
    if scheduler is None and workers is None:
        yield "threads"
        return
    import dask  # noqa: PLC0415  # half a second, which threads need not wait
    from dask.distributed import Client, LocalCluster  # noqa: PLC0415  # likewise

    if scheduler is None:
        with (
            # LocalCluster gives a worker up that dies again while it is looked for (distributed 2026.8).
            dask.config.set({"distributed.deploy.lost-worker-timeout": "1 day"}),
            LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        connected = Client(scheduler)
    except (OSError, ValueError) as error:
        raise CommandError("input", f"no scheduler answers at {scheduler}: {error}") from error
    with connected as client:
        yield client
