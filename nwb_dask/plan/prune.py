"""Which pieces cannot hold a row that satisfies a predicate, from what is known of their values. Pure.

A predicate becomes three answers for each piece: whether it may be true, false and null in some row. They hold for
every engine: where these differ, over NaN, null or a conversion, it may be either.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from nwb_dask.errors import display_url
from nwb_dask.model.field import NWB_PATH
from nwb_dask.plan.leaf import outcome_of
from nwb_dask.plan.leaf_ranges import Answer, answer_of
from nwb_dask.plan.predicate import Call, Column, Literal, Node, columns_of, replace_nodes
from nwb_dask.plan.ranges import Mask, Ranges, ranges_of
from nwb_dask.plan.statistics import ColumnStatistics, Statistics

Constants: TypeAlias = Mapping[str, Sequence[object]]
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
        Columns whose value is the same in all rows of a piece, such as ``_nwb_path``; None where it is absent. Floats
        are those of 64-bit columns: with narrower ones constants are compared in other ways.
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


def must_match(
    node: Node,
    constants: Constants,
    statistics: Statistics | None = None,
    *,
    unordered: Collection[str] = (),
) -> Mask:
    """Tell for each piece whether all rows of it satisfy `node` in every engine, whatever the other columns hold.

    Parameters are those of `may_match`.
    """
    _, false, null = _possible(node, _Known(constants, statistics or {}, frozenset(unordered)))
    return ~false & ~null


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
        lengths = {*map(len, self.constants.values()), *map(len, self.statistics.values())}
        if len(lengths) != 1:
            raise ValueError(f"constants and statistics must have one value per piece each; lengths: {sorted(lengths)}")
        return lengths.pop()

    def ranges(self, name: str) -> Ranges | None:
        """Return the values of a column as ranges; None for constants but text, and if nothing is known of it."""
        if name not in self.seen:
            found = _of_texts(self.constants[name]) if name in self.constants else self.statistics.get(name)
            self.seen[name] = None if found is None else ranges_of(found)
        return self.seen[name]


def _of_texts(values: Sequence[object]) -> ColumnStatistics | None:
    """Return constants as statistics if all are text, which many can then be asked at once."""
    if not all(type(value) is str for value in values):
        return None
    texts, none = pa.array(values, pa.string()), np.zeros(len(values), np.int64)
    return ColumnStatistics(texts, texts, none, none, None, np.ones(len(values), np.bool_))


def _possible(node: Node, known: _Known) -> Answer:
    """Whether `node` may be true, may be false and may be null in some row, for each piece.

    All three may be claimed of a piece and none be met. Logic is that of Kleene in all engines.
    """
    if not (isinstance(node, Call) and node.op in {"and", "or", "xor", "not"}):
        return _possible_leaf(node, known)
    true, false, null = _possible(node.args[0], known)
    if node.op == "not":
        return false, true, null
    for arg in node.args[1:]:
        t, f, n = _possible(arg, known)
        if node.op == "and":
            true, false, null = true & t, false | f, (null & (t | n)) | (true & n)
        elif node.op == "or":
            true, false, null = true | t, false & f, (null & (f | n)) | (false & n)
        else:
            true, false, null = (true & f) | (false & t), (true & t) | (false & f), null | n
    return true, false, null


def _possible_leaf(node: Node, known: _Known) -> Answer:
    names = sorted(columns_of(node))
    if all(name in known.constants and known.ranges(name) is None for name in names):
        return _of_values(node, names, known)
    if len(names) == 1:
        ranges = known.ranges(names[0])
        answer = None if ranges is None else answer_of(node, ranges, is_ordered=names[0] not in known.unordered)
        if answer is not None:
            return answer
    if all(name in known.constants for name in names):
        return _of_values(node, names, known)
    anything = np.ones(known.n_pieces, np.bool_)
    return anything, anything, anything


def _of_values(node: Node, names: Sequence[str], known: _Known) -> Answer:
    """Look at each combination of constants once."""
    count = known.n_pieces
    numbers: dict[tuple[tuple[object, ...], tuple[type, ...]], int] = {}
    rows = list(zip(*(known.constants[name] for name in names), strict=True)) if names else [()] * count
    # Types belong to the key: 1, 1.0 and True are equal, and not compared alike.
    keys = ((row, tuple(map(type, row))) for row in rows)
    codes = np.fromiter((numbers.setdefault(key, len(numbers)) for key in keys), np.intp, count)
    outcomes = [outcome_of(node, dict(zip(names, row, strict=True))) for row, _ in numbers]
    true, false, null = np.array(outcomes, np.bool_).reshape(-1, 3)[codes].T
    return true, false, null
