"""Connections of this process: one client per server or bucket, one thread pool, and their end after a fork."""

from __future__ import annotations

import base64
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias, TypeVar
from urllib.parse import unquote, urlsplit

from obstore.store import HTTPStore, S3Store

from nwb_dask.errors import SourceUnavailableError
from nwb_dask.storage.access import Access, find_headers, find_secrets
from nwb_dask.storage.credentials import find_endpoint, find_provider, find_region
from nwb_dask.storage.urls import display_url, scheme, split_s3

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config  # exist for type checkers only

Client: TypeAlias = HTTPStore | S3Store
T = TypeVar("T")

_N_THREADS = 16
_N_CLIENTS = 64

# An unreachable host fails within 30 s: two silences of 12 s. A transfer that moves is never cut off before
# 10 minutes. A refused connection fails after six tries, about 2 s.
_RETRY: RetryConfig = {
    "max_retries": 6,
    "retry_timeout": timedelta(seconds=15),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}
_CLIENT: ClientConfig = {"allow_http": True, "connect_timeout": "5s", "read_timeout": "12s", "timeout": "10m"}

# Paths that mean the same to the URL parser and to obstore, which percent-encodes paths but not whole URLs.
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._~=,@:+()-]+(/[A-Za-z0-9._~=,@:+()-]+)*\Z")


@dataclass(frozen=True, slots=True)
class Remote:
    """An object on a server."""

    client: Client
    path: str
    """What to ask the client for."""
    version: str | None = None
    """S3 version id, if the URL names one."""


class _Connections:
    """Clients in use, least recently used first, and the threads that wait for them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.clients: OrderedDict[object, Client] = OrderedDict()
        self.pool: ThreadPoolExecutor | None = None
        self.forked = False

    def after_fork(self) -> None:
        """Give up everything in a forked child: obstore hangs there, with a new client too (0.12.1)."""
        used, abandoned = bool(self.clients) or self.forked, self.clients
        self.__init__()  # type: ignore[misc]  # the same blank state as at import
        self.forked = used
        # Freeing a client would wait for threads that the child does not have.
        self.abandoned = abandoned


_connections = _Connections()
os.register_at_fork(after_in_child=_connections.after_fork)


def check_process() -> None:
    """Raise if this process cannot use the network: it was forked from one that had."""
    if _connections.forked:
        raise SourceUnavailableError(
            "this process was forked from one that had read remote files, and connections do not survive that; "
            "start workers with the 'spawn' or 'forkserver' method"
        )


def run_all(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Return what the calls return, in order; several run at once, one runs on the calling thread.

    The first error is raised after the calls that had not started are dropped.
    """
    check_process()
    if len(calls) == 1:
        return [calls[0]()]
    with _connections.lock:
        pool = _connections.pool = _connections.pool or ThreadPoolExecutor(_N_THREADS, "nwb_dask-read")
    futures: list[Future[T]] = [pool.submit(call) for call in calls]
    try:
        return [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()


def connect(url: str, access: Access) -> Remote:
    """Return the object at an http(s) or S3 URL; nothing is sent to it yet."""
    check_process()
    if scheme(url) in {"s3", "s3a"}:
        bucket, key, version = split_s3(url)
        return Remote(connect_bucket(bucket, access), key, version)
    # A number sign is part of the name: a fragment never reaches a server, so none can be meant.
    location, mark, query = url.partition("?")
    with _readable(display_url(url)):
        parts = urlsplit(location.replace("#", "%23"))
    headers = {**_basic_auth(parts.username, parts.password), **_access_auth(access), **find_headers(access)}
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if not mark and _PLAIN_PATH.match(parts.path) and not {".", ".."} & set(parts.path.split("/")):
        return Remote(_http(origin, headers), parts.path[1:])
    # Anything else reaches the server as it was typed only as the client's own URL.
    return Remote(_http(origin + parts.path + mark + query, headers), "")


def connect_bucket(bucket: str, access: Access) -> S3Store:
    """Return the client of an S3 bucket."""
    check_process()
    environment = tuple(value for name, value in sorted(os.environ.items()) if name.startswith("AWS_"))

    def build() -> S3Store:
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
                bucket, config=config, client_options=_CLIENT, retry_config=_RETRY, credential_provider=provider
            )

    secrets = tuple(sorted(find_secrets(access).items()))
    client = _cached(("s3", bucket, access, secrets, environment), build)
    assert isinstance(client, S3Store)  # noqa: S101  # the key says so
    return client


def _http(url: str, headers: dict[str, str]) -> Client:
    def build() -> HTTPStore:
        options: ClientConfig = {**_CLIENT, "default_headers": headers} if headers else _CLIENT
        with _readable(display_url(url)):
            return HTTPStore(url, client_options=options, retry_config=_RETRY)

    return _cached(("http", url, tuple(sorted(headers.items()))), build)


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """Raise our error for what obstore cannot parse; its own message would show the whole URL."""
    failed = False
    try:
        yield
    except ValueError:
        failed = True
    if failed:
        raise SourceUnavailableError(f"{what} is not a URL that can be read", url=what)


def _cached(key: object, build: Callable[[], Client]) -> Client:
    with _connections.lock:
        client = _connections.clients.get(key)
        if client is not None:
            _connections.clients.move_to_end(key)
            return client
    # Built outside the lock: finding credentials and regions may take seconds.
    client = build()
    with _connections.lock:
        client = _connections.clients.setdefault(key, client)
        while len(_connections.clients) > _N_CLIENTS:
            _connections.clients.popitem(last=False)
    return client


def _access_auth(access: Access) -> dict[str, str]:
    hidden = find_secrets(access)
    return _basic_auth(hidden.get("username"), hidden.get("password"), quoted=False)


def _basic_auth(user: str | None, password: str | None, *, quoted: bool = True) -> dict[str, str]:
    if user is None:
        return {}
    pair = f"{user}:{password or ''}"
    return {"Authorization": "Basic " + base64.b64encode((unquote(pair) if quoted else pair).encode()).decode()}
