"""Clients of obstore in this process: one per bucket or server, none after a fork, and none that tries again."""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from obstore.store import AzureStore, GCSStore, HTTPStore, S3Store

from nwb_dask.errors import SourceUnavailableError
from nwb_dask.storage.access import Access, find_secrets
from nwb_dask.storage.clouds import azure_config, gcs_config, google_headers
from nwb_dask.storage.concurrency import check_process
from nwb_dask.storage.connections import CONNECT_SECONDS, SILENCE_SECONDS
from nwb_dask.storage.credentials import find_endpoint, find_provider, find_region
from nwb_dask.storage.urls import BUCKETS, display_url, scheme, split_azure, split_bucket

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config  # exist for type checkers only

Client: TypeAlias = HTTPStore | S3Store | GCSStore | AzureStore

_N_CLIENTS = 64
# What is tried again, and when, is said in `retry`.
_RETRY: RetryConfig = {"max_retries": 0}

# Paths that mean the same to the URL parser and to obstore, which percent-encodes paths but not whole URLs.
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._~=,@:+()-]+(/[A-Za-z0-9._~=,@:+()-]+)*\Z")


class _Clients:
    """Clients in use, least recently used first."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.clients: OrderedDict[object, Client] = OrderedDict()

    def after_fork(self) -> None:
        """Give up everything in a forked child: obstore hangs there, with a new client too (0.12.1)."""
        abandoned = self.clients
        self.__init__()  # type: ignore[misc]  # the same blank state as at import
        # Freeing a client would wait for threads that the child does not have.
        self.abandoned = abandoned


_clients = _Clients()
os.register_at_fork(after_in_child=_clients.after_fork)


def connect_http(url: str, headers: Mapping[str, str], *, seconds: float) -> tuple[Client, str]:
    """Return the client of an http(s) server, and what to ask it for; nothing is sent yet.

    Parameters
    ----------
    url : str
        Without a user.
    headers : mapping
        To be sent with each request.
    seconds : float
        What a request may take.
    """
    # A number sign is part of the name: a fragment never reaches a server, so none can be meant.
    location, mark, query = url.partition("?")
    with _readable(display_url(url)):
        parts = urlsplit(location.replace("#", "%23"))
    origin = f"{parts.scheme}://{parts.netloc}"
    if not mark and _PLAIN_PATH.match(parts.path) and not {".", ".."} & set(parts.path.split("/")):
        return _http(origin, headers, seconds), parts.path[1:]
    # Anything else reaches the server as it was typed only as the client's own URL.
    return _http(origin + parts.path + mark + query, headers, seconds), ""


def connect_bucket(url: str, access: Access) -> Client:
    """Return the client of the bucket or container that a URL of an object store names.

    Raises
    ------
    ValueError
        For options that do not fit the store.
    SourceUnavailableError
        For a bucket whose name is none.
    """
    check_process()
    kind, (bucket, _, _) = BUCKETS[scheme(url)], split_bucket(url)
    prefix = {"s3": ("AWS_",), "gs": ("GOOGLE_", "STORAGE_EMULATOR_HOST"), "az": ("AZURE_", "IDENTITY_")}[kind]
    environment = tuple(value for name, value in sorted(os.environ.items()) if name.startswith(prefix))
    secrets = tuple(sorted(find_secrets(access).items()))
    build = {"s3": _s3, "gs": _google, "az": _azure}[kind]
    key = (kind, bucket, access, secrets, environment, access.choices().deadline)
    return _cached(key, lambda: build(bucket, access))


def _s3(bucket: str, access: Access) -> Client:
    endpoint, region, provider = find_endpoint(access), find_region(bucket, access), find_provider(access)
    config: S3Config = {"request_payer": bool(access.switch("requester_pays"))}
    if endpoint:
        config["endpoint"] = endpoint
    if endpoint and "AWS_ENDPOINT_URL_S3" in os.environ:
        # obstore would prefer the variable to the option.
        config["aws_endpoint_url_s3"] = endpoint
    if region:
        config["region"] = region
    if provider is None:
        config["skip_signature"] = True
    with _readable(f"s3://{bucket}"):
        return S3Store(
            bucket,
            config=config,
            client_options=_client_options(access.choices().deadline),
            retry_config=_RETRY,
            credential_provider=provider,
        )


def _google(bucket: str, access: Access) -> Client:
    config = gcs_config(access, os.environ)
    options = _client_options(access.choices().deadline, google_headers(access))
    with _readable(f"gs://{bucket}"):
        return GCSStore(bucket, config=config, client_options=options, retry_config=_RETRY)


def _azure(bucket: str, access: Access) -> Client:
    container, account = split_azure(bucket)
    config = azure_config(access, account, os.environ)
    options = _client_options(access.choices().deadline)
    with _readable(f"az://{container}"):
        return AzureStore(container, config=config, client_options=options, retry_config=_RETRY)


def _http(url: str, headers: Mapping[str, str], seconds: float) -> Client:
    def build() -> HTTPStore:
        with _readable(display_url(url)):
            return HTTPStore(url, client_options=_client_options(seconds, headers), retry_config=_RETRY)

    return _cached(("http", url, tuple(sorted(headers.items())), seconds), build)


def _client_options(seconds: float, headers: Mapping[str, str] | None = None) -> ClientConfig:
    options: ClientConfig = {
        "allow_http": True,
        "connect_timeout": timedelta(seconds=min(CONNECT_SECONDS, seconds)),
        "read_timeout": timedelta(seconds=min(SILENCE_SECONDS, seconds)),
        "timeout": timedelta(seconds=seconds),
    }
    if headers:
        options["default_headers"] = dict(headers)
    return options


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """Raise our error for what obstore cannot parse; its own message would show the whole URL."""
    failed = False
    try:
        yield
    except Exception:  # noqa: BLE001  # of obstore's tree or a ValueError; the message may hold a key
        failed = True
    if failed:
        raise SourceUnavailableError(f"{what} cannot be read with this URL and these options", url=what)


def _cached(key: object, build: Callable[[], Client]) -> Client:
    with _clients.lock:
        client = _clients.clients.get(key)
        if client is not None:
            _clients.clients.move_to_end(key)
            return client
    # Built outside the lock: finding credentials and regions may take seconds.
    client = build()
    with _clients.lock:
        client = _clients.clients.setdefault(key, client)
        while len(_clients.clients) > _N_CLIENTS:
            _clients.clients.popitem(last=False)
    return client
