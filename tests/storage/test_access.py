from __future__ import annotations

import pickle

import pytest

from nwb_dask.options import options
from nwb_dask.storage import Access, export_secrets, import_secrets, make_access
from nwb_dask.storage.access import _Registry, find_headers, find_secrets, has_lost_secrets

SECRETS = {"key": "AKIAXYZZY", "secret": "sesame-open", "token": "tok-999"}


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Registry, "by_handle", {})


def test_no_options_make_an_access_without_secrets() -> None:
    assert make_access(None) == make_access({}) == Access()


def test_repr_and_pickle_hold_no_secret() -> None:
    access = make_access({**SECRETS, "headers": {"Authorization": "Bearer hush"}, "anon": None})
    for value in (*SECRETS.values(), "hush"):
        assert value not in repr(access)
        assert value.encode() not in pickle.dumps(access)


def test_access_survives_pickling_and_hashing() -> None:
    access = make_access({**SECRETS, "region": "us-west-2"})
    again = pickle.loads(pickle.dumps(access))
    assert (again, hash(again)) == (access, hash(access))


def test_equal_secrets_make_equal_accesses() -> None:
    assert make_access(SECRETS) == make_access(SECRETS)
    assert make_access(SECRETS) != make_access({**SECRETS, "token": "other"})


def test_s3fs_and_obstore_names_mean_the_same() -> None:
    s3fs = {**SECRETS, "client_kwargs": {"endpoint_url": "http://h", "region_name": "r"}, "requester_pays": True}
    obstore = {
        "access_key_id": SECRETS["key"],
        "secret_access_key": SECRETS["secret"],
        "session_token": SECRETS["token"],
        "endpoint": "http://h",
        "region": "r",
        "request_payer": True,
        "client_options": {"allow_http": True},
    }
    assert make_access(s3fs) == make_access(obstore)


def test_headers_are_found_where_the_read_happens() -> None:
    access = make_access({"client_kwargs": {"headers": {"X-Key": "v"}}})
    assert find_headers(access) == {"X-Key": "v"}


def test_unknown_option_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(TypeError, match="no 'endpoint_ulr'; did you mean 'endpoint_url'"):
        make_access({"endpoint_ulr": "x"})


@pytest.mark.parametrize(
    "options",
    [
        {"key": b"hush", "secret": "hush"},
        {"anon": "hush"},
        {"headers": {"Authorization": 5, "hush": "hush"}},
        {"client_kwargs": "hush"},
        {"key": "hush"},
        {"key": "hush", "access_key_id": "hush2", "secret": "hush"},
        {"endpoint_url": "http://hush:hush@host"},
    ],
)
def test_refused_values_are_not_shown(options: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError), match="storage_options") as caught:
        make_access(options)
    if "hush" not in options.get("headers", {}):  # type: ignore[operator]  # a mapping in that one case
        assert "hush" not in str(caught.value)


def test_secrets_reach_another_process_by_export_and_import(monkeypatch: pytest.MonkeyPatch) -> None:
    access = make_access(SECRETS)
    exported = export_secrets(access)
    monkeypatch.setattr(_Registry, "by_handle", {})
    assert has_lost_secrets(access)
    assert find_secrets(access) == {}
    import_secrets(exported)
    assert not has_lost_secrets(access)
    assert find_secrets(access) == SECRETS


def test_access_without_secrets_exports_nothing_and_loses_nothing() -> None:
    access = make_access({"anon": True})
    assert export_secrets(access) == {}
    assert not has_lost_secrets(access)


def test_engine_and_limits_travel_as_plain_options() -> None:
    access = make_access({"engine": "s3fs", "deadline": 5, "requests_per_host": 3, "key": "k", "secret": "hush"})
    again = pickle.loads(pickle.dumps(access))
    chosen = again.choices()
    assert (chosen.engine, chosen.deadline, chosen.requests_per_host) == ("s3fs", 5, 3)
    assert find_secrets(access) == {"key": "k", "secret": "hush"}


def test_choices_of_a_block_travel_and_those_of_the_call_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NWB_DASK_DEADLINE", "77")
    with options(engine="obstore", requests_per_host=3, cache="off"):
        access = make_access({"engine": "http"})
    assert access.options == (("engine", "http"), ("requests_per_host", 3))
    with options(engine="fsspec", cache="off"):
        chosen = access.choices()
    assert (chosen.engine, chosen.requests_per_host, chosen.deadline, chosen.cache) == ("http", 3, 77, "off")


@pytest.mark.parametrize("given", [{"engine": "curl"}, {"deadline": 0}, {"requests_per_host": 0}])
def test_choices_that_cannot_be_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(given))):
        make_access(given)


def test_names_of_gcsfs_and_adlfs_are_understood() -> None:
    assert make_access({"token": {"private_key": "hush"}}).handle is not None
    assert make_access({"sas_key": "s"}) == make_access({"sas_token": "s"}) == make_access({"credential": "s"})
    assert make_access({"base_url": "http://h"}) == make_access({"endpoint_url": "http://h"})
