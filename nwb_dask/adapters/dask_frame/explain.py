"""What an expression will read, said before it is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from nwb_dask.adapters.dask_frame import _compat as dx
from nwb_dask.adapters.dask_frame.expr import ReadNWB
from nwb_dask.errors import PathNotFoundError
from nwb_dask.plan.explanation import Explanation, ReadPlan
from nwb_dask.plan.predicate import all_of, describe

_OF_PIECES = ("file", "table", "start", "stop")


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
    """Return the pieces that `expr` reads once optimized, in order, with the values of session columns."""
    rows = [{"partition": part["partition"], **piece} for part, piece in _pieces(expr)]
    return pd.DataFrame(rows, columns=["partition", *_OF_PIECES, *_session_columns(expr)])


def task_table(expr: dx.Expr) -> pd.DataFrame:
    """Return the same with the key of the task in place of the number: key, file, table, start, stop."""
    rows = [{"key": part["key"], **piece} for part, piece in _pieces(expr)]
    return pd.DataFrame(rows, columns=["key", *_OF_PIECES])


def _pieces(expr: dx.Expr) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield what a piece is part of, number and key, and what it is, once `expr` is optimized."""
    for read in _reads(expr.optimize(fuse=False)):
        places = {index: place for place, index in enumerate(dx.partitions_of(read))}
        for number, index in enumerate(_live(read).tolist()):
            part = {"partition": number, "key": str((dx.name_of(read), places[index]))}
            for one in read.operand("scan").partition(index, fields=()).pieces:
                own = {"file": one.name, "table": one.table, "start": one.start, "stop": one.stop}
                yield part, dict(one.constants) | own


def _session_columns(expr: dx.Expr) -> list[str]:
    fields = [field for read in _reads(expr) for field in read.operand("scan").fields]
    return list(dict.fromkeys(field.name for field in fields if field.is_constant))


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
    filtered = all_of(part for part in (read.operand("decided"), spec.predicate) if part is not None)
    above = [node for node in filters if any(one is read for one in node.walk())]
    return ReadPlan(
        table=scan.table,
        n_files=n_files,
        n_files_total=n_files_total,
        n_partitions=scan.n_partitions,
        n_partitions_total=n_partitions_total,
        columns=tuple(field.name for field in spec.columns),
        heavy=tuple(field.name for field in spec.columns if field.heavy),
        predicate=None if filtered is None else describe(filtered),
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
