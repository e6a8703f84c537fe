"""References of Zarr stores and of documents of references, whose chunks are in many files."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import h5py
import icechunk
import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ZstdCodec

import nwb_dask
from nwb_dask.references import WrittenReferences, write_references
from nwb_dask.testing import RangeServer
from nwb_dask.testing.files import write_session
from tests.backends.lindi.documents import array, numbers, rooted
from tests.backends.zarr.by_hand import by_hand, comparable
from tests.backends.zarr.stores import without_warnings
from tests.parity import oracle
from tests.parity.test_forms import AMENDED, FOLDER, FORMS, SESSION, WRITTEN_TO
from tests.parity.test_parity import DATA, outcome_of
from tests.references.peers.comparing import difference, walk
from tests.references.summary import ROUND_TRIPS
from tests.references.test_write_references import by_fsspec, load

STORES = sorted(
    one for folder in ("real", "interop") for one in (DATA / folder).rglob("*") if (one / ".zgroup").exists()
    and not (one.parent / ".zgroup").exists()
)  # fmt: skip
VALUES = np.arange(60_000, dtype=np.int32).reshape(300, 200)


def slow_of(name: str) -> list[pytest.MarkDecorator]:
    return [] if name in {"zarr_tutorial.nwb.zarr", "example.zarr", "Zarr v3"} else [pytest.mark.slow]


interop = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"NO FORM WAS WRITTEN: {FOLDER} is absent")


@pytest.fixture(autouse=True)
def _files_are_here(tmp_path: Path) -> Any:
    real = str(DATA.resolve())
    with nwb_dask.options(remap={WRITTEN_TO: str(SESSION), real: real, str(tmp_path): str(tmp_path)}):
        yield


@pytest.mark.parametrize("store", [pytest.param(one, id=one.name, marks=slow_of(one.name)) for one in STORES])
def test_references_of_a_real_store_have_the_values_in_its_chunks(
    store: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    done = write_references(store, tmp_path / "a.lindi.json").files[0]
    n_arrays = 0
    with nwb_dask.open_h5(tmp_path / "a.lindi.json") as seen:
        for path in arrays_of(store):
            name = str(path.parent.relative_to(store))
            expected = by_hand(path.parent, json.loads(path.read_text()))
            found = np.asarray(seen[name][()]).reshape(expected.shape)
            if expected.dtype.hasobject:
                paths = [plain(one, seen) for one in found.reshape(-1).tolist()]
                assert paths == [comparable(one) for one in expected.reshape(-1).tolist()], name
            else:
                np.testing.assert_array_equal(found, expected, name)
            n_arrays += 1
    assert n_arrays <= done.n_arrays  # which has those behind links, too
    counts = {"datasets of Zarr stores": n_arrays}
    outcome = {"file": store.name, "counts": counts, "left_out": [(one.path, one.reason) for one in done.left_out]}
    record_property(ROUND_TRIPS, json.dumps(outcome))


def arrays_of(store: Path) -> list[Path]:
    # Specifications of one store are not among its consolidated metadata, which hold for everyone.
    if not (store / ".zmetadata").exists():
        return list(store.rglob(".zarray"))
    consolidated = json.loads((store / ".zmetadata").read_text())["metadata"]
    return [store / key for key in consolidated if key.endswith("/.zarray")]


def plain(value: Any, file: Any) -> Any:
    if isinstance(value, h5py.Reference) or hasattr(value, "path"):
        return file[value].name
    return value.encode() if isinstance(value, str) else value


@interop
@pytest.mark.parametrize("form", [pytest.param(one, marks=slow_of(one)) for one in FORMS if one != "HDF5"])
def test_references_of_every_form_have_the_tables_of_the_session(form: str, tmp_path: Path) -> None:
    write_references(FOLDER / FORMS[form], tmp_path / "a.lindi.json")
    for table in oracle.read_file(SESSION):
        assert outcome_of("arrow", tmp_path / "a.lindi.json", table) == ("passed", []), table.path


@interop
def test_what_was_added_to_a_document_is_named_in_its_tar_file(tmp_path: Path) -> None:
    write_references(FOLDER / FORMS["amended LINDI"], tmp_path / "a.lindi.json")
    one = load(tmp_path / "a.lindi.json")[f"{AMENDED[1:]}/data/0"]
    assert one[0] == str((FOLDER / FORMS["amended LINDI"]).resolve())
    assert one[1] > 0


def write_store(path: Path, version: int, **options: Any) -> Path:
    with without_warnings():
        group = zarr.create_group(str(path), zarr_format=version, attributes={"object_id": "a"})  # type: ignore[arg-type]  # 2 or 3
        group.create_array("x", shape=VALUES.shape, dtype=VALUES.dtype, chunks=(64, 50), **options)[...] = VALUES
        group.create_array("texts", shape=(3,), dtype=str)[...] = np.array(["a", "", "ü"])
        zarr.consolidate_metadata(str(path))
    return path


def delta_v3(**options: str) -> dict[str, Any]:
    return {"name": "numcodecs.delta", "configuration": options}


STORED: dict[str, dict[str, Any]] = {
    "v2": {"version": 2},
    "v2 in the order of columns": {"version": 2, "order": "F"},
    "v2 in folders": {"version": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "v3": {"version": 3},
    "v3 uncompressed": {"version": 3, "compressors": None},
    "v3 by blosc": {"version": 3, "compressors": BloscCodec(cname="lz4", shuffle="shuffle")},
    "v3 in shards": {"version": 3, "shards": (128, 100)},
    "v3 transposed": {"version": 3, "filters": [{"name": "transpose", "configuration": {"order": [1, 0]}}]},
    "v3 big-endian": {"version": 3, "serializer": BytesCodec(endian="big")},
    "v2 by delta": {"version": 2, "filters": [numcodecs.Delta("<i4", "<u2")]},
    "v2 by scale": {"version": 2, "filters": [numcodecs.FixedScaleOffset(100, 2, "<i4", "<i4"), numcodecs.Shuffle(4)]},
    "v2 as another type": {"version": 2, "filters": [numcodecs.AsType("<f8", "<i4")], "compressors": None},
    "v2 by columns and delta": {"version": 2, "filters": [numcodecs.Delta("<i4")], "order": "F"},
    "v3 by delta": {"version": 3, "filters": [delta_v3(dtype="<i4", astype="<u2")]},
    "v3 in shards by delta": {"version": 3, "filters": [delta_v3(dtype="<i4")], "shards": (128, 100)},
}
CODED: dict[str, tuple[Any, Any]] = {
    "bits": (np.arange(1000) % 3 == 0, numcodecs.PackBits()),
    "quantized": (np.linspace(0, 1, 1000), numcodecs.Quantize(3, "<f8")),
    "rounded": (np.linspace(0, 1, 1000, dtype="f4"), numcodecs.BitRound(8)),
    "scaled": (np.arange(1000) / 4, numcodecs.FixedScaleOffset(0, 4, "<f8", "<i2")),
    "delta": (np.arange(1000, dtype="u2") % 300, numcodecs.Delta("<u2", "i1")),
}


@pytest.mark.filterwarnings("ignore:Numcodecs codecs")
@pytest.mark.parametrize("how", STORED)
def test_numbers_of_a_store_are_equal_in_every_format(how: str, tmp_path: Path) -> None:
    store = write_store(tmp_path / "a.zarr", **STORED[how])
    write_references(store, tmp_path / "a.lindi.json")
    with nwb_dask.open_h5(tmp_path / "a.lindi.json") as file:
        np.testing.assert_array_equal(file["x"][()], VALUES)
        assert file["texts"].asstr()[()].tolist() == ["a", "", "ü"]
    done = write_references(store, tmp_path / "a.json", format="kerchunk-json").files[0]
    assert done.n_chunks == 20
    assert [one.path for one in done.left_out] == ["/texts"]
    assert not difference({"x": VALUES}, dict(by_fsspec(tmp_path / "a.json", store)), "x")
    write_references(store, tmp_path / "a.icechunk", format="icechunk")
    repository = icechunk.Repository.open(
        icechunk.local_filesystem_storage(str(tmp_path / "a.icechunk")),
        authorize_virtual_chunk_access={f"{store.as_uri()}/": None},
    )
    found = dict(walk(zarr.open_group(repository.readonly_session("main").store, mode="r")))
    assert not difference({"x": VALUES}, found, "x")


@pytest.mark.filterwarnings("ignore:Numcodecs codecs")
@pytest.mark.parametrize("how", CODED)
def test_codecs_for_numbers_are_carried_along(how: str, tmp_path: Path) -> None:
    values, codec = CODED[how]
    store = tmp_path / "a.zarr"
    with without_warnings():
        group = zarr.create_group(str(store), zarr_format=2)
        array = group.create_array("x", shape=values.shape, dtype=values.dtype, chunks=(300,), filters=[codec])
        array[...] = values
    expected = {"x": array[...]}
    for name, form in (("a.json", "kerchunk-json"), ("a.lindi.json", "lindi")):
        assert not write_references(store, tmp_path / name, format=form).files[0].left_out  # type: ignore[arg-type]  # one of the formats
        with nwb_dask.open_h5(tmp_path / name) as file:
            np.testing.assert_array_equal(file["x"][()], expected["x"])
    assert not difference(expected, dict(by_fsspec(tmp_path / "a.json", store)), "x")
    write_references(store, tmp_path / "a.icechunk", format="icechunk")
    repository = icechunk.Repository.open(
        icechunk.local_filesystem_storage(str(tmp_path / "a.icechunk")),
        authorize_virtual_chunk_access={f"{store.as_uri()}/": None},
    )
    found = dict(walk(zarr.open_group(repository.readonly_session("main").store, mode="r")))
    assert not difference(expected, found, "x")


def test_codecs_that_version_2_does_not_have_are_left_out_with_the_reason(tmp_path: Path) -> None:
    checksum = [ZstdCodec(), Crc32cCodec()]
    with without_warnings():
        group = zarr.create_group(str(tmp_path / "a.zarr"), zarr_format=3)
        group.create_array("x", shape=(600_000,), dtype="f8", chunks=(100_000,), compressors=checksum)
    (left,) = write_references(tmp_path / "a.zarr", tmp_path / "a.json", format="kerchunk-json").files[0].left_out
    assert "crc32c" in left.reason


def urls_of(done: WrittenReferences) -> set[str]:
    return {one[0] for one in load(done.files[0].path).values() if isinstance(one, list)}


@pytest.mark.parametrize("form", ["lindi", "kerchunk-json"])
@pytest.mark.parametrize("container", ["hdf5", "zarr"])
def test_empty_arrays_are_written_whatever_their_codecs(
    container: str, form: Literal["lindi", "kerchunk-json"], tmp_path: Path
) -> None:
    shapes = {"one": (0,), "two": (0, 3), "inner": (4, 0)}
    if container == "hdf5":
        with h5py.File(tmp_path / "a.nwb", "w") as file:
            for name, shape in shapes.items():
                chunks, unlimited = (2, 3)[: len(shape)], (None,) * len(shape)
                file.create_dataset(name, shape, "i4", chunks=chunks, maxshape=unlimited, compression="lzf")
        source = tmp_path / "a.nwb"
    else:
        source = tmp_path / "a.zarr"
        group = zarr.create_group(str(source), zarr_format=2)
        for name, shape in shapes.items():
            chunks = (2, 3)[: len(shape)]
            group.create_array(name, shape=shape, dtype="i4", chunks=chunks, filters=[numcodecs.Delta("<i4")])
    write_references(source, tmp_path / "a.json", format=form)
    refs = load(tmp_path / "a.json")
    for name, shape in shapes.items():
        document = refs[f"{name}/.zarray"]
        document = document if isinstance(document, dict) else json.loads(document)
        assert (tuple(document["shape"]), document["dtype"]) == (shape, "<i4")
        assert not [key for key in refs if key.startswith(f"{name}/") and not key.rpartition("/")[2].startswith(".z")]


def test_chunks_on_a_server_are_named_by_their_urls(tmp_path: Path) -> None:
    write_store(tmp_path / "data" / "a.zarr", 2)
    with RangeServer(tmp_path / "data") as server:
        # Documents at the root, 20 first bytes, and the texts.
        with server.budget(requests=30, bytes=20_000):
            done = write_references(server.url("a.zarr"), tmp_path / "a.lindi.json")
        assert urls_of(done) == {server.url(f"a.zarr/x/{i}.{j}") for i in range(5) for j in range(4)}
        given = write_references(server.url("a.zarr"), tmp_path / "b.lindi.json", url="https://example.org/b.zarr")
        assert "https://example.org/b.zarr/x/0.0" in urls_of(given)
        with nwb_dask.open_h5(tmp_path / "a.lindi.json") as file:
            np.testing.assert_array_equal(file["x"][()], VALUES)


@pytest.mark.usefixtures("_no_cloud")
def test_chunks_in_a_bucket_are_listed(tmp_path: Path) -> None:
    write_store(tmp_path / "data" / "bucket" / "a.zarr", 2)
    with RangeServer(tmp_path / "data") as server:
        options = {"anon": True, "region": "us-east-1", "endpoint_url": server.base_url}
        with server.budget(requests=10, bytes=40_000):
            done = write_references(
                "s3://bucket/a.zarr", tmp_path / "a.json", format="kerchunk-json", storage_options=options
            )
    assert done.n_chunks == 20
    assert "s3://bucket/a.zarr/x/0.0" in urls_of(done)


@pytest.fixture
def _no_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_chunks_in_a_zip_file_are_ranges_of_it(tmp_path: Path) -> None:
    store = write_store(tmp_path / "a.zarr", 2)
    with zipfile.ZipFile(tmp_path / "a.zarr.zip", "w") as file:
        for one in sorted(store.rglob("*")):
            file.write(one, one.relative_to(store))
    done = write_references(tmp_path / "a.zarr.zip", tmp_path / "a.lindi.json")
    assert urls_of(done) == {str(tmp_path / "a.zarr.zip")}
    with nwb_dask.open_h5(tmp_path / "a.lindi.json") as seen:
        np.testing.assert_array_equal(seen["x"][()], VALUES)


def test_a_foreign_document_gets_nobody_to_read_a_local_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(8000))
    link = {"_EXTERNAL_ARRAY_LINK": {"link_type": "hdf5_dataset", "url": str(secret), "name": "x"}}
    refs = rooted(
        {
            "x/.zarray": array((1000,), "<i8"),
            "x/0": [str(secret), 0, 8000],
            "y/.zarray": array((2000,), "<i8"),
            "y/.zattrs": link,
            **numbers("z", np.arange(2000)),
        }
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.lindi.json").write_text(json.dumps({"refs": refs}))
    with RangeServer(tmp_path / "data") as server, nwb_dask.options(remap={}):
        done = write_references(server.url("a.lindi.json"), tmp_path / "b.lindi.json").files[0]
    assert [one.path for one in done.left_out] == ["/x", "/y"]
    assert all("which no remote file may name" in one.reason for one in done.left_out)
    assert str(secret) not in (tmp_path / "b.lindi.json").read_text()
    assert "z/0" in load(tmp_path / "b.lindi.json")


def test_links_of_a_document_are_passed_on_and_looked_into_for_other_formats(tmp_path: Path) -> None:
    values = np.arange(5000)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=values, chunks=(100,), compression="gzip", shuffle=True)
    write_references(tmp_path / "a.h5", tmp_path / "a.lindi.json", max_chunks=10)
    write_references(tmp_path / "a.lindi.json", tmp_path / "b.lindi.json", max_chunks=10)
    assert load(tmp_path / "a.lindi.json") == load(tmp_path / "b.lindi.json")
    write_references(tmp_path / "b.lindi.json", tmp_path / "c.json", format="kerchunk-json")
    assert not difference({"x": values}, dict(by_fsspec(tmp_path / "c.json", tmp_path)), "x")


def test_references_of_a_remote_file_cost_as_many_requests_as_its_structure_is_deep(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_session(tmp_path / "data" / "session.nwb")
    with RangeServer(tmp_path / "data") as server, server.budget(requests=2, bytes=524_288):
        write_references(server.url("session.nwb"), tmp_path / "s.lindi.json")


def test_a_store_that_is_compressed_as_a_zip_file_is_refused_by_array(tmp_path: Path) -> None:
    store = write_store(tmp_path / "a.zarr", 2)
    shutil.make_archive(str(tmp_path / "b.zarr"), "zip", store)
    (left,) = write_references(tmp_path / "b.zarr.zip", tmp_path / "b.lindi.json").files[0].left_out
    assert left.path == "/x"
    assert "is compressed" in left.reason
