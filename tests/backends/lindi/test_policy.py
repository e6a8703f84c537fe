from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_dask import options
from nwb_dask.backends.lindi.policy import Policy, make_policy
from nwb_dask.errors import (
    MalformedFileError,
    NWBDaskError,
    SourceAccessError,
    SourceChangedError,
    SourceUnavailableError,
)
from nwb_dask.index import Url
from nwb_dask.storage import export_secrets, make_access
from nwb_dask.testing import RangeServer
from tests.backends.lindi.documents import array, numbers, opened, values, write, write_folder
from tests.storage.test_hosts import LINK_LOCAL

NUMBERS = np.arange(10, dtype="<i4")
BLOB = NUMBERS.tobytes()
REMOTE = "https://data.example.org/docs/a.lindi.json"
SECRETS: dict[str, Any] = {"headers": {"X-Key": "hush"}, "key": "k", "secret": "s"}


def by_reference(url: str, offset: int = 0, length: int = 40) -> dict[str, Any]:
    return {"x/.zarray": array((10,), "<i4"), "x/0": [url, offset, length]}


def policy_of(document: str, *, is_folder: bool = False, **storage_options: Any) -> Policy:
    return make_policy(Url(document), make_access(storage_options), is_folder=is_folder)


def has_secrets(policy: Policy, url: str) -> bool:
    return bool(export_secrets(policy.place(url).access))


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "/etc/passwd", "file://localhost/etc/passwd", "FILE:///etc/passwd"),
        *("../../etc/passwd", "%2e%2e/x", "a/%2E%2e/../x", "\\\\server\\share", "\\etc\\passwd", "a\0b", "C:\\x"),
        "//evil.example.com/x",
    ],
)  # fmt: skip
def test_a_remote_document_names_no_file_of_this_machine(url: str) -> None:
    with pytest.raises(SourceAccessError, match=r"name the place yourself: .*remap="):
        policy_of(REMOTE).place(url)


def test_a_home_folder_is_a_name_beside_the_document() -> None:
    assert policy_of(REMOTE).place("~/x").url == "https://data.example.org/docs/~/x"


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "/etc/passwd", "../up.bin", "a/../../up.bin", "link.bin", "out/x"]
)
def test_a_local_document_names_files_of_its_folder_only(tmp_path: Path, url: str) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("up.bin", "x"):
        (tmp_path / name).write_bytes(BLOB)
    (folder / "link.bin").symlink_to(tmp_path / "up.bin")
    (folder / "out").symlink_to(tmp_path)
    path = write(folder / "a.lindi.json", by_reference(url))
    with (
        opened(path) as file,
        pytest.raises(
            SourceAccessError,
            match=r"not in the folder of the document or below; allow_external=.*; name the place yourself",
        ),
    ):
        values(file, "/x")


