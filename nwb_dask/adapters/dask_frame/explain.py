"""What an expression will read, said before it is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nwb_dask.adapters.dask_frame import _compat as dx
from nwb_dask.adapters.dask_frame.expr import ReadNWB
from nwb_dask.errors import PathNotFoundError
from nwb_dask.plan.explanation import Explanation, ReadPlan
from nwb_dask.plan.predicate import describe


def explain_reads(expr: dx.Expr) -> Explanation:
    """Return what computing `expr` will read.

    Raises
    ------
    PathNotFoundError
        If `expr` does not come from `read_nwb`.
    """
    original = reads_of(expr)
    totals: dict[str, tuple[int, int]] = {}
    for read in original:
        scan = read.operand("scan")
        totals[scan.table] = (len(set(scan.names())), max(read.npartitions, totals.get(scan.table, (0, 0))[1]))
    optimized = expr.optimize(fuse=False)
    filters = [node for node in optimized.walk() if isinstance(node, dx.Filter | dx.Loc | dx.Query)]
    return Explanation(tuple(_plan(read, totals, filters) for read in _reads(optimized)))


def reads_of(expr: dx.Expr) -> tuple[ReadNWB, ...]:
    """Return the reads that `expr` is made of; an error if there are none."""
    reads = _reads(expr)
    if not reads:
        raise PathNotFoundError("this Dask DataFrame does not come from read_nwb, or was persisted since")
    return reads


def partition_table(expr: dx.Expr) -> pd.DataFrame:
    """Return the pieces that `expr` reads once optimized, in order: partition, file, table, start, stop."""
    rows: list[dict[str, Any]] = []
    for read in _reads(expr.optimize(fuse=False)):
        for number, index in enumerate(_live(read)):
            pieces = read.operand("scan").partition(int(index), fields=()).pieces
            rows += [
                {"partition": number, "file": one.name, "table": one.table, "start": one.start, "stop": one.stop}
                for one in pieces
            ]
    return pd.DataFrame(rows, columns=["partition", "file", "table", "start", "stop"])


def _reads(expr: dx.Expr) -> tuple[ReadNWB, ...]:
    return tuple(node for node in expr.walk() if isinstance(node, ReadNWB))


def _live(read: ReadNWB) -> np.ndarray[Any, np.dtype[np.intp]]:
    chosen = np.asarray(dx.partitions_of(read), np.intp)
    # What no filter has come to shows tables without rows too.
    is_whole = read.operand("predicate") is None and not read.operand("scan").pruned
    return chosen if is_whole else chosen[read.may_match[chosen]]


def _plan(read: ReadNWB, totals: dict[str, tuple[int, int]], filters: list[dx.Expr]) -> ReadPlan:
    spec, scan = read.spec, read.operand("scan").take(_live(read))
    n_files = len(set(scan.names()))
    n_files_total, n_partitions_total = totals.get(scan.table, (n_files, read.npartitions))
    columns = {field.name: field for field in (*spec.predicate_fields, *spec.columns)}
    above = [node for node in filters if any(one is read for one in node.walk())]
    return ReadPlan(
        table=scan.table,
        n_files=n_files,
        n_files_total=n_files_total,
        n_partitions=scan.n_partitions,
        n_partitions_total=n_partitions_total,
        columns=tuple(field.name for field in spec.columns),
        heavy=tuple(field.name for field in spec.columns if field.heavy),
        predicate=None if spec.predicate is None else describe(spec.predicate),
        predicate_columns=tuple(field.name for field in spec.predicate_fields),
        residual=tuple(_condition(node) for node in above),
        limit=spec.limit,
        pruned=scan.pruned,
        expected_bytes=scan.expected_bytes(columns.values()),
    )


def _condition(node: dx.Expr) -> str:
    if isinstance(node, dx.Query):
        return str(node.operand("_expr"))
    return str(node.predicate if isinstance(node, dx.Filter) else node.iindexer)
