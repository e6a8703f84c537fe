"""References that are written, read by others: zarr-python over fsspec and icechunk, h5py says what is right."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import icechunk
import numcodecs
import numpy as np
import pytest
import zarr

import nwb_dask
from nwb_dask.errors import OutputError
from nwb_dask.references import Format, write_references
from nwb_dask.testing import RangeServer
from nwb_dask.testing.files import write_session
from tests.backends.zoo import write_zoo
from tests.references.peers.comparing import difference, numbers, walk


@pytest.fixture(scope="module", params=["earliest", "latest"])
def zoo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zoo") / f"{request.param}.h5"
    write_zoo(path, libver=request.param)
    return path


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("session") / "session.nwb"
    write_session(path)
    return path


def decoded(refs: Mapping[str, Any], path: str) -> Any:
    """Return the values of an array, chunk by chunk through numcodecs, as the specification of Zarr version 2 says."""
    meta = refs[f"{path}/.zarray"]
    shape, chunks, dtype = meta["shape"], meta["chunks"], np.dtype(meta["dtype"])
    out = np.zeros(shape, dtype)
    if dtype.kind != "O" and meta["fill_value"] not in (None, ""):
        fill = meta["fill_value"]
        out[...] = base64.b64decode(fill) if dtype.kind == "S" else complex(*fill) if dtype.kind == "c" else fill
    steps = [*(meta["filters"] or []), *([meta["compressor"]] if meta["compressor"] else [])]
    for place in np.ndindex(*(-(-n // c) for n, c in zip(shape, chunks, strict=True))):
        data = stored(refs, f"{path}/{'.'.join(map(str, place))}")
        if data is None:
            continue
        for step in reversed(steps):
            data = numcodecs.get_codec(step).decode(data)
        block = data if dtype.kind == "O" else np.frombuffer(data, dtype)
        where = tuple(slice(i * c, min((i + 1) * c, n)) for i, c, n in zip(place, chunks, shape, strict=True))
        out[where] = np.reshape(block, chunks)[tuple(slice(one.stop - one.start) for one in where)]
    return out


def stored(refs: Mapping[str, Any], key: str) -> Any:
    one = refs.get(key)
    if isinstance(one, str):
        return base64.b64decode(one[7:]) if one.startswith("base64:") else one.encode()
    if one is None:
        return None
    with Path(one[0]).open("rb") as file:
        file.seek(one[1])
        return file.read(one[2])


def load(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_bytes())
    for one in document["refs"].values():
        if isinstance(one, list):
            for name, url in document.get("templates", {}).items():
                one[0] = one[0].replace(f"{{{{{name}}}}}", url)
    refs: dict[str, Any] = document["refs"]
    return refs


def datasets(group: Any) -> Iterator[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    group.visititems(lambda name, one: found.append((name, one)) if isinstance(one, h5py.Dataset) else None)
    yield from found


def test_every_kind_of_number_and_filter_is_referred_to_by_lindi(zoo: Path, tmp_path: Path) -> None:
    write_references(zoo, tmp_path / "zoo.lindi.json", max_chunks=None)
    refs = load(tmp_path / "zoo.lindi.json")
    n_compared = n_linked = 0
    with h5py.File(zoo) as file:
        for path, one in datasets(file):
            if one.shape is None or one.dtype.kind not in "iufbcS":
                continue
            if "_EXTERNAL_ARRAY_LINK" in refs.get(f"{path}/.zattrs", {}):
                assert refs[f"{path}/.zattrs"]["_EXTERNAL_ARRAY_LINK"]["name"] == path
                n_linked += 1
                continue
            right, seen = one[()], decoded(refs, path)
            right = np.atleast_1d(right) if one.shape == () else right
            assert np.array_equal(right, seen, equal_nan=one.dtype.kind in "fc"), path
            n_compared += 1
    assert n_compared > 80
    assert n_linked < 30


def test_numbers_of_the_zoo_are_equal_through_zarr_and_kerchunk(zoo: Path, tmp_path: Path) -> None:
    check_numbers(zoo, tmp_path / "zoo.json", "kerchunk-json", at_least=80)


@pytest.mark.filterwarnings("ignore:Numcodecs codecs")
def test_numbers_of_a_session_are_equal_through_zarr_and_icechunk(session: Path, tmp_path: Path) -> None:
    check_numbers(session, tmp_path / "session.icechunk", "icechunk", at_least=20)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Numcodecs codecs")
def test_numbers_of_the_zoo_are_equal_through_zarr_and_icechunk(zoo: Path, tmp_path: Path) -> None:
    check_numbers(zoo, tmp_path / "zoo.icechunk", "icechunk", at_least=80)


def check_numbers(file: Path, out: Path, format_: Format, *, at_least: int) -> None:
    with h5py.File(file) as right:
        expected = dict(numbers(right))
    left_out = {one.path.lstrip("/") for one in write_references(file, out, format=format_).files[0].left_out}
    seen = dict(READERS[format_](out, file))
    wanted = {name: value for name, value in expected.items() if name not in left_out}
    assert len(wanted) >= at_least
    assert not {name: what for name in wanted | seen if (what := difference(wanted, seen, name))}


def by_fsspec(references: Path, _file: Path) -> Iterator[tuple[str, Any]]:
    refs = {
        key: json.dumps(json.loads(value)) if key.endswith((".zarray", ".zattrs", ".zgroup")) else value
        for key, value in json.loads(references.read_bytes())["refs"].items()
    }
    store: dict[str, Any] = {}
    for key, value in refs.items():
        data = value.encode() if key.rpartition("/")[2].startswith(".z") else stored({key: plain(value)}, key)
        store[key] = zarr.core.buffer.default_buffer_prototype().buffer.from_bytes(data)
    yield from walk(zarr.open_group(zarr.storage.MemoryStore(store), mode="r", zarr_format=2, use_consolidated=False))


def plain(value: Any) -> Any:
    return [value[0].removeprefix("file://"), *value[1:]] if isinstance(value, list) else value


def by_icechunk(references: Path, file: Path) -> Iterator[tuple[str, Any]]:
    repository = icechunk.Repository.open(
        icechunk.local_filesystem_storage(str(references)),
        authorize_virtual_chunk_access={f"{file.resolve().parent.as_uri()}/": None},
    )
    yield from walk(zarr.open_group(repository.readonly_session("main").store, mode="r"))


READERS: dict[str, Callable[[Path, Path], Iterator[tuple[str, Any]]]] = {
    "kerchunk-json": by_fsspec,
    "icechunk": by_icechunk,
}


def test_text_references_links_and_attributes_are_said_as_lindi_does(session: Path, tmp_path: Path) -> None:
    write_references(session, tmp_path / "s.lindi.json")
    refs = load(tmp_path / "s.lindi.json")
    with h5py.File(session) as file:
        right = file["general/extracellular_ephys/electrodes/group"]
        own = file.attrs["object_id"]
        for seen, one in zip(decoded(refs, right.name.strip("/")), right[()], strict=True):
            target = file[one]
            assert seen == {
                "_REFERENCE": {
                    "object_id": target.attrs["object_id"],
                    "path": target.name,
                    "source": ".",
                    "source_object_id": own,
                }
            }
        quality = [text.decode() for text in file["units/quality"][()]]
    assert decoded(refs, "units/quality").tolist() == quality
    assert refs["session_description/.zattrs"]["_SCALAR"] is True
    assert decoded(refs, "session_description").dtype.kind == "U"


def test_links_of_every_kind_lead_where_they_did(tmp_path: Path) -> None:
    path = tmp_path / "links.h5"
    with h5py.File(path, "w") as file:
        file["a/b/x"] = np.arange(5)
        file["c"] = file["a/b"]
        file["a/b/up"] = file["a"]
        file["a/soft"] = h5py.SoftLink("b/x")
        file["nowhere"] = h5py.SoftLink("/nothing")
        file["elsewhere"] = h5py.ExternalLink("other.h5", "/x")
    done = write_references(path, tmp_path / "links.lindi.json")
    refs = load(tmp_path / "links.lindi.json")
    found = {
        key: one["_SOFT_LINK"]["path"] for key, one in refs.items() if isinstance(one, dict) and "_SOFT_LINK" in one
    }
    assert found == {
        "a/b/up/.zattrs": "/a",
        "a/soft/.zattrs": "/a/b/x",
        "c/.zattrs": "/a/b",
        "nowhere/.zattrs": "/nothing",
    }
    assert [one.path for one in done.files[0].left_out] == ["/elsewhere"]


def test_the_same_file_gives_the_same_bytes(session: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_references(session, tmp_path / f"{name}.lindi.json")
    assert (tmp_path / "a.lindi.json").read_bytes() == (tmp_path / "b.lindi.json").read_bytes()


def test_what_is_there_is_replaced_only_if_it_is_references_and_that_is_wanted(session: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.lindi.json"
    write_references(session, out)
    with pytest.raises(nwb_dask.OutputError, match="overwrite=True"):
        write_references(session, out)
    write_references(session, out, overwrite=True)
    other = tmp_path / "notes.json"
    other.write_text("mine")
    with pytest.raises(nwb_dask.OutputError, match="holds no references"):
        write_references(session, other, overwrite=True)
    assert other.read_text() == "mine"
    with pytest.raises(nwb_dask.OutputError, match="is a source"):
        write_references(session, session, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.json", "s.lindi.json"]


def test_a_signature_is_never_written(session: Path, tmp_path: Path) -> None:
    with RangeServer(session.parent) as server:
        signed = f"{server.url(session.name)}?X-Amz-Signature=0123secret"
        with pytest.raises(nwb_dask.OutputError, match="url= says what to write") as caught:
            write_references(signed, tmp_path / "s.lindi.json")
        assert "0123secret" not in str(caught.value)
        write_references(signed, tmp_path / "s.lindi.json", url="https://example.org/session.nwb")
    text = (tmp_path / "s.lindi.json").read_text()
    assert "0123secret" not in text
    assert "https://example.org/session.nwb" in text


def test_several_sources_become_one_document_each_in_a_folder(session: Path, tmp_path: Path) -> None:
    done = write_references([session], tmp_path / "all")
    assert [one.path for one in done.files] == [tmp_path / "all" / "session.lindi.json"]


def test_what_icechunk_does_not_take_names_the_way_out(session: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no server with a port; url= says"):
        write_references(
            session, tmp_path / "a.icechunk", format="icechunk", url="https://example.org:8000/session.nwb"
        )
