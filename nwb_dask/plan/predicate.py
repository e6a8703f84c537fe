"""The predicate algebra: row-wise expressions that every engine translates into.

A predicate is a tree of `Column`, `Literal` and `Call`. The operations are a closed list, so that a
predicate can be asked for its columns, pruned by what is known of a file, pickled small and named the
same in every process. What a node *means* for NaN and null is the engine's: each adapter evaluates the
tree with its own functions.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from keyword import iskeyword
from typing import TypeAlias

import numpy as np

from nwb_dask.errors import PredicateError
from nwb_dask.plan.operations import OPERATIONS, accepts_option

_SCALARS = (type(None), bool, int, float, str, bytes, dt.datetime, dt.date)
_NUMPY_SCALARS = (np.integer, np.floating, np.datetime64, np.timedelta64)


@dataclass(frozen=True, slots=True)
class Column:
    """The value of a column in each row."""

    name: str

    def __post_init__(self) -> None:
        """Refuse names that are not text."""
        if not isinstance(self.name, str):
            raise PredicateError(f"a column name must be text, not {self.name!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Literal:
    """A constant: scalar, tuple of scalars (for ``isin``), or None.

    Numbers of numpy keep their dtype: ``float32_column == np.float64(0.1)`` is another question than
    ``float32_column == 0.1``. For the same reason literals are equal only if their types are too.
    """

    value: object

    def __post_init__(self) -> None:
        """Refuse what is not a plain constant; turn numpy text and bool into Python's, which loses nothing."""
        value = tuple(map(_plain, self.value)) if isinstance(self.value, tuple) else _plain(self.value)
        object.__setattr__(self, "value", value)

    def __eq__(self, other: object) -> bool:
        """Equal in value and type; NaN equals NaN, 1 is not True."""
        return _identity(self.value) == _identity(other.value) if isinstance(other, Literal) else NotImplemented

    def __hash__(self) -> int:
        """Hash of value and type."""
        return hash(_identity(self.value))


@dataclass(frozen=True, slots=True)
class Call:
    """A row-wise operation on other nodes; `op` is one of `OPERATIONS`."""

    op: str
    args: tuple[Node, ...]
    options: tuple[tuple[str, object], ...] = ()
    """Keyword options of the operation, sorted by name (``case``, ``regex``, ``inclusive`` ...)."""

    def __post_init__(self) -> None:
        """Refuse unknown operations, wrong arguments and wrong options; sort the options."""
        operation = OPERATIONS.get(self.op)
        if operation is None:
            raise PredicateError(f"unknown operation {self.op!r} in a filter")
        count = len(self.args)
        if count != operation.arity and not (operation.variadic and count > operation.arity):
            raise PredicateError(f"operation {self.op!r} takes {operation.arity} arguments, not {count}")
        for position, node in enumerate(self.args):
            if not isinstance(node, Column | Literal | Call):
                raise PredicateError(f"argument {position} of {self.op!r} is no node of a predicate: {node!r}")
            if position in operation.constants and not isinstance(node, Literal):
                raise PredicateError(f"argument {position} of {self.op!r} must be a constant")
        self._check_constants()
        for name, value in self.options:
            if not accepts_option(self.op, name, value):
                raise PredicateError(f"operation {self.op!r} has no option {name}={value!r}")
        object.__setattr__(self, "options", tuple(sorted(self.options, key=lambda option: option[0])))

    def _check_constants(self) -> None:
        values = [node.value for node in self.args if isinstance(node, Literal)]
        operation = OPERATIONS[self.op]
        texts = self.op in {"str.startswith", "str.endswith"}
        if self.op == "isin":
            if not isinstance(values[-1], tuple):
                raise PredicateError(f"isin takes a tuple of constants, not {values[-1]!r}")
        elif operation.kind == "text" and operation.constants:
            pattern = values[-1]
            patterns = pattern if isinstance(pattern, tuple) and texts else (pattern,)
            if not all(isinstance(part, str) for part in patterns):
                raise PredicateError(f"{self.op} takes text, not {pattern!r}")
        elif any(isinstance(value, tuple) for value in values):
            raise PredicateError(f"operation {self.op!r} takes no tuple of constants")

    def option(self, name: str, default: object = None) -> object:
        """Return the option `name`, or `default` if it was not given."""
        return dict(self.options).get(name, default)


Node: TypeAlias = Column | Literal | Call


def columns_of(node: Node) -> frozenset[str]:
    """Names of all columns that `node` needs."""
    if isinstance(node, Column):
        return frozenset((node.name,))
    if isinstance(node, Literal):
        return frozenset()
    return frozenset().union(*map(columns_of, node.args))


