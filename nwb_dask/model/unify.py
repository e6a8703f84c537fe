"""One type for a column that several files hold, without loss; files that cannot agree are told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from nwb_dask.errors import SchemaConflictError
from nwb_dask.model.arrow_types import CATEGORY, is_heavy
from nwb_dask.model.field import Field


def parse_type(value: object) -> pa.DataType:
    """Return the Arrow type that a user names in ``schema_overrides``.

    Parameters
    ----------
    value : pyarrow.DataType, numpy.dtype, type or str
        ``pa.int32()``, ``np.float32``, ``"int64"``, ``"string"``, ``str``, ``bool`` ...

    Raises
    ------
    SchemaConflictError
        If it names no type.
    """
    if isinstance(value, pa.DataType):
        return value
    if value is str or (isinstance(value, str) and value in {"str", "string", "utf8", "object"}):
        return pa.string()
    if isinstance(value, str) and value in {"bytes", "binary"}:
        return pa.binary()
    if isinstance(value, str) and value in {"category", "categorical"}:
        return CATEGORY
    try:
        name = value.lower() if isinstance(value, str) else value
        return pa.from_numpy_dtype(np.dtype(name))  # type: ignore[call-overload]  # a wrong one raises
    except (TypeError, ValueError, pa.ArrowNotImplementedError) as error:
        message = f"schema_overrides: {value!r} names no column type; give a pyarrow or numpy type"
        raise SchemaConflictError(message) from error


def unify_fields(name: str, found: Sequence[tuple[str, Field]], *, n_files: int) -> Field:
    """Return the field that can hold the column `name` of every file.

    Integers widen; an integer and a float give float64; ``uint64`` and a signed integer give int64 and
    the read checks that every value fits; shapes that differ give variable lists; a value in one file and
    a list in another give lists; categories are joined; structs get the fields of all. A file without a single value
    of the column does not count where the others agree.

    Parameters
    ----------
    name : str
        The column.
    found : sequence of (str, Field)
        The files that have it (as the user named them), in source order, with the field of each.
    n_files : int
        How many files are read; fewer in `found` makes the field nullable.

    Raises
    ------
    SchemaConflictError
        If two files disagree in kind (text and number), naming both and the way out.
    """
    readable = [(source, field) for source, field in found if not field.problem]
    if not readable:
        return found[0][1]
    merged = _merged(name, readable)
    nullable = len(found) < n_files or any(field.nullable for _, field in readable)
    told = [field for _, field in readable if field.categories is not None or not field.is_void]
    categories = _join_categories(told) if merged == CATEGORY else None
    if merged == CATEGORY and categories is None:
        merged = pa.string()
    return Field(name, merged, nullable=nullable, categories=categories, heavy=is_heavy(merged))


def _merged(name: str, readable: Sequence[tuple[str, Field]]) -> pa.DataType:
    try:
        return _common_of(name, [(source, field.type) for source, field in readable])
    except SchemaConflictError as conflict:
        if all(field.is_void for _, field in readable):
            raise
        types = [(source, _without_values(field) if field.is_void else field.type) for source, field in readable]
        try:
            return _common_of(name, types)
        except SchemaConflictError:
            raise conflict from None


def _common_of(name: str, types: Sequence[tuple[str, pa.DataType]]) -> pa.DataType:
    first, merged = types[0]
    for source, one in types[1:]:
        common = merged if one == merged else common_type(merged, one)
        if common is None:
            message = (
                f"column {name!r} is {merged} in {first} and {one} in {source}, which have no "
                f"common type; say schema_overrides={{{name!r}: ...}}, or leave it out with columns=... of "
                "read_table or read_nwb"
            )
            raise SchemaConflictError(message, path=name)
        merged = common
    return merged


def _without_values(field: Field) -> pa.DataType:
    """Return the type of a field that has lists, if it has rows, and no value in them."""
    item, depth = field.type, 0
    while pa.types.is_large_list(item):
        item, depth = item.value_type, depth + 1
    found = pa.null()
    for _ in range(depth):
        found = pa.large_list(found)
    return found


def override(field: Field, overrides: Mapping[str, pa.DataType]) -> Field:
    """Return the field with the type that the user asked for."""
    wanted = overrides.get(field.name)
    if wanted is None or wanted == field.type:
        return field
    if wanted == CATEGORY:
        message = (
            f"schema_overrides={{{field.name!r}: category}}: the categories of {field.type} are not known before it is "
            "read; read it as it is, then use .astype('category')"
        )
        raise SchemaConflictError(message)
    return replace(field, type=wanted, heavy=is_heavy(wanted), categories=None)


def common_type(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """Return the type that holds the values of both without loss; None if there is none."""
    if left == right:
        return left
    for one, other in ((left, right), (right, left)):
        if pa.types.is_null(one):
            return other
        if pa.types.is_dictionary(one) and pa.types.is_string(other):
            return other
    if _is_list(left) or _is_list(right):
        return _common_list(left, right)
    if pa.types.is_struct(left) and pa.types.is_struct(right):
        return _common_struct(left, right)
    return _common_number(left, right)


def _is_list(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_large_list(data_type) or pa.types.is_fixed_size_list(data_type))


def _common_list(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    inner_left = left.value_type if _is_list(left) else left
    inner_right = right.value_type if _is_list(right) else right
    item = common_type(inner_left, inner_right)
    if item is None:
        return None
    fixed = pa.types.is_fixed_size_list(left) and pa.types.is_fixed_size_list(right)
    if fixed and left.list_size == right.list_size:
        return pa.list_(item, left.list_size)
    return pa.large_list(item)


def _common_struct(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    fields: dict[str, pa.DataType] = {}
    for part in (*left, *right):
        known = fields.get(part.name)
        merged = part.type if known is None else common_type(known, part.type)
        if merged is None:
            return None
        fields[part.name] = merged
    return pa.struct(list(fields.items()))


def _common_number(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    numeric = [pa.types.is_integer(item) or pa.types.is_boolean(item) for item in (left, right)]
    floating = [pa.types.is_floating(item) for item in (left, right)]
    if not all(one or other for one, other in zip(numeric, floating, strict=True)):
        return None
    if all(floating):
        return max(left, right, key=lambda item: item.bit_width)
    if any(floating):
        return pa.float64()
    common = np.result_type(left.to_pandas_dtype(), right.to_pandas_dtype())
    # numpy has no integer for uint64 with a signed one; the read casts with a check of every value.
    return pa.int64() if common.kind == "f" else pa.from_numpy_dtype(common)


def _join_categories(fields: Sequence[Field]) -> tuple[str, ...] | None:
    if any(field.categories is None for field in fields):
        return None
    return tuple(dict.fromkeys(value for field in fields for value in field.categories or ()))
