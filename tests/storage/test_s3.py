from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import botocore.session as botocore_session
import moto.server as moto_server
import pytest

from nwb_dask.errors import SourceAccessError, SourceChangedError, SourceNotFoundError
from nwb_dask.index import Url
from nwb_dask.storage import Named, expand_sources, make_access, open_bytes, trace
from nwb_dask.storage.credentials import find_provider, find_region
from nwb_dask.testing import RangeServer

KIB = 1024
CONTENT = os.urandom(1000 * KIB)
KEYS = ["a/x.nwb", "a/b/y.nwb", "a/b/z.h5", "a/s.nwb/.zgroup", "a/s.nwb/d/0", "top.nwb", "a/.hidden.nwb", "ab/w.nwb"]
ODD = ["odd/a b.nwb", "odd/a%20b.nwb", "odd/a+b.nwb", "odd/größe.nwb", "odd/a#b.nwb", "odd/a?b.nwb", "odd/a=b&c.nwb"]
CREDENTIALS = {"key": "AKIAXYZZY", "secret": "sesame-open"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = botocore_session.Session().create_client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=CREDENTIALS["key"],
        aws_secret_access_key=CREDENTIALS["secret"],
    )
    client.create_bucket(Bucket="lab")
    client.create_bucket(Bucket="versioned")
    client.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    for key in (*KEYS, *ODD):
        client.put_object(Bucket="lab", Key=key, Body=key.encode())
    client.put_object(Bucket="lab", Key="big.nwb", Body=CONTENT, ACL="public-read")
    yield url
    client.close()
    server.stop()


@pytest.fixture(autouse=True)
def _no_credentials_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def names(source: str, endpoint: str) -> list[str]:
    access = make_access({**CREDENTIALS, "endpoint_url": endpoint})
    return [one.name.removeprefix("s3://lab/") for one in expand_sources(source, access)]


@pytest.mark.parametrize(
    "options",
    [{"anon": True}, {}, CREDENTIALS, {**CREDENTIALS, "client_kwargs": {"region_name": "us-east-1"}}],
    ids=["anonymous", "none found", "keys", "region"],
)
def test_object_is_read_with_each_kind_of_credentials(endpoint: str, options: dict[str, object]) -> None:
    access = make_access({**options, "endpoint_url": endpoint})
    with trace() as traced, open_bytes(Url("s3://lab/big.nwb"), access) as store:
        assert (store.size, store.source.identity.kind) == (len(CONTENT), "etag")
        got = store.read([(400 * KIB, 401 * KIB), (0, 5)])
        assert [bytes(one) for one in got] == [CONTENT[400 * KIB : 401 * KIB], CONTENT[:5]]
    assert traced.by_url == {"s3://lab/big.nwb": (3, 513 * KIB)}


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_endpoint_of_the_environment_is_used(endpoint: str, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, endpoint)
    assert open_bytes(Url("s3://lab/big.nwb"), make_access({"anon": True})).size == len(CONTENT)


