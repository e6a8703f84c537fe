"""Files that lead to others of this machine: libhdf5 opens none of them, whichever way it is asked."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5d, h5o, h5r, h5s

import nwb_dask
from nwb_dask.errors import UnsupportedLayoutError
from nwb_dask.h5.guarded import GuardedFile
from nwb_dask.testing import RangeServer
from tests.backends.opens import watched

SECRET = np.frombuffer(b"what is secret  ", "u1")
_ENTRY = 40
"""Bytes of an entry of a symbol table; its name, the address of the object, and what is cached of that."""


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """A folder with an HDF5 file and a raw file that nobody allowed for."""
    folder = tmp_path / "others"
    folder.mkdir()
    (folder / "secret.raw").write_bytes(SECRET.tobytes())
    with h5py.File(folder / "secret.h5", "w") as file:
        file["x"] = SECRET
    return folder


@pytest.fixture
def path(tmp_path: Path, others: Path) -> Path:
    (tmp_path / "served").mkdir()
    path = tmp_path / "served" / "leading.nwb"
    with h5py.File(path, "w") as file:
        file["own"] = np.arange(4)
        file.create_dataset("raw", SECRET.shape, "u1", external=[(str(others / "secret.raw"), 0, SECRET.size)])
        for name, (filename, source) in {"virtual": (others / "secret.h5", "x"), "nested": (".", "raw")}.items():
            layout = h5py.VirtualLayout(SECRET.shape, "u1")
            layout[...] = h5py.VirtualSource(str(filename), source, SECRET.shape)
            file.create_virtual_dataset(name, layout)
        file.create_group("group")["link"] = h5py.ExternalLink(str(others / "secret.h5"), "/x")
        for name in ("raw", "virtual", "nested", "group"):
            file.attrs[name] = file[name].ref
    return path


def unlink(path: Path) -> None:
    """Let all names in the root lead to ``own``: to the others no link leads, and references do."""
    with h5py.File(path) as file:
        own = h5o.get_info(file["own"].id).addr
        n_names = len(file)
    data = bytearray(path.read_bytes())
    start = data.index(b"SNOD") + 8
    for at in range(start, start + n_names * _ENTRY, _ENTRY):
        struct.pack_into("<QI20x", data, at + 8, own, 0)
    path.write_bytes(data)


@pytest.fixture(params=["local", "remote"])
def opened(request: pytest.FixtureRequest, path: Path) -> Iterator[Callable[[], h5py.File]]:
    if request.param == "local":
        yield lambda: nwb_dask.open_h5(path)
        return
    with RangeServer(path.parent) as server:
        yield lambda: nwb_dask.open_h5(server.url(path.name))


def read(dataset: h5d.DatasetID) -> Any:
    out = np.zeros(SECRET.shape, "u1")
    dataset.read(h5s.ALL, h5s.ALL, out)
    return out


WAYS: dict[str, Callable[[h5py.File, str], Any]] = {
    "by name": lambda file, name: file[name][()],
    "by get": lambda file, name: file.get(name)[()],
    "by low-level name": lambda file, name: read(h5d.open(file.id, name.encode())),
    "by low-level object": lambda file, name: read(h5o.open(file.id, name.encode())),
    "by identifier": lambda file, name: read(file[name].id),
    "by h5py's class": lambda file, name: h5py.Dataset(file[name].id)[()],
    "as another type": lambda file, name: file[name].astype("u1")[()],
    "by row": lambda file, name: np.array([file[name][row] for row in range(SECRET.size)]),
    "by numpy": lambda file, name: np.asarray(file[name]),
    "by reference": lambda file, name: file[file.attrs[name]][()],
    "by low-level reference": lambda file, name: read(h5r.dereference(file.attrs[name], file.id)),
    "by what is in a reference": lambda file, name: file[file.attrs["group"]]["link"][()],
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_leads_to_the_bytes_of_another_file(opened: Callable[[], h5py.File], others: Path, way: str) -> None:
    with watched(others) as names, opened() as file:
        assert file["own"][()].tolist() == [0, 1, 2, 3]
        for name in ("raw", "virtual", "nested", "group/link"):
            try:
                found = WAYS[way](file, name)
            except (KeyError, TypeError, ValueError, AttributeError, OSError, RuntimeError, NotImplementedError):
                continue
            assert SECRET.tobytes() not in np.asarray(found).tobytes()
    assert names == []


@pytest.mark.parametrize("way", ["by reference", "by what is in a reference"])
def test_a_reference_to_an_object_that_no_link_leads_to_leads_nowhere(
    opened: Callable[[], h5py.File], path: Path, way: str
) -> None:
    unlink(path)
    with opened() as file:
        assert file["raw"][()].tolist() == [0, 1, 2, 3]
        for name in ("raw", "virtual", "nested"):
            with pytest.raises((UnsupportedLayoutError, KeyError, OSError)):
                WAYS[way](file, name)


def test_objects_of_a_local_file_are_reached_as_h5py_reaches_them(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["group/x"] = np.arange(4)
        file["group/again"] = file["group/x"]
        file["type"] = np.dtype("<f4")
        for name in ("group", "group/x", "/"):
            file.attrs[name.replace("/", "-")] = file[name].ref
        file.attrs["part"] = file["group/x"].regionref[1:3]
    with nwb_dask.open_h5(tmp_path / "plain.h5") as file:
        assert type(file) is GuardedFile
        assert file[file.attrs["group-x"]] == file["group"]["again"]
        assert file[file.attrs["group"]] == file["group/x"].parent
        assert file[file.attrs["-"]].name == "/"
        assert file[file.attrs["part"]][file.attrs["part"]].tolist() == [1, 2]
        assert isinstance(file["type"], h5py.Datatype)
        found = [file["group/x"], file["group"].get("x"), *file["group"].values(), dict(file["group"].items())["x"]]
        assert all(type(one.file) is GuardedFile for one in found)
        assert file.visititems(lambda name, one: one.file if name.startswith("group/") else None) is file
