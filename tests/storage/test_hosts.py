from __future__ import annotations

import pickle
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nwb_dask import options
from nwb_dask.errors import SourceAccessError
from nwb_dask.index import Url
from nwb_dask.options import current_options
from nwb_dask.storage import (
    PUBLIC_STORES,
    Access,
    allows,
    export_secrets,
    find_remap,
    is_link_local,
    limit_access,
    make_access,
    matches,
    open_bytes,
    origin_of,
    server_name,
)
from nwb_dask.testing import RangeServer
from tests.storage.serving import MIDDLE, NAME, expected_of, read

LINK_LOCAL = [
    *("169.254.169.254", "169.254.0.1", "2852039166", "0xA9FEA9FE", "0xa9.0xfe.0xa9.0xfe", "0251.0376.0251.0376"),
    *("169.254.43518", "169.16689662", "[fe80::1]", "fe80::1%25eth0", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]"),
    *("[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[::a9fe:a9fe]", "[fd00:ec2::254]", "168.63.129.16"),
    *("metadata.google.internal", "metadata.google.internal.", "METADATA", "instance-data"),
]


@pytest.mark.parametrize("host", LINK_LOCAL)
def test_addresses_of_the_own_link_are_known_however_they_are_written(host: str) -> None:
    assert is_link_local(server_name(f"http://{host}/x"))
    assert not allows(("*", host, f"http://{host}"), f"http://{host}:80/x")


@pytest.mark.parametrize(
    "url",
    [
        "http://user@169.254.169.254/x",
        "http://169%2e254.169.254/x",
        "http://\uff11\uff16\uff19.254.169.254/x",
        "http://169。254.169.254",
    ],
)
def test_a_spelling_that_hides_an_address_hides_nothing(url: str) -> None:
    assert not allows(("*",), url)


@pytest.mark.parametrize(
    "authority",
    [
        "own.org#@evil.org",
        "own.org\\@evil.org",
        "own.org\t.evil.org",
        "own.org%00.evil.org",
        "own.org:80:80",
        "own.org:99999",
    ],
)
def test_a_name_that_clients_read_in_two_ways_is_no_server(authority: str) -> None:
    url = f"https://{authority}/x"
    assert not allows(("own.org", "https://own.org", "evil.org", "https://evil.org"), url)
    assert "%" in authority or not allows(("*",), url)


@pytest.mark.parametrize("host", ["10.0.0.1", "127.0.0.1", "[::1]", "[2001:db8::1]", "example.org", "[::]", "0"])
def test_other_addresses_are_not_of_the_own_link(host: str) -> None:
    assert not is_link_local(server_name(f"http://{host}/"))


@pytest.mark.parametrize(
    ("rule", "admits", "refuses"),
    [
        ("example.org", ["http://example.org:8000/", "https://EXAMPLE.org./x"], ["https://a.example.org", "ftp://example.org"]),
        ("example.org:8000", ["http://example.org:8000/x"], ["http://example.org/x", "https://example.org:80/"]),
        ("https://example.org", ["https://example.org/", "https://u:p@example.org:443/"], ["http://example.org", "https://example.org:8/"]),
        ("*.example.org", ["http://a.example.org", "http://a.b.example.org"], ["http://example.org", "http://aexample.org"]),
        ("https://s3.*.amazonaws.com", ["https://s3.us-east-1.amazonaws.com/b"], ["https://s3.a.b.amazonaws.com/b"]),
        ("[::1]", ["http://[::1]:80/x"], ["http://[::2]/"]),
        ("s3://bucket", ["s3://bucket/key", "s3a://bucket/key"], ["s3://bucket2/key", "gs://bucket/key", "https://bucket/"]),
        ("bucket", [], ["s3://bucket/key"]),
        ("*", ["http://any", "s3://any/key"], ["ftp://any", "file:///etc/passwd", "/etc/passwd"]),
    ],
)  # fmt: skip
def test_a_rule_admits_what_it_says(rule: str, admits: list[str], refuses: list[str]) -> None:
    assert [url for url in admits if not matches(rule, url)] == []
    assert [url for url in refuses if matches(rule, url)] == []


def test_public_stores_are_a_closed_list() -> None:
    for url in (
        "https://api.dandiarchive.org/api/assets/1/download/",
        "https://dandiarchive.s3.amazonaws.com/blobs/1",
        "https://bucket.s3.us-east-2.amazonaws.com/x",
        "https://s3-us-west-2.amazonaws.com/bucket/x",
        "https://storage.googleapis.com/b/x",
        "s3://dandiarchive/blobs/1",
    ):
        assert allows(PUBLIC_STORES, url), url
    for url in (
        "http://dandiarchive.s3.amazonaws.com/blobs/1",
        "https://dandiarchive.s3.amazonaws.com.evil.org/",
        "https://vpce-1.s3.us-east-1.vpce.amazonaws.com/b",
        "https://x.execute-api.us-east-1.amazonaws.com/",
        "s3://other/x",
    ):
        assert not allows(PUBLIC_STORES, url), url


