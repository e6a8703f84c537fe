"""Reads partitions: columns of the predicate first, then the others for the surviving rows only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nwb_dask.model import Field
from nwb_dask.plan import Partition, Scan
from nwb_dask.plan.predicate import Node, columns_of
from nwb_dask.plan.ragged import Spans, spans_of_rows
from nwb_dask.read.concurrently import each_of
from nwb_dask.read.kept import KeptValues
from nwb_dask.read.piece import OpenPiece

MaskFunction: TypeAlias = Callable[[Node, pa.Table, tuple[Field, ...]], npt.NDArray[np.bool_]]
"""Tells which rows satisfy a predicate, with the semantics of the engine that asks: null selects nothing."""

N_TOGETHER = 128
"""Pieces that `read_scan` has open at once, so that a predicate is evaluated for all of them in one call."""


def read_partition(partition: Partition, mask: MaskFunction | None = None) -> pa.Table:
    """Return the rows of `partition` that satisfy its predicate, in source order.

    Parameters
    ----------
    partition : Partition
        What to read.
    mask : callable, optional
        Evaluates the predicate; required if there is one.

    Returns
    -------
    pyarrow.Table
        Columns exactly as `partition.fields`, in order and type.

    Raises
    ------
    SourceChangedError
        If a file is not the one that was planned.
    MalformedFileError
        If a column that is asked for cannot be read.
    """
    if partition.limit is None:
        return _read_pieces(partition, mask)
    tables, left = [_empty(partition.fields)], partition.limit
    for piece in partition.pieces:
        if left <= 0:
            break
        tables.append(_read_pieces(replace(partition, pieces=(piece,), limit=left), mask))
        left -= tables[-1].num_rows
    return pa.concat_tables(tables)


def read_scan(
    scan: Scan,
    fields: tuple[Field, ...],
    predicate: Node | None,
    mask: MaskFunction,
    kept: KeptValues | None = None,
) -> pa.Table:
    """Return all partitions of `scan` as one table; those that cannot match are not opened."""
    used = () if predicate is None else tuple(scan.field(name) for name in sorted(columns_of(predicate)))
    if predicate is not None:
        scan = scan.without_pieces(predicate)
        numbers = np.flatnonzero(scan.rows > 0).tolist()
    else:
        numbers = list(range(scan.n_partitions))
    whole = [scan.partition(i, fields=fields, predicate=predicate, predicate_fields=used) for i in numbers]
    pieces = [piece for partition in whole for piece in partition.pieces]
    tables = [_empty(fields)]
    for start in range(0, len(pieces), N_TOGETHER):
        batch = replace(whole[0], pieces=tuple(pieces[start : start + N_TOGETHER]))
        tables.append(_read_pieces(batch, mask, kept))
    return pa.concat_tables(tables)


def _read_pieces(partition: Partition, mask: MaskFunction | None, values: KeptValues | None = None) -> pa.Table:
    """Read what the predicate needs of each piece, evaluate it once for all, then read the rest of each."""
    with ExitStack() as stack:
        opened = [OpenPiece(piece, partition, values) for piece in partition.pieces]
        for one in opened:
            stack.push(one)
        each_of(opened, OpenPiece.__enter__)
        alone = len(opened) == 1
        if partition.predicate is None or mask is None:
            wanted = [_first_rows(one, partition) for one in opened]
            parts = each_of(opened, lambda one, rows: _read_and_rest(one, partition.fields, rows, alone=alone), wanted)
            return _table(partition.fields, parts, n_rows=sum(int(stop - start) for ((start, stop),) in wanted))
        used = partition.predicate_fields
        parts = each_of(opened, lambda one: _read_and_rest(one, used, one.rows, alone=alone))
        light = _table(used, parts, n_rows=sum(one.n_rows for one in opened))
        kept = np.asarray(mask(partition.predicate, light, used))
        if partition.limit is not None:
            kept = kept & (np.cumsum(kept) <= partition.limit)
        rest = tuple(field for field in partition.fields if field not in used)
        survivors, first = [], 0
        for one in opened:
            rows = np.flatnonzero(kept[first : first + one.n_rows])
            survivors.append(spans_of_rows(rows + one.piece.start))
            first += one.n_rows
        parts = each_of(opened, lambda one, spans: _read_and_rest(one, rest, spans, alone=alone), survivors)
    columns = _chosen(light, used, kept, partition.fields) | _columns(rest, parts)
    return _exactly(partition.fields, columns, int(np.count_nonzero(kept)))


def _chosen(
    light: pa.Table, used: tuple[Field, ...], kept: npt.NDArray[np.bool_], fields: tuple[Field, ...]
) -> dict[str, pa.ChunkedArray]:
    """Return the kept rows of those columns of `light` that are asked for: most serve the predicate only."""
    names = {field.name for field in used}
    shown = [field.name for field in fields if field.name in names]
    rows = np.flatnonzero(kept)
    return {name: _at(light.column(name), rows) for name in shown}


def _at(column: pa.ChunkedArray, rows: npt.NDArray[np.int64]) -> pa.ChunkedArray:
    """Return the values at `rows`, which increase strictly."""
    if rows.size == len(column):
        return column
    if rows.size and rows[-1] - rows[0] + 1 == rows.size and pa.types.is_primitive(column.type):
        # Consecutive, as for a condition on time. Not of text: the whole text would travel with the slice.
        return column.slice(int(rows[0]), rows.size)
    return column.take(pa.array(rows))


def _read_and_rest(one: OpenPiece, fields: tuple[Field, ...], rows: Spans, *, alone: bool) -> list[pa.Array]:
    """Read from a piece; among many, let go of its file, since each open one costs libhdf5 half a megabyte."""
    values = one.read(fields, rows)
    if not alone:
        one.rest()
    return values


def _first_rows(one: OpenPiece, partition: Partition) -> npt.NDArray[np.int64]:
    rows = one.rows
    if partition.limit is not None:
        rows[0, 1] = min(one.piece.start + partition.limit, one.piece.stop)
    return rows


def _table(fields: tuple[Field, ...], parts: Sequence[Sequence[pa.Array]], *, n_rows: int) -> pa.Table:
    """Return the parts one below the other; each part is one array per field."""
    return _exactly(fields, _columns(fields, parts), n_rows)


def _columns(fields: tuple[Field, ...], parts: Sequence[Sequence[pa.Array]]) -> dict[str, pa.ChunkedArray]:
    return {field.name: pa.chunked_array([part[i] for part in parts], field.type) for i, field in enumerate(fields)}


def _exactly(fields: tuple[Field, ...], columns: dict[str, pa.ChunkedArray], n_rows: int) -> pa.Table:
    if not fields:
        # Without columns a table forgets its length; the one column carries it through `select`.
        return pa.table({"": pa.nulls(n_rows)}).select([])
    return pa.Table.from_arrays([columns[field.name] for field in fields], schema=_schema(fields))


def _empty(fields: tuple[Field, ...]) -> pa.Table:
    return _schema(fields).empty_table()


@lru_cache(maxsize=256)
def _schema(fields: tuple[Field, ...]) -> pa.Schema:
    return pa.schema([pa.field(field.name, field.type) for field in fields])
