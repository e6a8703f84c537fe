"""Stored timestamps are read in blocks, by their address."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_dask.errors import (
    MalformedFileError,
    UnsupportedLayoutError,
)
from nwb_dask.read.open_files import open_files
from nwb_dask.read.slab import StoredStamps
from tests.read.slabs import made


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    """Ports and names of files return."""
    yield
    open_files.close_all()


@pytest.mark.parametrize(
    ("options", "block"),
    [
        ({}, 8192),
        ({"chunks": (1000,)}, 9000),
        ({"chunks": (50_000,)}, 8192),
        ({"chunks": (50_000,), "compression": "gzip"}, 50_000),
        ({"chunks": (3000,), "compression": "gzip"}, 9000),
    ],
)
@pytest.mark.parametrize("dtype", ["<f8", ">f4"])
def test_stamps_are_read_in_blocks(tmp_path: Path, dtype: str, options: dict[str, Any], block: int) -> None:
    labels = (np.arange(100_000) / 30_000 + 5).astype(dtype)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("t", data=labels, **options)
    stamps = StoredStamps(made(tmp_path / "f.h5", "/t"))
    assert (stamps.n, stamps.block) == (100_000, block)
    got = stamps.read(block, 2 * block)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, labels[block : 2 * block].astype(np.float64))
    assert stamps.read(7, 7).shape == (0,)
    with pytest.raises(IndexError, match="of 100000"):
        stamps.read(99_999, 100_001)


def test_stamps_are_equal_by_their_address(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["t"] = np.arange(10.0)
        file["u"] = h5py.SoftLink("/t")
        file["v"] = np.arange(10.0)
    one, link, other = (StoredStamps(made(tmp_path / "f.h5", name)) for name in ("/t", "/u", "/v"))
    assert one == link == pickle.loads(pickle.dumps(one))
    assert hash(one) == hash(link)
    assert one != other
    assert len(pickle.dumps(one)) < 2000


def test_what_cannot_be_times_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["square"] = np.zeros((3, 3))
        file["text"] = np.array([b"a", b"b"])
        file["odd"] = np.arange(3, dtype=np.longdouble)
    with pytest.raises(MalformedFileError, match="one dimension"):
        StoredStamps(made(tmp_path / "f.h5", "/square"))
    with pytest.raises(MalformedFileError, match="no numbers"):
        StoredStamps(made(tmp_path / "f.h5", "/text"))
    with pytest.raises(UnsupportedLayoutError, match="extended format"):
        made(tmp_path / "f.h5", "/odd")
