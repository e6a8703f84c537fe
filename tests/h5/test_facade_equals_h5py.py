"""Every object of real files through the facade, as h5py shows it: values, attributes, types, links."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  # registers the filters of some files
import numpy as np
import pytest

import nwb_dask
from nwb_dask.errors import UnsupportedLayoutError
from nwb_dask.testing import RangeServer
from tests.h5.facade import open_facade
from tests.h5.same import differences

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
FILES = [path for path in sorted(REAL.rglob("*.nwb")) if path.is_file()]
FEW = FILES[::30]


def check(path: Path) -> None:
    with h5py.File(path, "r") as expected, open_facade(path) as found:
        assert list(differences(expected, found)) == []


@pytest.mark.skipif(not FILES, reason="the real files are not here")
@pytest.mark.parametrize("path", FEW, ids=lambda path: path.name)
def test_objects_are_as_h5py_shows_them(path: Path) -> None:
    check(path)


ASKED: dict[str, Callable[[h5py.File], object]] = {
    "an empty name": lambda file: file[""],
    "no member": lambda file: file["absent"],
    "a list out of order": lambda file: file["plain"][[3, 1]],
    "a row twice": lambda file: file["plain"][[1, 1]],
    "a negative step": lambda file: file["plain"][::-1],
    "a mask of another shape": lambda file: file["series"][np.ones((3, 16), bool)],
    "two lists": lambda file: file["series"][[1, 3], [0, 2]],
    "past the end": lambda file: file["plain"][400_000],
    "too many axes": lambda file: file["plain"][0, 0],
    "a new axis": lambda file: file["plain"][None],
    "a fraction": lambda file: file["plain"][1.5],
    "no field": lambda file: file["mixed"]["absent"],
    "text of numbers": lambda file: file["plain"].asstr(),
    "a slice of a scalar": lambda file: file["pointer"][0],
    "to be pickled": pickle.dumps,
}


@pytest.mark.parametrize("what", ASKED)
def test_what_h5py_refuses_is_refused_with_the_same_error(what: str, path: Path, server: RangeServer) -> None:
    with h5py.File(path) as expected, pytest.raises(Exception) as refused:  # noqa: PT011  # whichever it is
        ASKED[what](expected)
    for opened in (open_facade(path), nwb_dask.open_h5(server.url(path.name))):
        with opened as found, pytest.raises(refused.type):
            ASKED[what](found)


def test_dimension_scales_are_refused_with_the_way_out(path: Path) -> None:
    with (
        open_facade(path) as file,
        pytest.raises(UnsupportedLayoutError, match="DIMENSION_LABELS"),
    ):
        _ = file["plain"].dims


@pytest.mark.slow
@pytest.mark.skipif(not FILES, reason="the real files are not here")
def test_objects_of_all_real_files_are_as_h5py_shows_them() -> None:
    for path in FILES:
        check(path)
