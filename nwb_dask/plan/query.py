"""Query strings as `pandas.DataFrame.query` takes them, translated without evaluating anything."""

from __future__ import annotations

import ast
import io
import tokenize
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from nwb_dask.errors import PredicateError
from nwb_dask.model.field import Field
from nwb_dask.plan.operations import OPERATIONS
from nwb_dask.plan.predicate import Call, Column, Literal, Node, columns_of

_LOCAL = "__local_variable_"
_QUOTED = "__quoted_column_"
_COMPARISONS: Mapping[type[ast.cmpop], str] = {
    ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge",
}  # fmt: skip
_ARITHMETIC: Mapping[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "truediv",
    ast.FloorDiv: "floordiv", ast.Mod: "mod", ast.Pow: "pow",
}  # fmt: skip
_POSITIONAL: Mapping[str, tuple[str, ...]] = {
    "isin": ("values",),
    "between": ("left", "right", "inclusive"),
    "fillna": ("value",),
    "round": ("decimals",),
    "astype": ("dtype",),
    "str.strip": ("to_strip",),
    "str.lstrip": ("to_strip",),
    "str.rstrip": ("to_strip",),
    "str.startswith": ("pat", "na"),
    "str.endswith": ("pat", "na"),
    "str.contains": ("pat", "case", "flags", "na", "regex"),
    "str.match": ("pat",),
    "str.fullmatch": ("pat", "case", "flags", "na"),
}
"""Names of the positional parameters of methods of `pandas.Series`, without the series itself."""
_METHODS = {name for name, operation in OPERATIONS.items() if not operation.symbol and name != "clip"}
_RESERVED = {"index", "columns", "Timestamp", "datetime", "list", "tuple", "nan", "NaN"}
"""Names that pandas takes from elsewhere than the columns, or may."""


class _UntranslatableError(Exception):
    """The text says something that the algebra has no words for."""


@dataclass(frozen=True, slots=True)
class _Values:
    """Several constants, on one side of ``in`` or of ``==``."""

    values: tuple[object, ...]
    is_list: bool
    """pandas reads ``==`` with a list as ``in``, and with another collection as element by element."""


def parse_query(
    text: str,
    local: Mapping[str, object] | None = None,
    global_: Mapping[str, object] | None = None,
    *,
    fields: Sequence[Field] | None = None,
) -> Node | None:
    """Return the predicate that ``frame.query(text, engine="python")`` selects rows by.

    pandas reads ``quality == "good"`` in a query as ``quality.isin(["good"])``, so that ``quality != "good"``
    keeps the rows where `quality` is absent, and so does this.

    Parameters
    ----------
    text : str
        As for `pandas.DataFrame.query` with ``parser="pandas"``: ``&`` and ``|`` bind like ``and`` and
        ``or``, names in backticks are columns, ``@name`` is a variable.
    local, global_ : mapping, optional
        Where variables are looked up, in this order.
    fields : sequence of Field, optional
        Columns of the frame. With them, comparisons with numpy scalars can be translated (pandas makes
        them float32 for float32 columns), and columns named like reserved words are known.

    Returns
    -------
    Node or None
        None if the text cannot be translated into the same rows: functions, the frame's index,
        attributes, assignments, values other than plain constants, or no column at all. The columns are
        not checked; see `check_predicate`.
    """
    parser = _Parser(local or {}, global_ or {}, None if fields is None else {field.name: field for field in fields})
    try:
        node = parser.parse(text)
    # SyntaxError and ValueError: no Python; RecursionError, MemoryError: nested beyond what ast reads.
    except (
        _UntranslatableError,
        PredicateError,
        SyntaxError,
        ValueError,
        tokenize.TokenError,
        RecursionError,
        MemoryError,
    ):
        return None
    return node if columns_of(node) else None


