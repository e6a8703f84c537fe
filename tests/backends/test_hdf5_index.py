"""The index of a file says what h5py says, and one broken object harms no other."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from nwb_dask.backends import File, open_file
from nwb_dask.errors import MalformedFileError, PathNotFoundError, UnsupportedLayoutError
from nwb_dask.index import Link, Reference
from tests.backends.oracle import assert_attributes, every_dataset
from tests.backends.stores import open_local
from tests.backends.zoo import write_zoo


@contextmanager
def written(path: Path, write: Callable[[h5py.File], object], **options: str | int | bool) -> Iterator[File]:
    with h5py.File(path, "w", **options) as file:
        write(file)
    with open_local(path) as store, open_file(store) as ours:
        yield ours


def write_table(file: h5py.File) -> None:
    table = file.create_group("units")
    table.attrs["colnames"] = ["spikes", "good"]
    table["spikes"] = np.arange(10.0)
    table["good"] = [True, False]
    table["other"] = [1, 2]
    table["spikes_index"] = [4, 10]
    table["spikes_index"].attrs["target"] = table["spikes"].ref
    table["spikes_index_index"] = [1, 2]
    table["spikes_index_index"].attrs["target"] = table["spikes_index"].ref
    table["decoy_index"] = [1, 2]
    table["decoy_index"].attrs["target"] = table["other"].ref
    table.create_group("inside")["x"] = 1


def test_a_group_is_described_with_its_datasets_and_direct_groups(tmp_path: Path) -> None:
    with written(tmp_path / "f.h5", write_table) as file:
        index = file.index("/units")
        assert set(index.groups) == {"/units", "/units/inside"}
        assert index.groups["/units"].attributes == {"colnames": ("spikes", "good")}
        assert index.groups["/units/inside"].members == ("x",)
        assert set(index.arrays) == {
            f"/units/{n}" for n in ("spikes", "good", "other", "spikes_index", "spikes_index_index", "decoy_index")
        }
        assert index.arrays["/units/spikes_index"].attributes == {"target": Reference("/units/spikes")}
        assert index.arrays["/units/good"].element.kind == "bool"


def test_names_describe_those_members_and_what_points_to_them(tmp_path: Path) -> None:
    with written(tmp_path / "f.h5", write_table) as file:
        index = file.index("/units", names={"spikes", "absent"})
        assert set(index.arrays) == {"/units/spikes", "/units/spikes_index", "/units/spikes_index_index"}
        assert set(index.groups) == {"/units", "/units/inside"}
        assert len(index.groups["/units"].members) == 7
        assert set(file.index("/units", names=["good"]).arrays) == {"/units/good"}
        assert set(file.index("/units", names=[]).arrays) == set()


def test_a_pointer_is_known_by_its_reference_and_not_by_its_name(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        file["a"], file["b"], file["a_index"], file["where"] = [1], [2], [1], [1]
        file["a_index"].attrs["target"] = file["b"].ref
        file["where"].attrs["target"] = file["a"].ref

    with written(tmp_path / "f.h5", write) as file:
        assert set(file.index("/", names={"a"}).arrays) == {"/a", "/where"}
        assert set(file.index("/", names={"b"}).arrays) == {"/b", "/a_index"}


def test_pointers_in_a_circle_end(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        file["a"], file["b"] = [1], [2]
        file["a"].attrs["target"] = file["b"].ref
        file["b"].attrs["target"] = file["a"].ref

    with written(tmp_path / "f.h5", write) as file:
        assert set(file.index("/", names={"a"}).arrays) == {"/a", "/b"}


def test_only_the_attributes_that_are_asked_for_are_read(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        file["a"] = 1
        file["a"].attrs.update({"unit": "s", "description": "long"})

    with written(tmp_path / "f.h5", write) as file:
        file_attributes = frozenset({"unit", "rate"})
        index = file.index("/", attributes=file_attributes, array_attributes=file_attributes)
        assert index.arrays["/a"].attributes == {"unit": "s"}


def test_a_dataset_is_described_alone(tmp_path: Path) -> None:
    with written(tmp_path / "f.h5", write_table) as file:
        index = file.index("/units/spikes_index/")
        assert (set(index.groups), set(index.arrays)) == (set(), {"/units/spikes_index"})


def test_the_whole_tree_is_that_of_h5py(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    write_zoo(path)
    with h5py.File(path) as theirs, open_local(path) as store, open_file(store) as ours:
        index = ours.index("/", recursive=True)
        for dataset in every_dataset(theirs):
            entry = index.arrays[dataset.name]
            assert (entry.shape, entry.chunks) == (dataset.shape, dataset.chunks)
            exact = dataset.id.get_storage_size()
            # Of chunks, what they take if all were written, and without compression.
            assert entry.stored_bytes == exact or (entry.chunks and (entry.filters or entry.stored_bytes > exact))
        assert set(index.groups) == {"/", *(f"/{name}" for name in theirs)}


def test_an_absent_path_names_its_neighbours(tmp_path: Path) -> None:
    with written(tmp_path / "f.h5", write_table) as file:
        for path, near in (("/unit", "/units"), ("/units/spike", "/units/spikes")):
            with pytest.raises(PathNotFoundError, match=f"nothing is at {path}; did you mean .*{near}") as caught:
                file.index(path)
            assert caught.value.path == path
            assert str(tmp_path) in str(caught.value)
        for path in ("/units/spikes/deeper", "/nowhere/at/all", "/../units"):
            with pytest.raises(PathNotFoundError, match="nothing is at"):
                file.index(path)


def test_members_behind_soft_links_stand_under_the_path_of_the_link(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        write_table(file)
        group = file.create_group("view")
        group["spikes"] = h5py.SoftLink("/units/spikes")
        group["index"] = h5py.SoftLink("../view/./../units/spikes_index")
        group["relative"] = h5py.SoftLink("own")
        group["own"] = 3
        group["gone"] = h5py.SoftLink("/nowhere")
        file["alias"] = h5py.SoftLink("/units")
        file["circle"] = h5py.SoftLink("/circle")

    with written(tmp_path / "f.h5", write) as file:
        index = file.index("/view")
        assert set(index.arrays) == {"/view/spikes", "/view/relative", "/view/own"}
        assert set(index.problems) == {"/view/gone", "/view/index"}
        assert index.groups["/view"].links["relative"] == Link("own")
        assert file.index("/view/spikes").arrays["/view/spikes"].shape == (10,)
        assert file.read(index.arrays["/view/spikes"]).tolist() == list(range(10))
        # Through a link to the table, a pointer and its target stay together.
        alias = file.index("/alias", names=["spikes"])
        assert set(alias.arrays) == {"/alias/spikes", "/alias/spikes_index", "/alias/spikes_index_index"}
        assert alias.arrays["/alias/spikes_index"].attributes["target"] == Reference("/alias/spikes")
        with pytest.raises(MalformedFileError, match="circles"):
            file.index("/circle")


def test_pointers_to_targets_behind_soft_links_are_found(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        file.create_group("store")["values"] = np.arange(4)
        table = file.create_group("table")
        table["values"] = h5py.SoftLink("/store/values")
        table["where"] = [2, 4]
        table["where"].attrs["target"] = file["/store/values"].ref

    with written(tmp_path / "f.h5", write) as file:
        index = file.index("/table", names={"values"})
        assert index.arrays["/table/where"].attributes["target"] == Reference("/table/values")


def test_links_into_other_files_are_not_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = 1

    def write(file: h5py.File) -> None:
        file["out"] = h5py.ExternalLink("other.h5", "/x")
        file["detour"] = h5py.SoftLink("/out")
        file["here"] = 1

    with written(tmp_path / "f.h5", write) as file:
        for recursive in (False, True):
            index = file.index("/", recursive=recursive)
            assert set(index.arrays) == {"/here"}
            assert index.groups["/"].links["out"] == Link("/x", "other.h5")
            assert set(index.problems) == {"/detour"}
        for path in ("/out", "/detour", "/out/deeper"):
            with pytest.raises(UnsupportedLayoutError, match="link into another file"):
                file.index(path)


def test_hard_links_in_circles_end_and_groups_are_described_once(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        a = file.create_group("a")
        a["up"] = file["/"]
        a["self"] = a
        a["x"] = 1
        b = file.create_group("b")
        b["again"] = a
        b["y"] = a["x"]

    with written(tmp_path / "f.h5", write) as file:
        index = file.index("/", recursive=True)
        assert set(index.groups) == {"/", "/a", "/b"}
        assert set(index.arrays) == {"/a/x", "/b/y"}


def test_soft_links_to_groups_are_not_descended(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        write_table(file)
        file["alias"] = h5py.SoftLink("/units")
        file["column"] = h5py.SoftLink("/units/good")

    with written(tmp_path / "f.h5", write) as file:
        index = file.index("/", recursive=True)
        assert "/alias" not in index.groups
        assert index.groups["/"].links["alias"] == Link("/units")
        assert index.arrays["/column"].element.kind == "bool"


def test_deep_trees_do_not_exhaust_the_stack(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        group = file
        for _ in range(1500):
            group = group.create_group("d")

    with written(tmp_path / "f.h5", write, libver="latest") as file:
        assert len(file.index("/", recursive=True).groups) == 1501


def test_members_stand_as_the_file_iterates_them(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        for name in ("z", "a", "m"):
            file[name] = 1

    with written(tmp_path / "f.h5", write) as file:
        assert file.index("/").groups["/"].members == ("a", "m", "z")
    with written(tmp_path / "g.h5", write, track_order=True) as file:
        assert file.index("/").groups["/"].members == ("z", "a", "m")


def write_attributes(file: h5py.File) -> None:
    attrs = file.attrs
    file["x"] = 1
    attrs["text"] = "Größe"
    attrs["ascii"] = np.bytes_("abc")
    attrs["words"] = ["a", "ü", ""]
    attrs["fixed"] = np.array([b"a", b"bc"])
    attrs["none"] = h5py.Empty("f4")
    attrs["no_words"] = np.array([], dtype=h5py.string_dtype())
    attrs["int"], attrs["float"], attrs["flag"], attrs["complex"] = 3, 2.5, np.True_, 1 + 2j
    attrs["big_endian"] = np.arange(6, dtype=">i2").reshape(2, 3)
    attrs["flags"] = np.array([True, False])
    attrs["half"] = np.float16(0.5)
    attrs.create("colour", 7, dtype=h5py.enum_dtype({"red": 7}))
    attrs["reference"] = file["x"].ref
    attrs.create("references", [file["x"].ref, file.ref], dtype=h5py.ref_dtype)
    if file.libver[0] != "earliest":
        attrs["large"] = np.zeros(9000)  # does not fit into the header of an object


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_attributes_have_the_values_of_h5py(tmp_path: Path, libver: str) -> None:
    with written(tmp_path / "f.h5", write_attributes, libver=libver) as file, h5py.File(tmp_path / "f.h5") as theirs:
        index = file.index("/")
        assert index.problems == {}
        assert_attributes(index.groups["/"].attributes, theirs, theirs)
        assert index.groups["/"].attributes["references"] == (Reference("/x"), Reference("/"))
        assert index.groups["/"].attributes["words"] == ("a", "ü", "")


def test_an_attribute_that_cannot_be_read_is_left_out_and_is_a_problem(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        file["x"] = 1
        file["x"].attrs["unit"] = "s"
        file["x"].attrs["latin"] = np.bytes_(b"Gr\xf6\xdfe")
        file["x"].attrs["pair"] = np.zeros(1, [("a", "i4")])
        file["x"].attrs.create("gone", h5py.Reference(), dtype=h5py.ref_dtype)

    with written(tmp_path / "f.h5", write) as file:
        index = file.index("/")
        assert index.arrays["/x"].attributes == {"unit": "s", "gone": Reference(None)}
        assert set(index.problems) == {"/x@latin", "/x@pair"}


def test_named_types_are_problems_and_datasets_of_such_a_type_are_read(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        file["type"] = np.dtype("<i4")
        file.create_dataset("x", data=np.arange(3, dtype="<i4"), dtype=file["type"])

    with written(tmp_path / "f.h5", write) as file:
        index = file.index("/", recursive=True)
        assert index.problems == {"/type": "it is a named datatype, which holds no data"}
        assert file.read(index.arrays["/x"]).tolist() == [0, 1, 2]
        with pytest.raises(UnsupportedLayoutError, match="named datatype"):
            file.index("/type")


def test_one_broken_object_harms_no_other(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        for name in ("a", "b", "c"):
            file[name] = np.arange(4)
        address = h5py.h5o.get_info(file["b"].id).addr
    body = bytearray(path.read_bytes())
    body[address : address + 16] = b"\xff" * 16
    path.write_bytes(body)
    with open_local(path) as store, open_file(store) as ours:
        for recursive in (False, True):
            index = ours.index("/", recursive=recursive)
            assert set(index.arrays) == {"/a", "/c"}
            assert set(index.problems) == {"/b"}
        assert ours.index("/", names={"a"}).problems == {}
        with pytest.raises(MalformedFileError, match="damaged") as caught:
            ours.index("/b")
        assert caught.value.path == "/b"


def test_an_index_pickles(tmp_path: Path) -> None:
    with written(tmp_path / "f.h5", write_table) as file:
        index = file.index("/", recursive=True)
    assert pickle.loads(pickle.dumps(index)) == index


def test_text_that_is_not_utf8_in_names_does_not_stop_the_index(tmp_path: Path) -> None:
    with written(tmp_path / "f.h5", lambda file: file.create_dataset(b"\xff\xfe", data=5)) as file:
        (path,) = (index := file.index("/")).arrays
        assert file.read(index.arrays[path]) == 5
