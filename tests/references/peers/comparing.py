"""Compares references of kerchunk and icechunk with the HDF5 files that they are of; runs without nwb_dask."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  # registers its filters with libhdf5
import numpy as np

Reader = Callable[[str, str], Iterator[tuple[str, Any]]]
"""References and file in; path and values of each array out."""


def numbers(group: Any) -> Iterator[tuple[str, Any]]:
    """Yield the path and values of the numeric arrays of a file; those that soft links lead to included."""
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink) or group.get(name) is None:
            continue
        one = group[name]
        if isinstance(one, h5py.Group):
            if not isinstance(link, h5py.SoftLink):
                yield from ((f"{name}/{below}", value) for below, value in numbers(one))
        elif one.dtype.kind in "iufbc" and one.shape is not None:
            yield name, one[()]


def walk(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and values of the arrays of a group of zarr-python."""
    for name, one in group.arrays():
        yield f"{above}{name}", one[...]
    for name, one in group.groups():
        yield from walk(one, f"{above}{name}/")


def compare(read: Reader, references: str, file: str, group: str | None) -> dict[str, Any]:
    with h5py.File(file, "r") as right:
        found = numbers(right[group or "/"])
        expected = {name: value for name, value in found if group is None or "/" not in name}
    try:
        seen = dict(read(references, file))
    except Exception as error:  # noqa: BLE001  # whatever these libraries raise is an answer
        said = f"raises {type(error).__name__}: {str(error)[:300]}"
        return {"file": file, "n_arrays": 0, "differences": [(group, said)]}
    differences = [(name, what) for name in expected | seen if (what := difference(expected, seen, name))]
    return {"file": file, "n_arrays": len(expected), "differences": differences}


def difference(expected: dict[str, Any], seen: dict[str, Any], name: str) -> str:
    if name not in expected or name not in seen:
        return "is only in the file" if name in expected else "is only in the references"
    one, other = np.asarray(expected[name]), np.asarray(seen[name])
    if one.shape != other.shape or not np.array_equal(one, other, equal_nan=one.dtype.kind in "fc"):
        return f"{one.dtype}{one.shape} {str(one)[:60]} is {other.dtype}{other.shape} {str(other)[:60]}"
    return "" if one.dtype.newbyteorder("=") == other.dtype.newbyteorder("=") else f"{one.dtype} is {other.dtype}"


def main(read: Reader) -> None:
    """Compare ``[[references, file, group], ...]`` from standard input; what differs goes to the file that is named."""
    asked = json.load(sys.stdin)
    Path(sys.argv[1]).write_text(json.dumps([compare(read, *one) for one in asked]))
