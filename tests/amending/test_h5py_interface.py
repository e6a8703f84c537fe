"""What writers for h5py write into an amended file is what h5py would have written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import nwb_dask
from nwb_dask.amending import AmendedFile, amend
from nwb_dask.errors import FormatError, OutputError

ROWS = np.dtype([("start", "<i4"), ("count", "<i4"), ("series", h5py.ref_dtype)])


def groups(file: Any) -> None:
    made = file.create_group("a/b")
    made.attrs["text"] = "späť"
    made.attrs["number"] = 3
    made.attrs["real"] = 0.5
    made.attrs["numbers"] = np.array([1.5, np.nan])
    made.attrs["texts"] = np.array(["x", "yy"], dtype=h5py.string_dtype())
    made.attrs["gone"] = 1
    del made.attrs["gone"]
    file.require_group("a").require_group("b").attrs["again"] = True
    made.attrs["where"] = file["a"].ref


def numbers(file: Any) -> None:
    data = np.arange(60).reshape(10, 6)
    file.create_dataset("plain", data=data)
    file["by_name"] = data.astype("f4")
    file.create_dataset("zipped", data=data, chunks=(4, 3), compression="gzip", compression_opts=9, shuffle=True)
    grown = file.create_dataset("grown", shape=(2, 6), dtype="i8", maxshape=(None, 6), chunks=(3, 6))
    grown.resize((10, 6))
    grown[2:5] = data[2:5]
    grown[7, 1:4] = [1, 2, 3]
    grown[[0, 9]] = data[[0, 9]]
    grown[..., 0] = 5
    file.create_dataset("typed", shape=(3,), dtype="u1", data=[1, 2, 3])
    file.create_dataset("truth", data=np.array([True, False]))
    file.create_dataset("scalar", data=2.5)
    file.require_dataset("typed", shape=(3,), dtype="u1")


def texts(file: Any) -> None:
    file.create_dataset("one", data="text")
    file.create_dataset("many", data=["a", "", "späť"], dtype=h5py.string_dtype())
    late = file.create_dataset("late", shape=(3,), dtype=h5py.string_dtype())
    late[:] = ["a", "b", "c"]
    late[1] = "changed"


def references(file: Any) -> None:
    file.create_group("target")
    late = file.create_dataset("references", shape=(2,), dtype=h5py.ref_dtype)
    late[:] = [file["target"].ref, file.ref]
    rows = file.create_dataset("rows", shape=(2,), dtype=ROWS)
    rows[:] = [(1, 2, file["target"].ref), (3, 4, file.ref)]
    file["soft"] = h5py.SoftLink("/target")


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    path = tmp_path / "empty.h5"
    with h5py.File(path, "w") as file:
        file.attrs["object_id"] = "root"
        file["kept"] = np.arange(5)
    return path


def shown(file: Any) -> Iterator[tuple[str, object]]:
    """Yield what there is below a file, as values that can be compared."""

    def plain(value: Any) -> Any:
        if isinstance(value, h5py.Reference):
            return f"-> {file[value].name}"
        if isinstance(value, np.ndarray):
            return [plain(one) for one in value.tolist()] if value.dtype.hasobject else (value.shape, value.tolist())
        if isinstance(value, (tuple, list)):
            return [plain(one) for one in value]
        return value.decode() if isinstance(value, bytes) else value.item() if isinstance(value, np.generic) else value

    def look(name: str, one: Any) -> None:
        attributes = {key: plain(one.attrs[key]) for key in sorted(one.attrs)}
        if isinstance(one, h5py.Dataset):
            found.append((name, (one.shape, str(one.dtype), plain(one[()]), attributes)))
        else:
            found.append((name, attributes))

    found: list[tuple[str, object]] = []
    file.visititems(look)
    links = [(name, file.get(name, getlink=True)) for name in file]
    yield from sorted(found)
    yield from ((name, link.path) for name, link in links if isinstance(link, h5py.SoftLink))


@pytest.mark.parametrize("write", [groups, numbers, texts, references])
def test_what_is_written_is_read_as_from_h5py(empty: Path, tmp_path: Path, write: Callable[[Any], None]) -> None:
    expected_path, out = tmp_path / "expected.h5", tmp_path / "x.lindi.tar"
    expected_path.write_bytes(empty.read_bytes())
    with h5py.File(expected_path, "r+") as file:
        write(file)
        expected = repr(list(shown(file)))
    with amend(empty, out) as amended:
        write(amended)
        assert repr(list(shown(amended))) == expected
    with nwb_dask.open_h5(out) as file:
        assert repr(list(shown(file))) == expected


@pytest.fixture
def amended(empty: Path, tmp_path: Path) -> Iterator[AmendedFile]:
    with amend(empty, tmp_path / "x.lindi.tar") as file:
        yield file


def test_names_that_are_taken_raise_as_in_h5py(amended: AmendedFile) -> None:
    for create in (amended.create_group, lambda name: amended.create_dataset(name, data=[1])):
        with pytest.raises(ValueError, match="is there already"):
            create("kept")


def test_data_of_the_original_cannot_be_written_to(amended: AmendedFile) -> None:
    kept = amended["kept"]
    assert kept.maxshape == (5,)
    with pytest.raises(OutputError, match="never changes"):
        kept[0] = 7
    with pytest.raises(OutputError, match="never changes"):
        kept.resize((6,))
    assert list(kept[:]) == [0, 1, 2, 3, 4]


def test_data_of_the_original_can_be_replaced(amended: AmendedFile) -> None:
    del amended["kept"]
    assert "kept" not in amended
    amended["kept"] = [7]
    assert list(amended["kept"][:]) == [7]


@pytest.mark.parametrize(
    "arguments",
    [
        {"compression": "lzf"},
        {"compression": 32001},
        {"fletcher32": True},
        {"scaleoffset": 2},
        {"dtype": "c16"},
        {"dtype": h5py.vlen_dtype("i4")},
    ],
    ids=str,
)
def test_what_has_no_place_is_refused(amended: AmendedFile, arguments: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="/x"):
        amended.create_dataset("x", shape=(3,), **{"dtype": "f8", **arguments})
    assert "x" not in amended


def test_a_link_out_of_the_file_is_refused(amended: AmendedFile) -> None:
    with pytest.raises(FormatError, match="another file"):
        amended["x"] = h5py.ExternalLink("other.h5", "/a")


def test_a_closed_file_takes_nothing(empty: Path, tmp_path: Path) -> None:
    file = amend(empty, tmp_path / "x.lindi.tar")
    file.close()
    file.close()
    with pytest.raises(ValueError, match="is closed"):
        file.create_group("a")


def test_a_file_that_is_dropped_is_not_written_and_says_so(empty: Path, tmp_path: Path) -> None:
    file = amend(empty, tmp_path / "x.lindi.tar")
    file.create_group("a")
    with pytest.warns(ResourceWarning, match="was not closed"):
        del file
    assert [path.name for path in tmp_path.iterdir()] == ["empty.h5"]
