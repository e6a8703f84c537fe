"""The closed list of row-wise operations that a predicate may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Operation:
    """What an operation takes; every engine gives it the meaning of its own function of that name."""

    kind: str
    """``comparison``, ``logic``, ``membership``, ``null``, ``arithmetic``, ``text`` or ``convert``."""
    arity: int
    """Number of arguments; the least number if `variadic`."""
    symbol: str = ""
    """Operator in Python; empty for operations written as methods."""
    options: tuple[str, ...] = ()
    """Names of the options it accepts, sorted."""
    constants: tuple[int, ...] = ()
    """Positions of arguments that must be literals."""
    variadic: bool = False


def _operators(kind: str, arity: int, symbols: Mapping[str, str]) -> dict[str, Operation]:
    return {name: Operation(kind, arity, symbol) for name, symbol in symbols.items()}


_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_ARITHMETIC = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**"}
_TEXT = {
    "str.lower": Operation("text", 1),
    "str.upper": Operation("text", 1),
    "str.len": Operation("text", 1),
    "str.strip": Operation("text", 1, options=("to_strip",)),
    "str.lstrip": Operation("text", 1, options=("to_strip",)),
    "str.rstrip": Operation("text", 1, options=("to_strip",)),
    "str.startswith": Operation("text", 2, options=("na",), constants=(1,)),
    "str.endswith": Operation("text", 2, options=("na",), constants=(1,)),
    "str.contains": Operation("text", 2, options=("case", "flags", "na", "regex"), constants=(1,)),
    "str.match": Operation("text", 2, options=("case", "flags", "na"), constants=(1,)),
    "str.fullmatch": Operation("text", 2, options=("case", "flags", "na"), constants=(1,)),
}

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    _operators("comparison", 2, _COMPARISONS)
    | {
        "and": Operation("logic", 2, "&", variadic=True),
        "or": Operation("logic", 2, "|", variadic=True),
        "xor": Operation("logic", 2, "^"),
        "not": Operation("logic", 1, "~"),
        "isin": Operation("membership", 2, constants=(1,)),
        "between": Operation("comparison", 3, options=("inclusive",)),
        "isna": Operation("null", 1),
        "notna": Operation("null", 1),
    }
    | _operators("arithmetic", 2, _ARITHMETIC)
    | {
        "neg": Operation("arithmetic", 1, "-"),
        "pos": Operation("arithmetic", 1, "+"),
        "abs": Operation("arithmetic", 1),
        "round": Operation("arithmetic", 1, options=("decimals",)),
        "clip": Operation("arithmetic", 3, constants=(1, 2)),
        "fillna": Operation("convert", 2, constants=(1,)),
        "astype": Operation("convert", 1, options=("dtype",)),
    }
    | _TEXT
)
"""Every operation by name."""

NUMERIC_DTYPES = frozenset(
    [f"{prefix}{bits}" for prefix in ("int", "uint", "Int", "UInt") for bits in (8, 16, 32, 64)]
    + ["float16", "float32", "float64", "Float32", "Float64", "int", "float"]
)
BOOLEAN_DTYPES = frozenset({"bool", "boolean"})
TEXT_DTYPES = frozenset({"str", "string"})

_ACCEPTS: Mapping[str, Callable[[object], bool]] = {
    "case": lambda value: isinstance(value, bool),
    "decimals": lambda value: type(value) is int,
    "dtype": lambda value: value in NUMERIC_DTYPES | BOOLEAN_DTYPES | TEXT_DTYPES,
    "flags": lambda value: type(value) is int,
    "inclusive": lambda value: value in {"both", "neither", "left", "right"},
    "na": lambda value: value is None or isinstance(value, bool),
    "regex": lambda value: isinstance(value, bool),
    "to_strip": lambda value: value is None or isinstance(value, str),
}


def accepts_option(op: str, name: str, value: object) -> bool:
    """Whether operation `op` has an option `name` that may be `value`."""
    return name in OPERATIONS[op].options and _ACCEPTS[name](value)
