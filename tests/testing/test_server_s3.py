"""The server speaks enough of S3 for obstore, s3fs and botocore."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session as botocore_session
import obstore
import pytest
import s3fs
from botocore.config import Config
from botocore.exceptions import ClientError
from obstore.exceptions import GenericError
from obstore.store import S3Store

from nwb_dask.testing import RangeServer

ODD = ["odd/a b.nwb", "odd/a%20b.nwb", "odd/a+b.nwb", "odd/größe.nwb", "odd/a#b.nwb", "odd/a?b.nwb", "odd/a=b&c.nwb"]
KEYS = sorted(["a/b/y.nwb", "a/x.nwb", "ab/w.nwb", "top.nwb", *ODD], key=str.encode)
SIGNED = [False, True]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    for key in KEYS:
        (tmp_path / "lab" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lab" / key).write_bytes(key.encode())
    with RangeServer(tmp_path) as running:
        yield running


def rust_store(server: RangeServer, *, is_signed: bool, bucket: str = "lab") -> S3Store:
    keys: dict[str, Any] = {"access_key_id": "k", "secret_access_key": "s"} if is_signed else {"skip_signature": True}
    return S3Store(bucket, endpoint=server.base_url, region="us-east-1", client_options={"allow_http": True}, **keys)


def python_store(server: RangeServer, *, is_signed: bool) -> Any:
    keys: dict[str, Any] = {"key": "k", "secret": "s", "requester_pays": True} if is_signed else {"anon": True}
    return s3fs.S3FileSystem(endpoint_url=server.base_url, skip_instance_cache=True, **keys)


def aws_client(server: RangeServer) -> Any:
    return botocore_session.Session().create_client(
        "s3",
        endpoint_url=server.base_url,
        region_name="us-east-1",
        aws_access_key_id="k",
        aws_secret_access_key="s",
        config=Config(retries={"max_attempts": 1}),
    )


@pytest.mark.parametrize("is_signed", SIGNED)
def test_obstore_lists_stats_and_reads(server: RangeServer, *, is_signed: bool) -> None:
    store = rust_store(server, is_signed=is_signed)
    listed = [meta for batch in obstore.list(store) for meta in batch]
    assert [meta["path"] for meta in listed] == KEYS
    for meta in listed:
        assert obstore.head(store, meta["path"]) == meta
        assert bytes(obstore.get(store, meta["path"]).bytes()).decode() == meta["path"]
    folder = obstore.list_with_delimiter(store, "a")
    assert (folder["common_prefixes"], [meta["path"] for meta in folder["objects"]]) == (["a/b"], ["a/x.nwb"])
    assert bytes(obstore.get_range(store, "top.nwb", start=1, end=3)) == b"op"
    assert bytes(obstore.get(store, "top.nwb", options={"range": {"suffix": 3}}).bytes()) == b"nwb"
    for absent in ("a", "none"):
        with pytest.raises(FileNotFoundError):
            obstore.head(store, absent)
    with pytest.raises(GenericError, match="NoSuchBucket"):
        obstore.list(rust_store(server, is_signed=is_signed, bucket="nolab")).collect()
    assert all(("authorization" in request.headers) == is_signed for request in server.log)


@pytest.mark.parametrize("is_signed", SIGNED)
def test_s3fs_lists_stats_and_reads(server: RangeServer, *, is_signed: bool) -> None:
    files = python_store(server, is_signed=is_signed)
    assert files.ls("lab") == ["lab/a", "lab/ab", "lab/odd", "lab/top.nwb"]
    assert files.find("lab") == [f"lab/{key}" for key in KEYS]
    assert files.glob("lab/a*/*.nwb") == ["lab/a/x.nwb", "lab/ab/w.nwb"]
    files.invalidate_cache()
    assert (files.info("lab/top.nwb")["size"], files.info("lab/a")["type"]) == (7, "directory")
    assert [files.exists(name) for name in ("lab", "lab/top.nwb", "lab/a", "lab/no", "nolab")] == [
        True, True, True, False, False,
    ]  # fmt: skip
    for key in KEYS:
        assert files.cat_file(f"lab/{key}").decode() == key
    assert files.cat_ranges(["lab/top.nwb"] * 2, [0, 3], [3, 7]) == [b"top", b".nwb"]
    with files.open("lab/a/x.nwb", block_size=4) as file:
        assert file.read() == b"a/x.nwb"
    with pytest.raises(FileNotFoundError, match="bucket does not exist"):
        files.ls("nolab")
    payers = {request.headers.get("x-amz-request-payer") for request in server.log if request.path == "lab/top.nwb"}
    assert payers == {"requester" if is_signed else None}


@pytest.mark.parametrize("options", [{}, {"Delimiter": "/"}, {"Prefix": "a"}, {"Prefix": "odd/", "Delimiter": " "}])
def test_pages_of_a_listing_have_each_key_once(server: RangeServer, options: dict[str, str]) -> None:
    prefix, delimiter = options.get("Prefix", ""), options.get("Delimiter", "\0")
    inside = [key for key in KEYS if key.startswith(prefix)]
    whole = [key for key in inside if delimiter not in key.removeprefix(prefix)]
    cut = {prefix + key.removeprefix(prefix).partition(delimiter)[0] + delimiter for key in set(inside) - set(whole)}
    client = aws_client(server)
    listing = client.get_paginator("list_objects_v2")
    for size in (1, 3, 1000):
        pages = list(listing.paginate(Bucket="lab", PaginationConfig={"PageSize": size}, **options))
        assert [one["Key"] for page in pages for one in page.get("Contents", [])] == whole
        assert [one["Prefix"] for page in pages for one in page.get("CommonPrefixes", [])] == sorted(cut)
        assert [page["KeyCount"] for page in pages[:-1]] == [size] * (len(pages) - 1)
        assert sum(page["KeyCount"] for page in pages) == len(whole) + len(cut)
    client.close()


def test_listing_begins_after_a_key(server: RangeServer) -> None:
    client = aws_client(server)
    listed = client.list_objects_v2(Bucket="lab", StartAfter="odd/größe.nwb", Prefix="")
    assert [one["Key"] for one in listed["Contents"]] == ["top.nwb"]
    assert listed["StartAfter"] == "odd/größe.nwb"
    client.close()


def test_versions_are_served_by_their_id(server: RangeServer, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"as it was")
    server.add_version("lab/top.nwb", "v1", tmp_path / "old")
    client = aws_client(server)
    answer = client.get_object(Bucket="lab", Key="top.nwb", VersionId="v1")
    assert (answer["Body"].read(), answer["VersionId"]) == (b"as it was", "v1")
    assert client.get_object(Bucket="lab", Key="top.nwb")["Body"].read() == b"top.nwb"
    with pytest.raises(ClientError, match="NoSuchVersion"):
        client.get_object(Bucket="lab", Key="top.nwb", VersionId="v2")
    client.close()


def test_errors_have_the_codes_of_s3(server: RangeServer) -> None:
    client = aws_client(server)
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.get_object(Bucket="lab", Key="a/none.nwb")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        client.get_object(Bucket="nolab", Key="x.nwb")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        client.list_objects_v2(Bucket="nolab")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        client.get_bucket_location(Bucket="nolab")
    assert client.get_bucket_location(Bucket="lab")["LocationConstraint"] is None
    server.reset()
    server.inject("lab", "status", status=403, code="AccessDenied")
    with pytest.raises(ClientError, match="AccessDenied"):
        client.list_objects_v2(Bucket="lab")
    assert server.n_bytes == 0
    client.close()


def test_folder_above_the_bucket_is_not_listed(server: RangeServer) -> None:
    client = aws_client(server)
    assert "Contents" not in client.list_objects_v2(Bucket="lab", Prefix="../lab/")
    client.close()
