"""A file that is no HDF5 says what it looks like."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import pytest

from nwb_dask.backends import open_file
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from tests.backends.stores import RemoteStore, open_local

LOOKS = {
    "it is empty": b"",
    "an HTML page": b"\n<!DOCTYPE html><html><body>Sign in</body></html>",
    "an XML document": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:1",
    "a ZIP archive": b"PK\x03\x04" + bytes(100),
    "gzip-compressed": gzip.compress(b"HDF" * 99),
    "JSON": b'{"a": 1}',
    "text": b"subject,age\nm1,9\n",
    "zeros": bytes(4000),
    "other binary data": bytes(range(256)),
    "truncated": b"\x89HDF\r",
    "a netCDF-3 file": b"CDF\x01" + bytes(50),
}


@pytest.mark.parametrize("looks", LOOKS)
def test_what_is_no_hdf5_says_what_it_looks_like(tmp_path: Path, looks: str) -> None:
    path = tmp_path / "f.nwb"
    path.write_bytes(LOOKS[looks])
    with open_local(path) as store:
        with pytest.raises(MalformedFileError, match=looks) as caught:
            open_file(store)
        assert caught.value.url == str(path)
        with open_file(RemoteStore(store)) as file, pytest.raises(MalformedFileError, match=looks):
            file.index("/")


@pytest.mark.parametrize("body", [b'{"zarr_format": 2}'])
def test_a_document_of_a_zarr_store_says_to_give_its_folder(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "f.nwb"
    path.write_bytes(body)
    with open_local(path) as store, pytest.raises(UnsupportedLayoutError, match="give the folder that it is in"):
        open_file(store)


@pytest.mark.parametrize("size", [512, 1024, 8192])
def test_a_user_block_may_stand_before_hdf5(tmp_path: Path, size: int) -> None:
    path = tmp_path / "f.nwb"
    with h5py.File(path, "w", userblock_size=size) as file:
        file["x"] = 1
    body = bytearray(path.read_bytes())
    body[:20] = b"<html> a user's text"
    path.write_bytes(body)
    with open_local(path) as store, open_file(store) as ours:
        assert set(ours.index("/").arrays) == {"/x"}


def test_references_in_a_remote_file_named_like_hdf5_say_how_to_name_it(tmp_path: Path) -> None:
    path = tmp_path / "f.nwb"
    path.write_bytes(b'{"refs": {".zgroup": "{}"}}')
    with (
        open_local(path) as store,
        open_file(RemoteStore(store)) as file,
        pytest.raises(UnsupportedLayoutError, match=r"references .* a name that ends in \.json"),
    ):
        file.index("/")
