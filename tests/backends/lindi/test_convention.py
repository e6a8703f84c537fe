from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_dask.errors import MalformedFileError, NWBDaskError, UnsupportedLayoutError
from nwb_dask.index import Link, Reference
from tests.backends.lindi.documents import (
    FILE_ID,
    GROUP,
    array,
    inline,
    numbers,
    objects,
    opened,
    reference,
    values,
    write,
    write_tar,
)

NUMBERS = np.arange(10, dtype="<f8")
TABLE = {"t/.zgroup": GROUP, "t/.zattrs": {"object_id": "table-id"}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.lindi.json"


def test_a_scalar_has_no_dimensions(path: Path) -> None:
    refs = {**numbers("x", np.array([2.5]), _SCALAR=True), **numbers("y", np.array([2.5]))}
    with opened(write(path, refs)) as file:
        index = file.index("/")
        assert (index.arrays["/x"].shape, index.arrays["/y"].shape) == ((), (1,))
        assert values(file, "/x").shape == ()
        assert values(file, "/x") == 2.5
        assert dict(index.arrays["/x"].attributes) == {}


def test_text_is_bytes_of_utf_8(path: Path) -> None:
    wide = np.array(["hällo"])
    refs = {**objects("x", ["a", "", "ü"]), "y/.zarray": array((1,), wide.dtype.str), "y/0": inline(wide.tobytes())}
    with opened(write(path, {**refs, "y/.zattrs": {"_SCALAR": True}})) as file:
        assert values(file, "/x").tolist() == [b"a", b"", "ü".encode()]
        assert values(file, "/y")[()] == "hällo".encode()
        assert file.index("/").arrays["/x"].element.kind == "string"


def test_a_group_may_stand_for_a_link(path: Path) -> None:
    refs = {
        "g/.zgroup": GROUP,
        **numbers("g/x", NUMBERS),
        "l/.zgroup": GROUP,
        "l/.zattrs": {"_SOFT_LINK": {"path": "/g"}},
        "g/here/.zgroup": GROUP,
        "g/here/.zattrs": {"_SOFT_LINK": {"path": "x"}},
    }
    with opened(write(path, refs)) as file:
        root = file.index("/").groups["/"]
        assert (root.members, dict(root.links)) == (("g", "l"), {"l": Link("/g")})
        np.testing.assert_array_equal(values(file, "/l/x"), NUMBERS)
        np.testing.assert_array_equal(values(file, "/l/here"), NUMBERS)


def test_links_in_circles_end(path: Path) -> None:
    refs = {f"{a}/{name}": value for a, b in ("ab", "ba") for name, value in
            ((".zgroup", GROUP), (".zattrs", {"_SOFT_LINK": {"path": f"/{b}/x"}}))}  # fmt: skip
    with opened(write(path, {**refs, **objects("r", [reference("/a/x")])})) as file:
        with pytest.raises(MalformedFileError, match="circles"):
            file.index("/a")
        assert values(file, "/r").tolist() == [None]


def test_references_are_paths(path: Path) -> None:
    refs = {
        **TABLE,
        **numbers("t/x", NUMBERS, table=reference("/t", "table-id"), gone=reference("/nowhere")),
        **objects("r", [reference("/t", "table-id"), reference("/t/x"), reference("/gone")]),
    }
    with opened(write(path, refs)) as file:
        entry = file.index("/t").arrays["/t/x"]
        assert entry.attributes["table"] == Reference("/t")
        assert entry.attributes["gone"] == Reference(None)
        assert file.index("/").arrays["/r"].element.kind == "reference"
        assert values(file, "/r").tolist() == ["/t", "/t/x", None]


def test_references_through_links_are_those_that_hdf5_has(path: Path) -> None:
    link = {"l/.zgroup": GROUP, "l/.zattrs": {"_SOFT_LINK": {"path": "/t"}}}
    refs = {
        **TABLE,
        **numbers("t/x", NUMBERS),
        **link,
        **objects("r", [reference("/l/x"), reference("/l", "table-id")]),
    }
    with opened(write(path, refs)) as file:
        assert values(file, "/r").tolist() == ["/t/x", "/t"]


@pytest.mark.parametrize(
    "wrong",
    [reference("/t", "other-id"), reference("/t", "table-id", "other-file"), reference("/t/x", "table-id")],
)
def test_references_with_ids_of_other_objects_are_refused(path: Path, wrong: dict[str, Any]) -> None:
    refs = {**TABLE, **numbers("t/x", NUMBERS), **objects("r", [wrong]), **numbers("y", NUMBERS, table=wrong)}
    with opened(write(path, refs)) as file:
        with pytest.raises(MalformedFileError, match=r"a reference is to an object with the id '.*path /r"):
            values(file, "/r")
        index = file.index("/")
        assert "a reference is to an object with the id" in index.problems["/y"]
        assert "/y" not in index.arrays


def test_a_reference_into_another_file_is_refused(path: Path) -> None:
    with (
        opened(write(path, objects("r", [reference("/t", source="other.nwb")]))) as file,
        pytest.raises(UnsupportedLayoutError, match=r"into another file, 'other\.nwb'"),
    ):
        values(file, "/r")


def compound(rows: list[Any], fields: list[list[str]]) -> dict[str, Any]:
    return objects("c", rows, _COMPOUND_DTYPE=fields)


def test_compounds_are_records(path: Path) -> None:
    fields = [["i", "int32"], ["f", "float64"], ["s", "|S3"], ["r", "<REFERENCE>"], ["b", "bool"]]
    rows = [[1, 2.5, "ab", reference("/t", "table-id"), True], [-2, float("nan"), "abc", reference("/t"), False]]
    with opened(write(path, {**TABLE, **compound(rows, fields)})) as file:
        entry = file.index("/").arrays["/c"]
        assert [(name, one.kind) for name, one in entry.element.fields] == [
            *(("i", "int"), ("f", "float"), ("s", "string"), ("r", "reference"), ("b", "bool")),
        ]  # fmt: skip
        found = values(file, "/c")
        assert found.dtype["i"] == np.int32
        assert found["i"].tolist() == [1, -2]
        np.testing.assert_array_equal(found["f"], [2.5, np.nan])
        assert found["s"].tolist() == [b"ab", b"abc"]
        assert found["r"].tolist() == ["/t", "/t"]
        assert found["b"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([], "no fields"),
        ([["a"]], "no list of names and types"),
        ([["a", "int32"], ["a", "int32"]], "twice"),
        ([["a", "O"]], "not read"),
        ([["a", "__import__('os')"]], "not read"),
        ([["a", "U999999"]], "its elements have"),
        ("abc", "no JSON array"),
    ],
)
def test_compounds_of_no_type_are_problems(path: Path, fields: Any, reason: str) -> None:
    with opened(write(path, compound([[1]], fields))) as file:
        try:
            found = file.index("/").problems["/c"]
        except KeyError:
            with pytest.raises(NWBDaskError):
                values(file, "/c")
        else:
            assert reason in found or "damaged" in found


