"""Reads a scan batch by batch, so that memory holds a few tables of many."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from nwb_dask.model import Field
from nwb_dask.plan import Scan
from nwb_dask.plan.batches import BatchLimits, plan_batches
from nwb_dask.plan.predicate import Node, columns_of
from nwb_dask.read.table import N_TOGETHER, MaskFunction, read_partition

_BATCH_BYTES = 1 << 26
_BATCH_ROWS = 100_000


def read_batches(
    scan: Scan,
    fields: tuple[Field, ...],
    predicate: Node | None,
    mask: MaskFunction,
    *,
    n_rows: int | None = None,
    batch_rows: int | None = None,
) -> Iterator[pa.Table]:
    """Yield the rows of `scan` that satisfy the predicate, in source order; a file is opened when its batch is due.

    Parameters
    ----------
    scan : Scan
        What there is to read.
    fields : tuple of Field
        Columns of each batch, in order.
    predicate : Node, optional
        Tables that cannot match are not opened.
    mask : callable
        Evaluates the predicate.
    n_rows : int, optional
        Only the first so many rows, counted before the predicate. Files behind them are not opened.
    batch_rows : int, optional
        About how many rows are read at once; a table is split only where its bytes are too many.

    Raises
    ------
    SourceChangedError
        If a file is not the one that was planned.
    MalformedFileError
        If a column that is asked for cannot be read.
    """
    used = () if predicate is None else tuple(scan.field(name) for name in sorted(columns_of(predicate)))
    batches = plan_batches(
        scan,
        fields=fields,
        predicate=predicate,
        predicate_fields=used,
        n_rows=n_rows,
        limits=BatchLimits(N_TOGETHER, batch_rows or _BATCH_ROWS, _BATCH_BYTES),
    )
    for batch in batches:
        yield read_partition(batch, mask)
