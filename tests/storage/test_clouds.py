from __future__ import annotations

import json
from pathlib import Path

import pytest

from nwb_dask.errors import SourceNotFoundError, SourceUnavailableError
from nwb_dask.index import Url
from nwb_dask.storage import clients, expand_sources, make_access, open_bytes
from nwb_dask.storage.clouds import azure_config, gcs_config, google_headers
from nwb_dask.testing import RangeServer
from tests.storage.serving import CONTENT, MIDDLE, NAME, expected_of, read

KEY = {"type": "service_account", "private_key": "hush", "client_email": "me@lab"}
pytestmark = pytest.mark.usefixtures("no_cloud")


@pytest.fixture(autouse=True)
def _not_on_google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("nwb_dask.storage.clouds._MACHINE", tmp_path / "none")


def google(home: Path, options: dict[str, object], **environment: str) -> dict[str, object]:
    return dict(gcs_config(make_access(options), environment, home=home))


def azure(options: dict[str, object], account: str | None = None, **environment: str) -> dict[str, object]:
    return dict(azure_config(make_access(options), account, environment))


# --- Google


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"skip_signature": True}),
        ({"anon": True}, {"skip_signature": True}),
        ({"token": "anon"}, {"skip_signature": True}),
        ({"skip_signature": True}, {"skip_signature": True}),
        ({"anon": False}, {}),
        ({"token": "google_default"}, {}),
        ({"token": "cloud"}, {}),
        ({"token": "ya29.hush"}, {"bearer_token": "ya29.hush"}),
        ({"token": KEY}, {"service_account_key": json.dumps(KEY)}),
        ({"service_account_key": "{}"}, {"service_account_key": "{}"}),
        ({"service_account": "/k.json"}, {"application_credentials": "/k.json"}),
        ({"endpoint_url": "http://h:1"}, {"skip_signature": True, "base_url": "http://h:1"}),
        ({"endpoint_url": "http://h:1", "token": "t"}, {"bearer_token": "t", "base_url": "http://h:1"}),
    ],
)
def test_google_is_asked_as_the_options_say(
    tmp_path: Path, options: dict[str, object], expected: dict[str, object]
) -> None:
    assert google(tmp_path, options) == expected


def test_google_uses_what_the_environment_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert google(tmp_path, {}, GOOGLE_APPLICATION_CREDENTIALS="/k.json") == {}
    assert google(tmp_path, {"anon": True}, GOOGLE_APPLICATION_CREDENTIALS="/k.json") == {"skip_signature": True}
    assert google(tmp_path, {}, STORAGE_EMULATOR_HOST="h:9") == {"skip_signature": True, "base_url": "http://h:9"}
    file = tmp_path / ".config" / "gcloud" / "application_default_credentials.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    assert google(tmp_path, {}) == {}
    machine = tmp_path / "machine"
    machine.write_text("Google Compute Engine\n")
    monkeypatch.setattr("nwb_dask.storage.clouds._MACHINE", machine)
    assert google(tmp_path / "other", {}) == {}


def test_google_takes_a_token_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text("{}")
    assert google(tmp_path, {"token": str(path)}) == {"application_credentials": str(path)}


@pytest.mark.parametrize("token", ["browser", {"type": "authorized_user", "refresh_token": "hush"}])
def test_google_refuses_a_token_that_it_cannot_use_without_showing_it(tmp_path: Path, token: object) -> None:
    with pytest.raises(ValueError, match="storage_options") as caught:
        google(tmp_path, {"token": token})
    assert "hush" not in str(caught.value)


def test_google_is_told_which_project_pays(bucket_server: RangeServer) -> None:
    with pytest.raises(ValueError, match="needs 'project'"):
        google_headers(make_access({"requester_pays": True}))
    access = make_access({"requester_pays": True, "project": "lab", "endpoint_url": bucket_server.base_url})
    open_bytes(Url(f"gs://{NAME}"), access).close()
    assert {request.headers["x-goog-user-project"] for request in bucket_server.log} == {"lab"}


def test_google_gets_the_token_with_each_request(bucket_server: RangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    # obstore must not prefer this one.
    monkeypatch.setenv("GOOGLE_BASE_URL", "http://127.0.0.1:1")
    access = make_access({"token": "hush", "endpoint_url": bucket_server.base_url})
    with open_bytes(Url(f"gs://{NAME}"), access) as store:
        assert read(store, MIDDLE) == expected_of(MIDDLE)
    assert {request.headers["authorization"] for request in bucket_server.log} == {"Bearer hush"}


# --- Azure

KEYED = "DefaultEndpointsProtocol=https;AccountName=lab;AccountKey=aGk=;EndpointSuffix=core.windows.net"
SIGNED = "BlobEndpoint=https://lab.blob.core.windows.net/;SharedAccessSignature=?sv=1&sig=a%2Bb"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"skip_signature": True}),
        ({"anon": False}, {}),
        ({"account_key": "k"}, {"account_key": "k"}),
        ({"account_key": "k", "anon": True}, {"account_key": "k", "skip_signature": True}),
        ({"sas_token": "?sv=1&sig=s"}, {"sas_key": "sv=1&sig=s"}),
        ({"credential": "sv=1&sig=s"}, {"sas_key": "sv=1&sig=s"}),
        ({"token": "t"}, {"token": "t"}),
        (
            {"client_id": "i", "client_secret": "s", "tenant_id": "t"},
            {"client_id": "i", "client_secret": "s", "tenant_id": "t"},
        ),
        ({"account_host": "h.example", "sas_token": "s"}, {"endpoint": "https://h.example", "sas_key": "s"}),
        ({"endpoint_url": "http://h/lab"}, {"endpoint": "http://h/lab", "skip_signature": True}),
    ],
)
def test_azure_is_asked_as_the_options_say(options: dict[str, object], expected: dict[str, object]) -> None:
    assert azure({"account_name": "lab", **options}) == {"account_name": "lab", **expected}