class _Parser:
    """Walks the syntax tree of one query."""

    def __init__(
        self, local: Mapping[str, object], global_: Mapping[str, object], fields: Mapping[str, Field] | None
    ) -> None:
        self._scopes = (local, global_)
        self._fields = fields
        self._quoted: Mapping[str, str] = {}

    def parse(self, text: str) -> Node:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        plain = unicodedata.normalize("NFKC", text)
        if len(lines) != 1 or _LOCAL in plain or _QUOTED in plain:
            # pandas reads one line as one expression, even inside brackets.
            raise _UntranslatableError
        source, self._quoted = _unquote(lines[0])
        return self._node(ast.parse(_respell(source), mode="eval").body)

    def _node(self, tree: ast.expr) -> Node:
        operand = self._operand(tree)
        if isinstance(operand, _Values):
            raise _UntranslatableError
        return operand

    def _operand(self, tree: ast.expr) -> Node | _Values:
        match tree:
            case ast.Name(id=name):
                return self._name(name)
            case ast.Constant(value=value):
                return _literal(value)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return _Values(tuple(self._constant(element) for element in elements), is_list=True)
            case ast.BoolOp(op=op, values=parts):
                return _logic("and" if isinstance(op, ast.And) else "or", tuple(self._node(part) for part in parts))
            case ast.UnaryOp(op=unary, operand=inner):
                return self._unary(unary, self._node(inner))
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _ARITHMETIC:
                return self._arithmetic(_ARITHMETIC[type(operator)], self._node(left), self._node(right))
            case ast.Compare():
                return self._compare(tree)
            case ast.Call():
                return self._method(tree)
            case _:
                raise _UntranslatableError

    def _name(self, name: str) -> Node | _Values:
        if name in self._quoted:
            return Column(self._quoted[name])
        if _QUOTED in name:
            # A name in backticks that touches another word.
            raise _UntranslatableError
        if name.startswith(_LOCAL):
            return _variable(self._look_up(name.removeprefix(_LOCAL)))
        if name in {"inf", "Inf"} and not any(name in scope for scope in self._scopes):
            return Literal(float("inf"))
        known = self._fields is not None and name in self._fields and name in {"index", "columns", "nan", "NaN"}
        if name in {"inf", "Inf"} or name.startswith("ilevel_") or (name in _RESERVED and not known):
            raise _UntranslatableError
        return Column(name)

    def _look_up(self, name: str) -> object:
        for scope in self._scopes:
            if name in scope:
                return scope[name]
        raise _UntranslatableError

    def _constant(self, tree: ast.expr) -> object:
        node = self._node(tree)
        if not isinstance(node, Literal):
            raise _UntranslatableError
        return node.value

    def _unary(self, op: ast.unaryop, node: Node) -> Node:
        if isinstance(op, ast.Not | ast.Invert):
            return Call("not", (_row_wise(node),))
        if isinstance(node, Literal):
            if not isinstance(node.value, int | float) or isinstance(node.value, bool | np.number):
                raise _UntranslatableError
            return Literal(-node.value if isinstance(op, ast.USub) else node.value)
        return Call("neg" if isinstance(op, ast.USub) else "pos", (node,))

    def _arithmetic(self, op: str, left: Node, right: Node) -> Node:
        _row_wise(Call(op, (left, right)))
        return Call(op, (left, right))

    def _compare(self, tree: ast.Compare) -> Node:
        parts = []
        left = tree.left
        for op, right in zip(tree.ops, tree.comparators, strict=True):
            parts.append(self._comparison(left, op, right))
            left = right
        return parts[0] if len(parts) == 1 else Call("and", tuple(parts))

    def _comparison(self, left_tree: ast.expr, op: ast.cmpop, right_tree: ast.expr) -> Node:
        left, right = self._operand(left_tree), self._operand(right_tree)
        member = isinstance(op, ast.In | ast.NotIn)
        elements = right_tree.elts if isinstance(right_tree, ast.List | ast.Tuple) else []
        if member and any(isinstance(element, ast.Name) for element in elements):
            # pandas 3.1 reads this as ==, earlier versions as isin; they differ where values are absent.
            raise _UntranslatableError
        if member or isinstance(op, ast.Eq | ast.NotEq):
            swapped = isinstance(left, _Values) or _is_text(left)
            sides = ((right, right_tree), left) if swapped else ((left, left_tree), right)
            node = _membership(*sides, strict=not member)
            if node is not None:
                return node if isinstance(op, ast.Eq | ast.In) else Call("not", (node,))
        if type(op) not in _COMPARISONS or isinstance(left, _Values) or isinstance(right, _Values):
            raise _UntranslatableError
        left, right = self._as_float32(left, right), self._as_float32(right, left)
        return _row_wise(Call(_COMPARISONS[type(op)], (left, right)))

    def _as_float32(self, node: Node, other: Node) -> Node:
        """A scalar as pandas compares it: in float32 with a float32 column, as it is otherwise."""
        if not isinstance(node, Literal) or not isinstance(node.value, np.number) or node.value.dtype == np.float32:
            return node
        field = self._fields.get(other.name) if self._fields is not None and isinstance(other, Column) else None
        if field is None:
            raise _UntranslatableError
        if field.type != pa.float32():
            return node
        if not abs(node.value) <= np.finfo(np.float32).max:
            raise _UntranslatableError
        return Literal(np.float32(node.value))

    def _method(self, tree: ast.Call) -> Node:
        if not isinstance(tree.func, ast.Attribute):
            raise _UntranslatableError
        name, target = tree.func.attr, tree.func.value
        if isinstance(target, ast.Attribute) and target.attr == "str":
            name, target = f"str.{name}", target.value
        node = self._node(target)
        if name not in _METHODS or not columns_of(node):
            raise _UntranslatableError
        parameters = _POSITIONAL.get(name, ())
        if len(tree.args) > len(parameters):
            raise _UntranslatableError
        given = dict(zip(parameters, (self._operand(arg) for arg in tree.args), strict=False))
        for keyword in tree.keywords:
            if keyword.arg is None or keyword.arg in given:
                raise _UntranslatableError
            given[keyword.arg] = self._operand(keyword.value)
        return _build(name, node, given)