def conjuncts(node: Node) -> tuple[Node, ...]:
    """The conditions that must all hold for `node` to hold; `node` itself if it is no ``and``."""
    if isinstance(node, Call) and node.op == "and":
        return tuple(part for arg in node.args for part in conjuncts(arg))
    return (node,)


def all_of(nodes: Iterable[Node]) -> Node | None:
    """Return one node that holds where every one of `nodes` holds; None if there are none."""
    parts = tuple(part for node in nodes for part in conjuncts(node))
    if not parts:
        return None
    return Call("and", parts) if len(parts) > 1 else parts[0]


def replace_nodes(node: Node, replace: Callable[[Node], Node]) -> Node:
    """Return `node` with `replace` applied to every node of the tree, leaves first."""
    if isinstance(node, Call):
        args = tuple(replace_nodes(arg, replace) for arg in node.args)
        node = node if all(map(_same, args, node.args)) else Call(node.op, args, node.options)
    return replace(node)


def rename(node: Node, names: Mapping[str, str]) -> Node:
    """Return `node` with its columns called by their new names; columns not in `names` keep theirs."""

    def replace(leaf: Node) -> Node:
        return Column(names.get(leaf.name, leaf.name)) if isinstance(leaf, Column) else leaf

    return replace_nodes(node, replace)


def substitute_constants(node: Node, values: Mapping[str, object]) -> Node:
    """Return `node` with each column in `values` replaced by its value, the same in every row."""

    def replace(leaf: Node) -> Node:
        return Literal(values[leaf.name]) if isinstance(leaf, Column) and leaf.name in values else leaf

    return replace_nodes(node, replace)


def describe(node: Node) -> str:
    """Write `node` as one would in pandas: ``(quality == 'good') & (rate > 5)``."""
    if isinstance(node, Column):
        plain = node.name.isidentifier() and not iskeyword(node.name)
        return node.name if plain else "`" + node.name.replace("`", "``") + "`"
    if isinstance(node, Literal):
        return _describe_value(node.value)
    symbol = OPERATIONS[node.op].symbol
    if not symbol:
        return _describe_method(node)
    if len(node.args) == 1:
        return symbol + _operand(node.args[0], tight=True)
    return f" {symbol} ".join(_operand(arg, tight=node.op == "pow") for arg in node.args)


def _describe_method(node: Call) -> str:
    if node.op == "isin":
        values = node.args[1].value if isinstance(node.args[1], Literal) else None
        written = ["[" + ", ".join(map(_describe_value, values if isinstance(values, tuple) else ())) + "]"]
    else:
        written = [describe(arg) for arg in node.args[1:]]
    written += [f"{name}={value!r}" for name, value in node.options]
    target = _operand(node.args[0], tight=True)
    if isinstance(node.args[0], Literal):
        target = f"({describe(node.args[0])})"
    return f"{target}.{node.op}({', '.join(written)})"


def _operand(node: Node, *, tight: bool) -> str:
    """Write an argument; `tight` where it stands next to ``**``, ``~``, ``-`` or a dot, which bind more than ``-``."""
    text = describe(node)
    if isinstance(node, Call):
        operation = OPERATIONS[node.op]
        return f"({text})" if operation.symbol and (tight or operation.arity > 1) else text
    return f"({text})" if tight and text.startswith("-") else text


def _describe_value(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_describe_value, value)) + ("," if len(value) == 1 else "") + ")"
    if type(value) in {float, np.float64}:
        plain = repr(float(value))  # type: ignore[arg-type]  # one of the two
        return {"nan": "float('nan')"}.get(plain, plain)
    if isinstance(value, np.integer):
        return repr(int(value))
    return repr(value)


def _plain(value: object) -> object:
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, np.str_):
        return str(value)
    if isinstance(value, np.bytes_):
        return bytes(value)
    if isinstance(value, dt.datetime) and getattr(value, "nanosecond", None) == 0:
        # pandas.Timestamp without nanoseconds, of which datetime has none. NaT has NaN of them.
        return dt.datetime.combine(value.date(), value.timetz())
    # Subclasses of Python's types may carry more than their value, so they are not constants here.
    if type(value) in _SCALARS or isinstance(value, _NUMPY_SCALARS):
        return value
    raise PredicateError(
        f"a filter compares with None, bool, numbers, text, bytes, times, or tuples of them, not with {value!r}"
    )


def _identity(value: object) -> tuple[object, ...]:
    if isinstance(value, tuple):
        return ("tuple", *map(_identity, value))
    # repr of a float is exact, tells -0.0 from 0.0, and makes NaN equal to itself.
    return (type(value).__name__, repr(value))


def _same(left: object, right: object) -> bool:
    return left is right