@pytest.mark.parametrize("rows", [[[1, 2]], [1], [["a"]], [{"x": 1}], [[1 << 40]], [[None]]])
def test_records_that_do_not_fit_are_errors(path: Path, rows: list[Any]) -> None:
    with (
        opened(write(path, compound(rows, [["i", "int32"]]))) as file,
        pytest.raises(MalformedFileError, match="path /c"),
    ):
        values(file, "/c")


def test_texts_for_numbers_are_numbers_in_attributes(path: Path) -> None:
    attributes = {"a": "NaN", "b": ["Infinity", 1.5, "-Infinity"], "c": "nan", "d": ["x", "y"], "e": [], "f": [1, 2]}
    with opened(write(path, numbers("x", NUMBERS, **attributes))) as file:
        found = file.index("/").arrays["/x"].attributes
        assert repr(found["a"]) == "nan"
        np.testing.assert_array_equal(found["b"], [np.inf, 1.5, -np.inf])
        assert (found["c"], found["d"], found["e"]) == ("nan", ("x", "y"), ())
        np.testing.assert_array_equal(found["f"], [1, 2])


def test_the_ids_of_root_are_those_of_the_file(path: Path) -> None:
    with opened(write(path, {})) as file:
        assert dict(file.index("/").groups["/"].attributes) == {"object_id": FILE_ID}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "elsewhere.h5", "w") as file:
        file.create_dataset("g/x", data=np.arange(60).reshape(20, 3), chunks=(4, 3), compression="gzip")
    return tmp_path / "elsewhere.h5"


