"""Names of Arrow types that can be parsed back: ``list<struct<x: uint32, weight: float>>``.

Arrow prints types and does not read them; a pandas dtype whose name cannot be parsed is lost in Parquet metadata and
in shuffles (pandas issue 53011). This is the grammar, with Arrow's own words::

    type  = word | word "[" argument ("," argument)* "]"
          | "list" "<" type ">" | "large_list" "<" type ">" | "fixed_size_list" "<" type ">" "[" number "]"
          | "struct" "<" (field ":" type ("," field ":" type)*)? ">"
          | "dictionary" "<" type "," type ("," "ordered")? ">"
    field = word | JSON string
"""

from __future__ import annotations

import json
import re
from functools import lru_cache

import pyarrow as pa

_PLAIN = {
    str(type_): type_
    for type_ in (
        *(pa.null(), pa.bool_(), pa.float16(), pa.float32(), pa.float64()),
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
        *(pa.string(), pa.large_string(), pa.binary(), pa.large_binary()),
    )
}
_TOKEN = re.compile(r'\s*(?:(?P<word>[^\W\d]\w*)|(?P<number>\d+)|(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<mark>[<>\[\],:]))')
_WORD = re.compile(r"[^\W\d]\w*")


@lru_cache(maxsize=1024)
def canonical_type(type_: pa.DataType) -> pa.DataType:
    """Return the type with every child nullable and every list child called ``item``.

    Parquet readers call list children ``element``, and h5py knows no nulls: neither makes another dtype.

    Raises
    ------
    TypeError
        If the type, or one inside it, has no name in the grammar.
    """
    if pa.types.is_fixed_size_list(type_):
        return pa.list_(canonical_type(type_.value_type), type_.list_size)
    if pa.types.is_list(type_):
        return pa.list_(canonical_type(type_.value_type))
    if pa.types.is_large_list(type_):
        return pa.large_list(canonical_type(type_.value_type))
    if pa.types.is_struct(type_):
        return pa.struct([pa.field(field.name, canonical_type(field.type)) for field in type_])
    if pa.types.is_dictionary(type_):
        return pa.dictionary(type_.index_type, canonical_type(type_.value_type), type_.ordered)
    if _is_parametric(type_) or type_ in _PLAIN.values():
        return type_
    raise TypeError(f"Arrow type {type_} cannot be held in a column of dtype nwb")


def is_binary(type_: pa.DataType) -> bool:
    """Whether the values are byte strings."""
    return bool(pa.types.is_binary(type_) or pa.types.is_large_binary(type_) or pa.types.is_fixed_size_binary(type_))


def is_list(type_: pa.DataType) -> bool:
    """Whether the values are lists, of any or of fixed size."""
    return bool(pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_))


def _is_parametric(type_: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(type_) or pa.types.is_duration(type_) or pa.types.is_fixed_size_binary(type_))


@lru_cache(maxsize=1024)
def format_type(type_: pa.DataType) -> str:
    """Return the name of a canonical type; `parse_type` is its inverse."""
    if pa.types.is_fixed_size_list(type_):
        return f"fixed_size_list<{format_type(type_.value_type)}>[{type_.list_size}]"
    if pa.types.is_list(type_):
        return f"list<{format_type(type_.value_type)}>"
    if pa.types.is_large_list(type_):
        return f"large_list<{format_type(type_.value_type)}>"
    if pa.types.is_struct(type_):
        fields = ", ".join(f"{_field_name(field.name)}: {format_type(field.type)}" for field in type_)
        return f"struct<{fields}>"
    if pa.types.is_dictionary(type_):
        ordered = ", ordered" if type_.ordered else ""
        return f"dictionary<{format_type(type_.index_type)}, {format_type(type_.value_type)}{ordered}>"
    if pa.types.is_timestamp(type_):
        return f"timestamp[{type_.unit}{'' if type_.tz is None else ', ' + json.dumps(type_.tz)}]"
    if pa.types.is_duration(type_):
        return f"duration[{type_.unit}]"
    if pa.types.is_fixed_size_binary(type_):
        return f"fixed_size_binary[{type_.byte_width}]"
    return str(type_)


