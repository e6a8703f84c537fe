"""The one place that imports dask's private expression API, so that a new dask release is met in one file.

dask has no public way to add a source that filters can be pushed into. What is named here is private to dask 2026.8;
`tests/adapters/dask_frame` tells whether another release still means the same by it.
"""

from __future__ import annotations

from typing import Any

from dask._expr import Expr as CoreExpr
from dask._expr import FinalizeCompute
from dask._expr import _ExprSequence as ExprSequence
from dask._task_spec import Task
from dask.dataframe.dask_expr._accessor import FunctionMap, PropertyMap
from dask.dataframe.dask_expr._collection import new_collection
from dask.dataframe.dask_expr._concat import Concat
from dask.dataframe.dask_expr._cumulative import CumulativeAggregations
from dask.dataframe.dask_expr._expr import (
    EQ,
    GE,
    GT,
    LE,
    LT,
    NE,
    Abs,
    Add,
    And,
    Apply,
    AsType,
    Between,
    Binop,
    BinOpSeries,
    Blockwise,
    BlockwiseHead,
    BlockwiseTail,
    Clip,
    Div,
    DropnaFrame,
    DropnaSeries,
    Elemwise,
    EQSeries,
    ExplodeSeries,
    Expr,
    Fillna,
    Filter,
    FinalizeComputeDF,
    FloorDiv,
    GESeries,
    GTSeries,
    Head,
    Index,
    Invert,
    Isin,
    IsNa,
    Lengths,
    LESeries,
    Literal,
    LTSeries,
    Map,
    MethodOperator,
    Mod,
    Mul,
    Neg,
    NESeries,
    NotNull,
    Or,
    PartitionsFiltered,
    Pos,
    Pow,
    Projection,
    Query,
    Round,
    Split,
    Sub,
    Tail,
    UFuncElemwise,
    Unaryop,
    XOr,
    determine_column_projection,
)
from dask.dataframe.dask_expr._expr import _DelayedExpr as DelayedExpr
from dask.dataframe.dask_expr._groupby import GroupByApply
from dask.dataframe.dask_expr._indexing import Loc
from dask.dataframe.dask_expr._merge import Merge
from dask.dataframe.dask_expr._reductions import ApplyConcatApply, Count, Len
from dask.dataframe.dask_expr._repartition import Repartition
from dask.dataframe.dask_expr._shuffle import RearrangeByColumn, SetIndex, Shuffle, SortValues
from dask.dataframe.dask_expr.io.io import BlockwiseIO
from dask.dataframe.dask_expr.io.parquet import ToParquet
from dask.delayed import DelayedLeaf

__all__ = [
    "EQ",
    "GE",
    "GT",
    "LE",
    "LT",
    "NE",
    "Abs",
    "Add",
    "And",
    "Apply",
    "ApplyConcatApply",
    "AsType",
    "Between",
    "BinOpSeries",
    "Binop",
    "Blockwise",
    "BlockwiseHead",
    "BlockwiseIO",
    "BlockwiseTail",
    "Clip",
    "Concat",
    "CoreExpr",
    "Count",
    "CumulativeAggregations",
    "DelayedExpr",
    "Div",
    "DropnaFrame",
    "DropnaSeries",
    "EQSeries",
    "Elemwise",
    "ExplodeSeries",
    "Expr",
    "ExprSequence",
    "Fillna",
    "Filter",
    "FinalizeCompute",
    "FinalizeComputeDF",
    "FloorDiv",
    "FunctionMap",
    "GESeries",
    "GTSeries",
    "GroupByApply",
    "Head",
    "Index",
    "Invert",
    "IsNa",
    "Isin",
    "LESeries",
    "LTSeries",
    "Len",
    "Lengths",
    "Literal",
    "Loc",
    "Map",
    "Merge",
    "MethodOperator",
    "Mod",
    "Mul",
    "NESeries",
    "Neg",
    "NotNull",
    "Or",
    "PartitionsFiltered",
    "Pos",
    "Pow",
    "Projection",
    "PropertyMap",
    "Query",
    "RearrangeByColumn",
    "Repartition",
    "Round",
    "SetIndex",
    "Shuffle",
    "SortValues",
    "Split",
    "Sub",
    "Tail",
    "Task",
    "ToParquet",
    "UFuncElemwise",
    "Unaryop",
    "XOr",
    "constant_of",
    "determine_column_projection",
    "is_same",
    "meta_of",
    "name_of",
    "new_collection",
    "operand_or",
    "partitions_of",
    "projected_columns",
    "takes_filters",
]


def name_of(expr: CoreExpr) -> str:
    """Return the name of an expression; equal names mean equal expressions."""
    return expr._name  # noqa: SLF001  # dask's protocol is private throughout; it is met here


def is_same(one: CoreExpr, other: CoreExpr) -> bool:
    """Whether two expressions are the same; ``==`` makes a third one of them."""
    return one._name == other._name  # noqa: SLF001  # see name_of


def operand_or(expr: Expr, name: str, default: object) -> object:
    """Return an operand of `expr`, or `default` if it has none of that name."""
    return expr.operand(name) if name in expr._parameters else default  # noqa: SLF001  # see name_of


def takes_filters(expr: Expr) -> bool:
    """Whether `expr` moves a filter over it to what it is made of."""
    return bool(expr._filter_passthrough)  # noqa: SLF001  # see name_of


def meta_of(expr: Expr) -> Any:  # noqa: ANN401  # an empty pandas object
    """Return the empty pandas object that says which columns and dtypes `expr` has."""
    return expr._meta  # noqa: SLF001  # see name_of


def projected_columns(expr: Expr) -> list[str]:
    """Return the columns that `expr` needs of what it is made of."""
    return expr._projection_columns  # noqa: SLF001  # see name_of


def partitions_of(source: PartitionsFiltered) -> list[int]:
    """Return the partitions that are selected of a source."""
    return list(source._partitions)  # noqa: SLF001  # see name_of


def constant_of(value: Any) -> Any:  # noqa: ANN401  # whatever the user gave
    """Return a constant that dask has wrapped so that it is not traversed; anything else as it is."""
    if isinstance(value, DelayedExpr) and isinstance(value.obj, DelayedLeaf):
        return value.obj._obj  # noqa: SLF001  # see name_of
    return value
