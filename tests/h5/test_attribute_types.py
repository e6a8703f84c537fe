"""Attributes keep the type that they are stored in."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from h5py import h5a, h5s, h5t

import nwb_dask
from nwb_dask.h5 import FacadeFile
from nwb_dask.testing import RangeServer
from tests.h5.facade import open_facade
from tests.h5.same import differences


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("attributes") / "typed.h5"
    with h5py.File(found, "w") as file:
        write_numbers(file.create_group("numbers").attrs)
        write_texts(file.create_group("texts"))
        write_structures(file)
        dense = file.create_group("dense", track_order=True)
        for number in range(20):
            dense.attrs.create(f"a{number}", number, dtype="u2")
    return found


def write_numbers(attrs: h5py.AttributeManager) -> None:
    for code in ("i1", "u1", "<i2", ">i4", "<u8", ">f4", "<f8", "<f2", "<c8"):
        attrs.create(code, 7, dtype=code)
        attrs.create(f"{code} array", [[1, 2]], dtype=code)
    attrs["bool"] = np.True_
    attrs["bools"] = np.array([True, False])
    attrs.create("enum", 1, dtype=h5py.enum_dtype({"a": 0, "b": 1}, "u1"))
    attrs.create("none of u8", [], dtype="u8")
    attrs.create("opaque", np.void(b"abc"))
    attrs.create("large", np.uint64(2**64 - 1))


def write_texts(group: h5py.Group) -> None:
    attrs = group.attrs
    attrs["plain"] = "text"
    attrs["list"] = ["one", "two"]
    attrs["fixed"] = np.bytes_("fixed")
    attrs["fixed list"] = np.array([b"a", b"bcd"])
    attrs.create("fixed UTF-8", "é".encode(), dtype=h5py.string_dtype("utf-8", 4))
    attrs["empty"] = h5py.Empty("S1")
    attrs["empty number"] = h5py.Empty("<u4")
    attrs["empty text"] = h5py.Empty(h5py.string_dtype())
    spaced = h5t.C_S1.copy()
    spaced.set_size(6)
    spaced.set_strpad(h5t.STR_SPACEPAD)
    h5a.create(group.id, b"padded", spaced, h5s.create(h5s.SCALAR)).write(np.array(b"abc   "), mtype=spaced)


def write_structures(file: h5py.File) -> None:
    file["x"], file["y"] = np.arange(3.0), np.zeros((3, 2))
    file["x"].make_scale("time")
    file["y"].dims[0].attach_scale(file["x"])
    attrs = file.create_group("structures").attrs
    attrs.create("pairs", np.array([(1, 2.5), (3, 4.5)], [("n", "<u2"), ("v", ">f4")]))
    attrs.create("pair", np.array((1, b"ab"), [("n", "<i8"), ("t", "S3")]))
    attrs["to"] = file["x"].ref
    attrs.create("several", [file["x"].ref, file.ref], dtype=h5py.ref_dtype)
    attrs.create("lists", [np.arange(3, dtype="i4"), np.arange(1, dtype="i4")], dtype=h5py.vlen_dtype("i4"))
    attrs.create("fixed shape", np.arange(6).reshape(2, 3), dtype=np.dtype(("<i2", (3,))))


def test_attributes_of_a_facade_are_of_the_types_that_h5py_gives(path: Path) -> None:
    with h5py.File(path) as expected, open_facade(path) as found:
        assert list(differences(expected, found)) == []


def test_attributes_of_a_remote_facade_are_of_the_types_that_h5py_gives(path: Path) -> None:
    with (
        RangeServer(path.parent) as server,
        h5py.File(path) as expected,
        open_facade(server.url(path.name)) as found,
    ):
        assert list(differences(expected, found)) == []


def test_attributes_of_a_remote_file_with_external_data_ask_nothing_more_of_the_server(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("raw", (4,), "u1", external=[("absent.raw", 0, 4)])
        for number in range(200):
            file.create_group(f"group {number}").attrs.create("n", number, dtype="u2")
    with RangeServer(tmp_path) as server:
        for _ in range(2):
            with nwb_dask.open_h5(server.url("raw.h5")) as found:
                assert isinstance(found, FacadeFile)
                server.reset()
                assert [type(found[f"group {number}"].attrs["n"]) for number in range(200)] == [np.uint16] * 200
                assert server.n_requests == 0
