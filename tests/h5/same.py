"""Compares what h5py shows of a file with what stands for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

Difference = tuple[str, str, object, object]
"""Path, what of it, what h5py has, what was found."""

_PROPERTIES = (
    *("shape", "ndim", "size", "maxshape", "chunks"),
    *("compression", "compression_opts", "shuffle", "fletcher32", "filter_ids"),
)


def differences(expected: h5py.File, found: h5py.File) -> Iterator[Difference]:
    """Yield what differs between a file open in h5py and a facade of it."""
    stack = ["/"]
    seen: set[object] = set()
    while stack:
        path = stack.pop()
        a, b = expected[path], found[path]
        if a.id in seen:
            continue
        seen.add(a.id)
        yield from _attributes(path, a, b)
        yield from _differing(path, "name", a.name, b.name)
        yield from _differing(path, "parent", a.parent.name, b.parent.name)
        if isinstance(a, h5py.Dataset):
            yield from _dataset(path, a, b)
            continue
        yield from _differing(path, "members", list(a), list(b))
        for name in a:
            link, other = a.get(name, getlink=True), b.get(name, getlink=True)
            yield from _differing(f"{path}/{name}", "link", _link(link), _link(other))
            yield from _differing(f"{path}/{name}", "is there", name in a, name in b)
            if isinstance(link, h5py.HardLink):
                classes = a.get(name, getclass=True), b.get(name, getclass=True)
                yield from _differing(f"{path}/{name}", "class", *classes)
                stack.append(f"{path.rstrip('/')}/{name}")


def _link(link: Any) -> tuple[object, ...]:
    return type(link), getattr(link, "path", None), getattr(link, "filename", None)


def _attributes(path: str, a: Any, b: Any) -> Iterator[Difference]:
    yield from _differing(path, "attributes", sorted(a.attrs), sorted(b.attrs))
    for name in a.attrs:
        value, other = a.attrs[name], b.attrs[name]
        yield from _differing(f"{path}@{name}", "value", value, other, a.file, b.file)
        if isinstance(value, (np.ndarray, h5py.Empty)):
            yield from _differing(f"{path}@{name}", "dtype", _marked(value.dtype), _marked(other.dtype))


def _dataset(path: str, a: h5py.Dataset, b: h5py.Dataset) -> Iterator[Difference]:
    for what in _PROPERTIES:
        yield from _differing(path, what, getattr(a, what), getattr(b, what))
    yield from _differing(path, "dtype", _marked(a.dtype), _marked(b.dtype))
    if a.dtype.kind != "O":
        yield from _differing(path, "fillvalue", a.fillvalue, b.fillvalue)
    if a.shape is not None and a.nbytes < 50_000_000:
        for args in _selections(a.shape):
            yield from _differing(path, f"{args}", a[args], b[args], a.file, b.file)


def _selections(shape: tuple[int, ...]) -> Iterator[Any]:
    yield ()
    yield ...
    if not shape:
        return
    if shape[0]:
        yield 0
        yield -1
    n = shape[0]
    yield slice(1, max(n // 2, 1))
    yield slice(None, None, 3)
    yield np.arange(n) % 3 == 1
    if n > 2:
        yield [0, n - 1]
    if len(shape) > 1 and shape[1] > 1:
        yield slice(None, 5), slice(1, None, 2)
        yield ..., 0


def _marked(dtype: np.dtype[Any]) -> object:
    """Return a dtype with what h5py marks it with; of text only that it is."""
    if dtype.names:
        return [(name, _marked(dtype[name])) for name in dtype.names]
    text = h5py.check_string_dtype(dtype)
    if text is not None:
        return ("text", text.length)
    return (
        dtype.str,
        dtype.shape,
        h5py.check_ref_dtype(dtype),
        h5py.check_enum_dtype(dtype),
        h5py.check_vlen_dtype(dtype),
    )


def _differing(path: str, what: str, a: object, b: object, *files: h5py.File) -> Iterator[Difference]:
    """Yield what differs; `files` are those that references are followed in, if there are any."""
    if not _same(a, b, *(files or (None, None))):
        yield path, what, a, b


def _same(a: Any, b: Any, file: Any, other: Any) -> bool:
    if isinstance(a, h5py.Empty):
        return isinstance(b, h5py.Empty) and a.dtype == b.dtype
    if isinstance(a, h5py.RegionReference):
        return isinstance(b, h5py.RegionReference)
    if isinstance(a, h5py.Reference):
        if not a or not isinstance(b, h5py.Reference) or not b:
            return isinstance(b, h5py.Reference) and bool(a) == bool(b)
        return bool(file[a] == file[other[b].name])
    if isinstance(a, np.void) and a.dtype.names:
        return b.dtype.names == a.dtype.names and all(_same(a[n], b[n], file, other) for n in a.dtype.names)
    if not isinstance(a, np.ndarray):
        return _same_scalar(a, b)
    if not isinstance(b, np.ndarray) or a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind == "O" or a.dtype.names:
        return all(_same(x, y, file, other) for x, y in zip(a.ravel(), b.ravel(), strict=True))
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))


def _same_scalar(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    return bool(a == b) or (isinstance(a, float) and bool(np.isnan(a) and np.isnan(b)))
