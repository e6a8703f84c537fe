"""What a document of references says of a file, compared with what h5py says of the file itself."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from posixpath import normpath
from typing import Any

import h5py
import numpy as np
import xarray as xr

from nwb_dask.index import ArrayEntry, FileIndex, GroupEntry, join
from tests.backends.lindi.documents import opened
from tests.backends.lindi.test_interop import compare_attributes
from tests.backends.oracle import assert_same, what_h5py_says
from tests.parity import oracle, oracle_series
from tests.parity.test_parity import outcome_of
from tests.parity.test_series import ELSEWHERE, compare_series


@dataclass(frozen=True, slots=True)
class Trip:
    """A file, the document that was written of it, and what is not in that, with the reasons."""

    file: Path
    document: Path
    left_out: Mapping[str, str]
    counts: Counter[str] = field(default_factory=Counter)

    def check(self) -> None:
        """Raise unless the document answers as the file does."""
        with h5py.File(self.file) as theirs, opened(self.document) as ours:
            index = ours.index("/", recursive=True)
            assert set(index.problems) <= links_to_nothing(theirs)
            self.check_tree(index, theirs)
            for path, entry in index.arrays.items():
                assert_same(ours.read(entry), what_h5py_says(theirs[path]))
                self.counts["datasets"] += 1
        self.check_tables()
        self.check_series()

    def check_tree(self, index: FileIndex, theirs: h5py.File) -> None:
        """Compare groups, links and attributes."""
        names = {"/", *objects(theirs)}
        assert names - {*index.groups, *index.arrays} <= self.left_out.keys()
        for path, link in links(theirs):
            if path not in self.left_out:
                parent = path.rpartition("/")[0]
                target = link.path if link.path.startswith("/") else f"{parent}/{link.path}"
                assert index.groups[parent or "/"].links[path.rpartition("/")[2]].target == normpath(target)
                self.counts["links"] += 1
        described: dict[str, ArrayEntry | GroupEntry] = {**index.groups, **index.arrays}
        for path, one in described.items():
            item = theirs[path]
            assert isinstance(item, h5py.Group) == (path in index.groups), path
            lost = {name for name in item.attrs if f"{path}@{name}" in self.left_out}
            compare_attributes(one, Without(item, lost), theirs, self.counts)
            if path in index.groups and path in names:
                members = {name for name in item if join(path, name) not in self.left_out}
                assert set(index.groups[path].members) == members
                self.counts["groups"] += 1

    def check_tables(self) -> None:
        for table in oracle.read_file(self.file):
            columns = tuple(one for one in table.columns if join(table.path, one.name) not in self.left_out)
            outcome, wrong = outcome_of("arrow", self.document, replace(table, columns=columns))
            assert not wrong, (table.path, wrong)
            self.counts[f"tables {outcome}".removesuffix(" passed")] += 1

    def check_series(self) -> None:
        expected = oracle_series.read_file(self.file)
        if not expected.series:
            return
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            tree = xr.open_datatree(self.document, engine="nwb", dtype="float64")
        found = {node.path: node.dataset for node in tree.subtree if "data" in node.dataset}
        for place, shown in expected.series.items():
            told = [str(one.message) for one in said if str(one.message).startswith(f"{place} of ")]
            if place in found and shown.values is not None and self.has_narrow_conversion(place):
                # LINDI's attributes have no width: the factor is no float32 any more, which rounds the product.
                np.testing.assert_allclose(found[place]["data"].values, shown.values, rtol=3e-7)
                self.counts["series to float32: of their factor"] += 1
            elif place in found:
                compare_series(found[place], shown, expected, told)
                self.counts["series"] += 1
            else:
                assert f"{place}/data" in self.left_out or any(map(ELSEWHERE.search, told)), (place, told)
                self.counts["series left out: their data are in other files, or complex"] += 1

    def has_narrow_conversion(self, place: str) -> bool:
        with h5py.File(self.file) as theirs:
            data = theirs[place].get("data")
            is_number = isinstance(data, h5py.Dataset) and data.dtype.kind in "iuf"
            return is_number and getattr(data.attrs.get("conversion"), "dtype", None) == np.float32


class Without:
    """An object of h5py without some of its attributes."""

    def __init__(self, item: Any, lost: set[str]) -> None:
        self.attrs = {name: item.attrs[name] for name in item.attrs if name not in lost}


def objects(file: h5py.File) -> Iterator[str]:
    found: list[str] = []
    file.visit(found.append)
    yield from (f"/{name}" for name in found)


def links(file: h5py.File) -> Iterator[tuple[str, h5py.SoftLink]]:
    """Yield the soft links of a file, with their paths; each group once."""
    for path in ("/", *objects(file)):
        if isinstance(file[path], h5py.Group):
            for name in file[path]:
                link = file[path].get(name, getlink=True)
                if isinstance(link, h5py.SoftLink):
                    yield join(path, name), link


def links_to_nothing(file: h5py.File) -> set[str]:
    return {path for path, _ in links(file) if file.get(path) is None}
