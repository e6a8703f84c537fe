"""Who fetches the bytes: one small protocol, and an engine per library, imported when it is first needed.

========== ======================================================================================================
protocol   what storage asks of an engine, and what it gets back
http       http(s) with Python's own client: the default there
dandi      assets of an archive, over `http`
obstore    s3, gs and az: the default there; http(s) too
fsspec     any file system of fsspec, s3fs among them, with the options that its users know
remfile    http(s) through remfile
ros3       what h5py needs to read s3 and http(s) with libhdf5's own driver
========== ======================================================================================================

Measured with 64 requests under way and 30 ms a request: 200 scattered reads of 4 KB take 0.15 s with Python's client
and 0.13 s with obstore (four latencies are 0.12 s), 64 MB in 17 requests 0.22 s with both; a request costs 0.5 ms and
0.2 ms of CPU. That is near enough that http(s) goes by the client that shows where redirects lead and what the headers
of refusals say (Retry-After), and that ends at its deadline whatever drips.
"""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import unquote

from nwb_dask.errors import NWBDaskError, SourceUnavailableError
from nwb_dask.options import EngineName
from nwb_dask.storage.access import Access, find_file_system, find_headers, find_rules, find_secrets
from nwb_dask.storage.concurrency import check_process
from nwb_dask.storage.engines.protocol import Driver, Engine
from nwb_dask.storage.urls import BUCKETS, display_url, scheme, split_bucket

__all__ = ["Driver", "Engine", "connect"]

_HTTP = ("http", "https")
_ENGINES: dict[EngineName, tuple[str, ...]] = {
    "http": _HTTP,
    "obstore": (*_HTTP, "s3", "gs", "az"),
    "s3fs": ("s3",),
    "remfile": _HTTP,
    "ros3": (*_HTTP, "s3"),
}
"""What each engine reads; fsspec reads what it knows."""


def connect(url: str, access: Access, *, is_value: bool = False) -> Engine:
    """Return who fetches the bytes of a remote file; nothing is sent yet.

    Parameters
    ----------
    url : str
        Where it is.
    access : Access
        Credentials and options.
    is_value : bool
        Whether it is one of many values in a folder, whose versions are not asked for on their own: answers need not
        say of which version they are.

    Raises
    ------
    SourceUnavailableError
        If the URL is malformed, or the engine that was chosen does not read such URLs.
    ValueError
        For options that do not fit.
    """
    check_process()
    typed, options = scheme(url), access.choices()
    kind, name = BUCKETS.get(typed, typed), options.engine
    if find_rules(access) is None and (system := find_file_system(access)) is not None:
        from nwb_dask.storage.engines.fsspec import connect_given  # noqa: PLC0415  # a library of its own

        return connect_given(system, url, is_value=is_value)
    if find_rules(access) is not None and kind in _HTTP:
        # The one engine that sees where redirects lead.
        name = "http"
    if typed == "dandi":
        return _in_archive(url, access, name)
    if name not in {"auto", "fsspec"} and kind not in _ENGINES[name]:
        readable = ", ".join(f"{one}://" for one in _ENGINES[name])
        message = f"the engine {name!r} reads {readable}, not {typed}://; choose another, or 'auto'"
        raise SourceUnavailableError(message, url=url)
    if name in {"fsspec", "s3fs"} or (name == "auto" and kind not in {*_HTTP, "s3", "gs", "az"}):
        from nwb_dask.storage.engines.fsspec import connect_fsspec  # noqa: PLC0415  # a library of its own

        return connect_fsspec(url, access, is_value=is_value)
    if kind in _HTTP:
        return _over_http(url, access, name)
    return _in_bucket(url, access, driver=_ros3(url, access) if name == "ros3" else None)


def _in_archive(url: str, access: Access, name: EngineName) -> Engine:
    from nwb_dask.storage.engines.dandi import DandiEngine  # noqa: PLC0415  # 20 ms for those who read archives

    if name not in {"auto", "http"}:
        message = f"the engine {name!r} does not read dandi://, whose links expire; choose 'http' or 'auto'"
        raise SourceUnavailableError(message, url=url)
    return DandiEngine(url, access)


def _over_http(url: str, access: Access, name: EngineName) -> Engine:
    from nwb_dask.storage.engines.http import HttpEngine  # noqa: PLC0415  # 20 ms for those who read http

    failure: NWBDaskError
    try:
        bare, headers = _take_user(url, access)
        engine = HttpEngine(bare, headers, rules=find_rules(access))
        if name == "obstore":
            from nwb_dask.storage.clients import connect_http  # noqa: PLC0415  # a library of its own
            from nwb_dask.storage.engines.obstore import ObstoreEngine  # noqa: PLC0415  # likewise

            client, path = connect_http(bare, headers, seconds=access.choices().deadline)
            return ObstoreEngine(client, path, host=engine.host)
        if name == "remfile":
            from nwb_dask.storage.engines.remfile import RemfileEngine  # noqa: PLC0415  # likewise

            return RemfileEngine(bare, headers)
        if name == "ros3":
            engine.driver = _ros3(url, access)
    except ValueError:
        failure = SourceUnavailableError(f"{display_url(url)} is not a URL that can be read", url=url)
    else:
        return engine
    # Outside of the handler: the message of the exception has the URL in it.
    raise failure


def _in_bucket(url: str, access: Access, *, driver: Driver | None) -> Engine:
    from nwb_dask.storage.clients import connect_bucket  # noqa: PLC0415  # a library of its own
    from nwb_dask.storage.engines.obstore import ObstoreEngine  # noqa: PLC0415  # likewise

    bucket, key, version = split_bucket(url)
    host = f"{BUCKETS[scheme(url)]}://{bucket}"
    return ObstoreEngine(connect_bucket(url, access), key, host=host, version=version, driver=driver)


def _ros3(url: str, access: Access) -> Driver:
    from nwb_dask.storage.engines.ros3 import find_driver  # noqa: PLC0415  # it looks for credentials

    return find_driver(url, access)


def _take_user(url: str, access: Access) -> tuple[str, dict[str, str]]:
    """Return a URL without its user, and the headers that say who it is and what the options want to be said."""
    typed, _, rest = url.partition("://")
    netloc, slash, path = rest.partition("/")
    user, at, host = netloc.rpartition("@")
    if not at or "?" in netloc:
        host, user = netloc, ""
    hidden = find_secrets(access)
    headers = {}
    if "username" in hidden:
        headers = _basic_auth(f"{hidden['username']}:{hidden.get('password', '')}")
    elif at and user:
        name, _, password = user.partition(":")
        headers = _basic_auth(f"{unquote(name)}:{unquote(password)}")
    return f"{typed.lower()}://{host}{slash}{path}", {**headers, **find_headers(access)}


def _basic_auth(pair: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(pair.encode()).decode()}
