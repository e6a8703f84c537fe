"""From arrays as a backend reads them to Arrow arrays of the same values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nwb_dask.errors import MalformedFileError
from nwb_dask.index import ElementType
from nwb_dask.model import arrow_type

Values = npt.NDArray[np.generic]


def to_arrow(values: Values, element: ElementType) -> pa.Array:
    """Return one Arrow value per row of `values`.

    Parameters
    ----------
    values : ndarray, shape (n, ...)
        As `backends.File.read` returns it; the other dimensions become nested fixed-size lists.
    element : ElementType
        What the elements are.

    Raises
    ------
    MalformedFileError
        If text is not UTF-8, or an enumeration holds a value that it does not name.
    """
    items = _elements(np.ascontiguousarray(values).reshape(-1), element)
    return fold(items, values.shape)


def fold(items: pa.Array, shape: tuple[int, ...]) -> pa.Array:
    """Return `items` as ``shape[0]`` rows of nested fixed-size lists, one level per other dimension."""
    for depth in range(len(shape) - 1, 0, -1):
        n_outer = int(np.prod(shape[:depth], dtype=np.int64))
        if shape[depth] == 0:
            # Arrow cannot tell how many empty lists there are from a child without values.
            items = pa.array([[]] * n_outer, pa.list_(items.type, 0))
        else:
            items = pa.FixedSizeListArray.from_arrays(items, shape[depth])
    return items


def list_array(offsets: npt.NDArray[np.int64], items: pa.Array) -> pa.Array:
    """Return lists of `items`; list i is ``[offsets[i], offsets[i + 1])``."""
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), items)


def list_lengths(values: pa.Array) -> pa.Array:
    """Return the length of each list as int64, null where it is null; a plain value is a list of one."""
    if pa.types.is_large_list(values.type) or pa.types.is_fixed_size_list(values.type):
        return pc.list_value_length(values).cast(pa.int64())
    return pa.nulls(len(values), pa.int64()) if pa.types.is_null(values.type) else pa.repeat(1, len(values))


def dictionary_array(codes: Values, categories: Sequence[str], known: Sequence[int] | None = None) -> pa.Array:
    """Return text categories by their codes.

    Parameters
    ----------
    codes : ndarray of int, shape (n,)
        Stored values.
    categories : sequence of str
        The text of each.
    known : sequence of int, optional
        The code of each category; their positions by default.

    Raises
    ------
    MalformedFileError
        If a code names no category.
    """
    positions = np.asarray(codes).astype(np.int64)
    valid = (positions >= 0) & (positions < len(categories))
    if known is not None:
        order = np.argsort(np.asarray(known, np.int64))
        ranked = np.asarray(known, np.int64)[order]
        at = np.minimum(np.searchsorted(ranked, positions), max(len(ranked) - 1, 0))
        valid = ranked[at] == positions if len(ranked) else np.zeros(positions.shape, np.bool_)
        positions = order[at] if len(ranked) else positions
    if not valid.all():
        message = f"value {int(np.asarray(codes)[~valid][0])} is none of the {len(categories)} categories"
        raise MalformedFileError(message)
    return pa.DictionaryArray.from_arrays(pa.array(positions.astype(np.int32)), pa.array(list(categories), pa.string()))


def _elements(flat: Values, element: ElementType) -> pa.Array:
    kind = element.kind
    if kind in {"int", "uint", "float"}:
        return pa.array(flat)
    if kind == "bool":
        return pa.array(flat.astype(np.bool_, copy=False))
    if kind == "string":
        return _text(flat)
    if kind == "enum":
        return dictionary_array(flat, [name for name, _ in element.members], [value for _, value in element.members])
    if kind == "compound":
        return _structs(flat, element)
    if kind == "complex":
        parts = [pa.array(np.ascontiguousarray(part)) for part in (flat.real, flat.imag)]
        return pa.StructArray.from_arrays(parts, ["real", "imag"])
    if kind in {"sequence", "region"}:
        return _sequences(flat, element)
    if kind == "array":
        return to_arrow(flat, element.base) if element.base is not None else pa.nulls(len(flat))
    if kind == "bytes" and flat.dtype.kind == "V":
        return pa.array([item.tobytes() for item in flat], arrow_type(element))
    return pa.array(flat.tolist(), arrow_type(element))


def _text(flat: Values) -> pa.Array:
    try:
        if flat.dtype.kind == "S":
            flat = flat.astype(object)
        return pa.array(flat, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeDecodeError):
        pass
    for row, item in enumerate(flat):
        try:
            item.decode() if isinstance(item, bytes) else str(item)
        except UnicodeDecodeError as error:
            message = (
                f"text that is not UTF-8 (element {row}, byte {error.object[error.start]:#04x}); "
                "read the column as bytes with schema_overrides={<column>: 'binary'}"
            )
            raise MalformedFileError(message) from error
    return pa.array([item.decode() if isinstance(item, bytes) else item for item in flat], pa.string())


def _structs(flat: Values, element: ElementType) -> pa.Array:
    fields = [pa.field(name, arrow_type(inner)) for name, inner in element.fields]
    parts = []
    for (name, inner), field in zip(element.fields, fields, strict=True):
        part: Values = np.asarray(flat[name])  # type: ignore[call-overload]  # a structured array
        if inner.kind == "array" and inner.base is not None:
            parts.append(to_arrow(part, inner.base).cast(field.type))
        else:
            parts.append(to_arrow(part, inner))
    if not parts:
        return pa.array([{}] * len(flat), pa.struct([]))
    return pa.StructArray.from_arrays(parts, fields=fields)


def _sequences(flat: Values, element: ElementType) -> pa.Array:
    lengths = np.fromiter((0 if item is None else len(item) for item in flat), np.int64, len(flat))
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    target = arrow_type(element).value_type
    filled = [np.asarray(item) for item in flat if item is not None and len(item)]
    if not filled:
        return list_array(offsets, pa.array([], target))
    joined = np.concatenate(filled)
    items = pa.array(joined, pa.int64()) if element.base is None else to_arrow(joined, element.base)
    return list_array(offsets, items)


def last_parts(paths: pa.Array) -> pa.Array:
    """Return the last part of each path, in lists of any depth."""
    if pa.types.is_large_list(paths.type):
        return list_array(paths.offsets.to_numpy(), last_parts(paths.values))
    return pc.replace_substring_regex(paths, r"^.*/", "")