def test_azure_understands_connection_strings() -> None:
    endpoint = "https://lab.blob.core.windows.net"
    keyed = {"account_name": "lab", "account_key": "aGk=", "endpoint": endpoint}
    assert azure({"connection_string": KEYED}) == azure({}, AZURE_STORAGE_CONNECTION_STRING=KEYED) == keyed
    signed = {"account_name": "lab", "endpoint": endpoint, "sas_key": "sv=1&sig=a%2Bb"}
    assert azure({"connection_string": SIGNED}, "lab") == signed
    assert azure({"connection_string": "UseDevelopmentStorage=true"})["use_emulator"] is True
    assert azure({"sas_token": "s"}, "lab", AZURE_STORAGE_CONNECTION_STRING=KEYED)["sas_key"] == "s"


@pytest.mark.parametrize("text", ["hush", "AccountName"])
def test_azure_refuses_what_is_no_connection_string_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match="connection_string") as caught:
        azure({"connection_string": text})
    assert "hush" not in str(caught.value)


def test_azure_uses_what_the_environment_has() -> None:
    assert azure({}, AZURE_STORAGE_ACCOUNT_NAME="lab", AZURE_STORAGE_ACCOUNT_KEY="k") == {"account_name": "lab"}


def test_azure_needs_an_account() -> None:
    with pytest.raises(ValueError, match="account_name"):
        azure({})


@pytest.mark.parametrize(
    "url", ["az://bucket/a.nwb", "abfs://bucket/a.nwb", "abfss://bucket@lab.dfs.core.windows.net/a.nwb"]
)
@pytest.mark.parametrize("credential", [{"account_key": "aGVsbG8="}, {"sas_token": "sv=1&sig=hu%2fsh"}, {}])
def test_azure_objects_are_read(
    bucket_server: RangeServer, url: str, credential: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    # obstore must not prefer this one.
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:1")
    access = make_access({"account_name": "lab", "endpoint_url": bucket_server.base_url, **credential})
    with open_bytes(Url(url), access) as store:
        assert store.size == len(CONTENT)
        assert read(store, MIDDLE, (len(CONTENT) - 5, len(CONTENT))) == [CONTENT[slice(*MIDDLE)], CONTENT[-5:]]
        assert "hu" not in repr(store.source.url)


# --- Both


def test_objects_of_google_and_azure_are_not_found_as_those_of_s3(bucket_server: RangeServer) -> None:
    access = make_access({"endpoint_url": bucket_server.base_url, "account_name": "lab", "anon": True})
    for scheme in ("gs", "az"):
        with pytest.raises(SourceNotFoundError, match=f"nothing is at {scheme}://bucket/none; if it is a folder"):
            open_bytes(Url(f"{scheme}://bucket/none"), access)


def test_a_version_of_an_object_is_asked_for_as_its_store_names_it(bucket_server: RangeServer) -> None:
    access = make_access({"endpoint_url": bucket_server.base_url, "account_name": "lab", "anon": True})
    for scheme, query in (("gs", "generation=17"), ("az", "versionid=17")):
        bucket_server.reset()
        with open_bytes(Url(f"{scheme}://{NAME}?versionId=17"), access) as store:
            assert store.source.identity.value == "17"
        assert {request.target.partition("?")[2] for request in bucket_server.log} == {query}


def test_a_name_of_an_object_is_not_listed() -> None:
    (one,) = expand_sources("gs://bucket/folder/a.nwb", make_access())
    assert (one.name, one.url) == ("gs://bucket/folder/a.nwb", "gs://bucket/folder/a.nwb")


def test_a_bucket_that_cannot_be_is_an_error_without_the_options() -> None:
    access = make_access({"account_name": "lab", "account_key": "not base64: hush", "endpoint_url": "http://h"})
    with pytest.raises(SourceUnavailableError) as caught:
        open_bytes(Url("az://bucket/a.nwb"), access)
    assert "hush" not in str(caught.value)


def test_clients_are_shared_by_objects_and_bounded(bucket_server: RangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients._clients, "clients", type(clients._clients.clients)())
    monkeypatch.setattr(clients, "_N_CLIENTS", 4)
    access = make_access({"endpoint_url": bucket_server.base_url, "anon": True})
    for name in ("a.nwb", "b.nwb"):
        clients.connect_bucket(f"gs://bucket/{name}", access)
    assert len(clients._clients.clients) == 1
    for i in range(clients._N_CLIENTS + 5):
        clients.connect_bucket(f"gs://bucket{i}/a.nwb", access)
    assert len(clients._clients.clients) == clients._N_CLIENTS
