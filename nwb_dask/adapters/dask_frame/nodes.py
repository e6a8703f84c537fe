"""dask's own operations, as they stand over a read: where dask's let no filter through, or a wrong one, ours do not.

dask lets only a direct child rewrite its parent, so what stands between a filter and a read must be ours. Each node
here makes more of its kind from ``[...]``; it is an instance of dask's class, and does what that does in all else.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from nwb_dask.adapters.dask_frame import _compat as dx
from nwb_dask.adapters.dask_frame.predicate import Condition, is_row_wise, translate
from nwb_dask.adapters.dask_frame.pushdown import Dependents
from nwb_dask.errors import PredicateError
from nwb_dask.model.field import NWB_PATH, Field
from nwb_dask.plan.predicate import Call, Literal


class Source(dx.PartitionsFiltered, dx.BlockwiseIO):
    """A read into which the filters over it can move."""

    @property
    @abstractmethod
    def fields(self) -> dict[str, Field]:
        """Fields that a predicate may name, by column."""

    @abstractmethod
    def column_of(self, expr: dx.Expr) -> str | None:
        """Return which column of this read `expr` is; None if it is none."""

    @abstractmethod
    def takes_filter(self, gate: dx.Expr, dependents: Dependents) -> bool:
        """Whether something of the filter `gate` can be pushed."""

    @abstractmethod
    def rewrite_filter(self, gate: dx.Expr, dependents: Dependents, between: dx.Expr | None = None) -> dx.Expr | None:
        """Return the filter `gate` as a read that applies it, or None if nothing of it can be pushed."""

    def __getitem__(self, other: object) -> dx.Expr:
        return _item(self, other)

    @property
    def index(self) -> dx.Expr:
        """The row labels."""
        return NWBIndex(self)

    def astype(self, dtypes: object) -> dx.Expr:
        """Return the rows with other dtypes."""
        return NWBAsType(self, dtypes)


def _comparison(name: str) -> Callable[[Any, object], dx.Expr]:
    def compare(self: NWBProjection, other: object) -> dx.Expr:
        self.refuse_ragged()
        result: dx.Expr = getattr(super(NWBProjection, self), name)(other)
        return result

    return compare


class NWBProjection(dx.Projection):
    """Columns of a read; a filter over them goes into the read."""

    __lt__ = _comparison("__lt__")
    __le__ = _comparison("__le__")
    __gt__ = _comparison("__gt__")
    __ge__ = _comparison("__ge__")
    __eq__ = _comparison("__eq__")
    __ne__ = _comparison("__ne__")
    __hash__ = dx.Projection.__hash__

    def refuse_ragged(self) -> None:
        """Raise if this is a column without one value per row, which cannot be compared."""
        column = self.operand("columns")
        field = self.frame.fields.get(column) if isinstance(self.frame, Source) and isinstance(column, str) else None
        if field is not None and field.heavy:
            message = (
                f"cannot compare column {column!r}: it holds {field.type} in each row, not one value. "
                f"Compare lengths, `.nwb.lengths()`, or what `.map(function)` makes of each row"
            )
            raise PredicateError(message, path=self.frame.operand("scan").table)

    def __getitem__(self, other: object) -> dx.Expr:
        return _item(self, other)

    def astype(self, dtypes: object) -> dx.Expr:
        """Return the rows with other dtypes."""
        return NWBAsType(self, dtypes)

    def _filter_passthrough_available(self, parent: dx.Expr, dependents: Dependents) -> bool:
        read = self.frame
        mine = isinstance(read, Source) and dx.is_same(parent.frame, self)
        return mine and read.takes_filter(parent, dependents)

    def _simplify_up(self, parent: dx.Expr, dependents: Dependents) -> dx.Expr | None:
        read = self.frame
        if isinstance(read, Source):
            if isinstance(parent, dx.Filter | dx.Loc | dx.Query):
                mine = dx.is_same(parent.frame, self)
                return read.rewrite_filter(parent, dependents, self) if mine else None
            if isinstance(parent, dx.Count) and self.ndim == 1 and _has_no_missing(read.fields[self.columns[0]]):
                return dx.Len(read)
            if isinstance(parent, dx.EQ | dx.NE | dx.Isin):
                return self._with_full_names(read, parent)
        return _optional(super()._simplify_up(parent, dependents))

    def _tune_down(self) -> dx.Expr | None:
        # Not by `_lower`, which dask also calls without the optimizer and then looks for tasks under the old name.
        return NWBColumn(*self.operands) if self.ndim == 1 and isinstance(self.frame, Source) else None

    def _with_full_names(self, read: Source, parent: dx.Expr) -> dx.Expr | None:
        """Spell out files that the user named as typed, so that filters that stay with dask match them too."""
        if read.column_of(self) != NWB_PATH:
            return None
        node = translate(parent, read.column_of)
        if node is None or not isinstance(node, Call):
            return None
        full = read.operand("scan").canonical(node)
        if full == node:
            return None
        values = [arg.value if isinstance(arg, Literal) else self for arg in full.args]
        return type(parent)(*(list(value) if isinstance(value, tuple) else value for value in values))


class NWBColumn(NWBProjection):
    """A column of a read when all filters have moved; if nothing else uses the read, it gives the column itself."""

    def _tune_down(self) -> None:
        return None


class NWBIndex(dx.Index):
    """Row labels of a read; a filter over them goes into the read, and their number is its number of rows."""

    def __getitem__(self, other: object) -> dx.Expr:
        return _item(self, other)

    def _filter_passthrough_available(self, parent: dx.Expr, dependents: Dependents) -> bool:
        read = self.frame
        mine = isinstance(read, Source) and dx.is_same(parent.frame, self)
        return mine and read.takes_filter(parent, dependents)

    def _simplify_up(self, parent: dx.Expr, dependents: Dependents) -> dx.Expr | None:
        read = self.frame
        if isinstance(read, Source):
            if isinstance(parent, dx.Len):
                return dx.Len(read)
            if isinstance(parent, dx.Filter):
                mine = dx.is_same(parent.frame, self)
                return read.rewrite_filter(parent, dependents, self) if mine else None
        return _optional(super()._simplify_up(parent, dependents))


class NWBFilter(dx.Filter):
    """A filter over a read, or what remains of one of which a part was pushed.

    It differs from dask's where that gives other answers than pandas (dask 2026.8). Where there are no rows it is not
    looked at: pandas makes up the dtype of a user's function that is called on none, and such a mask may not be
    boolean. And it joins with the filter above only if that is row-wise: dask joins those with ``cumsum`` as well,
    which then runs over the rows that this one takes away.
    """

    def __getitem__(self, other: object) -> dx.Expr:
        return _item(self, other)

    @staticmethod
    def operation(frame: Any, predicate: Any) -> Any:  # noqa: ANN401  # a pandas DataFrame, Series or Index
        """Return the rows of `frame` for which `predicate` holds."""
        return frame[predicate] if len(frame) else frame

    def _simplify_up(self, parent: dx.Expr, dependents: Dependents) -> dx.Expr | None:
        if isinstance(parent, dx.Filter) and not self._joins(parent):
            return None
        return _optional(super()._simplify_up(parent, dependents))

    def _joins(self, parent: dx.Expr) -> bool:
        return dx.is_same(parent.frame, self) and is_row_wise(parent.predicate, _column_of_filtered, alone=False)


class NWBAsType(dx.AsType):
    """Columns of a read in other dtypes; a filter goes below only if it asks for none of them.

    dask lets all filters pass (dask#12172): ``rates[rates > 5]`` with ``rates = df.rate.astype(int)`` then compares
    the floats.
    """

    def __getitem__(self, other: object) -> dx.Expr:
        return _item(self, other)

    def _filter_passthrough_available(self, parent: dx.Expr, dependents: Dependents) -> bool:
        return (
            dx.is_same(parent.frame, self)
            and not any(self._is_cast(node) for node in parent.predicate.walk())
            and bool(super()._filter_passthrough_available(parent, dependents))
        )

    def _is_cast(self, node: dx.Expr) -> bool:
        """Whether `node` sees one of the columns that are cast."""
        dtypes = self.operand("dtypes")
        if dx.is_same(node, self):
            return bool(self.ndim == 1)
        if not any(dx.is_same(one, self) for one in node.dependencies()):
            return False
        apart = isinstance(dtypes, dict) and isinstance(node, dx.Projection)
        return not (apart and dtypes.keys().isdisjoint(node.columns))


def _item(frame: dx.Expr, other: object) -> dx.Expr:
    if not isinstance(other, dx.Expr):
        return NWBProjection(frame, other)
    return NWBFilter(frame, Condition(other) if dx.takes_filters(other) else other)


def _column_of_filtered(expr: dx.Expr) -> str | None:
    if isinstance(expr, dx.Projection) and isinstance(expr.frame, NWBFilter | Source):
        return str(expr.columns[0])
    return None


def _optional(expr: Any) -> dx.Expr | None:  # noqa: ANN401  # dask is not annotated
    return expr if isinstance(expr, dx.Expr) else None


def _has_no_missing(field: Field) -> bool:
    """Whether `count` counts every row of the column: floats may be NaN, and nullable columns null."""
    return not (field.nullable or field.problem or pa.types.is_floating(field.type) or pa.types.is_null(field.type))
