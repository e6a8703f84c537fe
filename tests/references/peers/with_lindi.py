"""Compares LINDI documents with the HDF5 files that they are of; runs where LINDI and pynwb are, without nwb_dask.

Reads ``[[document, file], ...]`` as JSON from standard input, and writes to the file that is named what was compared
and what differs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  # registers its filters with libhdf5
import lindi  # in its own environment only
import numpy as np
import pynwb


@dataclass
class Comparison:
    right: Any
    """The file in h5py."""
    given: Any
    """The document in LINDI."""
    n_arrays: int = 0
    n_attributes: int = 0
    differences: list[tuple[str, str]] = field(default_factory=list)

    def run(self) -> None:
        for path, one in objects(self.right, "/", ()):
            try:
                other = self.given if path == "/" else self.given[path]
                if other is None or one is None:
                    self.differ(path, "is not there")
                    continue
                self.attributes(path, one, other)
                if isinstance(one, h5py.Dataset):
                    self.n_arrays += 1
                    self.values(path, one, other)
                elif set(one) != set(other.keys()):
                    self.differ(path, f"members {set(one) ^ set(other.keys())}")
            except Exception as error:  # noqa: BLE001  # whatever LINDI raises is an answer
                self.differ(path, said(error))

    def differ(self, path: str, what: str) -> None:
        self.differences.append((path, what))

    def attributes(self, path: str, one: Any, other: Any) -> None:
        for name in one.attrs:
            self.n_attributes += 1
            try:
                expected = plain(one.attrs[name], self.right)
                seen = plain(other.attrs[name], self.given) if name in other.attrs else "nothing"
            except Exception as error:  # noqa: BLE001  # whatever LINDI raises is an answer
                self.differ(f"{path}@{name}", said(error))
                continue
            if not same(expected, seen):
                self.differ(f"{path}@{name}", f"{str(expected)[:80]} is {str(seen)[:80]}")
        extra = set(other.attrs.keys()) - set(one.attrs)
        if extra:
            self.differ(path, f"extra attributes {extra}")

    def values(self, path: str, one: Any, other: Any) -> None:
        if one.shape != other.shape:
            self.differ(path, f"shape {one.shape} is {other.shape}")
        elif one.dtype.names and one.shape:
            stored = one[()]
            for name in one.dtype.names:
                if not same(plain(stored[name], self.right), plain(list(other[name]), self.given)):
                    self.differ(f"{path}.{name}", "values differ")
        elif one.dtype.kind in "iufbcSV" and one.dtype.names is None:
            expected, seen = one[()], np.asarray(other[()])
            if not np.array_equal(expected, seen, equal_nan=one.dtype.kind in "fc"):
                self.differ(path, "values differ")
            elif one.dtype.newbyteorder("=") != seen.dtype.newbyteorder("="):
                self.differ(path, f"type {one.dtype} is {seen.dtype}")
        else:
            # Regions come from h5py, with which LINDI reads linked datasets.
            is_region = h5py.check_ref_dtype(one.dtype) is h5py.RegionReference
            expected = plain(one[()], self.right)
            seen = plain(other[()], self.right if is_region else self.given)
            if not same(expected, seen):
                self.differ(path, f"{str(expected)[:60]} is {str(seen)[:60]}")


def objects(group: Any, path: str, above: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    yield path, group
    if not isinstance(group, h5py.Group) or any(group == one for one in above):
        return
    for name in group:
        try:
            one = group[name]
        except KeyError:
            yield f"{path.rstrip('/')}/{name}", None
            continue
        yield from objects(one, f"{path.rstrip('/')}/{name}", (*above, group))


def plain(value: Any, file: Any) -> Any:
    if isinstance(value, h5py.RegionReference):
        count = h5py.h5r.get_region(value, file.id).get_select_npoints() if value else 0
        return ["region", file[value].name if value else None, count]
    if isinstance(value, h5py.Reference):
        return file[value].name if value or hasattr(value, "_path") else None
    if isinstance(value, dict):
        return value["_REFERENCE"]["path"]
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), file)
    if isinstance(value, (list, tuple)):
        return [plain(item, file) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def same(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, (int, float)):
        return one == other or bool(np.isnan(one) and np.isnan(other))
    return bool(one == other)


def said(error: Exception) -> str:
    return f"raises {type(error).__name__}: {str(error)[:300]}"


def with_pynwb(document: str, file: str) -> str:
    """Return ``same``, ``unread`` where pynwb does not read the file itself either, or what differs."""
    try:
        with pynwb.NWBHDF5IO(file, "r") as io:
            right = described(io.read())
    except Exception as error:  # noqa: BLE001  # whatever pynwb raises is an answer
        return f"unread: {said(error)}"
    try:
        with pynwb.NWBHDF5IO(file=lindi.LindiH5pyFile.from_lindi_file(document), mode="r") as io:
            seen = described(io.read())
    except Exception as error:  # noqa: BLE001  # whatever pynwb raises is an answer
        return said(error)
    return "same" if right == seen else f"differs: {set(right) ^ set(seen)}"


def described(session: Any) -> list[tuple[str, str]]:
    # Older files have no ids, and pynwb makes up new ones.
    return sorted((type(one).__name__, one.name) for one in session.objects.values())


def compare(document: str, file: str) -> dict[str, Any]:
    with h5py.File(file, "r") as right:
        found = Comparison(right, lindi.LindiH5pyFile.from_lindi_file(document))
        found.run()
    return {
        "file": file,
        "n_arrays": found.n_arrays,
        "n_attributes": found.n_attributes,
        "differences": found.differences,
        "pynwb": with_pynwb(document, file),
    }


if __name__ == "__main__":
    pairs = json.load(sys.stdin)
    # LINDI prints, so that standard output is not for the answer.
    Path(sys.argv[1]).write_text(json.dumps([compare(document, file) for document, file in pairs]))
