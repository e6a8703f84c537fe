"""Data outside of an HDF5 file, in folders that are allowed: what h5py reads, we read."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

import nwb_dask
from nwb_dask.backends import File, open_file
from nwb_dask.errors import MalformedFileError, PathNotFoundError, SourceChangedError, UnsupportedLayoutError
from nwb_dask.index import Identity, Reference, Url
from nwb_dask.storage import make_access, open_store

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "real"


@contextmanager
def opened(path: Path, allowed: Path | None = None, expected: Identity | None = None) -> Iterator[File]:
    """Give the open file, with one folder that it may reach into."""
    access = make_access({} if allowed is None else {"allow_external": [str(allowed)]})
    with open_store(Url(str(path)), access, expected) as store, open_file(store) as file:
        yield file


def read_all(file: File, path: str) -> np.ndarray:
    return file.read(file.index(path).arrays[path])


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """Return a file with links into another in the same folder, groups and datasets, through soft ones too."""
    with h5py.File(tmp_path / "other.h5", "w") as other:
        table = other.create_group("general/electrodes")
        table["x"] = np.arange(5.0)
        units = other.create_group("units")
        units["times"] = np.arange(6) * 0.5
        units["times_index"] = np.array([2, 6])
        units["times_index"].attrs["target"] = units["times"].ref
        units["where"] = np.array([1, 3])
        units["where"].attrs["table"] = table.ref
        units.create_dataset("refs", data=[table.ref, units.ref], dtype=h5py.ref_dtype)
        units["soft"] = h5py.SoftLink("/general/electrodes")
        units["near"] = h5py.SoftLink("times")
    with h5py.File(tmp_path / "main.h5", "w") as file:
        file["own"] = np.arange(3)
        file["linked"] = h5py.ExternalLink("other.h5", "/units")
        file["x"] = h5py.ExternalLink("other.h5", "/general/electrodes/x")
        file["soft"] = h5py.SoftLink("/linked/times")
        file["absent"] = h5py.ExternalLink("nowhere.h5", "/units")
        file["nothing"] = h5py.ExternalLink("other.h5", "/not there")
    return tmp_path / "main.h5"


def test_objects_behind_external_links_are_what_h5py_reads(linked: Path) -> None:
    with h5py.File(linked) as theirs, opened(linked, linked.parent) as ours:
        index = ours.index("/", recursive=True)
        assert set(index.groups) == {"/", "/linked"}
        names = ("/own", "/x", "/linked/times", "/linked/times_index", "/linked/where", "/linked/near", "/soft")
        for name in names:
            np.testing.assert_array_equal(ours.read(index.arrays[name]), theirs[name][()])
            np.testing.assert_array_equal(read_all(ours, name), theirs[name][()])
        assert index.groups["/linked"].members == tuple(sorted(theirs["linked"]))
        np.testing.assert_array_equal(
            ours.read(index.arrays["/linked/times"], np.array([[1, 3], [5, 6]])), theirs["/linked/times"][[1, 2, 5]]
        )


def test_a_link_that_cannot_be_followed_is_a_problem_of_its_own(linked: Path) -> None:
    with opened(linked, linked.parent) as file:
        problems = file.index("/").problems
        assert "nowhere.h5" in problems["/absent"]
        assert "nothing is at" in problems["/nothing"]
        with pytest.raises(PathNotFoundError):
            file.index("/nothing")
        with pytest.raises(PathNotFoundError, match="nothing is at"):
            file.index("/linked/tims")


def test_members_that_are_not_asked_for_are_left_out(linked: Path) -> None:
    with opened(linked, linked.parent) as file:
        index = file.index("/", names=["x"])
        assert set(index.arrays) == {"/x"}
        assert {"/linked"} <= set(index.groups)
        assert set(file.index("/linked", names=["times"]).arrays) == {"/linked/times", "/linked/times_index"}


def test_references_are_paths_that_lead_to_their_own_file(linked: Path) -> None:
    with opened(linked, linked.parent) as file:
        arrays = file.index("/linked").arrays
        assert arrays["/linked/times_index"].attributes["target"] == Reference("/linked/times")
        table = arrays["/linked/where"].attributes["table"]
        assert isinstance(table, Reference)
        assert table.path is not None
        np.testing.assert_array_equal(read_all(file, f"{table.path}/x"), np.arange(5.0))
        assert file.read(arrays["/linked/refs"]).tolist() == ["/linked/<root>/general/electrodes", "/linked"]
        np.testing.assert_array_equal(read_all(file, "/linked/<root>/general/electrodes/x"), np.arange(5.0))
        assert file.index("/linked").groups["/linked"].links["soft"].target == "/linked/<root>/general/electrodes"


def test_chains_of_links_are_followed_and_circles_are_not(tmp_path: Path) -> None:
    for i in range(60):
        with h5py.File(tmp_path / f"{i}.h5", "w") as file:
            file["x"] = np.array([i])
            file["next"] = h5py.ExternalLink(f"{i + 1}.h5", "/next" if i < 59 else "/x")
    with h5py.File(tmp_path / "30.h5", "r+") as file:
        del file["next"]
        file["next"] = np.array([-30])
    with h5py.File(tmp_path / "a.h5", "w") as one, h5py.File(tmp_path / "b.h5", "w") as two:
        one["b"], two["a"] = h5py.ExternalLink("b.h5", "/"), h5py.ExternalLink("a.h5", "/")
        one["round"], two["round"] = h5py.ExternalLink("b.h5", "/round"), h5py.ExternalLink("a.h5", "/round")
        one["x"], two["y"] = 1, 2
    with opened(tmp_path / "0.h5", tmp_path) as file:
        assert read_all(file, "/next").tolist() == [-30]
    with h5py.File(tmp_path / "30.h5", "r+") as file:
        del file["next"]
        file["next"] = h5py.ExternalLink("31.h5", "/next")
    with (
        opened(tmp_path / "0.h5", tmp_path) as file,
        pytest.raises(MalformedFileError, match="circles or are too many"),
    ):
        file.index("/next")
    with opened(tmp_path / "a.h5", tmp_path) as file:
        with pytest.raises(MalformedFileError, match="circles"):
            file.index("/round")
        index = file.index("/", recursive=True)
        assert {"/x", "/b/y"} <= set(index.arrays)
        assert len(index.arrays) < 10
        assert any("circles" in reason for reason in index.problems.values())


@pytest.mark.parametrize("size", [h5py.h5f.UNLIMITED, 48])
def test_raw_files_are_read_as_h5py_reads_them(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values = np.arange(4 * 5, dtype=">i4").reshape(4, 5)
    with h5py.File("main.h5", "w") as file:
        files = [("one.raw", 8, 24), ("two.raw", 0, 8), ("one.raw", 40, size)]
        made = file.create_dataset("x", (4, 5), ">i4", external=files)
        made[...] = values
        file.create_dataset("one", (), "<f8", external=[("one.raw", 200, 8)])[()] = 2.5
        file.create_dataset("text", (3,), "S4", external=[("text.raw", 0, 12)])[:] = [b"ab", b"", b"cdef"]
    with h5py.File("main.h5") as theirs, opened(tmp_path / "main.h5", tmp_path) as ours:
        index = ours.index("/")
        assert not index.problems
        for name in ("x", "one", "text"):
            np.testing.assert_array_equal(ours.read(index.arrays[f"/{name}"]), theirs[name][()])
        rows = ours.read(index.arrays["/x"], np.array([[0, 1], [2, 4]]), ((1, 3),))
        np.testing.assert_array_equal(rows, theirs["x"][[0, 2, 3], 1:3])


def test_a_raw_file_that_is_too_short_or_absent_is_an_error(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    with h5py.File(tmp_path / "main.h5", "w") as file:
        file.create_dataset("x", (100,), "<i4", external=[("raw", 0, 400)])
    with opened(tmp_path / "main.h5", tmp_path) as file:
        assert "raw" in file.index("/").problems["/x"]
    raw.write_bytes(bytes(100))
    with opened(tmp_path / "main.h5", tmp_path) as file:
        entry = file.index("/").arrays["/x"]
        assert file.read(entry, np.array([[0, 25]])).tolist() == [0] * 25
        with pytest.raises(MalformedFileError, match=r"truncated: its data reach to byte 400 of .*raw, which has 100"):
            file.read(entry)


def write_virtual(folder: Path) -> Path:
    """Write virtual datasets of all kinds of boxes, over sources in the same and in other files."""
    for i in range(3):
        with h5py.File(folder / f"source {i}%.h5", "w") as file:
            file.create_dataset("x", data=(100 * i + np.arange(40)).reshape(8, 5), chunks=(3, 2), compression="gzip")
            file.create_dataset("line", data=np.arange(12, dtype="<i2") + 1000 * i)
    with h5py.File(folder / "main.h5", "w") as file:
        rows = h5py.VirtualLayout((30, 5), "<i8")
        steps = h5py.VirtualLayout((12, 9), "<i8")
        folded = h5py.VirtualLayout((3, 4), "<i2")
        stack = h5py.VirtualLayout((3, 12), "<i4")
        for i in range(3):
            source = h5py.VirtualSource(f"source {i}%%.h5", "x", (8, 5))
            rows[9 * i : 9 * i + 8] = source
            steps[i::4, 1:6] = source[2 * i : 2 * i + 3]
            stack[i] = h5py.VirtualSource(f"source {i}%%.h5", "line", (12,))
        folded[...] = h5py.VirtualSource("source 1%%.h5", "line", (12,))
        file["here"] = np.arange(6.0)
        same = h5py.VirtualLayout((4,), "<f8")
        same[1:] = h5py.VirtualSource(".", "here", (6,))[::2]
        nested = h5py.VirtualLayout((10, 5), "<i8")
        nested[...] = h5py.VirtualSource(".", "rows", (30, 5))[5:25:2]
        for name, layout in {"rows": rows, "steps": steps, "folded": folded, "stack": stack, "nested": nested}.items():
            file.create_virtual_dataset(name, layout, fillvalue=-7)
        file.create_virtual_dataset("same", same, fillvalue=np.nan)
        file.create_virtual_dataset("empty", h5py.VirtualLayout((3,), "<f4"), fillvalue=2)
    return folder / "main.h5"


def test_virtual_datasets_are_what_h5py_reads(tmp_path: Path) -> None:
    path = write_virtual(tmp_path)
    random = np.random.default_rng(0)
    with h5py.File(path) as theirs, opened(path, tmp_path) as ours:
        index = ours.index("/")
        assert not index.problems
        for name in ("rows", "steps", "folded", "stack", "nested", "same", "empty"):
            entry, expected = index.arrays[f"/{name}"], theirs[name][()]
            np.testing.assert_array_equal(ours.read(entry), expected, err_msg=name)
            for _ in range(8):
                cuts = np.sort(random.choice(len(expected) + 1, 2 * min(2, len(expected) // 2), replace=False))
                spans = cuts.reshape(-1, 2)
                box = tuple(
                    (low := int(random.integers(n)), int(random.integers(low + 1, n + 1))) for n in expected.shape[1:]
                )
                part = np.concatenate([expected[start:stop] for start, stop in spans])
                part = part[:, *(slice(*one) for one in box)]
                np.testing.assert_array_equal(ours.read(entry, spans, box or None), part, err_msg=name)


def test_a_virtual_dataset_of_the_same_file_needs_no_permission(tmp_path: Path) -> None:
    path = write_virtual(tmp_path)
    with opened(path) as file:
        index = file.index("/")
        assert set(index.problems) == {"/rows", "/steps", "/folded", "/stack"}
        assert "allow_external=[" in index.problems["/rows"]
        np.testing.assert_array_equal(file.read(index.arrays["/same"]), [np.nan, 0, 2, 4])
        # One level down it leads out.
        with pytest.raises(UnsupportedLayoutError, match=r"/rows has its data in other files \('source 0%.h5'\)"):
            file.read(index.arrays["/nested"])


def test_a_source_that_is_not_there_is_an_error_and_not_the_fill_value(tmp_path: Path) -> None:
    path = write_virtual(tmp_path)
    (tmp_path / "source 2%.h5").unlink()
    with opened(path, tmp_path) as file:
        index = file.index("/")
        assert "source 2%.h5" in index.problems["/rows"]
        with pytest.raises(OSError, match=r"source 2%\.h5"):
            file.read(index.arrays["/rows"])


def test_a_target_that_changed_since_the_plan_is_noticed(linked: Path) -> None:
    with opened(linked, linked.parent) as file:
        entry = file.index("/").arrays["/x"]
        planned = file.source.identity
    with opened(linked, linked.parent, pickle.loads(pickle.dumps(planned))) as file:  # our own
        np.testing.assert_array_equal(file.read(entry), np.arange(5.0))
    other = linked.with_name("other.h5")
    other.write_bytes(other.read_bytes())
    os.utime(other, ns=(1, 1))
    with (
        opened(linked, linked.parent, planned) as file,
        pytest.raises(SourceChangedError, match=r"other\.h5 is not the file"),
    ):
        file.read(entry)


def test_a_target_that_is_replaced_between_two_reads_is_noticed(linked: Path) -> None:
    other = linked.with_name("other.h5")
    with opened(linked, linked.parent) as file:
        entry = file.index("/").arrays["/x"]
        file.read(entry)
        copy = other.with_name("copy.h5")
        copy.write_bytes(other.read_bytes())
        copy.replace(other)
        with pytest.raises(SourceChangedError, match=r"other\.h5"):
            file.read(entry)


def test_the_real_file_with_an_external_link_is_read_where_its_folder_is_allowed() -> None:
    folder = REAL / "NeurodataWithoutBorders__matnwb"
    path = folder / "link_test.nwb"
    if not path.exists():
        pytest.skip("no real files")
    with h5py.File(path) as theirs, opened(path, folder) as ours:
        subject = theirs["/general/subject"]
        index = ours.index("/general/subject")
        assert set(index.arrays) == {f"/general/subject/{name}" for name in subject} != set()
        for name, dataset in subject.items():
            assert ours.read(index.arrays[f"/general/subject/{name}"]).tolist() == dataset[()]
    allowed = {"allow_external": [folder]}
    with pytest.warns(UserWarning, match="no offset from UTC"):
        (row,) = nwb_dask.read_metadata(path, engine="arrow", storage_options=allowed).to_pylist()
    with h5py.File(path) as theirs:
        assert row["subject_sex"] == theirs["/general/subject/sex"][0].decode()
    with opened(path) as ours, pytest.raises(UnsupportedLayoutError, match="allow_external"):
        ours.index("/general/subject")