def test_an_origin_is_scheme_server_and_port() -> None:
    assert origin_of("HTTPS://user@Example.org./x?y") == "https://example.org:443"
    assert origin_of("http://[::1]:8000/") == "http://[::1]:8000"
    assert origin_of("s3://Bucket/a/b") == "s3://bucket"


@pytest.fixture
def other(tmp_path: Path) -> Iterator[RangeServer]:
    (tmp_path / "other").mkdir()
    with RangeServer(tmp_path / "other") as running:
        yield running


def limited(*rules: str, **given: object) -> Access:
    return limit_access(make_access(given), rules, is_trusted=True)


def test_only_servers_that_may_be_asked_are(bucket_server: RangeServer) -> None:
    with pytest.raises(SourceAccessError, match=r"leads to the server 127\.0\.0\.1.*allow_hosts"):
        open_bytes(Url(bucket_server.url(NAME)), limited("example.org"))
    assert bucket_server.n_requests == 0
    with open_bytes(Url(bucket_server.url(NAME)), limited("127.0.0.1")) as store:
        assert read(store, MIDDLE) == expected_of(MIDDLE)


@pytest.mark.parametrize("engine", ["auto", "remfile", "fsspec", "obstore"])
def test_a_redirect_is_followed_only_to_servers_that_may_be_asked(
    bucket_server: RangeServer, other: RangeServer, engine: str
) -> None:
    other.redirect("a.nwb", lambda: bucket_server.url(NAME))
    own = origin_of(other.base_url)
    with pytest.raises(SourceAccessError, match="which a file may not name"):
        open_bytes(Url(other.url("a.nwb")), limited(own, engine=engine))
    assert bucket_server.n_requests == 0
    with open_bytes(Url(other.url("a.nwb")), limited(own, origin_of(bucket_server.base_url))) as store:
        assert read(store, MIDDLE) == expected_of(MIDDLE)


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "2852039166"])
def test_a_redirect_to_the_own_link_is_never_followed(other: RangeServer, host: str) -> None:
    other.redirect("a.nwb", f"http://{host}/latest/meta-data/")
    with pytest.raises(SourceAccessError, match="an address of this machine's own link"):
        open_bytes(Url(other.url("a.nwb")), limited("*"))


def test_a_name_that_leads_to_the_own_link_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*_args: Any, **_more: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    with pytest.raises(SourceAccessError, match="which a file may not name"):
        open_bytes(Url("http://harmless.example.org/x.nwb"), limited("*"))


def test_a_name_that_changes_between_two_looks_is_not_asked(
    bucket_server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nwb_dask.storage.connections.is_link_local", lambda host: host == "127.0.0.1")
    with pytest.raises(SourceAccessError, match="which a file may not name"):
        open_bytes(Url(bucket_server.url(NAME)), limited("*"))
    assert bucket_server.n_requests == 0


def test_what_is_not_trusted_gets_no_secret() -> None:
    access = make_access({"headers": {"X-Key": "hush"}, "key": "k", "secret": "s", "profile": "p", "deadline": 7.0})
    stranger = limit_access(access, ("*",), is_trusted=False)
    assert export_secrets(stranger) == {}
    assert dict(stranger.options) == {"anon": True, "deadline": 7.0, "only_hosts": "*"}
    friend = limit_access(stranger, ("a",), is_trusted=True)
    assert dict(friend.options)["only_hosts"] == "a"
    assert limit_access(access, ("*",), is_trusted=True).handle == access.handle


def test_hosts_and_remaps_travel_with_an_access() -> None:
    access = make_access({"remap": {"http://b/": "/data/", "a": "c"}, "allow_hosts": ["b.org", "a.org", "b.org"]})
    again = pickle.loads(pickle.dumps(access))
    assert hash(again) == hash(access)
    assert find_remap(again) == {"http://b/": "/data/", "a": "c"}
    assert again.choices().allow_hosts == "a.org,b.org"
    with options(remap={"x": "y"}):
        assert find_remap(make_access()) == {"x": "y"}


def test_a_signed_url_to_remap_to_stays_in_the_process() -> None:
    access = make_access({"remap": {"http://b/x": "https://h/x?X-Amz-Signature=hush"}})
    assert b"hush" not in pickle.dumps(access)
    assert find_remap(access) == {"http://b/x": "https://h/x?X-Amz-Signature=hush"}


@pytest.mark.parametrize("wrong", [["http://a:b@c d"], ["a b"], ["ftp://x"], ["h:99999"], ["https://h/path"]])
def test_hosts_that_are_none_are_refused_without_being_shown(wrong: list[str]) -> None:
    with pytest.raises(ValueError, match="allow_hosts names servers like these") as caught:
        make_access({"allow_hosts": wrong})
    assert wrong[0] not in str(caught.value)


@pytest.mark.parametrize("wrong", ["no json", "[1]", {"a": 1}, {"": "b"}, {"a": ""}, 7])
def test_what_is_no_mapping_of_urls_is_refused(wrong: object) -> None:
    with pytest.raises((TypeError, ValueError), match="remap is not a mapping of URLs"), options(remap=wrong):
        pass


def test_hosts_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NWB_DASK_ALLOW_HOSTS", "b.org, *.a.org")
    assert current_options().allow_hosts == "*.a.org,b.org"
