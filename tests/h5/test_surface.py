"""What tools for h5py look at or try beside values: the facade and a streamed file answer as h5py does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import nwb_dask
from nwb_dask.testing import RangeServer
from tests.h5.facade import open_facade


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("surface") / "surface.h5"
    with h5py.File(found, "w") as file:
        file["group/x"] = np.arange(5)
        file["group/x"].attrs["a"] = 1
        file["soft"] = h5py.SoftLink("/group")
        chunked = file.create_dataset("chunked", (10, 10), "f8", chunks=(3, 4), maxshape=(None, 10), compression="gzip")
        chunked[:, :8] = 1
        file["text"] = ["a", "b"]
        file.create_dataset("unwritten", (10,), "f8", chunks=(5,))
    return found


@pytest.fixture(scope="module", params=["facade", "streamed"])
def files(written: Path, request: pytest.FixtureRequest) -> Iterator[tuple[h5py.File, h5py.File]]:
    with RangeServer(written.parent) as server, h5py.File(written) as expected:
        opened = open_facade(written) if request.param == "facade" else nwb_dask.open_h5(server.url(written.name))
        with opened as found:
            yield expected, found


WRITES: dict[str, Callable[[h5py.File], object]] = {
    "create a group": lambda file: file.create_group("new"),
    "create one that is there": lambda file: file.create_group("group"),
    "create a dataset": lambda file: file.create_dataset("new", data=[1]),
    "create one alike": lambda file: file.create_dataset_like("new", file["chunked"]),
    "require a group": lambda file: file.require_group("new"),
    "require a group where a dataset is": lambda file: file.require_group("chunked"),
    "require a dataset": lambda file: file.require_dataset("new", (1,), "f8"),
    "require another shape": lambda file: file.require_dataset("chunked", (11, 10), "f8"),
    "require another type": lambda file: file.require_dataset("chunked", (10, 10), "c16"),
    "require a dataset where a group is": lambda file: file.require_dataset("group", (1,), "f8"),
    "set": lambda file: file.__setitem__("new", [1]),
    "link": lambda file: file.__setitem__("new", h5py.SoftLink("/group")),
    "link hard": lambda file: file.__setitem__("new", file["group"]),
    "delete": lambda file: file.__delitem__("group"),
    "delete what is not there": lambda file: file.__delitem__("absent"),
    "pop": lambda file: file.pop("group"),
    "move": lambda file: file.move("group", "new"),
    "update": lambda file: file.update({"new": 1}),
    "write rows": lambda file: file["chunked"].__setitem__(0, 1),
    "write from an array": lambda file: file["group/x"].write_direct(np.arange(5)),
    "resize": lambda file: file["chunked"].resize((12, 10)),
    "resize what is not chunked": lambda file: file["group/x"].resize((12,)),
    "make a scale": lambda file: file["chunked"].make_scale("new"),
    "set an attribute": lambda file: file.attrs.__setitem__("new", 1),
    "create an attribute": lambda file: file.attrs.create("new", 1),
    "modify an attribute": lambda file: file["group/x"].attrs.modify("a", 2),
    "delete an attribute": lambda file: file["group/x"].attrs.__delitem__("a"),
    "let others write": lambda file: setattr(file, "swmr_mode", True),
}


@pytest.mark.parametrize("what", WRITES)
def test_writing_is_refused_with_the_error_that_h5py_raises(what: str, files: tuple[h5py.File, h5py.File]) -> None:
    expected, found = files
    with pytest.raises(Exception) as refused:  # noqa: PT011  # whichever it is
        WRITES[what](expected)
    with pytest.raises(refused.type) as error:
        WRITES[what](found)
    assert error.type is refused.type


def test_a_copy_is_refused_as_by_h5py(written: Path) -> None:
    with open_facade(written) as file, pytest.raises(RuntimeError, match="read and write instead"):
        file.copy("group", "new")


def test_a_streamed_file_copies_into_another_and_gives_up_its_store_after_a_copy_into_itself(
    written: Path, tmp_path: Path
) -> None:
    with RangeServer(written.parent) as server, h5py.File(tmp_path / "copy.h5", "w") as other:
        file = nwb_dask.open_h5(server.url(written.name))
        file.copy("group", other)
        assert other["group/x"][:].tolist() == [0, 1, 2, 3, 4]
        with pytest.raises(RuntimeError):
            file.copy("group", "new")
        # libhdf5 has begun to write, and says so again; h5py's own file does the same.
        with pytest.raises((RuntimeError, NotImplementedError)):
            file.close()
        file.close()
        assert not file


ANSWERS: dict[str, Callable[[h5py.File], Any]] = {
    "the file": repr,
    "a group": lambda file: repr(file["group"]),
    "a group behind a link": lambda file: repr(file["soft"]),
    "a dataset": lambda file: repr(file["chunked"]),
    "text": lambda file: repr(file["text"]),
    "names": lambda file: repr(file.keys()),
    "a required group": lambda file: repr(file.require_group("group")),
    "a required dataset": lambda file: repr(file.require_dataset("chunked", (10, 10), "f8")),
    "the number of chunks": lambda file: file["chunked"].id.get_num_chunks(),
    "chunks": lambda file: [tuple(file["chunked"].id.get_chunk_info(at)) for at in range(8)],
    "a chunk by its place": lambda file: tuple(file["chunked"].id.get_chunk_info_by_coord((4, 5))),
    # libhdf5 sets neither the offset nor the mask then.
    "a chunk that is not there": lambda file: tuple(file["chunked"].id.get_chunk_info_by_coord((0, 8)))[2:],
    "no chunks": lambda file: file["unwritten"].id.get_num_chunks(),
    "where values begin": lambda file: file["group/x"].id.get_offset(),
    "where no values begin": lambda file: file["chunked"].id.get_offset(),
    "boxes of chunks": lambda file: list(file["chunked"].iter_chunks()),
    "the type of an attribute": lambda file: file["group/x"].attrs.get_id("a").dtype,
    "as an array": lambda file: np.asarray(file["group/x"]).tolist(),
    "as an array of another type": lambda file: np.asarray(file["group/x"], dtype="f4").dtype,
}


@pytest.mark.parametrize("what", ANSWERS)
def test_what_is_asked_of_an_object_is_answered_as_by_h5py(what: str, files: tuple[h5py.File, h5py.File]) -> None:
    expected, found = files
    assert ANSWERS[what](found) == ANSWERS[what](expected)


REFUSED: dict[str, Callable[[h5py.File], Any]] = {
    "a chunk past the last": lambda file: file["chunked"].id.get_chunk_info(99),
    "a chunk of no array of chunks": lambda file: file["group/x"].id.get_chunk_info(0),
    "the number of no chunks": lambda file: file["group/x"].id.get_num_chunks(),
    "no copy": lambda file: np.array(file["group/x"], copy=False),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_an_object_does_not_have_is_refused_as_by_h5py(what: str, files: tuple[h5py.File, h5py.File]) -> None:
    expected, found = files
    with pytest.raises((ValueError, RuntimeError)) as refused:
        REFUSED[what](expected)
    with pytest.raises(refused.type):
        REFUSED[what](found)