def _build(name: str, node: Node, given: dict[str, Node | _Values]) -> Node:
    options = OPERATIONS[name].options
    args: list[Node] = [node]
    for parameter in _POSITIONAL.get(name, ()):
        if parameter in options:
            continue
        value = given.pop(parameter, None)
        if isinstance(value, _Values):
            if name != "isin":
                raise _UntranslatableError
            value = Literal(value.values)
        if value is None:
            raise _UntranslatableError
        args.append(value)
    if not all(isinstance(value, Literal) for value in given.values()):
        raise _UntranslatableError
    chosen = tuple((key, value.value) for key, value in given.items() if isinstance(value, Literal))
    return Call(name, tuple(args), chosen)


def _membership(side: tuple[Node | _Values, ast.expr], other: Node | _Values, *, strict: bool) -> Node | None:
    """Return the ``isin`` that pandas makes of ``in``, and of ``==`` with text or a list; None if it makes none."""
    node, tree = side
    if isinstance(other, _Values) and (other.is_list or not strict):
        values = other.values
    elif isinstance(other, Literal) and isinstance(other.value, str):
        values = (other.value,)
    else:
        return None
    # pandas does so only if both sides are terms: whether a computed text is one depends on dtypes.
    is_term = isinstance(tree, ast.Name | ast.Call)
    is_read_alike = is_term or (isinstance(other, _Values) and not strict)
    if isinstance(node, _Values) or not columns_of(node) or not is_read_alike:
        raise _UntranslatableError
    return Call("isin", (node, Literal(values)))


def _row_wise(node: Node) -> Node:
    """Refuse constant expressions: pandas evaluates some of them differently, or not at all."""
    if not columns_of(node):
        raise _UntranslatableError
    args = node.args if isinstance(node, Call) and node.op in {"lt", "le", "gt", "ge"} else ()
    if any(isinstance(arg, Literal) and arg.value is None for arg in args):
        raise _UntranslatableError
    return node


def _logic(op: str, args: tuple[Node, ...]) -> Node:
    if any(isinstance(arg, Literal) and not isinstance(arg.value, bool) for arg in args):
        raise _UntranslatableError
    return Call(op, args)


def _is_text(operand: Node | _Values) -> bool:
    return isinstance(operand, Literal) and isinstance(operand.value, str)


def _literal(value: object) -> Literal:
    if value is not None and type(value) not in {bool, int, float, str}:
        raise _UntranslatableError
    return Literal(value)


def _variable(value: object) -> Node | _Values:
    if isinstance(value, np.ndarray):
        if value.ndim != 1 or value.dtype.kind not in "biufU":
            raise _UntranslatableError
        return _Values(tuple(value), is_list=False)
    if isinstance(value, set | frozenset):
        # A set has no order of its own; the predicate must be the same in every process.
        return _Values(tuple(sorted(value, key=lambda one: (type(one).__name__, repr(one)))), is_list=False)
    if isinstance(value, list | tuple):
        return _Values(tuple(value), is_list=isinstance(value, list))
    return Literal(value)


def _unquote(text: str) -> tuple[str, Mapping[str, str]]:
    """Replace each name in backticks outside of quotes by a placeholder; return the names by placeholder too."""
    names: dict[str, str] = {}
    pieces: list[str] = []
    quote = ""
    position = 0
    while position < len(text):
        char = text[position]
        if char == "`" and not quote:
            end = position + 1
            while text[end : end + 1] != "`" or text[end : end + 2] == "``":
                end += 2 if text[end : end + 2] == "``" else 1
                if end >= len(text):
                    raise _UntranslatableError
            # The last underscore keeps a digit that follows from making another placeholder of it.
            pieces.append(f"{_QUOTED}{len(names)}_")
            names[pieces[-1]] = text[position + 1 : end].replace("``", "`")
            position = end + 1
            continue
        if char in "'\"" and (not quote or (quote == char and text[position - 1] != "\\")):
            quote = "" if quote else char
        pieces.append(char)
        position += 1
    return "".join(pieces), names


def _respell(source: str) -> str:
    """Write ``&``, ``|`` and ``@`` in Python's words, with the precedence that pandas gives them."""
    words = []
    for kind, word, *_ in tokenize.generate_tokens(io.StringIO(source).readline):
        if kind == tokenize.OP and word in {"&", "|"}:
            words.append((tokenize.NAME, "and" if word == "&" else "or"))
        elif kind == tokenize.OP and word == "@":
            words.append((tokenize.OP, _LOCAL))
        else:
            words.append((kind, word))
    return tokenize.untokenize(words).strip()
