"""The source as a dask expression: a leaf into which projections, filters, limits and counts can move.

dask simplifies an expression by letting each child rewrite its parent. What may stand between a filter and the read is
in `nodes`; when a filter may move is in `pushdown`, and what of it in `predicate`.
"""

from __future__ import annotations

import re
import weakref
from functools import cached_property, reduce
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from dask.tokenize import tokenize

from nwb_dask.adapters.dask_frame import _compat as dx
from nwb_dask.adapters.dask_frame.nodes import NWBColumn, NWBFilter, NWBIndex, NWBProjection, Source
from nwb_dask.adapters.dask_frame.pushdown import (
    Dependents,
    Split,
    is_behind,
    least_partitions,
    parents_of,
    split_filter,
)
from nwb_dask.adapters.dask_frame.task import FrameSpec, no_rows, read_frame
from nwb_dask.errors import NWBDaskError
from nwb_dask.model.field import NWB_PATH, TABLE_INDEX, Field, path_fields
from nwb_dask.plan.check import check_predicate
from nwb_dask.plan.predicate import Call, Node, all_of, columns_of, conjuncts
from nwb_dask.plan.query import parse_query
from nwb_dask.plan.scan import Scan

_LIMITS: tuple[type, ...] = (dx.Head, dx.Tail, dx.BlockwiseHead, dx.BlockwiseTail)


