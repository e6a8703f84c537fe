"""Zarr stores opened for additions, wherever they are: as HDF5 files, or refused where LINDI has no words for them."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pynwb
import pytest
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec

import nwb_dask
from nwb_dask.amending import amend
from nwb_dask.errors import OutputError, SourceChangedError, UnsupportedLayoutError
from nwb_dask.testing import RangeServer
from nwb_dask.testing.zarr_sessions import ZarrVersion, write_zarr_session
from tests.amending.oracle import read_output
from tests.amending.test_amend import INTEROP, urls_of
from tests.backends.zarr.stores import without_warnings

N_UNITS = 20
QUALITY = np.linspace(0, 1, N_UNITS)


@pytest.fixture(params=[2, 3])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return written(tmp_path, request.param)


def written(folder: Path, version: ZarrVersion = 2) -> Path:
    path = folder / "data" / "bucket" / "session.nwb.zarr"
    return write_zarr_session(path, version, n_units=N_UNITS, spikes_per_unit=100, chunk_spikes=300)


def zipped(store: Path) -> Path:
    path = store.parent / "session.nwb.zarr.zip"
    with zipfile.ZipFile(path, "w") as file:
        for one in sorted(store.rglob("*")):
            file.write(one, one.relative_to(store))
    return path


def add(source: object, out: Path, name: str = "quality", **options: Any) -> None:
    with amend(source, out, **options) as amended:
        assert amended.left_out == ()
        amended.add_column("/units", name, QUALITY, description="isolation quality")


def check(out: Path, store: Path, *names: str) -> None:
    """Compare with what zarr-python says of the store."""
    found = nwb_dask.read_table(out, "/units")
    units = zarr.open_group(str(store), mode="r")["units"]
    assert isinstance(units, zarr.Group)
    arrays: dict[str, Any] = dict(units.arrays())
    ends = arrays["spike_times_index"][:]
    spikes = np.split(arrays["spike_times"][:], ends[:-1])
    assert all(map(np.array_equal, found["spike_times"], spikes))
    for name in ("snr", "shank", "depth"):
        np.testing.assert_array_equal(found[name], arrays[name][:])
    for name in names:
        np.testing.assert_array_equal(found[name], QUALITY)


def test_a_store_is_amended_and_amended_again(store: Path, out: Path) -> None:
    before = {one: one.read_bytes() for one in store.rglob("*") if one.is_file()}
    add(store, out)
    add(store, out, "second")
    add(out, out, "third")
    check(out, store, "quality", "second", "third")
    assert before == {one: one.read_bytes() for one in store.rglob("*") if one.is_file()}
    named = urls_of(read_output(out)[0])
    assert named
    assert all(one.startswith(f"{store}/units/") for one in named)


def test_a_store_on_a_server_is_amended(store: Path, out: Path, tmp_path: Path) -> None:
    with RangeServer(tmp_path / "data") as server:
        add(server.url("bucket/session.nwb.zarr"), out)
        add(out, out, "second")
        assert all(one.startswith(server.base_url) for one in urls_of(read_output(out)[0]))
        check(out, store, "quality", "second")


def test_a_store_in_a_bucket_is_amended(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    store = written(tmp_path)
    with RangeServer(tmp_path / "data") as server:
        options = {"anon": True, "region": "us-east-1", "endpoint_url": server.base_url}
        url = "s3://bucket/session.nwb.zarr"
        with pytest.raises(OutputError, match="LINDI opens http"):
            amend(url, out, storage_options=options)
        stated = server.url("bucket/session.nwb.zarr")
        add(url, out, url=stated, storage_options=options)
        add(url, out, "second", url=stated, storage_options=options)
        check(out, store, "quality", "second")


def test_a_store_in_a_zip_file_is_amended_unless_it_is_compressed(tmp_path: Path, out: Path) -> None:
    store = written(tmp_path)
    original = zipped(store).rename(tmp_path / "a.nwb.zarr.zip")
    add(original, out)
    check(out, store, "quality")
    shutil.make_archive(str(tmp_path / "b.nwb.zarr"), "zip", store)
    with pytest.raises(UnsupportedLayoutError, match=r"no words for its .*compressed.*unzipped"):
        amend(tmp_path / "b.nwb.zarr.zip", out.with_name(f"b{out.suffix}".replace("b.", "b.lindi.")))


def test_codecs_that_lindi_has_no_words_for_are_named_with_the_way_out(tmp_path: Path, out: Path) -> None:
    with without_warnings():
        group = zarr.create_group(str(tmp_path / "a.zarr"), zarr_format=3)
        options: dict[str, Any] = {"serializer": BytesCodec(), "compressors": [ZstdCodec(), Crc32cCodec()]}
        group.create_array("x", shape=(600_000,), dtype="f8", chunks=(100_000,), **options)[:] = 1.0
    with pytest.raises(UnsupportedLayoutError, match=r"no words for its /x .*crc32c.*convert it to HDF5"):
        amend(tmp_path / "a.zarr", out)
    assert not out.exists()


def test_a_store_that_changed_is_not_amended_further(store: Path, out: Path) -> None:
    add(store, out)
    with without_warnings():
        zarr.open_group(str(store))["units"].attrs["description"] = "other"
        zarr.consolidate_metadata(str(store))
    with pytest.raises(SourceChangedError, match="changed since"):
        amend(store, out)


@pytest.mark.skipif(not INTEROP.is_dir(), reason="the files of other tools are not here")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["session_zarr2.nwb.zarr", "session_zarr3.nwb.zarr"])
def test_pynwb_reads_an_amended_store_and_writes_to_it(name: str, tmp_path: Path) -> None:
    out = tmp_path / "x.lindi.tar"
    for number in range(2):
        with pynwb.NWBHDF5IO(file=amend(INTEROP / name, out), mode="r+") as io:
            file = io.read()
            n_units = len(file.units)
            file.add_acquisition(pynwb.TimeSeries(name=f"added{number}", data=np.arange(9.0), unit="V", rate=2.0))
            file.units.add_column(f"score{number}", "of each", data=np.arange(float(n_units)))
            io.write(file)
    with pynwb.NWBHDF5IO(file=nwb_dask.open_h5(out), mode="r") as io:
        file = io.read()
        for number in range(2):
            np.testing.assert_array_equal(file.units[f"score{number}"].data[:], np.arange(float(n_units)))
            np.testing.assert_array_equal(file.acquisition[f"added{number}"].data[:], np.arange(9.0))
    table, original = nwb_dask.read_table(out, "/units"), nwb_dask.read_table(INTEROP / "session.nwb", "/units")
    for column in original.columns.drop("_nwb_path"):
        for one, other in zip(table[column], original[column], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("is_zip", [False, True])
def test_a_store_and_what_was_added_go_to_another_folder_together(tmp_path: Path, *, is_zip: bool, out: Path) -> None:
    store = written(tmp_path)
    original = zipped(store) if is_zip else store
    out = original.parent / out.name
    add(original, out)
    copies = tmp_path / "elsewhere"
    # As `cp -r` does, which keeps no times.
    shutil.copytree(original.parent, copies, copy_function=shutil.copyfile)
    shutil.move(original.parent, tmp_path / "before")
    moved = copies / out.name
    check(moved, copies / store.name, "quality")
    add(copies / original.name, moved, "second")
    check(moved, copies / store.name, "quality", "second")
    with RangeServer(copies) as server:
        found = nwb_dask.read_table(server.url(out.name), "/units", columns=["spike_times"])
        assert sum(map(len, found["spike_times"])) > 1000


def test_a_store_that_changed_is_not_read_through_references_to_what_was_there(store: Path, out: Path) -> None:
    add(store, out)
    check(out, store, "quality")
    with without_warnings():
        zarr.open_group(str(store))["units"].attrs["description"] = "other"
        zarr.consolidate_metadata(str(store))
    with pytest.raises(SourceChangedError, match="changed since"):
        nwb_dask.read_table(out, "/units")


def test_a_store_on_a_server_that_changed_is_not_read(store: Path, out: Path, tmp_path: Path) -> None:
    with RangeServer(tmp_path / "data") as server:
        add(server.url("bucket/session.nwb.zarr"), out)
        with without_warnings():
            zarr.open_group(str(store))["units"].attrs["description"] = "other"
            zarr.consolidate_metadata(str(store))
        with pytest.raises(SourceChangedError, match="changed since"):
            nwb_dask.read_table(out, "/units")
