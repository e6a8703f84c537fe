"""Every object of real files through the facade, as h5py shows it: values, attributes, types, links."""

from __future__ import annotations

from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  # registers the filters of some files
import pytest

from nwb_dask.h5.opening import open_facade
from nwb_dask.index import Url
from nwb_dask.storage import make_access
from tests.h5.same import differences

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
FILES = [path for path in sorted(REAL.rglob("*.nwb")) if path.is_file()]
FEW = FILES[::30]


def check(path: Path) -> None:
    with h5py.File(path, "r") as expected, open_facade(Url(str(path)), make_access()) as found:
        assert list(differences(expected, found)) == []


@pytest.mark.skipif(not FILES, reason="the real files are not here")
@pytest.mark.parametrize("path", FEW, ids=lambda path: path.name)
def test_objects_are_as_h5py_shows_them(path: Path) -> None:
    check(path)


@pytest.mark.slow
@pytest.mark.skipif(not FILES, reason="the real files are not here")
def test_objects_of_all_real_files_are_as_h5py_shows_them() -> None:
    for path in FILES:
        check(path)
