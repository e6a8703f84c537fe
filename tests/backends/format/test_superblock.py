"""The superblock says what h5py finds, and files that h5py does not open are refused."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from h5py import h5f
from numcodecs.jenkins import jenkins_lookup3

from nwb_dask.backends.hdf5.format.superblock import read_superblock
from nwb_dask.backends.hdf5.rounds import run
from nwb_dask.errors import MalformedFileError, NWBDaskError, UnsupportedLayoutError
from tests.backends.format.headers import WRITTEN, address_of, create_with_sizes, every_way, mutated
from tests.backends.format.reading import pages_of


def write(path: Path, **options: object) -> bytes:
    with h5py.File(path, "w", **options) as file:
        file["x"] = np.arange(10)
    return path.read_bytes()


def opens(path: Path, body: bytes) -> bool:
    """Whether h5py opens a file of these bytes, and reads what `write` wrote."""
    path.write_bytes(body)
    try:
        with h5py.File(path) as file:
            return bool(file["x"][9] == 9)
    except OSError:
        return False


def with_checksum(superblock: bytes) -> bytes:
    return superblock + struct.pack("<I", jenkins_lookup3(superblock, 0))


@every_way
def test_the_root_is_where_h5py_has_it(tmp_path: Path, way: str) -> None:
    body = write(tmp_path / "f.h5", **WRITTEN[way])
    found = read_superblock(pages_of(body))
    assert (found.space.offset_bytes, found.space.length_bytes) == (8, 8)
    with h5py.File(tmp_path / "f.h5") as file:
        assert found.space.base == file.userblock_size
        assert found.root == address_of(file)


@pytest.mark.parametrize("n_bytes", [2, 4, 8])
@pytest.mark.parametrize("version", [h5f.LIBVER_EARLIEST, h5f.LIBVER_V18, h5f.LIBVER_LATEST])
def test_addresses_of_other_widths_are_read(tmp_path: Path, n_bytes: int, version: int) -> None:
    path = tmp_path / "f.h5"
    with create_with_sizes(path, n_bytes, version) as file:
        file["x"] = 1
        root = address_of(file)
    found = read_superblock(pages_of(path.read_bytes()))
    assert (found.space.offset_bytes, found.space.length_bytes, found.root) == (n_bytes, n_bytes, root)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("block", [0, 512, 4096])
def test_addresses_count_from_where_the_superblock_is_found(tmp_path: Path, libver: str, block: int) -> None:
    body = write(tmp_path / "f.h5", libver=libver, userblock_size=1024)
    moved = bytes(block) + body[1024:]
    assert opens(tmp_path / "moved.h5", moved)
    found = read_superblock(pages_of(moved))
    assert found.space.base == block
    assert found.root == read_superblock(pages_of(body)).root
    assert not opens(tmp_path / "cut.h5", moved[:-1])
    with pytest.raises(MalformedFileError, match="truncated"):
        read_superblock(pages_of(moved[:-1]))


@every_way
def test_a_file_that_is_cut_off_is_truncated_and_one_that_goes_on_is_not(tmp_path: Path, way: str) -> None:
    body = write(tmp_path / "f.h5", **WRITTEN[way])
    assert not opens(tmp_path / "cut.h5", body[:-1])
    with pytest.raises(MalformedFileError, match="truncated"):
        read_superblock(pages_of(body[:-1]))
    assert opens(tmp_path / "long.h5", body + b"more")
    assert read_superblock(pages_of(body + b"more")).root == read_superblock(pages_of(body)).root


@pytest.mark.parametrize("swmr", [False, True])
def test_a_file_that_its_writer_did_not_close_is_refused_as_h5py_does(tmp_path: Path, swmr: bool) -> None:  # noqa: FBT001  # a parameter of the test
    path = tmp_path / "f.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file["x"] = np.arange(10)
        if swmr:
            file.swmr_mode = True
        file.flush()
        body = path.read_bytes()
    assert not opens(tmp_path / "copy.h5", body)
    with pytest.raises(MalformedFileError, match="h5clear"):
        read_superblock(pages_of(body))


def test_the_mark_of_a_writer_means_nothing_before_version_3(tmp_path: Path) -> None:
    body = write(tmp_path / "f.h5", libver=("v108", "v108"))
    assert body[8] == 2
    marked = with_checksum(body[:11] + b"\1" + body[12:44]) + body[48:]
    assert opens(tmp_path / "marked.h5", marked)
    assert read_superblock(pages_of(marked)).root == read_superblock(pages_of(body)).root


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_a_part_of_a_file_is_left_to_others(tmp_path: Path, libver: str) -> None:
    with h5py.File(tmp_path / "f%d.h5", "w", driver="family", memb_size=1 << 20, libver=libver) as file:
        file["x"] = np.arange(10)
    body = (tmp_path / "f0.h5").read_bytes()
    assert not opens(tmp_path / "alone.h5", body)
    with pytest.raises(UnsupportedLayoutError, match="family"):
        read_superblock(pages_of(body))


@pytest.mark.parametrize("body", [b"", b"\x89HDF", bytes(8), b"<html>" * 100, bytes(5000)])
def test_what_is_not_hdf5_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedFileError, match="not an HDF5 file"):
        read_superblock(pages_of(body))


@pytest.mark.parametrize("libver", ["v108", "latest"])
def test_a_wrong_checksum_is_found(tmp_path: Path, libver: str) -> None:
    body = bytearray(write(tmp_path / "f.h5", libver=(libver, libver) if libver == "v108" else libver))
    body[36] ^= 1
    assert not opens(tmp_path / "flipped.h5", bytes(body))
    with pytest.raises(MalformedFileError, match="checksum of the superblock"):
        read_superblock(pages_of(bytes(body)))


def test_other_widths_and_versions_are_told_apart(tmp_path: Path) -> None:
    body = write(tmp_path / "f.h5")
    for at, value, error in (
        (13, 16, UnsupportedLayoutError),
        (14, 32, UnsupportedLayoutError),
        (13, 3, MalformedFileError),
        (14, 0, MalformedFileError),
        (8, 4, UnsupportedLayoutError),
        (9, 1, MalformedFileError),
        (10, 1, MalformedFileError),
        (12, 1, MalformedFileError),
    ):
        other = bytearray(body)
        other[at] = value
        assert not opens(tmp_path / "other.h5", bytes(other))
        with pytest.raises(error):
            read_superblock(pages_of(bytes(other)))


@pytest.mark.parametrize("address", [24, 40, 64])
def test_a_superblock_without_an_address_that_it_must_have_is_malformed(tmp_path: Path, address: int) -> None:
    body = bytearray(write(tmp_path / "f.h5"))
    body[address : address + 8] = b"\xff" * 8
    with pytest.raises(MalformedFileError, match="does not say where"):
        read_superblock(pages_of(bytes(body)))


@pytest.mark.parametrize(("block", "n_rounds"), [(0, 1), (1 << 20, 2)])
def test_a_superblock_costs_few_rounds(tmp_path: Path, block: int, n_rounds: int) -> None:
    body = write(tmp_path / "f.h5", libver="latest", userblock_size=block)
    rounds: list[int] = []
    pages = pages_of(body, rounds)
    roots: list[int] = []
    run([lambda: roots.append(read_superblock(pages).root)], pages)
    assert roots == [read_superblock(pages_of(body)).root]
    assert len(rounds) == n_rounds


@every_way
def test_damage_gives_errors_of_ours(tmp_path: Path, way: str) -> None:
    options = WRITTEN[way]
    body = write(tmp_path / "f.h5", **options)
    base = int(options.get("userblock_size", 0))
    refused = 0
    for seed in range(150):
        damaged = body[:base] + mutated(body[base : base + 100], seed) + body[base + 100 :]
        try:
            read_superblock(pages_of(damaged))
        except NWBDaskError:
            refused += 1
    assert refused > 50
