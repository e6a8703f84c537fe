"""How to reach files. What is secret stays in a registry of the process and never travels with a value."""

from __future__ import annotations

import difflib
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

_ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "access_key_id": "key",
        "aws_access_key_id": "key",
        "secret_access_key": "secret",
        "aws_secret_access_key": "secret",
        "session_token": "token",
        "aws_session_token": "token",
        "skip_signature": "anon",
        "endpoint": "endpoint_url",
        "aws_endpoint_url": "endpoint_url",
        "region_name": "region",
        "aws_region": "region",
        "default_region": "region",
        "request_payer": "requester_pays",
        "default_headers": "headers",
    }
)
_SECRETS = ("key", "secret", "token", "username", "password", "headers")
_SWITCHES = ("anon", "requester_pays")
_PLAIN = ("endpoint_url", "region", "profile", *_SWITCHES)
_NESTED = ("client_kwargs", "client_options")
# Plain http needs no permission here, which obstore wants to have in words.
_IGNORED = ("allow_http",)
_HEADER = "header:"


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach files: comparable, picklable, and free of secrets."""

    options: tuple[tuple[str, str | bool], ...] = ()
    """Plain options by name, sorted: endpoint_url, region, profile, anon, requester_pays."""
    handle: str | None = None
    """Random name of the secrets in the registry of the process that made this; None if there are none."""

    def option(self, name: str) -> str | None:
        """Return the text of an option, or None."""
        value = dict(self.options).get(name)
        return value if isinstance(value, str) else None

    def switch(self, name: str) -> bool | None:
        """Return an option that is on or off; None if it was not given."""
        value = dict(self.options).get(name)
        return value if isinstance(value, bool) else None


class _Registry:
    """Secrets of this process by handle; equal secrets share one."""

    lock = threading.Lock()
    by_handle: dict[str, Mapping[str, str]] = {}  # noqa: RUF012  # the one registry, shared on purpose


def make_access(storage_options: Mapping[str, object] | None = None) -> Access:
    """Return how to reach files, with the secrets among `storage_options` put aside.

    Parameters
    ----------
    storage_options : mapping, optional
        Names as s3fs has them (``key``, ``secret``, ``token``, ``anon``, ``endpoint_url``, ``profile``,
        ``requester_pays``, ``client_kwargs={"endpoint_url", "region_name"}``) or as obstore has them
        (``access_key_id``, ``skip_signature``, ``region`` ...); for http(s), ``headers``, or ``username`` and
        ``password``. Options that are None count as absent.

    Raises
    ------
    TypeError
        For a name that is none of these, or a value of the wrong type.
    ValueError
        For two different values for one option, or half a pair of keys. No message ever shows a value.
    """
    plain: dict[str, str | bool] = {}
    hidden: dict[str, str] = {}
    for name, value in _canonical(storage_options or {}):
        target: dict[str, str] | dict[str, str | bool] = plain if name in _PLAIN else hidden
        if target.setdefault(name, value) != value:  # type: ignore[arg-type]  # secrets are text: see _canonical
            raise ValueError(f"storage_options has two different values for {name!r}")
    if ("key" in hidden) != ("secret" in hidden):
        raise ValueError("storage_options needs both 'key' and 'secret', or neither")
    if "@" in str(plain.get("endpoint_url", "")):
        raise ValueError("storage_options['endpoint_url'] must not hold a user; give 'key' and 'secret'")
    return Access(tuple(sorted(plain.items())), _register(hidden) if hidden else None)


def _canonical(options: Mapping[str, object]) -> Iterator[tuple[str, str | bool]]:
    """Yield the options under the names used here, nested ones and headers laid flat."""
    for given, value in options.items():
        name = _ALIASES.get(given, given)
        if value is None or name in _IGNORED:
            continue
        if name in _NESTED or name == "headers":
            if not isinstance(value, Mapping):
                raise TypeError(f"storage_options[{given!r}] must be a mapping")
            yield from _canonical(value) if name in _NESTED else _headers(value)
        elif name in _SWITCHES:
            if not isinstance(value, bool):
                raise TypeError(f"storage_options[{given!r}] must be True or False")
            yield name, value
        elif name in _SECRETS or name in _PLAIN:
            if not isinstance(value, str):
                raise TypeError(f"storage_options[{given!r}] must be text")
            yield name, value
        else:
            known = sorted({*_ALIASES, *_SECRETS, *_PLAIN, *_NESTED})
            close = difflib.get_close_matches(given, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
            raise TypeError(f"storage_options has no {given!r}; {hint}")


def _headers(headers: Mapping[object, object]) -> Iterator[tuple[str, str]]:
    for name, value in headers.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise TypeError("storage_options['headers'] must map text to text")
        yield _HEADER + name, value


def _register(hidden: Mapping[str, str]) -> str:
    with _Registry.lock:
        for handle, known in _Registry.by_handle.items():
            if known == hidden:
                return handle
        handle = os.urandom(8).hex()
        _Registry.by_handle[handle] = MappingProxyType(dict(hidden))
        return handle


def find_secrets(access: Access) -> Mapping[str, str]:
    """Return the secrets of `access`; none where this process was not given them (see `has_lost_secrets`)."""
    return _Registry.by_handle.get(access.handle or "", MappingProxyType({}))


def has_lost_secrets(access: Access) -> bool:
    """Return whether `access` has secrets that this process does not know."""
    return access.handle is not None and access.handle not in _Registry.by_handle


def find_headers(access: Access) -> dict[str, str]:
    """Return the HTTP headers among the secrets of `access`."""
    found = find_secrets(access).items()
    return {name.removeprefix(_HEADER): value for name, value in found if name.startswith(_HEADER)}


def export_secrets(access: Access) -> dict[str, dict[str, str]]:
    """Return the secrets of `access` by handle, for `import_secrets` in another process; {} if there are none.

    Send it over a channel of its own, such as a worker plugin: it must not get into a graph.
    """
    hidden = find_secrets(access)
    return {access.handle: dict(hidden)} if access.handle and hidden else {}


def import_secrets(exported: Mapping[str, Mapping[str, str]]) -> None:
    """Put the secrets that another process exported into the registry of this one."""
    with _Registry.lock:
        for handle, hidden in exported.items():
            _Registry.by_handle[handle] = MappingProxyType(dict(hidden))
