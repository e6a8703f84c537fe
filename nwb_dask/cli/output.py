"""Rows in the format that was asked for, on stdout or in a file."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from nwb_dask.cli.arguments import OutputOptions
from nwb_dask.cli.failures import CommandError
from nwb_dask.cli.plain import json_cells, json_rows
from nwb_dask.cli.safe_text import escape
from nwb_dask.cli.terminal import render


def check_target(output: OutputOptions) -> None:
    """Raise before anything is read if the file to write is there and is not to be replaced."""
    if output.path is not None and not output.is_forced and os.path.lexists(output.path):
        raise _exists(output.path)


def check_rows(n_rows: int, output: OutputOptions, *, at_least: bool = False) -> None:
    """Raise if an answer has more rows than ``--max-rows`` allows."""
    if output.max_rows and n_rows > output.max_rows:
        count = f"at least {n_rows:,}" if at_least else f"{n_rows:,}"
        raise CommandError(
            "too_many_rows",
            f"the answer has {count} rows, and --max-rows allows {output.max_rows:,}; "
            "ask for less, or raise --max-rows",
        )


def table_of(columns: Sequence[tuple[str, pa.DataType]], rows: Iterable[Sequence[object]]) -> pa.Table:
    """Return rows of plain values as an Arrow table."""
    found = list(rows)
    arrays = [pa.array([row[i] for row in found], kind) for i, (_, kind) in enumerate(columns)]
    return pa.Table.from_arrays(arrays, names=[name for name, _ in columns])


def write_rows(rows: pa.Table, output: OutputOptions, *, text: str | None = None) -> None:
    """Write an answer.

    Parameters
    ----------
    rows : pyarrow.Table
        The answer.
    output : OutputOptions
        Where to, and as what.
    text : str, optional
        What the format ``table`` shows instead of the rows; it ends its lines, and holds no text of files unescaped.

    Raises
    ------
    CommandError
        If there are too many rows, or the file exists or cannot be written.
    BrokenPipeError
        If who reads stdout has gone away.
    """
    check_rows(rows.num_rows, output)
    is_terminal = output.path is None and sys.stdout.isatty()
    if output.path is None:
        try:
            _write(rows, output, sys.stdout.buffer, text, is_terminal=is_terminal)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            reason = error.strerror or error
            raise CommandError("output_failed", f"standard output cannot be written: {reason}") from error
        return
    with _appearing(output.path, is_forced=output.is_forced) as stream:
        _write(rows, output, stream, text, is_terminal=False)


def _write(rows: pa.Table, output: OutputOptions, stream: IO[bytes], text: str | None, *, is_terminal: bool) -> None:
    if output.format == "table":
        width = shutil.get_terminal_size().columns if is_terminal else None
        shown = text if text is not None else render(rows, width=width, color=is_terminal and _has_colors())
        encoding = (sys.stdout.encoding or "utf-8") if output.path is None else "utf-8"
        stream.write(shown.encode(encoding, "backslashreplace"))
    elif output.format == "csv":
        _write_csv(rows, stream, is_terminal=is_terminal)
    elif output.format == "parquet":
        pa.parquet.write_table(rows, stream, compression="zstd")
    else:
        for line in _json_lines(rows, is_array=output.format == "json"):
            stream.write(line.encode("utf-8", "backslashreplace"))


def _json_lines(rows: pa.Table, *, is_array: bool) -> Iterator[str]:
    if not is_array:
        for line in json_rows(rows):
            yield line + "\n"
        return
    yield "["
    for number, line in enumerate(json_rows(rows)):
        yield (",\n " if number else "\n ") + line
    yield "\n]\n" if rows.num_rows else "]\n"


def _write_csv(rows: pa.Table, stream: IO[bytes], *, is_terminal: bool) -> None:
    """Write CSV: text in quotes, null as nothing, and what is no single value as JSON."""
    arrays = [_csv_column(column) for column in rows.columns]
    flat = pa.Table.from_arrays(arrays, names=rows.column_names)
    if not is_terminal:
        pa.csv.write_csv(flat, stream)
        return
    target = io.BytesIO()
    pa.csv.write_csv(flat, target)
    lines = target.getvalue().decode().split("\n")
    stream.write("\n".join(map(escape, lines)).encode())


def _csv_column(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return column.cast(pa.string())
    if pa.types.is_timestamp(kind):
        return pa.array([None if value is None else value.isoformat() for value in column.to_pylist()], pa.string())
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return json_cells(column)
    if pa.types.is_float16(kind):
        return column.cast(pa.float32())
    return column


@contextmanager
def _appearing(path: Path, *, is_forced: bool) -> Iterator[IO[bytes]]:
    """Yield a file that takes its name when the block ends well, and is gone otherwise."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise CommandError("output_failed", f"{path} cannot be written: {error.strerror}") from error
    aside = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        _permit(aside)
        _place(aside, path, is_forced=is_forced)
    except OSError as error:
        raise CommandError("output_failed", f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            aside.unlink()


def _permit(aside: Path) -> None:
    """Give a file the permissions of any other that the user writes; a temporary one is the user's alone."""
    mask = os.umask(0)
    os.umask(mask)
    aside.chmod(0o666 & ~mask)


def _place(aside: Path, path: Path, *, is_forced: bool) -> None:
    if is_forced:
        aside.replace(path)
        return
    try:
        # Unlike a rename, a link never replaces what another process has put there meanwhile.
        path.hardlink_to(aside)
    except FileExistsError:
        raise _exists(path) from None
    except OSError:
        if os.path.lexists(path):
            raise _exists(path) from None
        aside.replace(path)


def _exists(path: Path) -> CommandError:
    return CommandError("output_exists", f"{path} exists; --force replaces it")


def _has_colors() -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in {"dumb", "unknown"}
