"""What a polars query will read: it is run over tables without rows that note what they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from nwb_dask.adapters.polars_frame.convert import schema
from nwb_dask.adapters.polars_frame.translate import pushed_down, translate
from nwb_dask.plan import Scan
from nwb_dask.plan.explanation import ReadPlan
from nwb_dask.plan.predicate import columns_of, describe


@dataclass(frozen=True)
class NotingSource:
    """What polars calls for rows: it has none, and notes what it was to read."""

    scan: Scan
    notes: list[ReadPlan]

    def __call__(
        self,
        with_columns: list[str] | None,
        predicate: pl.Expr | None,
        n_rows: int | None,
        batch_size: int | None,  # noqa: ARG002  # polars' signature
    ) -> Iterator[pl.DataFrame]:
        """Note columns, filter and rows, and return one frame without rows; see `ScanSource`."""
        self.notes.append(_plan(self.scan, with_columns, predicate, n_rows))
        empty = pl.DataFrame(schema=schema(self.scan.fields))
        # Not `empty[with_columns]`, which is every column where there are no names.
        yield empty if with_columns is None else pl.DataFrame([empty.get_column(name) for name in with_columns])


def noting_frame(scan: Scan, notes: list[ReadPlan]) -> pl.LazyFrame:
    """Return a LazyFrame with the columns of a scan; when it is collected, `notes` gets what would be read."""
    return register_io_source(NotingSource(scan, notes), schema=schema(scan.fields), validate_schema=True)


def _plan(scan: Scan, with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None) -> ReadPlan:
    """Return what `ScanSource` reads when it is called so."""
    shown = [field.name for field in scan.fields] if with_columns is None else with_columns
    needed = [] if predicate is None else predicate.meta.root_names()
    names = tuple(dict.fromkeys((*shown, *needed)))
    fields = [scan.field(name) for name in names]
    node, _ = pushed_down(predicate, scan.fields)
    whole = None if predicate is None else translate(predicate)
    is_whole = whole is not None and node is not None and columns_of(whole) == columns_of(node)
    chosen = scan if node is None else scan.without_pieces(node)
    chosen = chosen.take(np.flatnonzero(chosen.rows > 0)) if node is not None else chosen
    return ReadPlan(
        table=scan.table,
        n_files=len(set(chosen.names())),
        n_files_total=len(set(scan.names())),
        n_partitions=chosen.n_partitions,
        n_partitions_total=scan.n_partitions,
        columns=names,
        heavy=tuple(field.name for field in fields if field.heavy),
        predicate=None if node is None else describe(node),
        predicate_columns=() if node is None else tuple(sorted(columns_of(node))),
        residual=() if predicate is None or is_whole else (str(predicate),),
        limit=None,
        expected_bytes=chosen.expected_bytes(fields),
        n_rows=n_rows,
        pruned=chosen.pruned,
    )
