"""What tables hold, as h5py and polars say of data in memory: nwb_dask and lazynwb have no part in it.

`expected` gives the answer to a question as far as this knows it, in the form that contestants answer in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import polars as pl

from benchmarks.peers.side_contest import ROWS, digest, plain, without_nan
from tests.parity.oracle import Table, read_file, read_group
from tests.parity.values import to_arrow

Value: TypeAlias = Any
OF_ROOT = ("session_start_time", "session_description", "identifier", "timestamps_reference_time", "file_create_date")
"""What lazynwb's ``general`` has of the root of a file."""
PLACES = ("_nwb_path", "_table_path", "_table_index")
SHORT = {"trials": "/intervals/trials", "epochs": "/intervals/epochs", "session": "/general"}


class Part(dict[str, Value]):
    """What is known of an answer that has more in it."""


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Leaves that hold what the file holds, the first as nwb_dask should have it."""

    leaves: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """A leaf that is any text: a name that is chosen."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A leaf that is an error, for h5py cannot read it either."""

    reason: str


@dataclass(frozen=True, slots=True)
class ColumnOf:
    """A column: its values in any form that holds them, and its polars type."""

    digests: tuple[str, ...]
    type: str


@lru_cache(maxsize=16)
def tables_of(path: str) -> dict[str, Table]:
    """Return the tables of a file by path; none of a file that h5py cannot open."""
    try:
        return {table.path: table for table in read_file(Path(path))}
    except OSError:
        return {}


def table_of(path: str, table: str) -> Table | None:
    """Return a table, or any group as the one row of what is in it."""
    found = tables_of(path).get(table)
    if found is not None or not tables_of(path):
        return found
    with h5py.File(path) as file:
        return read_group(file, table) if isinstance(file.get(table), h5py.Group) else None


@lru_cache(maxsize=16)
def frame_of(path: str, table: str) -> pl.DataFrame | None:
    """Return a table of one file, in memory; None where there is none, or h5py reads a part of it only."""
    found = table_of(path, table)
    if found is None or found.left_out:
        return None
    columns = {
        one.name: pl.Series(one.name, pl.from_arrow(to_arrow(one.values)))
        for one in found.columns
        if one.values is not None
    }
    if table == "/general":
        columns |= _of_root(path, columns)
    return pl.DataFrame(
        {
            **columns,
            "_nwb_path": pl.Series([path] * found.n_rows, dtype=pl.String),
            "_table_path": pl.Series([table.removeprefix("/") or "/"] * found.n_rows, dtype=pl.String),
            "_table_index": pl.Series(range(found.n_rows), dtype=pl.UInt32),
        }
    )


def _of_root(path: str, taken: Mapping[str, Value]) -> dict[str, pl.Series]:
    found: dict[str, pl.Series] = {}
    for where, wanted in (("/", OF_ROOT), ("/general/metadata", None)):
        more = frame_of(path, where)
        for name in () if more is None else more.drop(PLACES).columns:
            if name not in taken and name not in found and (wanted is None or name in wanted):
                found[name] = more[name]  # type: ignore[index]  # it has columns
    return found


def frame_of_many(files: Sequence[str], table: str) -> pl.DataFrame | None:
    """Return a table of all files that have it, below each other in their order."""
    frames = [found for file in files if (found := frame_of(file, table)) is not None]
    if len(frames) < 2:  # one or none
        return frames[0] if frames else None
    for name in {name for frame in frames for name in frame.columns}:
        frames = _alike(frames, name)
    return pl.concat(frames, how="diagonal_relaxed")


def _alike(frames: list[pl.DataFrame], name: str) -> list[pl.DataFrame]:
    """Return frames whose columns of one name polars has a common type for: lists of values, or text."""
    types = {frame.schema[name] for frame in frames if name in frame.columns}
    if len(types) < 2:  # one or none
        return frames
    depth = max(_depth(dtype) for dtype in types)
    found = []
    for frame in frames:
        if name in frame.columns:
            column = frame[name]
            dtype, values = as_lists(column.dtype), column.to_list()
            for _ in range(depth - _depth(dtype)):
                dtype, values = pl.List(dtype), [None if one is None else [one] for one in values]
            column = pl.Series(name, values, dtype=dtype) if depth else column
            column = column.cast(pl.String) if dtype == pl.Categorical else column
            found.append(frame.with_columns(column))
        else:
            found.append(frame)
    return found


def _depth(dtype: Value) -> int:
    if isinstance(dtype, pl.Array):
        return len(dtype.shape) + _depth(_leaf(dtype))
    return 1 + _depth(dtype.inner) if isinstance(dtype, pl.List) else 0


def as_lists(dtype: pl.DataType) -> pl.DataType:
    """Return a type with lists in place of arrays."""
    if isinstance(dtype, pl.Array):
        leaf = as_lists(_leaf(dtype))
        for _ in dtype.shape:
            leaf = pl.List(leaf)
        return leaf
    return pl.List(as_lists(dtype.inner)) if isinstance(dtype, pl.List) else dtype  # type: ignore[arg-type]  # of a type


def _leaf(dtype: Value) -> pl.DataType:
    while isinstance(dtype, pl.Array):
        dtype = dtype.inner
    return dtype  # type: ignore[no-any-return]  # of a nested type


def column_of(series: pl.Series) -> ColumnOf:
    """Return what a column should be; pandas has floats for integers where some are null."""
    values = series.head(ROWS).to_list()
    digests = [digest(without_nan(plain(values)))]
    if series.dtype.is_integer() and series.null_count():
        digests.append(digest(without_nan(plain([None if one is None else float(one) for one in values]))))
    # The number of a row has the type that each function gives it.
    return ColumnOf(tuple(digests), "" if series.name == "_table_index" else str(series.dtype))


def expected_frame(
    files: Sequence[str], table: str, *, arrays: bool = True, is_lazy: bool = False, only: Sequence[str] | None = None
) -> Part | Refused | None:
    """Return the answer that is a frame; `Refused` where a column cannot be read."""
    frame = frame_of_many(files, table)
    if frame is None:
        return None
    found = [one for file in files if (one := table_of(file, table)) is not None]
    if any(one.problems for one in found):
        return Refused(next(reason for one in found for reason in one.problems.values()))
    is_record = any(one.kind == "group" for one in found)
    names = [
        name
        for name, dtype in frame.schema.items()
        if arrays or is_record or not isinstance(dtype, (pl.List, pl.Array)) or name in (only or ())
    ]
    n_rows = min(frame.height, ROWS) if is_lazy else frame.height
    return Part(rows=n_rows, columns={name: column_of(frame[name]) for name in names}, kind="DataFrame")


def schema_of(files: Sequence[str], table: str) -> dict[str, Value] | None:
    """Return the types of a table's columns: those of the file, or lists in place of arrays."""
    frame = frame_of_many(files, table)
    if frame is None:
        return None
    problems = {name: text for file in files for name, text in _problems(file, table).items()}
    refused: dict[str, Value] = {name: Refused(text) for name, text in problems.items()}
    return refused | {name: AnyOf((str(dtype), str(as_lists(dtype)))) for name, dtype in frame.schema.items()}


def _problems(file: str, table: str) -> dict[str, str]:
    found = table_of(file, table)
    return {} if found is None else found.problems