def test_a_local_document_names_hdf5_files_and_chunks_of_zarr_arrays_anywhere(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    array = tmp_path / "store.zarr" / "x"
    array.mkdir(parents=True)
    (array / "0").write_bytes(BLOB)
    with (
        pytest.raises(SourceAccessError),
        opened(write(folder / "a.lindi.json", by_reference(str(array / "0")))) as file,
    ):
        values(file, "/x")
    (array / ".zarray").write_text("{}")
    for url in (str(array / "0"), "../store.zarr/x/0"):
        with opened(write(folder / f"{len(url)}.lindi.json", by_reference(url))) as file:
            np.testing.assert_array_equal(values(file, "/x"), NUMBERS)
    with (
        pytest.raises(SourceAccessError, match="not in the folder"),
        opened(write(folder / "b.lindi.json", by_reference(f"file://{array}/0"))) as file,
    ):
        values(file, "/x")


def test_a_local_document_names_files_of_folders_that_are_allowed(tmp_path: Path) -> None:
    for name in ("docs", "raw", "raw-not"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.bin").write_bytes(BLOB)
    (tmp_path / "raw" / "link.bin").symlink_to(tmp_path / "raw-not" / "x.bin")
    (tmp_path / "also").symlink_to(tmp_path / "raw")
    for folder in ("raw", "also"):
        with options(allow_external=[tmp_path / folder]):
            policy = policy_of(str(tmp_path / "docs" / "a.lindi.json"))
            assert policy.place(f"{tmp_path}/raw/x.bin").url == f"{tmp_path}/raw/x.bin"
            assert policy.place("../also/x.bin").url == f"{tmp_path}/also/x.bin"
            for url in (f"{tmp_path}/raw-not/x.bin", "../raw/../raw-not/x.bin", "../raw/link.bin", "../x.bin"):
                assert re.search(r"allow_external=\['[^']*'\] allows for it", policy.place(url).otherwise)
            with pytest.raises(SourceAccessError, match="of this machine"):
                policy_of(REMOTE).place(f"{tmp_path}/raw/x.bin")


@pytest.mark.parametrize("is_folder", [False, True])
def test_an_original_next_to_a_local_document_is_named_by_any_path(tmp_path: Path, *, is_folder: bool) -> None:
    (tmp_path / "below").mkdir()
    for name in ("raw.bin", "below/raw.bin"):
        (tmp_path / name).write_bytes(BLOB)
        relative = f"../{name}" if is_folder else name
        for url in (str(tmp_path / name), f"file://{tmp_path}/{name}", relative):
            if is_folder:
                path = write_folder(tmp_path / f"{name[:3]}{len(url)}{url[:1] == '.'}.lindi.d", by_reference(url), {})
            else:
                path = write(tmp_path / "a.lindi.json", by_reference(url))
            with opened(path) as file:
                np.testing.assert_array_equal(values(file, "/x"), NUMBERS)


def test_a_local_document_is_found_from_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raw.bin").write_bytes(BLOB)
    write(tmp_path / "a.lindi.json", by_reference("./raw.bin"))
    monkeypatch.chdir(tmp_path)
    assert policy_of("a.lindi.json").place("raw.bin").url == str(tmp_path / "raw.bin")
    assert os.fspath(tmp_path) == policy_of("a.lindi.json").folder


@pytest.mark.parametrize(
    "url",
    [
        *("https://data.example.org/x.nwb", "https://data.example.org:443/x.nwb", "./x.nwb", "x.nwb"),
        *("https://dandiarchive.s3.amazonaws.com/blobs/x", "s3://dandiarchive/blobs/x", "below/x.nwb"),
        "https://api.dandiarchive.org/api/x/",
    ],
)  # fmt: skip
def test_a_remote_document_names_its_own_server_and_public_stores(url: str) -> None:
    assert policy_of(REMOTE).place(url).url


@pytest.mark.parametrize(
    "url",
    [
        *("http://data.example.org/x", "https://data.example.org:8443/x", "https://evil.example.com/x", "http://localhost/x"),
        *("http://127.0.0.1:6379/x", "http://10.0.0.1/x", "s3://mine/x", "https://data.example.org@evil.example.com/x"),
    ],
)  # fmt: skip
def test_a_remote_document_names_no_other_server(url: str) -> None:
    with pytest.raises(SourceAccessError, match=r"leads to the server .*; if you trust it, .*allow_hosts=\[.*remap="):
        policy_of(REMOTE).place(url)


@pytest.mark.parametrize(
    "url", ["ftp://h/x", "memory://x", "github://o:r@main/x", "simplecache::http://h", "dandi://x/y"]
)
def test_other_ways_to_fetch_bytes_are_no_ways(url: str) -> None:
    for document in (REMOTE, "/data/a.lindi.json"):
        with pytest.raises(SourceAccessError, match="which no file may name"):
            policy_of(document, allow_hosts="*").place(url)


@pytest.mark.parametrize("host", LINK_LOCAL)
@pytest.mark.parametrize("document", [REMOTE, "/data/a.lindi.json", "http://169.254.169.254/a.lindi.json"])
def test_the_own_link_is_never_named(host: str, document: str) -> None:
    with pytest.raises(SourceAccessError, match="an address of this machine's own link"):
        policy_of(document, allow_hosts="*").place(f"http://{host}/latest")
    with pytest.raises(SourceAccessError, match="an address of this machine's own link"):
        policy_of(document, remap={"http://x.org": f"http://{host}"}).place("http://x.org/latest")


def test_a_local_document_names_servers_of_this_machine() -> None:
    policy = policy_of("/data/a.lindi.json", **SECRETS)
    for url in ("http://127.0.0.1:8765/x", "http://localhost/x", "http://[::1]:80/x"):
        assert policy.place(url).url == url
        assert not has_secrets(policy, url)
    with pytest.raises(SourceAccessError, match="leads to the server"):
        policy.place("http://127.0.0.2/x")


def test_secrets_go_to_the_server_of_the_document_and_to_those_that_the_user_names() -> None:
    named = ["friend.org", "http://plain.org", "*.many.org"]
    policy = policy_of(REMOTE, allow_hosts=named, remap={"http://old.org/": "https://new.org/"}, **SECRETS)
    for url in ("https://data.example.org/x", "./x", "https://friend.org/x", "http://plain.org/x", "http://old.org/x"):
        assert has_secrets(policy, url), url
    for url in ("http://friend.org/x", "https://a.many.org/x", "https://api.dandiarchive.org/x", "s3://dandiarchive/x"):
        assert not has_secrets(policy, url), url


def test_secrets_for_a_bucket_stay_there() -> None:
    policy = policy_of("s3://mine/docs/a.lindi.json", **SECRETS)
    assert policy.place("./raw #1.nwb").url == "s3://mine/docs/raw #1.nwb"
    assert has_secrets(policy, "s3://mine/other/x.nwb")
    assert not has_secrets(policy, "s3://dandiarchive/x.nwb")
    assert policy.place("s3://dandiarchive/x.nwb").access.switch("anon")


def test_the_longest_prefix_that_ends_with_a_part_is_remapped() -> None:
    remap = {"http://h": "/a", "http://h/raw": "/b/", "http://h/raw/x.nwb": "s3://b/y.nwb", "./blobs": "/c"}
    policy = policy_of(REMOTE, remap=remap)
    wanted = {"http://h/z": "/a/z", "http://h/raw/z": "/b/z", "http://h/raw/x.nwb": "s3://b/y.nwb", "./blobs/1": "/c/1"}
    assert {url: policy.place(url).url for url in wanted} == wanted
    for url in ("http://h2/z", "http://h:80/z"):
        with pytest.raises(SourceAccessError, match="leads to the server"):
            policy.place(url)


@pytest.mark.parametrize("rest", ["../../etc/passwd", "a/../../x", "%2e%2e/x", "a/..", "..%2fx"])
def test_what_follows_a_remapped_prefix_cannot_climb(rest: str) -> None:
    with pytest.raises(SourceAccessError, match=r"a path with '\.\.' behind what remap says"):
        policy_of(REMOTE, remap={"http://h/": "/data/"}).place(f"http://h/{rest}")


@pytest.fixture
def other(tmp_path: Path) -> Iterator[RangeServer]:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "raw.bin").write_bytes(BLOB)
    with RangeServer(tmp_path / "other") as running:
        yield running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    (tmp_path / "served").mkdir()
    with RangeServer(tmp_path / "served") as running:
        yield running


def serve(server: RangeServer, tmp_path: Path, refs: dict[str, Any]) -> str:
    write(tmp_path / "served" / "a.lindi.json", refs)
    return server.url("a.lindi.json")


def test_another_server_is_asked_only_if_it_may_be(tmp_path: Path, server: RangeServer, other: RangeServer) -> None:
    url = serve(server, tmp_path, by_reference(other.url("raw.bin")))
    with opened(url) as file, pytest.raises(SourceAccessError, match=r"a\.lindi\.json"):
        values(file, "/x")
    assert other.n_requests == 0
    with opened(url, allow_hosts=["127.0.0.1"]) as file:
        np.testing.assert_array_equal(values(file, "/x"), NUMBERS)
    with options(remap={other.base_url: str(tmp_path / "other")}), opened(url) as file:
        other.reset()
        np.testing.assert_array_equal(values(file, "/x"), NUMBERS)
        assert other.n_requests == 0


def test_a_redirect_to_a_server_that_may_not_be_asked_is_not_followed(
    tmp_path: Path, server: RangeServer, other: RangeServer
) -> None:
    url = serve(server, tmp_path, by_reference(server.url("moved.bin")))
    for target in (other.url("raw.bin"), "http://169.254.169.254/latest", "http://[::ffff:a9fe:a9fe]/latest"):
        server.redirect("moved.bin", target)
        with opened(url) as file, pytest.raises(SourceAccessError, match=r"may not name|no file may name"):
            values(file, "/x")
    assert other.n_requests == 0


def test_a_redirect_from_what_the_user_named_is_followed(
    tmp_path: Path, server: RangeServer, other: RangeServer
) -> None:
    url = serve(server, tmp_path, by_reference("https://gone.example.org/raw.bin"))
    server.redirect("moved.bin", lambda: other.url("raw.bin"))
    with opened(url, remap={"https://gone.example.org/raw.bin": server.url("moved.bin")}) as file:
        np.testing.assert_array_equal(values(file, "/x"), NUMBERS)


def test_a_file_that_changes_is_an_error_once(tmp_path: Path, server: RangeServer) -> None:
    served = tmp_path / "served" / "raw.bin"
    served.write_bytes(BLOB + bytes(1000))
    url = serve(server, tmp_path, by_reference("./raw.bin"))
    with opened(url) as file:
        np.testing.assert_array_equal(values(file, "/x"), NUMBERS)
    served.write_bytes(BLOB[::-1] + bytes(2000))
    with options(deadline=100), opened(url) as file:
        with pytest.raises(SourceChangedError, match=r"raw\.bin is not the file that was planned") as caught:
            values(file, "/x")
        assert "is named by" in caught.value.__notes__[0]
        np.testing.assert_array_equal(values(file, "/x"), np.frombuffer(BLOB[::-1], "<i4"))


def test_a_file_that_is_gone_is_named_with_its_document(tmp_path: Path, server: RangeServer) -> None:
    url = serve(server, tmp_path, by_reference("./gone.bin"))
    with opened(url) as file, pytest.raises(SourceUnavailableError, match=r"gone\.bin") as caught:
        values(file, "/x")
    assert any("a.lindi.json" in note and "remap" in note for note in caught.value.__notes__)


def test_many_references_to_a_file_are_read_in_one_round(tmp_path: Path, server: RangeServer) -> None:
    (tmp_path / "served" / "raw.bin").write_bytes(bytes(100 << 10) + BLOB * 100)
    start = 100 << 10
    refs: dict[str, Any] = {}
    for number in range(50):
        refs[f"a{number}/.zarray"] = array((20,), "<i4", (10,))
        refs |= {f"a{number}/{at}": ["./raw.bin", start + (2 * number + at) * 40, 40] for at in (0, 1)}
    with opened(serve(server, tmp_path, refs)) as file:
        entries = list(file.index("/").arrays.values())
        with server.budget(requests=2, bytes=5000):
            found = file.read_many([(entry, None) for entry in entries])
    assert all((one == np.tile(NUMBERS, 2)).all() for one in found)
    assert len(found) == 50


@pytest.mark.parametrize("chunks", [(1 << 40,), (1 << 20,), (10,)])
def test_a_declared_shape_of_8_tib_takes_no_memory(tmp_path: Path, chunks: tuple[int, ...]) -> None:
    (tmp_path / "raw.bin").write_bytes(BLOB)
    refs = {"x/.zarray": array((1 << 40,), "<f8", chunks), "x/0": ["raw.bin", 0, 40]}
    with opened(write(tmp_path / "a.lindi.json", refs)) as file, pytest.raises(MalformedFileError, match="path /x"):
        values(file, "/x")


def test_rows_of_a_declared_shape_of_8_tib_are_read(tmp_path: Path) -> None:
    refs = {**numbers("y", NUMBERS), "x/.zarray": array((1 << 40,), "<i4", (10,)), "x/0": numbers("x", NUMBERS)["x/0"]}
    with opened(write(tmp_path / "a.lindi.json", refs)) as file:
        entry = file.index("/").arrays["/x"]
        np.testing.assert_array_equal(file.read(entry, np.array([[3, 7]])), NUMBERS[3:7])


def test_no_message_shows_a_signature(tmp_path: Path, server: RangeServer) -> None:
    signed = "https://user:hush@evil.example.com/x?sig=hush"
    with opened(serve(server, tmp_path, by_reference(signed))) as file, pytest.raises(SourceAccessError) as caught:
        values(file, "/x")
    assert "hush" not in str(caught.value)
    assert "hush" not in json.dumps(getattr(caught.value, "__notes__", []))


def test_no_note_shows_the_signature_of_the_document(tmp_path: Path, server: RangeServer) -> None:
    link = {"_EXTERNAL_ARRAY_LINK": {"link_type": "hdf5_dataset", "url": "https://evil.example.com/x", "name": "x"}}
    url = serve(server, tmp_path, {"x/.zarray": array((10,), "<i4"), "x/.zattrs": link})
    with opened(f"{url}?signature=hush") as file, pytest.raises(SourceAccessError) as caught:
        values(file, "/x")
    assert "hush" not in str(caught.value)
    assert "a.lindi.json" in json.dumps(caught.value.__notes__)
    assert "hush" not in json.dumps(caught.value.__notes__)


@pytest.mark.parametrize("link", [7, {"url": "x"}, {"link_type": "hdf5_dataset", "url": 7, "name": "x"}])
def test_a_damaged_link_is_an_error_of_its_array_alone(tmp_path: Path, link: object) -> None:
    refs = {"bad/.zarray": array((10,), "<i4"), "bad/.zattrs": {"_EXTERNAL_ARRAY_LINK": link}, **numbers("x", NUMBERS)}
    with opened(write(tmp_path / "a.lindi.json", refs)) as file:
        entries = list(file.index("/", recursive=True).arrays.values())
        file.prepare(entries)
        located: dict[str, Any] = dict(zip([one.path for one in entries], file.locate(entries), strict=True))
        assert isinstance(located["/bad"], NWBDaskError)
        assert not isinstance(located["/x"], NWBDaskError)
        np.testing.assert_array_equal(values(file, "/x"), NUMBERS)
        with pytest.raises(NWBDaskError, match=r"/bad") as caught:
            values(file, "/bad")
    assert "a.lindi.json" in str(caught.value)
