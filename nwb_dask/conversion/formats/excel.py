"""One workbook with a sheet for each table; what Excel cannot hold is an error, never cut."""

from __future__ import annotations

import io
import math
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import xlsxwriter
import xlsxwriter.exceptions
from xlsxwriter.worksheet import Worksheet

from nwb_dask.conversion.names import encode_path, told_apart
from nwb_dask.conversion.plain import flat_table, float_text
from nwb_dask.errors import FormatError

NAME = "tables.xlsx"
WRITER = f"xlsxwriter {xlsxwriter.__version__}"

_MOST_ROWS = 1 << 20
_MOST_COLUMNS = 1 << 14
_MOST_CHARACTERS = 32_767
_LONGEST_SHEET = 31
_MOST_EXACT = 1 << 53
"""Excel's numbers are floats of 64 bits; integers beyond are text."""


class _ExactSheet(Worksheet):  # type: ignore[misc]  # it has no types
    """Writes all digits of a number; xlsxwriter 3.3.1 writes 16, of which 17 may be needed."""

    def _xml_number_element(self, number: float, attributes: Sequence[tuple[str, object]] = ()) -> None:
        listed = "".join(f' {key}="{value}"' for key, value in attributes)
        self.fh.write(f"<c{listed}><v>{number!r}</v></c>")


class _SilencedFile(io.FileIO):
    """Takes everything once the disk has refused something: a `ZipFile` that is thrown away tries again, loudly."""

    _is_refused = False

    def write(self, data: Any) -> int:  # noqa: ANN401  # a buffer
        if self._is_refused:
            return len(data)
        try:
            return super().write(data) or 0
        except OSError:
            self._is_refused = True
            raise


def sheet_names(paths: Iterable[str]) -> dict[str, str]:
    """Return the sheet of each table: its path with dots, or a part of that and a digest where that is too long.

    Excel ignores case in names of sheets, and keeps ``History`` for itself.
    """
    wanted = {path: encode_path(path) for path in paths}
    # A name of its own that stands in nobody's way, and is longer than Excel takes.
    names = {
        path: name if name.casefold() != "history" else name.ljust(_LONGEST_SHEET + 1, "_")
        for path, name in wanted.items()
    }
    return told_apart(names, longest=_LONGEST_SHEET, first=())


def write_workbook(path: Path, scratch: Path, sheets: Sequence[tuple[str, str, pa.Schema, Iterator[pa.Table]]]) -> int:
    """Write a workbook, row by row; return how many rows of tables it has.

    Parameters
    ----------
    path : Path
        Of the file.
    scratch : Path
        Folder for what is written on the way.
    sheets : sequence of (str, str, pa.Schema, iterator of pa.Table)
        Name, table, columns and rows of each.
    """
    options = {"constant_memory": True, "tmpdir": str(scratch), "strings_to_numbers": False}
    rows = 0
    # The file object is ours: xlsxwriter asks for a name and replaces what is there.
    with io.BufferedWriter(_SilencedFile(path, "x")) as file, _refusals(), xlsxwriter.Workbook(file, options) as book:
        # The day on which ECMA-376 came out; a file tells nothing of the day on which it was made.
        book.set_properties({"created": datetime(2006, 12, 7, tzinfo=UTC)})
        for name, table, schema, batches in sheets:
            sheet = book.add_worksheet(name, worksheet_class=_ExactSheet)
            rows += _write_sheet(sheet, table, schema, batches)
    return rows


@contextmanager
def _refusals() -> Iterator[None]:
    """Raise the error of the system where xlsxwriter puts one of its own in its place."""
    try:
        yield
    except xlsxwriter.exceptions.FileCreateError as error:
        cause = error.args[0] if error.args else None
        for one in (error, cause):
            # Lets go of the `ZipFile` while its file is open.
            traceback.clear_frames(one.__traceback__ if isinstance(one, BaseException) else None)
        raise (cause if isinstance(cause, OSError) else OSError(str(error))) from None


def _write_sheet(sheet: Any, table: str, schema: pa.Schema, batches: Iterator[pa.Table]) -> int:  # noqa: ANN401  # xlsxwriter has no types
    if len(schema) > _MOST_COLUMNS:
        message = f"{table} has {len(schema)} columns, and a sheet {_MOST_COLUMNS}; exclude some, or convert to Parquet"
        raise FormatError(message, path=table)
    for column, name in enumerate(schema.names):
        _check_text(name, table, name, 0)
        sheet.write_string(0, column, name)
    row = 0
    for batch in batches:
        if row + batch.num_rows >= _MOST_ROWS:
            message = (
                f"{table} has more than the {_MOST_ROWS - 1} rows that a sheet holds below its header; "
                f"leave it out with exclude={table!r}, or convert to Parquet"
            )
            raise FormatError(message, path=table)
        flat = flat_table(table, batch, "Excel")
        for values in zip(*(column.to_pylist() for column in flat.columns), strict=True):
            row += 1
            for column, value in enumerate(values):
                _write_cell(sheet, (row, column), value, table, flat.column_names[column])
    return row


def _write_cell(sheet: Any, place: tuple[int, int], value: object, table: str, name: str) -> None:  # noqa: ANN401  # as above
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(*place, value)
    elif (isinstance(value, int) and abs(value) <= _MOST_EXACT) or (isinstance(value, float) and math.isfinite(value)):
        sheet.write_number(*place, value)
    else:
        text = float_text(value) if isinstance(value, float) else str(value)
        _check_text(text, table, name, place[0])
        sheet.write_string(*place, text)


def _check_text(text: str, table: str, name: str, row: int) -> None:
    # Excel counts in units of UTF-16.
    length = len(text.encode("utf-16-le", errors="surrogatepass")) // 2
    if length > _MOST_CHARACTERS:
        path = f"{table.rstrip('/')}/{name}"
        message = (
            f"row {row - 1} of column {name!r} of {table} takes {length} characters, and a cell of Excel holds "
            f"{_MOST_CHARACTERS}; leave it out with exclude={path!r}, or convert to Parquet"
        )
        raise FormatError(message, path=path)