class ReadNWB(Source):
    """Rows of one table in many files; each partition is one task.

    Operands: the `Scan`; the names of the columns, in order; the column that labels the rows, None for row numbers;
    the predicate that the reader applies; the most rows that each partition gives; whether to give the only column as a
    Series; which partitions of the scan, None for all.
    """

    _parameters: ClassVar[list[str]] = [
        "scan", "columns", "index_column", "predicate", "limit", "_series", "_partitions",
    ]  # fmt: skip
    _defaults: ClassVar[dict[str, Any]] = {
        "index_column": None, "predicate": None, "limit": None, "_series": False, "_partitions": None,
    }  # fmt: skip
    _pickle_functools_cache = False
    _determ_token: str | None
    _absorb_projections = True

    def __dask_tokenize__(self) -> str:
        token: str | None = self._determ_token
        if not token:
            scan, *rest = self.operands
            token = tokenize("ReadNWB", scan.token, [repr(one) for one in rest], ensure_deterministic=True)
            self._determ_token = token
        return token

    @cached_property
    def _name(self) -> str:
        table = re.sub(r"\W+", "_", self.operand("scan").table.rstrip("/").rpartition("/")[2]).strip("_") or "root"
        return f"read-nwb-{table}-{self.deterministic_token}"

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.operand("columns"))

    # Plain properties: `functools.cached_property` of Python 3.11 holds one lock per class while it computes, and a
    # scheduler in this process that asks for them waits for ever (dask computes inside `divisions` of some parents).
    @property
    def npartitions(self) -> int:
        """Number of partitions."""
        chosen = self.operand("_partitions")
        return int(self.operand("scan").n_partitions) if chosen is None else len(chosen)

    @property
    def divisions(self) -> tuple[object, ...]:
        """Labels at which partitions begin; unknown for row numbers, which start again in each table."""
        return self._labels or (None,) * (self.npartitions + 1)

    def _divisions(self) -> tuple[object, ...]:
        return self.divisions

    @cached_property
    def _labels(self) -> tuple[object, ...] | None:
        label, chosen = self.operand("index_column"), self.operand("_partitions")
        known = None if label is None else self.operand("scan").divisions(label)
        if known is None or chosen is None:
            return known
        is_rising = len(chosen) > 0 and all(one < other for one, other in pairwise(chosen))
        return (*(known[number] for number in chosen), known[chosen[-1] + 1]) if is_rising else None

    @cached_property
    def _meta(self) -> pd.DataFrame | pd.Series:
        return no_rows(self.spec)

    @cached_property
    def fields(self) -> dict[str, Field]:
        """Fields that a predicate may name, by column."""
        scan: Scan = self.operand("scan")
        return {field.name: field for field in (*path_fields(), *scan.fields)}

    @cached_property
    def spec(self) -> FrameSpec:
        """What all tasks have in common."""
        fields, predicate = self.fields, self.operand("predicate")
        return FrameSpec(
            columns=tuple(fields[name] for name in self.columns),
            label=fields[self.operand("index_column") or TABLE_INDEX],
            predicate=predicate,
            predicate_fields=() if predicate is None else tuple(fields[name] for name in sorted(columns_of(predicate))),
            limit=self.operand("limit"),
            as_series=self.operand("_series"),
        )

    @cached_property
    def may_match(self) -> npt.NDArray[np.bool_]:
        """Tell for each partition of the scan whether it may have rows; shape (scan.n_partitions,)."""
        scan: Scan = self.operand("scan")
        predicate = self.operand("predicate")
        # Tables without rows are not opened; those of which no row satisfies a filter are left as such.
        return scan.rows > 0 if predicate is None else scan.may_match(predicate)

    def _filtered_task(self, name: Any, index: int) -> dx.Task:  # noqa: ANN401  # a key of dask
        if not self.may_match[index]:
            return dx.Task(name, no_rows, self.spec, _data_producer=True)
        partition = self.operand("scan").partition(index, fields=(), constants=self.spec.constants)
        return dx.Task(name, read_frame, partition, self.spec, _data_producer=True)

    def with_operands(self, **operands: object) -> ReadNWB:
        """Return the read with other operands."""
        changed: ReadNWB = self.substitute_parameters(operands)
        return changed

    @cached_property
    def rows_key(self) -> tuple[object, ...]:
        """What decides the rows, whatever the columns."""
        return tuple(self.operand(name) for name in self._parameters if name not in {"columns", "_series"})

    def column_of(self, expr: dx.Expr) -> str | None:
        """Return which column of this read `expr` is, whatever other columns its own read has; None if it is none."""
        frame = expr
        if isinstance(expr, dx.Projection):
            if not isinstance(expr.operand("columns"), str):
                return None
            frame = expr.frame
            while isinstance(frame, dx.Projection) and isinstance(frame.operand("columns"), list):
                frame = frame.frame
        if not isinstance(frame, ReadNWB) or frame.rows_key != self.rows_key:
            return None
        return str(expr.columns[0]) if expr.ndim == 1 else None

    def fits(self, node: Node) -> bool:
        """Whether `node` has a meaning for the columns: ragged ones, for example, have none in a predicate."""
        try:
            check_predicate(node, tuple(self.fields.values()))
        except NWBDaskError:
            return False
        return True

    def split(self, gate: dx.Expr, dependents: Dependents) -> Split | None:
        """Return what of the filter `gate`, which stands over this read, can be pushed into it; None if nothing can."""
        if self.operand("limit") is not None or not isinstance(gate, dx.Filter | dx.Loc | dx.Query):
            # dask asks for `FilterAlign` too, whose condition comes from elsewhere.
            return None
        if isinstance(gate, dx.Query):
            split = self._split_query(gate)
        else:
            predicate = gate.predicate if isinstance(gate, dx.Filter) else gate.iindexer
            if not isinstance(predicate, dx.Expr) or (isinstance(gate, dx.Loc) and gate.cindexer is not None):
                return None
            split = split_filter(predicate, self.column_of, fits=self.fits)
        if split is None:
            return None
        reads = [self, *(node for node in gate.walk() if isinstance(node, ReadNWB))]
        return split if all(is_behind(read, gate, dependents) for read in reads) else None

    def _split_query(self, gate: dx.Query) -> Split | None:
        options = dict(gate.expr_kwargs)
        local = options.pop("local_dict", {})
        fields = [self.fields[name] for name in gate.frame.columns]
        node = None if options else parse_query(gate.operand("_expr"), local, {}, fields=fields)
        if node is None or not columns_of(node) <= set(gate.frame.columns) or not self.fits(node):
            return None
        return Split(node)

    def rewrite_filter(self, gate: dx.Expr, dependents: Dependents, between: dx.Expr | None = None) -> dx.Expr | None:
        """Return the filter `gate` as a read that applies it, or None if nothing of it can be pushed.

        Parameters
        ----------
        gate : Filter, Loc or Query
            Stands over this read.
        dependents : mapping
            Of the tree in which `gate` is.
        between : NWBProjection or NWBIndex, optional
            What is between them.
        """
        split = self.split(gate, dependents)
        if split is None:
            return None
        least = least_partitions(gate, dependents)
        read = self.filtered(split.pushed, least)
        result: dx.Expr = read if between is None else type(between)(read, *between.operands[1:])
        if not split.rest:
            return result
        rest = reduce(dx.And, split.rest)
        for one in [node for node in rest.walk() if isinstance(node, ReadNWB)]:
            rest = rest.substitute(one, one.filtered(split.pushed, least))
        remaining = NWBFilter(result, rest)
        _announce(remaining, dependents)
        return remaining

    def filtered(self, node: Node, least: int | None = 1) -> ReadNWB:
        """Return the rows that also satisfy `node`.

        Parameters
        ----------
        node : Node
            The condition.
        least : int or None
            How many partitions to keep at least, if those that cannot have rows are dropped; None to keep all, the
            unneeded ones as tasks that open nothing.
        """
        scan: Scan = self.operand("scan")
        if NWB_PATH in columns_of(node):
            node = scan.canonical(node)
        old = self.operand("predicate")
        together = node if old is None else Call("and", (old, node))
        read = self.with_operands(predicate=together, scan=scan.without_pieces(together))
        chosen = np.array(dx.partitions_of(self), np.intp)
        alive = read.may_match[chosen]
        if least is not None and not alive.all():
            needed = max(least - int(alive.sum()), 0)
            alive[np.flatnonzero(~alive)[:needed]] = True
            read = read.with_operands(scan=read.operand("scan").take(chosen[alive]), _partitions=None)
        undecided = [part for part in conjuncts(together) if not read.operand("scan").must_match(part)]
        return read.with_operands(predicate=all_of(undecided))

    def takes_filter(self, gate: dx.Expr, dependents: Dependents) -> bool:
        """Whether something of the filter `gate` can be pushed."""
        return self.split(gate, dependents) is not None

    def _filter_passthrough_available(self, parent: dx.Expr, dependents: Dependents) -> bool:
        # While this is true dask keeps projections above the filter, so it must be true only if the filter then goes.
        return dx.is_same(parent.frame, self) and self.takes_filter(parent, dependents)

    def _simplify_up(self, parent: dx.Expr, dependents: Dependents) -> dx.Expr | None:
        if isinstance(parent, dx.Filter | dx.Loc | dx.Query):
            if not dx.is_same(parent.frame, self):
                return None
            return self.rewrite_filter(parent, dependents)
        if isinstance(parent, dx.Len | dx.Lengths):
            return self._counted(parent)
        if isinstance(parent, _LIMITS):
            return self._limited(parent, dependents)
        if isinstance(parent, dx.Index):
            wanted = dx.determine_column_projection(self, parent, dependents)
            kept = [name for name in self.columns if name in wanted]
            return NWBIndex(self.with_operands(columns=kept, _series=False))
        if isinstance(parent, dx.Projection):
            projected: dx.Expr | None = super()._simplify_up(parent, dependents)
            if projected is None and type(parent) is dx.Projection:
                return NWBProjection(self, parent.operand("columns"))
            if projected is None and type(parent) is NWBColumn and is_behind(self, parent, dependents):
                return self.with_operands(_series=True)
            return projected
        return None

    def _counted(self, parent: dx.Expr) -> dx.Expr | None:
        if self.operand("predicate") is None and self.operand("limit") is None:
            rows = self.operand("scan").rows[dx.partitions_of(self)]
            return dx.Literal(int(rows.sum()) if isinstance(parent, dx.Len) else tuple(rows.tolist()))
        if not self.columns:
            return None
        return type(parent)(self.with_operands(columns=[], _series=False), *parent.operands[1:])

    def _limited(self, parent: dx.Expr, dependents: Dependents) -> dx.Expr | None:
        if not is_behind(self, parent, dependents):
            return None
        read = self
        users = parents_of(parent, dependents)
        if self.ndim > 1 and users and all(isinstance(user, dx.Projection | dx.Index) for user in users):
            # dask moves `head` below a projection, where the projection cannot reach the read.
            wanted = {name for user in users for name in dx.projected_columns(user)}
            read = read.with_operands(columns=[name for name in self.columns if name in wanted])
        if type(parent) is dx.BlockwiseHead and parent.n >= 0:
            limit = self.operand("limit")
            read = read.with_operands(limit=parent.n if limit is None else min(limit, parent.n))
        return type(parent)(read, *parent.operands[1:]) if not dx.is_same(read, self) else None

    def _tree_repr_argument_construction(self, i: int, op: object, header: str) -> str:
        if isinstance(op, Scan):
            return f"{header} table={op.table!r} partitions={op.n_partitions}"
        text: str = super()._tree_repr_argument_construction(i, op, header)
        return text


def _announce(expr: dx.Expr, dependents: Dependents) -> None:
    """Record who uses the reads below a new expression.

    dask does so only when it comes by the users; until then one of them would be taken to be the only one, and the
    read narrowed to its columns, apart from that of the others.
    """
    for node in expr.walk():
        for one in node.dependencies():
            if isinstance(one, ReadNWB):
                dependents[dx.name_of(one)].append(weakref.ref(node))