def _field_name(name: str) -> str:
    return name if _WORD.fullmatch(name) else json.dumps(name, ensure_ascii=False)


@lru_cache(maxsize=1024)
def parse_type(name: str) -> pa.DataType:
    """Return the Arrow type of a name made by `format_type`.

    Raises
    ------
    TypeError
        If `name` is not in the grammar; the type pandas expects of ``construct_from_string``.
    """
    parser = _Parser(name)
    try:
        type_ = parser.type()
        parser.expect_end()
    except (ValueError, pa.ArrowException) as exc:
        raise TypeError(f"not the name of an Arrow type: {name!r} ({exc})") from exc
    return type_


class _Parser:
    """A recursive descent over the tokens of one name."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def _peek(self) -> tuple[str, str]:
        match = _TOKEN.match(self._text, self._position)
        if match is None:
            return "end", self._text[self._position :].strip()
        return str(match.lastgroup), str(match.group(str(match.lastgroup)))

    def _next(self, *kinds: str) -> str:
        kind, text = self._peek()
        if kind not in kinds:
            raise ValueError(f"expected {' or '.join(kinds)} at {self._position}, found {text!r}")
        match = _TOKEN.match(self._text, self._position)
        self._position = match.end() if match else self._position
        return json.loads(text) if kind == "quoted" else text

    def _mark(self, mark: str) -> None:
        found = self._next("mark")
        if found != mark:
            raise ValueError(f"expected {mark!r}, found {found!r}")

    def _follows(self, mark: str) -> bool:
        """Whether `mark` is next; if so it is consumed."""
        if self._peek() != ("mark", mark):
            return False
        self._mark(mark)
        return True

    def expect_end(self) -> None:
        """Raise if anything is left."""
        if self._text[self._position :].strip():
            raise ValueError(f"{self._text[self._position :]!r} is left over")

    def type(self) -> pa.DataType:
        """Return the type that starts here."""
        word = self._next("word")
        if word in _PLAIN:
            return _PLAIN[word]
        if self._follows("<"):
            return self._nested(word)
        if self._follows("["):
            return self._parametric(word)
        raise ValueError(f"unknown type {word!r}")

    def _nested(self, word: str) -> pa.DataType:
        if word == "struct":
            return pa.struct(self._fields())
        if word == "dictionary":
            return self._dictionary()
        value = self.type()
        self._mark(">")
        if word == "list":
            return pa.list_(value)
        if word == "large_list":
            return pa.large_list(value)
        if word == "fixed_size_list":
            self._mark("[")
            size = int(self._next("number"))
            self._mark("]")
            return pa.list_(value, size)
        raise ValueError(f"unknown nested type {word!r}")

    def _fields(self) -> list[pa.Field]:
        fields: list[pa.Field] = []
        while not self._follows(">"):
            if fields:
                self._mark(",")
            name = self._next("word", "quoted")
            self._mark(":")
            fields.append(pa.field(name, self.type()))
        return fields

    def _dictionary(self) -> pa.DataType:
        index = self.type()
        self._mark(",")
        value = self.type()
        ordered = self._follows(",") and self._next("word") == "ordered"
        self._mark(">")
        return pa.dictionary(index, value, ordered)

    def _parametric(self, word: str) -> pa.DataType:
        argument = self._next("word", "number")
        zone = self._next("quoted") if self._follows(",") else None
        self._mark("]")
        if word == "timestamp":
            return pa.timestamp(argument, zone)
        if word == "duration" and zone is None:
            return pa.duration(argument)
        if word == "fixed_size_binary" and zone is None:
            return pa.binary(int(argument))
        raise ValueError(f"unknown type {word!r}")