def external(
    url: str, name: str = "g/x", shape: tuple[int, ...] = (20, 3), kind: str = "hdf5_dataset"
) -> dict[str, Any]:
    link = {"link_type": kind, "url": url, "name": name}
    return {"x/.zarray": array(shape, "<i8", (4, 3)), "x/.zattrs": {"_EXTERNAL_ARRAY_LINK": link, "unit": "V"}}


def test_an_array_may_have_its_values_in_an_hdf5_file(path: Path, elsewhere: Path) -> None:
    with opened(write(path, {**external(elsewhere.name), **numbers("y", NUMBERS)})) as file:
        index = file.index("/")
        entry = index.arrays["/x"]
        assert dict(entry.attributes) == {"unit": "V"}
        with h5py.File(elsewhere) as theirs:
            spans = np.array([[3, 6], [17, 20]])
            both = file.read_many([(entry, spans, ((1, 3),)), (index.arrays["/y"], None)])
            np.testing.assert_array_equal(both[0], theirs["g/x"][[3, 4, 5, 17, 18, 19], 1:3])
            np.testing.assert_array_equal(both[1], NUMBERS)


@pytest.mark.parametrize(
    "wrong", [{"name": "g/y"}, {"shape": (21, 3)}, {"name": "g"}, {"kind": "zarr"}, {"name": "../g/x"}]
)
def test_values_elsewhere_that_do_not_fit_are_errors(path: Path, elsewhere: Path, wrong: dict[str, Any]) -> None:
    with (
        opened(write(path, external(elsewhere.name, **wrong))) as file,
        pytest.raises(NWBDaskError, match=r"elsewhere|/x"),
    ):
        values(file, "/x")


def test_documents_may_lead_to_documents(tmp_path: Path, elsewhere: Path) -> None:
    write(tmp_path / "one.lindi.json", external(elsewhere.name))
    write_tar(tmp_path / "two.lindi.tar", external("./one.lindi.json", "x"), {})
    write(tmp_path / "three.lindi.json", external("two.lindi.tar", "x"))
    with opened(tmp_path / "three.lindi.json") as file, h5py.File(elsewhere) as theirs:
        np.testing.assert_array_equal(values(file, "/x"), theirs["g/x"][()])


def test_documents_that_lead_to_one_another_are_an_error(path: Path) -> None:
    with (
        opened(write(path, external(path.name, "x"))) as file,
        pytest.raises(MalformedFileError, match="lead to one another"),
    ):
        values(file, "/x")


def test_objects_in_the_tar_file_are_looked_at(tmp_path: Path) -> None:
    made = objects("r", [reference("/t", "table-id")] * 3)
    blob = made.pop("r/0").encode()
    made["r/0"] = ["./blobs/r", 0, len(blob)]
    with opened(write_tar(tmp_path / "a.lindi.tar", {**TABLE, **made}, {"blobs/r": blob})) as file:
        assert values(file, "/r").tolist() == ["/t"] * 3


def test_metadata_may_be_text(path: Path) -> None:
    refs = {**TABLE, "t/.zattrs": json.dumps({"object_id": "table-id"}), **objects("r", [reference("/t", "table-id")])}
    with opened(write(path, refs)) as file:
        assert values(file, "/r").tolist() == ["/t"]
