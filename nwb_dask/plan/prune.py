"""Which pieces cannot hold a row that satisfies a predicate, from what is known of their values. Pure.

A predicate becomes two answers for each piece: whether it may be true of some row, and whether it may be false. A row
of which it is null is neither. Answers hold for every engine: where these differ, over NaN, null or a conversion, both
may be.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nwb_dask.errors import display_url
from nwb_dask.model.field import NWB_PATH
from nwb_dask.plan.leaf import value_of
from nwb_dask.plan.leaf_ranges import Answer, answer_of
from nwb_dask.plan.predicate import Call, Column, Literal, Node, columns_of, replace_nodes
from nwb_dask.plan.ranges import Mask, Ranges, ranges_of
from nwb_dask.plan.statistics import ColumnStatistics, Statistics

Constants: TypeAlias = Mapping[str, Sequence[object] | pa.Array | pa.ChunkedArray]
"""Columns whose value is the same in all rows of a piece, one value per piece."""


def may_match(
    node: Node,
    constants: Constants,
    statistics: Statistics | None = None,
    *,
    unordered: Collection[str] = (),
) -> Mask:
    """Tell for each piece whether some row of it may satisfy `node`.

    Parameters
    ----------
    node : Node
        The predicate.
    constants : mapping of str to sequence of length n_pieces
        Columns whose value is the same in all rows of a piece, such as ``_nwb_path``; None is null.
    statistics : mapping of str to ColumnStatistics, optional
        What is known of other columns, with an entry per piece.
    unordered : collection of str
        Columns whose values are not ordered as their text is: categories.

    Returns
    -------
    ndarray of bool, shape (n_pieces,)
        False only if no row can satisfy `node` in any engine, whatever the other columns hold: NaN, null
        and the differences between the engines are taken into account.
    """
    return _possible(node, _Known(constants, statistics or {}, frozenset(unordered)))[0]


def always_matches(
    node: Node,
    constants: Constants,
    statistics: Statistics | None = None,
    *,
    unordered: Collection[str] = (),
) -> Mask:
    """Tell for each piece whether all its rows satisfy `node` in every engine; parameters as of `may_match`.

    True only of columns that have neither null nor NaN in the piece.
    """
    known = _Known(constants, statistics or {}, frozenset(unordered))
    false = _possible(node, known)[1]
    for name in columns_of(node):
        ranges = known.ranges(name)
        false = false | True if ranges is None else false | ranges.may_be_null | ranges.may_be_nan
    return ~false


def resolve_path_literals(node: Node, spell: Mapping[str, str]) -> Node:
    """Return `node` with files written in another way replaced by their ``_nwb_path``.

    Only constants that are compared with the column ``_nwb_path`` by ``==``, ``!=`` or ``isin`` are
    replaced, so that the same predicate prunes pieces and selects rows. URLs lose user and query
    string, which no ``_nwb_path`` has.

    Parameters
    ----------
    node : Node
        The predicate.
    spell : mapping of str to str
        From the file as the user typed it to its ``_nwb_path``.
    """

    def replace(leaf: Node) -> Node:
        if isinstance(leaf, Call) and leaf.op in {"eq", "ne", "isin"} and Column(NWB_PATH) in leaf.args:
            args = tuple(_spelled(arg, spell) for arg in leaf.args)
            return leaf if args == leaf.args else Call(leaf.op, args, leaf.options)
        return leaf

    return replace_nodes(node, replace)


def _spelled(node: Node, spell: Mapping[str, str]) -> Node:
    if not isinstance(node, Literal):
        return node
    if isinstance(node.value, tuple):
        return Literal(tuple(_name(value, spell) if isinstance(value, str) else value for value in node.value))
    return Literal(_name(node.value, spell)) if isinstance(node.value, str) else node


def _name(file: str, spell: Mapping[str, str]) -> str:
    bare = display_url(file)
    return spell.get(file, spell.get(bare, bare))


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of columns, by name."""

    constants: Constants
    statistics: Statistics
    unordered: frozenset[str]
    seen: dict[str, Ranges | None] = field(default_factory=dict)

    @property
    def n_pieces(self) -> int:
        lengths = {len(one) for one in (*self.constants.values(), *self.statistics.values())}
        if len(lengths) != 1:
            raise ValueError(f"constants and statistics must have one value per piece each; lengths: {sorted(lengths)}")
        return lengths.pop()

    def ranges(self, name: str) -> Ranges | None:
        """Return the values of a column, or None if nothing is known of it."""
        if name not in self.seen:
            found = _of_constants(self.constants[name]) if name in self.constants else self.statistics.get(name)
            self.seen[name] = None if found is None else ranges_of(found)
        return self.seen[name]


