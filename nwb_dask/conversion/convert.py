"""`convert`: every table of many files in a format that other tools read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from nwb_dask.conversion.inventory import Choice, parse_paths, take_inventory
from nwb_dask.conversion.manifest import Contents, is_whole, listed_files, manifest_of, read_manifest, report_of
from nwb_dask.conversion.planning import (
    HOLDS,
    LAID_OUT,
    Format,
    Layout,
    Plan,
    UnreadableFileError,
    load_format,
    plan_parts,
)
from nwb_dask.conversion.progress import progress_bar
from nwb_dask.conversion.report import Conversion
from nwb_dask.conversion.staging import Staging, recover, staging
from nwb_dask.conversion.target import local_target, refuse_contents, refuse_sources, writing_to
from nwb_dask.errors import MalformedFileError, display_url
from nwb_dask.model import parse_type
from nwb_dask.read import check_choice, warn_skipped
from nwb_dask.storage import Access, Named, expand_sources, make_access


@dataclass(frozen=True, slots=True)
class _Request:
    """What one call asked for."""

    out: Path
    named: tuple[Named, ...]
    access: Access
    format: Format
    layout: Layout
    choice: Choice
    asked: Mapping[str, object]
    overwrite: bool
    resume: bool
    progress: bool | None


def convert(
    source: object,
    out: str | os.PathLike[str],
    *,
    format: Format = "parquet",  # noqa: A002  # the word that users know
    tables: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] = (),
    layout: Layout | None = None,
    storage_options: Mapping[str, object] | None = None,
    schema_overrides: Mapping[str, object] | None = None,
    errors: Literal["raise", "skip"] = "raise",
    overwrite: bool = False,
    resume: bool = True,
    progress: bool | None = None,
) -> Conversion:
    """Write the tables of one or many NWB files in a format that other tools read, and return what was written.

    Rows are read and written in batches of about 32 MiB, so that memory holds a part of a table. The output is put
    together in a hidden folder beside `out` and takes its place in one step once it is complete: whoever reads `out`
    finds what was there before, or all of the new. A run that was broken off is finished by the same call; files that
    changed meanwhile are read again. The same files give the same bytes.

    Parameters
    ----------
    source : path, URL, list of them, glob or folder
        Which files.
    out : path
        A local folder, which is made; the one that it is in has to be there. It may be inside of the sources' folder.
    format : {"parquet", "ipc", "csv", "jsonl", "delta", "excel", "zarr"}
        See the notes.
    tables : str or sequence of str, optional
        Paths of tables and globs over them, ``"/intervals/*"``; ``"session"`` is the table of `read_metadata`. By
        default all tables, with those of one row and that of metadata, and no TimeSeries, which may be large: a path
        or a glob that matches them converts them as tables. For Zarr, paths of TimeSeries, by default all.
    exclude : str or sequence of str
        Paths and globs of tables and of columns that are left out, ``"/units/waveforms"``; ``*`` matches slashes too.
    layout : {"hive", "one"}, optional
        Of Parquet, IPC, CSV and JSON Lines. ``"hive"``, the default: a folder for each table, with one file for each
        session, ``intervals.trials/session=<name>/part-0.parquet``. ``"one"``: a file for each table,
        ``intervals.trials.parquet``, with the rows of all sessions in source order.
    storage_options : mapping, optional
        Credentials and endpoints of the sources, by the names of s3fs or obstore; they are not kept.
    schema_overrides : mapping of str to type, optional
        Arrow types, or their names, by paths of columns: ``{"/units/quality": "string"}``.
    errors : {"raise", "skip"}
        Files that are corrupt or missing, and columns and series that cannot be read: an error, or left out and listed
        in the report and the manifest. A column that one of several files cannot give is null there.
    overwrite : bool
        Whether an output of an earlier conversion may be replaced. It stays in place until the new one is complete.
        A folder that holds anything else is never replaced.
    resume : bool
        Whether to go on where an earlier run of the same request was broken off, and to leave an output that is
        complete and up to date as it is. False starts anew.
    progress : bool, optional
        Whether a bar is shown on standard error; by default if that is a terminal.

    Returns
    -------
    Conversion
        The files with their rows, bytes and digests, the sessions by name, and what is left out and why.
        ``_nwb_dask_manifest.json``, which is written last, has the same, with the version of each source.

    Raises
    ------
    OutputError
        If `out` is not empty and may not be replaced, is no local folder, holds a source, cannot be written (a full
        disk), or if an unfinished conversion asked for something else.
    FormatError
        If the format cannot hold a value, naming table and column.
    PathNotFoundError
        If no file has a table of `tables`, or a column of `schema_overrides`.
    SchemaConflictError
        If files disagree about a column.
    MalformedFileError, UnsupportedLayoutError, SourceUnavailableError
        If a file or column cannot be read.
    SourceChangedError
        If a file is replaced while it is read; the next call takes the new one.

    Notes
    -----
    Names say the path: ``intervals.trials`` is ``/intervals/trials``, ``root`` is ``/``, ``session`` the table of
    metadata; other characters are encoded, a space as ``~20``, and a digest follows where names are long or differ in
    case only. A session is called like its file, with as many folders before it as tell files apart. All files of a
    table have the same columns and types, those that `nwb_dask.schema` gives for all sessions; what a file lacks is
    null. A table that has a column ``session`` is partitioned by ``nwb_session``. Readers of partitions sort files by
    name.

    Parquet and IPC hold every type. Lists are lists; arrays of a fixed size of 0 are lists in Parquet.

    CSV has lists, arrays and structs as JSON text, categories as text, bytes as base64, and moments in ISO 8601. An
    empty field is null, ``""`` is empty text. JSON Lines has the same as JSON. JSON knows no NaN and no infinity: they
    are ``NaN``, ``Infinity`` and ``-Infinity``, as Python's ``json`` reads and writes them.

    Excel is one workbook, ``tables.xlsx``, with a sheet for each table. Cells are as in CSV; integers beyond 2**53,
    NaN and infinities are text, and so is nothing else that is a number. Names of sheets that are too long end in a
    digest. More rows, columns or characters than Excel takes are an error.

    Delta tables are partitioned as with ``"hive"``. Unsigned integers are the next wider signed ones, 64-bit ones
    decimals, float16 is float32, arrays are lists. Their log has no times.

    Zarr has a store (version 2) for each series of each session, ``acquisition.lfp/<session>.zarr``, for
    ``xr.open_zarr``: values as stored, with ``scale_factor`` and ``add_offset`` for physical ones; where each channel
    has a factor of its own, physical values as float64. Tables are left out, and the report says so.

    Where a file system cannot let two folders change places in one step (Linux and macOS can on their own),
    an overwrite takes two, between which `out` is not there; a later call with the same `out` sets that right.

    Examples
    --------
    >>> import nwb_dask, polars as pl
    >>> nwb_dask.convert("sessions/", "parquet/")  # doctest: +SKIP
    >>> pl.read_parquet("parquet/units").filter(pl.col("session") == "sub-1")  # doctest: +SKIP
    """
    target = local_target(out)
    check_choice("format", format, get_args(Format))
    check_choice("errors", errors, ("raise", "skip"))
    if layout is not None:
        check_choice("layout", layout, get_args(Layout))
        if format not in LAID_OUT:
            raise ValueError(f"layout={layout!r}: format={format!r} has one layout, so leave it out")
    load_format(format)
    choice = Choice(
        HOLDS[format],
        None if tables is None else parse_paths("tables", tables),
        parse_paths("exclude", exclude),
        {path: parse_type(one) for path, one in (schema_overrides or {}).items()},
        errors == "skip",
    )
    access = make_access(storage_options)
    named = expand_sources(source, access)
    refuse_sources(target, named)
    asked = {
        "format": format,
        "layout": (layout or "hive") if format in LAID_OUT else None,
        "source": _shown(source),
        "tables": choice.tables if choice.tables is None else list(choice.tables),
        "exclude": list(choice.exclude),
        "schema_overrides": {path: str(one) for path, one in choice.overrides.items()},
        "errors": errors,
    }
    request = _Request(target, named, access, format, layout or "hive", choice, asked, overwrite, resume, progress)
    with writing_to(target):
        recover(target)
    return _run(request)


def _run(request: _Request) -> Conversion:
    """Convert; leave out files that turn out to be corrupt on the way if that is wanted, and begin again without."""
    damaged: dict[str, str] = {}
    while True:
        kept = [one for one in request.named if one.name not in damaged]
        if not kept:
            name, reason = next(iter(damaged.items()))
            message = f"none of {len(damaged)} files could be read; the first is left out because: {reason}"
            raise MalformedFileError(message, url=name)
        inventory = take_inventory(kept, request.access, request.choice)
        plan = plan_parts(inventory, request.format, request.layout, request.access)
        skipped = {**dict(inventory.skipped), **damaged}
        ordered = tuple((one.name, skipped[one.name]) for one in request.named if one.name in skipped)
        contents = Contents(request.asked, plan.key, plan.sources, plan.tables, ordered, inventory.left_out)
        try:
            with writing_to(request.out):
                found = _write(request, plan, contents)
        except UnreadableFileError as error:
            culprit = error.url
            if not request.choice.skip or culprit not in {one.name for one in kept}:
                cause = error.__cause__
                raise (cause if isinstance(cause, Exception) else error) from None
            damaged[culprit] = error.message
            continue
        if damaged:
            warn_skipped(list(damaged.items()), len(request.named))
        return found


def _write(request: _Request, plan: Plan, contents: Contents) -> Conversion:
    done = _complete(request, contents)
    if done is None:
        refuse_contents(request.out, overwrite=request.overwrite)
    with staging(request.out) as held:
        if done is not None:
            held.remove()
            return done
        held.begin(request.asked, resume=request.resume)
        return _fill(request, plan, contents, held)


def _fill(request: _Request, plan: Plan, contents: Contents, held: Staging) -> Conversion:
    written = held.finished(plan.parts)
    n_resumed = len(written)
    with progress_bar(len(plan.parts), n_resumed, shown=request.progress) as tell:
        for part in plan.parts:
            if part.path not in written:
                written[part.path] = held.add(part, written)
                tell(part.path)
    held.publish(manifest_of(contents, written.values()))
    return report_of(request.out, contents, written.values(), n_resumed)


def _complete(request: _Request, contents: Contents) -> Conversion | None:
    """Return the report of an output that is there already, complete, as asked, and of the same files."""
    manifest = read_manifest(request.out) if request.resume else None
    if manifest is None or not is_whole(request.out, manifest):
        return None
    files = listed_files(manifest).values()
    if manifest != manifest_of(contents, files):
        return None
    return report_of(request.out, contents, files, len(files))


def _shown(source: object) -> list[str]:
    """Return the sources as they were given, without secrets."""
    several = source if isinstance(source, list | tuple) else [source]
    return [display_url(os.fspath(one)) for one in several if isinstance(one, str | os.PathLike)]
