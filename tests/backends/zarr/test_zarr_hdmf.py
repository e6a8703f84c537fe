"""The conventions of hdmf-zarr, by documents that are written by hand as its sources say."""

from __future__ import annotations

import json
from typing import Any

import numcodecs
import numpy as np
import pytest

from nwb_dask.backends.zarr import ZarrFile
from nwb_dask.errors import UnsupportedLayoutError
from nwb_dask.index import FilePath, Link, Reference
from tests.backends.zarr.stores import GROUP_V2, GROUP_V3, Keys, array_v2, array_v3, documents

V2_REFERENCE = {"zarr_dtype": "object", "value": {"source": ".", "path": "/a/x", "object_id": "i"}}
V3_REFERENCE = {"_REFERENCE": {"source": ".", "path": "/a/x"}}


def store_v2(**more: Any) -> ZarrFile:
    nodes = {
        ".zgroup": GROUP_V2,
        ".zattrs": {".specloc": "specifications"},
        "specifications/.zgroup": GROUP_V2,
        "a/.zgroup": GROUP_V2,
        "a/x/.zarray": array_v2([2], "<i4"),
        "a/x/.zattrs": {"zarr_dtype": "int32", "_ARRAY_DIMENSIONS": ["n"], "names": ["p", "q"], "n": [1, 2]},
        "a/index/.zarray": array_v2([1], "|u1"),
        "a/index/.zattrs": {"zarr_dtype": "uint8", "target": V2_REFERENCE},
        "l/.zgroup": GROUP_V2,
        "l/.zattrs": {"zarr_link": [{"name": "soft", "source": ".", "path": "/a"}]},
    }
    return ZarrFile(Keys({**documents(**nodes), **more, "a/x/0": np.arange(2, dtype="<i4").tobytes()}))


def test_attributes_are_shown_without_those_of_the_writer() -> None:
    index = store_v2().index("/", recursive=True)
    assert index.groups["/"].attributes == {".specloc": Reference("/specifications")}
    shown = dict(index.arrays["/a/x"].attributes)
    assert shown.pop("n").tolist() == [1, 2]  # type: ignore[union-attr]  # an array
    assert shown == {"names": ("p", "q")}
    assert index.arrays["/a/index"].attributes == {"target": Reference("/a/x")}


def test_what_is_reached_through_a_link_stands_under_its_path() -> None:
    file = store_v2()
    index = file.index("/l/soft")
    assert file.index("/l").groups["/l"].links == {"soft": Link("/a")}
    assert set(index.arrays) == {"/l/soft/x", "/l/soft/index"}
    # A pointer and its target stay together.
    assert index.arrays["/l/soft/index"].attributes == {"target": Reference("/l/soft/x")}
    assert file.read(index.arrays["/l/soft/x"]).tolist() == [0, 1]


def test_names_choose_arrays_and_what_points_to_them() -> None:
    index = store_v2().index("/a", names=["x"])
    assert set(index.arrays) == {"/a/x", "/a/index"}
    assert set(store_v2().index("/a", names=[]).arrays) == set()
    assert index.groups[FilePath("/a")].members == ("index", "x")


def test_links_that_lead_out_in_circles_or_nowhere_are_not_followed() -> None:
    links = [
        {"name": "out", "source": "../other.zarr", "path": "/x"},
        {"name": "round", "source": ".", "path": "/m/round"},
        {"name": "nowhere", "source": ".", "path": "/none"},
    ]
    file = store_v2(**documents(**{"m/.zgroup": GROUP_V2, "m/.zattrs": {"zarr_link": links}}))
    index = file.index("/m")
    assert index.groups["/m"].links["out"] == Link("/x", "../other.zarr")
    assert set(index.problems) == {"/m/round", "/m/nowhere"}
    assert index.groups["/m"].members == ("nowhere", "out", "round")
    with pytest.raises(
        UnsupportedLayoutError, match=r"'../other.zarr' \(at '/x'\), which is not followed.*allow_external=\["
    ):
        file.index("/m/out")


def test_references_that_lead_nowhere_are_null() -> None:
    value = {"zarr_dtype": "object", "value": {"source": ".", "path": "/none"}}
    file = store_v2(**documents(**{"a/.zattrs": {"ref": value}}))
    assert file.index("/a").groups["/a"].attributes == {"ref": Reference(None)}


@pytest.mark.parametrize("source", ["../other.zarr", "https://host/other.zarr?token=secret"])
def test_references_into_other_stores_say_so_when_they_are_followed(source: str) -> None:
    value = {"zarr_dtype": "object", "value": {"source": source, "path": "/x"}}
    file = store_v2(**documents(**{"a/.zattrs": {"ref": value}}))
    found = file.index("/a").groups["/a"].attributes["ref"]
    assert isinstance(found, Reference)
    if "secret" in source:
        assert found.path is None
        return
    assert found.path == "/<store ..%2Fother.zarr>/x"
    with pytest.raises(UnsupportedLayoutError, match=r"'../other.zarr'.*allow_external=\["):
        file.index(found.path)


