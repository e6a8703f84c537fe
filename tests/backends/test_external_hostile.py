"""Files that lead out of the folders that are allowed: nothing there is opened, by us or by libhdf5."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from nwb_dask.backends import File, open_file
from nwb_dask.backends.hdf5 import outside as outside_module
from nwb_dask.errors import (
    MalformedFileError,
    NWBDaskError,
    SourceAccessError,
    SourceUnavailableError,
    UnsupportedLayoutError,
)
from nwb_dask.index import ArrayEntry, ElementType, FilePath, Home, Url
from nwb_dask.storage import allowed as allowed_module
from nwb_dask.storage import make_access, open_allowed, open_store
from nwb_dask.testing import RangeServer
from tests.backends.opens import watched
from tests.backends.test_external import opened, read_all

TERABYTES = 8 << 40


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Return a folder that is allowed and one that is not, which has an HDF5 file and a raw file."""
    inside, outside = tmp_path / "inside", tmp_path / "inside-not"
    for folder in (inside, outside):
        folder.mkdir()
    with h5py.File(outside / "secret.h5", "w") as file:
        file["x"] = np.arange(4, dtype="<i4")
    (outside / "secret.raw").write_bytes(bytes(16))
    return inside, outside


def write_links(path: Path, *, hdf5: str, raw: str) -> None:
    """Write a file with every way out of it: to `hdf5`, and to `raw`."""
    with h5py.File(path, "w") as file:
        file["own"] = np.arange(4, dtype="<i4")
        file["link"] = h5py.ExternalLink(hdf5, "/x")
        file["group"] = h5py.ExternalLink(hdf5, "/")
        file["soft"] = h5py.SoftLink("/group/x")
        file.create_dataset("raw", (4,), "<i4", external=[(raw, 0, 16)])
        layout = h5py.VirtualLayout((4,), "<i4")
        layout[...] = h5py.VirtualSource(hdf5, "x", (4,))
        file.create_virtual_dataset("virtual", layout)
        nested = h5py.VirtualLayout((4,), "<i4")
        nested[...] = h5py.VirtualSource(".", "virtual", (4,))
        file.create_virtual_dataset("nested", nested)
        growing = h5py.VirtualLayout((4,), "<i4", maxshape=(None,))
        source = h5py.VirtualSource(hdf5, "x", (4,), maxshape=(None,))
        growing[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
        file.create_virtual_dataset("growing", growing)


def try_everything(file: File) -> None:
    """Ask for everything in a file; only what is its own may be had."""
    index = file.index("/", recursive=True)
    for path, entry in index.arrays.items():
        if path == "/own":
            assert file.read(entry).tolist() == [0, 1, 2, 3]
            continue
        with pytest.raises(NWBDaskError) as caught:
            file.read(entry)
        assert isinstance(caught.value, (UnsupportedLayoutError, SourceUnavailableError)), caught.value
        if path != "/growing":
            assert "allow_external=[" in str(caught.value)
            assert "/main.h5" in str(caught.value)
    for path in ("/link", "/group", "/group/x", "/soft"):
        with pytest.raises((UnsupportedLayoutError, SourceAccessError), match=r"allow_external=\["):
            file.index(path)


def absolute(outside: Path, inside: Path, name: str) -> str:
    return str(outside / name)


def with_dots(outside: Path, inside: Path, name: str) -> str:
    return f"../{outside.name}/{name}"


def through_file_link(outside: Path, inside: Path, name: str) -> str:
    (inside / f"link-{name}").symlink_to(outside / name)
    return f"link-{name}"


def through_folder_link(outside: Path, inside: Path, name: str) -> str:
    if not (inside / "door").exists():
        (inside / "door").symlink_to(outside)
    return f"door/{name}"


def back_and_forth(outside: Path, inside: Path, name: str) -> str:
    return f"{inside}/../{outside.name}/{name}"


WAYS = (absolute, with_dots, through_file_link, through_folder_link, back_and_forth)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_allowed", [False, True], ids=["nothing allowed", "another folder allowed"])
def test_no_way_leads_out_of_what_is_allowed(
    folders: tuple[Path, Path], way: Callable[[Path, Path, str], str], *, is_allowed: bool
) -> None:
    inside, outside = folders
    names = [way(outside, inside, name) for name in ("secret.h5", "secret.raw")]
    write_links(inside / "main.h5", hdf5=names[0], raw=names[1])
    with watched(outside) as names, opened(inside / "main.h5", inside if is_allowed else None) as file:
        try_everything(file)
    assert names == []


def test_variables_of_libhdf5_lead_nowhere(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    inside, outside = folders
    write_links(inside / "main.h5", hdf5="secret.h5", raw="secret.raw")
    for variable in ("HDF5_EXT_PREFIX", "HDF5_VDS_PREFIX", "HDF5_EXTFILE_PREFIX"):
        monkeypatch.setenv(variable, str(outside))
    with watched(outside) as names, opened(inside / "main.h5", inside) as file:
        for path in ("/link", "/group"):
            with pytest.raises(OSError, match=r"secret\.h5', which is not there"):
                file.index(path)
        for name in ("raw", "virtual", "nested"):
            with pytest.raises(OSError, match=r"secret\..*not there"):
                read_all(file, f"/{name}")
    assert names == []


def test_what_is_allowed_itself_may_lead_no_further(folders: tuple[Path, Path]) -> None:
    inside, outside = folders
    write_links(inside / "next.h5", hdf5=str(outside / "secret.h5"), raw=str(outside / "secret.raw"))
    with h5py.File(inside / "main.h5", "w") as file:
        file["far"] = h5py.ExternalLink("next.h5", "/link")
        file["all"] = h5py.ExternalLink("next.h5", "/")
        layout = h5py.VirtualLayout((4,), "<i4")
        layout[...] = h5py.VirtualSource("next.h5", "nested", (4,))
        file.create_virtual_dataset("virtual", layout)
    with watched(outside) as names, opened(inside / "main.h5", inside) as file:
        index = file.index("/", recursive=True)
        assert file.read(index.arrays["/all/own"]).tolist() == [0, 1, 2, 3]
        for path in ("/far", "/all/link"):
            with pytest.raises(SourceAccessError, match=r"allow_external=\["):
                file.index(path)
        for path in ("/virtual", "/all/raw", "/all/virtual", "/all/nested"):
            with pytest.raises(SourceAccessError, match=r"allow_external=\["):
                file.read(index.arrays[path])
    assert names == []


def test_a_folder_that_only_begins_alike_is_another_one(folders: tuple[Path, Path]) -> None:
    inside, outside = folders
    assert str(outside).startswith(str(inside))
    with pytest.raises(SourceAccessError):
        open_allowed(
            str(outside / "secret.h5"), beside=str(inside / "main.h5"), access=make_access({"allow_external": [inside]})
        )


def test_an_allowed_folder_may_itself_be_a_link(folders: tuple[Path, Path], tmp_path: Path) -> None:
    inside, outside = folders
    (tmp_path / "alias").symlink_to(outside)
    write_links(inside / "main.h5", hdf5=str(outside / "secret.h5"), raw=str(outside / "secret.raw"))
    with opened(inside / "main.h5", tmp_path / "alias") as file:
        for path in ("/link", "/group/x", "/soft", "/raw", "/virtual", "/nested"):
            assert len(read_all(file, path)) == 4


def test_a_step_that_becomes_a_link_after_the_check_is_not_followed(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, outside = folders
    (inside / "sub").mkdir()
    shutil.copy(outside / "secret.h5", inside / "sub" / "fine.h5")
    shutil.copy(outside / "secret.h5", outside / "fine.h5")
    open_below = allowed_module._open_below

    def swap_file() -> None:
        (inside / "sub/fine.h5").unlink()
        (inside / "sub/fine.h5").symlink_to(outside / "fine.h5")

    def swap_folder() -> None:
        (inside / "sub").rename(inside / "gone")
        (inside / "sub").symlink_to(outside)

    access = make_access({"allow_external": [inside]})
    for swap in (swap_file, swap_folder):
        (inside / "sub/fine.h5").unlink()
        shutil.copy(outside / "secret.h5", inside / "sub" / "fine.h5")

        def swapped(folder: str, path: str, swap: Callable[[], None] = swap) -> int:
            swap()
            return open_below(folder, path)

        monkeypatch.setattr(allowed_module, "_open_below", swapped)
        with watched(outside) as names, pytest.raises(SourceUnavailableError):
            open_allowed("sub/fine.h5", beside=str(inside / "main.h5"), access=access)
        assert names == []


@pytest.mark.parametrize("kind", ["fifo", "folder", "text", "name with a null", "empty name"])
def test_what_is_no_file_is_refused_at_once(folders: tuple[Path, Path], kind: str) -> None:
    inside, _ = folders
    target = inside / "odd"
    if kind == "fifo":
        os.mkfifo(target)
    elif kind == "folder":
        target.mkdir()
    elif kind == "text":
        target.write_text("hello")
    name = {"name with a null": "a\0b", "empty name": ""}.get(kind, "odd")
    access = make_access({"allow_external": [inside]})
    if kind != "text":
        with pytest.raises(NWBDaskError):
            open_allowed(name, beside=str(inside / "main.h5"), access=access)
        return
    write_links(inside / "main.h5", hdf5="odd", raw="odd")
    with opened(inside / "main.h5", inside) as file:
        for path in ("/link", "/group"):
            with pytest.raises(MalformedFileError, match="odd"):
                file.index(path)


def test_a_plan_that_names_a_file_outside_is_refused(folders: tuple[Path, Path]) -> None:
    inside, outside = folders
    write_links(inside / "main.h5", hdf5="secret.h5", raw="secret.raw")
    home = Home(Url(str(outside / "secret.h5")), FilePath("/x"), ())
    kind = ElementType("int", np.dtype("<i4"), size=4)
    forged = ArrayEntry(FilePath("/own"), kind, (4,), "contiguous", offset=2048, stored_bytes=16, home=home)
    through = ArrayEntry(
        FilePath("/group/x"), ElementType("int", np.dtype("<i4"), size=4, exact=False), (4,), "compact"
    )
    with watched(outside) as names:
        for folder in (None, inside):
            with opened(inside / "main.h5", folder) as file:
                for entry in (forged, through):
                    with pytest.raises((UnsupportedLayoutError, SourceAccessError), match="allow_external"):
                        file.read(entry)
    assert names == []


def test_a_remote_file_leads_to_no_other_whatever_is_allowed(folders: tuple[Path, Path]) -> None:
    inside, outside = folders
    write_links(inside / "main.h5", hdf5=str(outside / "secret.h5"), raw=str(outside / "secret.raw"))
    with h5py.File(inside / "main.h5", "r+") as file:
        layout = h5py.VirtualLayout((2,), "<i4")
        layout[...] = h5py.VirtualSource(".", "own", (4,))[1:3]
        file.create_virtual_dataset("same", layout)
    access = make_access({"allow_external": [str(outside), "/"]})
    with (
        RangeServer(inside) as server,
        watched(outside) as names,
        open_store(Url(server.url("main.h5")), access) as store,
        open_file(store) as file,
    ):
        index = file.index("/", recursive=True)
        assert file.read(index.arrays["/same"]).tolist() == [1, 2]
        for path in ("/raw", "/virtual", "/nested"):
            with pytest.raises(UnsupportedLayoutError, match="the data of a remote file are never read from others"):
                file.read(index.arrays[path])
        for path in ("/link", "/group/x"):
            with pytest.raises(UnsupportedLayoutError, match="link into another file"):
                file.index(path)
    assert names == []


def test_virtual_datasets_that_lead_to_themselves_or_multiply_come_to_an_end(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "main.h5", "w") as file:
        for name, sources in {"self": ["self"], "a": ["b"], "b": ["a"]}.items():
            layout = h5py.VirtualLayout((2,), "<i4")
            for source in sources:
                layout[...] = h5py.VirtualSource(".", source, (2,))
            file.create_virtual_dataset(name, layout)
        file["0"] = np.arange(2, dtype="<i4")
        for i in range(1, 30):
            layout = h5py.VirtualLayout((2,), "<i4")
            for half in range(2):
                layout[half] = h5py.VirtualSource(".", str(i - 1), (2,))[half]
            file.create_virtual_dataset(str(i), layout)
    with opened(tmp_path / "main.h5") as file:
        index = file.index("/")
        assert file.read(index.arrays["/3"]).tolist() == [0, 1]
        for name in ("self", "a"):
            with pytest.raises(MalformedFileError, match="lead in circles or are too many"):
                file.read(index.arrays[f"/{name}"])


def test_a_lattice_of_files_comes_to_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside_module, "MAX_STEPS", 300)
    for i in range(25):
        with h5py.File(tmp_path / f"{i}.h5", "w") as file:
            file["x"] = i
            for side in ("left", "right"):
                file[side] = h5py.ExternalLink(f"{i + 1}.h5", "/")
    with opened(tmp_path / "0.h5", tmp_path) as file:
        index = file.index("/", recursive=True)
    assert any("too many" in reason for reason in index.problems.values())


HUGE = """
import resource, sys, tracemalloc
import numpy as np
from pathlib import Path
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError, NWBDaskError
from tests.backends.test_external import opened
path = Path(sys.argv[1])
with opened(path, path.parent) as file:
    index = file.index("/", recursive=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    for name in sys.argv[2:]:
        entry = index.arrays[name]
        try:
            file.read(entry)
        except NWBDaskError as error:
            print(name, type(error).__name__)
        assert len(file.read(entry, np.array([[0, 2]]))) == 2, name
    peak = tracemalloc.get_traced_memory()[1]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print("MEMORY", peak, grown)
"""


def test_eight_tebibytes_that_are_only_declared_allocate_nothing(tmp_path: Path) -> None:
    n_rows = TERABYTES // 8
    (tmp_path / "raw").write_bytes(bytes(1024))
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other.create_dataset("late", (n_rows,), "<f8")
        other.create_dataset("chunked", (n_rows,), "<f8", chunks=(1 << 20,), compression="gzip")
    with h5py.File(tmp_path / "main.h5", "w") as file:
        file.create_dataset("late", (n_rows,), "<f8")
        file.create_dataset("chunked", (n_rows,), "<f8", chunks=(1 << 20,), compression="gzip")
        file.create_dataset("raw", (n_rows,), "<f8", external=[("raw", 0, TERABYTES)])
        for name in ("late", "chunked"):
            file[f"linked {name}"] = h5py.ExternalLink("other.h5", name)
            layout = h5py.VirtualLayout((n_rows,), "<f8")
            layout[...] = h5py.VirtualSource("other.h5", name, (n_rows,))
            file.create_virtual_dataset(f"virtual {name}", layout)
        file.create_virtual_dataset("hollow", h5py.VirtualLayout((n_rows,), "<f8"), fillvalue=3)
    names = ["late", "chunked", "raw", "linked late", "linked chunked", "virtual late", "virtual chunked", "hollow"]
    paths = [f"/{name}" for name in names]
    done = subprocess.run(
        [sys.executable, "-c", HUGE, str(tmp_path / "main.h5"), *paths],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    *refused, measured = done.stdout.splitlines()
    assert refused == [f"{path} MalformedFileError" for path in paths]
    peak, grown = map(int, measured.split()[1:])
    # Numbers of up to 2**20 chunks are looked at; no row is made.
    assert peak < 128e6
    assert grown < 160_000


def test_a_file_beside_the_first_is_said_to_be_refused_from_its_own_folder_too(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, outside = folders
    monkeypatch.chdir(outside)
    access = make_access({"allow_external": [inside]})
    with pytest.raises(SourceAccessError, match="is in no folder that is allowed"):
        open_allowed("secret.h5", beside=str(outside / "main.h5"), access=access)
