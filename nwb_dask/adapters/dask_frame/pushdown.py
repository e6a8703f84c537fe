"""When a filter may move into the read, and when the partitions that it empties may be dropped.

Both questions are about the whole expression. dask hands each node its dependents, the expressions of the tree that
use it, as weak references; from them the ways from a read up to the root are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from nwb_dask.adapters.dask_frame import _compat as dx
from nwb_dask.adapters.dask_frame.predicate import ColumnOf, conjuncts, is_row_wise, translate
from nwb_dask.plan.predicate import Node, all_of

Dependents: TypeAlias = Mapping[str, list[Any]]
"""Name of an expression -> weak references to the expressions that use it."""

_PARTITION_WISE: tuple[type, ...] = (
    dx.Elemwise, dx.Filter, dx.Loc, dx.Query, dx.DropnaFrame, dx.DropnaSeries, dx.ExplodeSeries, dx.UFuncElemwise,
)  # fmt: skip
"""A partition without rows gives one without rows, whatever its number."""
_INDIFFERENT: tuple[type, ...] = (
    *_PARTITION_WISE, dx.ApplyConcatApply, dx.GroupByApply, dx.CumulativeAggregations, dx.FinalizeCompute,
)  # fmt: skip
"""Fewer partitions give the same rows; how many there are shows further up."""
_INDIFFERENT_AS_SUCH: tuple[type, ...] = (
    dx.Merge, dx.Shuffle, dx.RearrangeByColumn, dx.SetIndex, dx.SortValues, dx.ToParquet, dx.Repartition,
)  # fmt: skip
"""Likewise, but not their subclasses: those are what they are lowered to, and have counted partitions."""


@dataclass(frozen=True, slots=True)
class Split:
    """A filter, as the part that the read applies and the part that remains."""

    pushed: Node
    rest: tuple[dx.Expr, ...] = ()
    """Conditions that stay; row-wise, so that they may be evaluated on fewer rows."""


def split_filter(predicate: dx.Expr, column_of: ColumnOf, *, fits: Callable[[Node], bool]) -> Split | None:
    """Return what of a filter can be pushed, or None if nothing can.

    A conjunction is taken apart only if all that stays is row-wise: ``(x > 1) & (x > x.mean())`` pushed in part would
    take the mean of the filtered rows.

    Parameters
    ----------
    predicate : Expr
        The condition of the filter.
    column_of : callable
        Recognises columns of the read.
    fits : callable
        Whether a predicate has a meaning for the columns of the read.
    """
    whole = translate(predicate, column_of)
    if whole is not None and fits(whole):
        return Split(whole)
    pushed: list[Node] = []
    rest: list[dx.Expr] = []
    for part in conjuncts(predicate):
        node = translate(part, column_of)
        if node is not None and fits(node):
            pushed.append(node)
        else:
            rest.append(part)
    together = all_of(pushed)
    if together is None or not all(is_row_wise(part, column_of, alone=len(rest) == 1) for part in rest):
        return None
    return Split(together, tuple(rest))


def parents_of(expr: dx.CoreExpr, dependents: Dependents) -> list[Any]:
    """Return the expressions that use `expr`, each once."""
    alive = (reference() for reference in dependents.get(dx.name_of(expr), ()))
    return list({dx.name_of(parent): parent for parent in alive if parent is not None}.values())


def is_behind(expr: dx.Expr, gate: dx.Expr, dependents: Dependents) -> bool:
    """Whether every way from `expr` up to the root leads through `gate`.

    Only then does nothing else see the rows that a filter at `gate` takes away.
    """
    seen = {dx.name_of(gate)}
    stack: list[Any] = [expr]
    while stack:
        parents = parents_of(stack.pop(), dependents)
        if not parents:
            return False
        for parent in parents:
            if dx.name_of(parent) not in seen:
                seen.add(dx.name_of(parent))
                stack.append(parent)
    return True


def least_partitions(gate: dx.Expr, dependents: Dependents) -> int | None:
    """Return how many partitions at least must remain if those without rows are dropped at `gate`.

    None if none may be dropped: something above looks at the number of partitions (``map_partitions``,
    ``partitions[...]``, `persist`, whose result dask has counted before), or pairs them with partitions of something
    that does not come through `gate`. What is not known to be indifferent is taken to look.
    """
    least = 1
    above = {dx.name_of(gate): gate}
    stack: list[Any] = [gate]
    while stack:
        for parent in parents_of(stack.pop(), dependents):
            if dx.name_of(parent) in above:
                continue
            above[dx.name_of(parent)] = parent
            if isinstance(parent, dx.Head):
                least = max(least, parent.operand("npartitions"))
            if _has_fixed_partitions(parent, dependents):
                continue
            if not _is_indifferent(parent):
                return None
            stack.append(parent)
    pairing = (node for node in above.values() if isinstance(node, dx.Blockwise) and node is not gate)
    return least if all(_is_paired_within(node, above) for node in pairing) else None


def _has_fixed_partitions(node: Any, dependents: Dependents) -> bool:  # noqa: ANN401  # dask's own classes
    """Whether the number of partitions of `node` does not follow from those below it."""
    if isinstance(node, dx.PartitionsFiltered):
        return False
    if isinstance(node, dx.Head | dx.Tail | dx.FinalizeComputeDF):
        return not isinstance(node, dx.Blockwise)
    if type(node) is dx.Repartition:
        return isinstance(node.operand("new_partitions"), int)
    if isinstance(node, dx.ExprSequence):
        return any(isinstance(parent, dx.FinalizeCompute) for parent in parents_of(node, dependents))
    if isinstance(node, dx.ApplyConcatApply):
        split_out = dx.operand_or(node, "split_out", 1)
        return split_out is False or (type(split_out) is int and split_out == 1)
    return False


def _is_indifferent(node: Any) -> bool:  # noqa: ANN401  # dask's own classes
    if isinstance(node, dx.PartitionsFiltered | dx.Split):
        return False
    if type(node) is dx.Concat:
        return bool(node.operand("axis") == 0)
    return isinstance(node, _INDIFFERENT) or type(node) in _INDIFFERENT_AS_SUCH


def _is_paired_within(node: Any, above: Mapping[str, Any]) -> bool:  # noqa: ANN401  # dask's own classes
    return all(
        isinstance(one, dx.DelayedExpr) or dx.name_of(one) in above or one.ndim == 0 for one in node.dependencies()
    )