def test_scalars_of_v2_have_no_dimensions() -> None:
    text = numcodecs.VLenUTF8().encode(np.array(["hello"], object))
    nodes = {
        "s/.zarray": array_v2([1], "|O", filters=[{"id": "vlen-utf8"}]),
        "s/.zattrs": {"zarr_dtype": "scalar"},
        "j/.zarray": array_v2([1], "|O", filters=[{"id": "json2"}]),
        "j/.zattrs": {"zarr_dtype": "scalar"},
    }
    body = json.dumps(["{}", "|O", [1]]).encode()
    file = store_v2(**documents(**nodes), **{"s/0": bytes(text), "j/0": body})
    entries = file.index("/").arrays
    assert entries["/s"].shape == entries["/j"].shape == ()
    assert [one.item() for one in file.read_many([(entries["/s"], None), (entries["/j"], None)])] == [b"hello", b"{}"]


@pytest.mark.parametrize("codec", ["json2", "msgpack2"])
def test_references_as_objects_are_paths(codec: str) -> None:
    stored = np.empty(3, object)
    stored[:] = [{"source": ".", "path": "/a/x"}, {"source": "b.zarr", "path": "/y"}, {"source": ".", "path": "a"}]
    made = numcodecs.registry.get_codec({"id": codec})
    nodes = {"r/.zarray": array_v2([3], "|O", filters=[{"id": codec}]), "r/.zattrs": {"zarr_dtype": "object"}}
    file = store_v2(**documents(**nodes), **{"r/0": bytes(made.encode(stored))})
    entry = file.index("/").arrays["/r"]
    assert entry.element.kind == "reference"
    assert file.read(entry).tolist() == ["/a/x", "/<store b.zarr>/y", "/a"]


def test_records_in_objects_are_records() -> None:
    stored = np.empty(2, object)
    stored[:] = [[0, 2, {"source": ".", "path": "/a"}], [2, 3, {"source": ".", "path": "/a/x"}]]
    fields = [{"name": "idx_start", "dtype": "int32"}, {"name": "count", "dtype": "int32"}]
    attributes = {"zarr_dtype": [*fields, {"name": "timeseries", "dtype": "object"}]}
    nodes = {"c/.zarray": array_v2([2], "|O", filters=[{"id": "json2"}]), "c/.zattrs": attributes}
    file = store_v2(**documents(**nodes), **{"c/0": bytes(numcodecs.JSON().encode(stored))})
    entry = file.index("/").arrays["/c"]
    assert [(name, one.kind) for name, one in entry.element.fields] == [
        ("idx_start", "int"),
        ("count", "int"),
        ("timeseries", "reference"),
    ]
    assert file.read(entry).tolist() == [(0, 2, "/a"), (2, 3, "/a/x")]


def test_reference_fields_of_v3_are_references() -> None:
    dtype = np.dtype([("idx_start", "<i4"), ("timeseries", "<U512")])
    stored = np.array([(4, "/a"), (5, "")], dtype)
    fields = [
        {"name": "idx_start", "data_type": "int32"},
        {"name": "timeseries", "data_type": {"name": "fixed_length_utf32", "configuration": {"length_bytes": 2048}}},
    ]
    struct = {"name": "struct", "configuration": {"fields": fields}}
    nodes = {
        "zarr.json": GROUP_V3,
        "a/zarr.json": {**GROUP_V3, "attributes": {"ref": V3_REFERENCE, "_LINKS": [{"name": "b", "path": "/c"}]}},
        "a/x/zarr.json": array_v3([1], "string", codecs=["vlen-utf8"], attributes={"_DTYPE": "object_reference"}),
        "c/zarr.json": array_v3([2], struct, attributes={"_REFERENCE_FIELDS": ["timeseries"]}),
    }
    text = numcodecs.VLenUTF8().encode(np.array(["/a"], object))
    file = ZarrFile(Keys({**documents(**nodes), "c/c/0": stored.tobytes(), "a/x/c/0": bytes(text)}))
    index = file.index("/", recursive=True)
    assert index.groups["/a"].attributes == {"ref": Reference("/a/x")}
    assert file.read(index.arrays["/c"]).tolist() == [(4, "/a"), (5, None)]
    assert file.read(index.arrays["/a/x"]).tolist() == ["/a"]
    assert file.read(file.index("/a").arrays["/a/b"]).tolist() == [(4, "/a"), (5, None)]


def test_filters_have_the_numbers_of_hdf5() -> None:
    steps = [{"id": "shuffle", "elementsize": 4}, {"id": "zlib", "level": 4}, {"id": "delta", "dtype": "<i4"}]
    file = store_v2(**documents(**{"f/.zarray": array_v2([2], "<i4", filters=steps, compressor={"id": "blosc"})}))
    found = file.index("/").arrays["/f"].filters
    assert [(one.id, one.options, one.name) for one in found] == [
        (2, (4,), "shuffle"),
        (1, (4,), "zlib"),
        (0, (), "delta"),
        (32001, (), "blosc"),
    ]