def test_endpoint_of_the_options_wins_over_the_environment(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    access = make_access({"anon": True, "endpoint_url": endpoint})
    assert open_bytes(Url("s3://lab/big.nwb"), access).size == len(CONTENT)


def test_keys_of_the_environment_sign_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t")
    provider = find_provider(make_access())
    assert provider is not None
    assert (provider()["access_key_id"], provider()["token"]) == ("from-environment", "t")


def test_given_keys_are_not_mixed_with_a_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t")
    provider = find_provider(make_access(CREDENTIALS))
    assert provider is not None
    assert provider()["token"] is None


def test_profile_signs_requests(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("[lab]\naws_access_key_id = of-lab\naws_secret_access_key = s\n")
    provider = find_provider(make_access({"profile": "lab"}))
    assert provider is not None
    assert provider()["access_key_id"] == "of-lab"


def test_unknown_profile_is_named() -> None:
    with pytest.raises(ValueError, match="no AWS profile 'labb'"):
        find_provider(make_access({"profile": "labb"}))


def test_nothing_signs_anonymous_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert find_provider(make_access({"anon": True})) is None


def test_requester_pays_is_said_to_the_server(tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "k.nwb").write_bytes(b"abc")
    with RangeServer(tmp_path) as server:
        access = make_access({**CREDENTIALS, "requester_pays": True, "endpoint_url": server.base_url})
        assert open_bytes(Url("s3://bucket/k.nwb"), access).size == 3
        assert {request.headers.get("x-amz-request-payer") for request in server.log} == {"requester"}


@pytest.mark.parametrize("key", ODD)
def test_unusual_keys_are_read_as_they_are_stored(endpoint: str, key: str) -> None:
    access = make_access({**CREDENTIALS, "endpoint_url": endpoint})
    with open_bytes(Url(f"s3://lab/{key}"), access) as store:
        assert bytes(store.read([(0, store.size)])[0]).decode() == key


def test_missing_key_is_not_found(endpoint: str) -> None:
    with pytest.raises(SourceNotFoundError, match="nothing is at s3://lab/a; if it is a folder"):
        open_bytes(Url("s3://lab/a"), make_access({**CREDENTIALS, "endpoint_url": endpoint}))


def test_replaced_object_is_noticed(endpoint: str) -> None:
    access = make_access({**CREDENTIALS, "endpoint_url": endpoint})
    client = botocore_session.Session().create_client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    client.put_object(Bucket="lab", Key="changing.nwb", Body=CONTENT)
    with open_bytes(Url("s3://lab/changing.nwb"), access) as store:
        client.put_object(Bucket="lab", Key="changing.nwb", Body=CONTENT[::-1])
        with pytest.raises(SourceChangedError):
            store.read([(400 * KIB, 401 * KIB)])
    client.close()


def test_version_of_the_url_is_read_after_the_object_was_replaced(endpoint: str) -> None:
    client = botocore_session.Session().create_client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    version = client.put_object(Bucket="versioned", Key="v.nwb", Body=CONTENT)["VersionId"]
    client.put_object(Bucket="versioned", Key="v.nwb", Body=b"new")
    client.close()
    access = make_access({**CREDENTIALS, "endpoint_url": endpoint})
    (named,) = expand_sources(f"s3://versioned/v.nwb?versionId={version}", access)
    assert named.name == "s3://versioned/v.nwb"
    with open_bytes(named.url, access) as store:
        assert (store.source.identity.kind, store.source.identity.value) == ("version", version)
        assert bytes(store.read([(400 * KIB, 401 * KIB)])[0]) == CONTENT[400 * KIB : 401 * KIB]


def test_folder_is_every_nwb_below_the_prefix_and_a_store_is_one(endpoint: str) -> None:
    assert names("s3://lab/a/", endpoint) == ["a/b/y.nwb", "a/s.nwb", "a/x.nwb"]


def test_bucket_is_a_folder(endpoint: str) -> None:
    assert {"top.nwb", "a/x.nwb", "ab/w.nwb"} < set(names("s3://lab", endpoint))


def test_glob_stays_in_its_folder_and_two_stars_leave_it(endpoint: str) -> None:
    assert names("s3://lab/a/*.nwb", endpoint) == ["a/x.nwb"]
    assert names("s3://lab/a/**/*.nwb", endpoint) == ["a/b/y.nwb", "a/s.nwb", "a/x.nwb"]
    assert names("s3://lab/a*/*.nwb", endpoint) == ["a/s.nwb", "a/x.nwb", "ab/w.nwb"]


def test_key_and_zarr_store_are_not_listed(endpoint: str) -> None:
    nowhere = "http://127.0.0.1:1"
    assert names("s3://lab/none.nwb", nowhere) == ["none.nwb"]
    assert names("s3://lab/a/s.nwb/", nowhere) == ["a/s.nwb"]


def test_nothing_below_a_prefix_is_not_found(endpoint: str) -> None:
    with pytest.raises(SourceNotFoundError, match="matches s3://lab/none/"):
        names("s3://lab/none/", endpoint)


def test_missing_bucket_is_not_found(endpoint: str) -> None:
    access = make_access({**CREDENTIALS, "endpoint_url": endpoint})
    with pytest.raises(SourceNotFoundError, match="nothing is at s3://nolab/"):
        expand_sources("s3://nolab/", access)


def test_listing_that_is_refused_says_so(tmp_path: Path) -> None:
    with RangeServer(tmp_path) as server:
        server.inject("lab", "status", status=403)
        access = make_access({"anon": True, "endpoint_url": server.base_url})
        with pytest.raises(SourceAccessError, match="refused"):
            expand_sources("s3://lab/", access)


def test_named_object_pickles_with_its_url(endpoint: str) -> None:
    named = expand_sources("s3://lab/a/x.nwb", make_access({"endpoint_url": endpoint}))
    assert pickle.loads(pickle.dumps(named)) == named == (Named("s3://lab/a/x.nwb", named[0].url, "s3://lab/a/x.nwb"),)


def test_region_is_what_the_server_says_even_when_it_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "stated")
    with RangeServer(tmp_path) as server:
        server.inject("lab", "status", status=403)
        assert find_region("lab", make_access(), aws_url=server.base_url) == "stated"
        assert find_region("lab", make_access({"region": "given"}), aws_url=server.base_url) == "given"
    assert find_region("lab", make_access(), aws_url="http://127.0.0.1:1") == "stated"
