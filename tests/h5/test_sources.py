"""What `open_h5` may be given: any engine, a file system of fsspec, an open file; the same file each time."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import h5py
import numpy as np
import pytest
import remfile
from fsspec.implementations.dirfs import DirFileSystem

import nwb_dask
from nwb_dask.errors import SourceUnavailableError
from nwb_dask.h5.streamed import StreamedFile
from nwb_dask.storage import Access, make_access
from nwb_dask.testing import RangeServer

ENGINES = ("auto", "http", "obstore", "fsspec", "remfile", "ros3")


def check(found: h5py.File, path: Path) -> None:
    with found, h5py.File(path) as expected:
        assert sorted(found) == sorted(expected)
        assert found.attrs["title"] == "a session"
        np.testing.assert_array_equal(found["series"][100:9000:7], expected["series"][100:9000:7])
        assert found["table/text"].asstr()[7990:].tolist() == expected["table/text"].asstr()[7990:].tolist()


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_opens_the_same_file(engine: str, server: RangeServer, path: Path) -> None:
    if engine == "ros3" and "ros3" not in h5py.registered_drivers():
        pytest.skip("this h5py has no ros3")
    check(nwb_dask.open_h5(server.url(path.name), storage_options={"engine": engine}), path)


SYSTEMS: dict[str, Callable[[str, str], tuple[Any, str]]] = {
    "http": lambda url, folder: (fsspec.filesystem("http"), url),
    "blocks on disk": lambda url, folder: (
        fsspec.filesystem("blockcache", fs=fsspec.filesystem("http"), cache_storage=folder),
        url,
    ),
    "folder": lambda url, folder: (DirFileSystem(url.rpartition("/")[0], fsspec.filesystem("http")), "session.h5"),
}


# fsspec leaves the file of a cache of blocks to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", SYSTEMS)
@pytest.mark.parametrize("name", ["fs", "filesystem"])
def test_a_file_system_of_the_user_is_used(
    kind: str, name: str, server: RangeServer, path: Path, tmp_path: Path
) -> None:
    system, where = SYSTEMS[kind](server.url(path.name), str(tmp_path))
    check(nwb_dask.open_h5(where, storage_options={name: system}), path)
    assert server.n_requests > 0


def test_a_file_in_memory_and_a_local_one_are_opened_through_their_file_systems(path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/session.h5", path.read_bytes())
    check(nwb_dask.open_h5("/session.h5", storage_options={"fs": memory}), path)
    check(nwb_dask.open_h5(path, storage_options={"fs": fsspec.filesystem("file")}), path)


OBJECTS: dict[str, Callable[[str, Path], Any]] = {
    "open": lambda url, path: path.open("rb"),
    "unbuffered": lambda url, path: path.open("rb", buffering=0),
    "bytes": lambda url, path: io.BytesIO(path.read_bytes()),
    "remfile": lambda url, path: remfile.File(url),
    "fsspec": lambda url, path: fsspec.filesystem("http").open(url, "rb"),
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_an_open_file_is_read_and_stays_open(kind: str, server: RangeServer, path: Path) -> None:
    source = OBJECTS[kind](server.url(path.name), path)
    found = nwb_dask.open_h5(source)
    assert isinstance(found, StreamedFile)
    check(found, path)
    source.seek(0)
    assert source.read(4) == b"\x89HDF"
    getattr(source, "close", lambda: None)()


def test_what_is_given_wrongly_is_said(path: Path) -> None:
    with path.open(errors="replace") as text, pytest.raises(TypeError, match="'rb'"):
        nwb_dask.open_h5(text)
    with pytest.raises(TypeError, match="file system of fsspec, not str"):
        nwb_dask.open_h5(path, storage_options={"fs": "http"})
    with pytest.raises(ValueError, match="engine 'obstore'"):
        nwb_dask.open_h5(path, storage_options={"fs": fsspec.filesystem("http"), "engine": "obstore"})


def test_a_file_object_that_ends_early_is_named_with_its_type(path: Path) -> None:
    with path.open("rb") as source:
        file = nwb_dask.open_h5(source)
        source.close()
        with pytest.raises(SourceUnavailableError, match=r"session\.h5 could not be read"):
            file["series"][:]
        file.close()


def test_another_process_is_told_that_it_has_no_such_file_system(server: RangeServer, path: Path) -> None:
    access = make_access({"fs": fsspec.filesystem("http")})
    elsewhere = Access(tuple((name, "gone" if name == "file_system" else value) for name, value in access.options))
    with pytest.raises(SourceUnavailableError, match="in the process that it was given to"):
        nwb_dask.storage.open_store(nwb_dask.storage.expand_sources(server.url(path.name), elsewhere)[0].url, elsewhere)