def _of_constants(values: Sequence[object] | pa.Array | pa.ChunkedArray) -> ColumnStatistics | None:
    """Return constants as statistics; None if they are of different types, which no engine would have in a column."""
    if not isinstance(values, pa.Array | pa.ChunkedArray):
        # 1, 1.0 and True are equal, and not compared alike.
        if len({type(value) for value in values if value is not None}) > 1:
            return None
        try:
            values = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
            return None
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    is_null = (
        values.is_null().to_numpy(zero_copy_only=False) if isinstance(values, pa.Array) else values.is_null().to_numpy()
    )
    is_nan = np.zeros(len(values), np.bool_)
    if pa.types.is_floating(values.type):
        is_nan = np.asarray(pc.fill_null(pc.is_nan(values), fill_value=False))
        values = pc.if_else(pa.array(is_nan), pa.scalar(None, values.type), values)
    known = np.ones(len(values), np.bool_)
    return ColumnStatistics(values, values, is_null.astype(np.int64), is_nan.astype(np.int64), None, known)


def _possible(node: Node, known: _Known) -> Answer:
    """Whether `node` may be true, and whether it may be false, for each piece."""
    if not (isinstance(node, Call) and node.op in {"and", "or", "xor", "not"}):
        return _possible_leaf(node, known)
    true, false = _possible(node.args[0], known)
    if node.op == "not":
        return false, true
    for arg in node.args[1:]:
        other_true, other_false = _possible(arg, known)
        if node.op == "and":
            true, false = true & other_true, false | other_false
        elif node.op == "or":
            true, false = true | other_true, false & other_false
        else:
            true, false = (true & other_false) | (false & other_true), (true & other_true) | (false & other_false)
    return true, false


def _possible_leaf(node: Node, known: _Known) -> Answer:
    names = sorted(columns_of(node))
    if len(names) == 1:
        ranges = known.ranges(names[0])
        answer = None if ranges is None else answer_of(node, ranges, is_ordered=names[0] not in known.unordered)
        if answer is not None:
            return answer
    if all(name in known.constants for name in names):
        return _of_values(node, names, known)
    return np.ones(known.n_pieces, np.bool_), np.ones(known.n_pieces, np.bool_)


def _of_values(node: Node, names: Sequence[str], known: _Known) -> Answer:
    """Look at each combination of constants once."""
    count = known.n_pieces
    columns = [known.constants[name] for name in names]
    lists = [one.to_pylist() if isinstance(one, pa.Array | pa.ChunkedArray) else one for one in columns]
    numbers: dict[tuple[tuple[object, ...], tuple[type, ...]], int] = {}
    rows = list(zip(*lists, strict=True)) if names else [()] * count
    # Types belong to the key: 1, 1.0 and True are equal, and not compared alike.
    keys = ((row, tuple(map(type, row))) for row in rows)
    codes = np.fromiter((numbers.setdefault(key, len(numbers)) for key in keys), np.intp, count)
    answers = [value_of(node, dict(zip(names, row, strict=True))) for row, _ in numbers]
    true = np.array([answer is not False for answer in answers], np.bool_)
    false = np.array([answer is not True for answer in answers], np.bool_)
    return true[codes], false[codes]
