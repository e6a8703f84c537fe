"""How to reach files. What is secret stays in a registry of the process and never travels with a value."""

from __future__ import annotations

import difflib
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from nwb_dask.errors import SourceUnavailableError, display_url
from nwb_dask.options import Options, chosen_options, current_options, is_default

Plain: TypeAlias = str | bool | int | float | tuple[str, ...]

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
        "base_url": "endpoint_url",
        "region_name": "region",
        "aws_region": "region",
        "default_region": "region",
        "request_payer": "requester_pays",
        "default_headers": "headers",
        "bearer_token": "token",
        "service_account_path": "service_account",
        "application_credentials": "service_account",
        "access_key": "account_key",
        "sas_key": "sas_token",
        "credential": "sas_token",
    }
)
_SECRETS = (
    *("key", "secret", "token", "username", "password", "headers"),
    *("service_account_key", "account_key", "sas_token", "connection_string", "client_secret"),
    "dandi_api_key",
)
_SWITCHES = ("anon", "requester_pays", "use_emulator")
CHOICES = (
    *("engine", "deadline", "requests_per_host", "dandi_api", "remap", "allow_hosts", "allow_external"),
    *("chunk_cache", "chunk_cache_dir", "chunk_cache_bytes", "chunk_cache_max_age"),
)
"""Options of `nwb_dask.options` that travel with an `Access`."""
_PLAIN = (
    *("endpoint_url", "region", "profile", "project", "service_account"),
    *("account_name", "account_host", "client_id", "tenant_id"),
    *_SWITCHES,
    *CHOICES,
)
_NESTED = ("client_kwargs", "client_options")
# Plain http needs no permission here, which obstore wants to have in words.
_IGNORED = ("allow_http",)
_HEADER = "header:"
_FSSPEC = "fsspec:"
FILE_SYSTEM = "file_system"
"""Option of an `Access` that stands for a file system that was given."""
_GIVEN = ("fs", "filesystem")
ONLY_HOSTS = "only_hosts"
"""Option of an `Access` that `limit_access` makes; users cannot give it."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach files: comparable, picklable, and free of secrets."""

    options: tuple[tuple[str, Plain], ...] = ()
    """Plain options by name, sorted: endpoint_url, region, profile, anon, requester_pays, engine ..."""
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

    def choices(self) -> Options:
        """Return the options that hold for these files, where they were planned and here."""
        return current_options({name: value for name, value in self.options if name in CHOICES})

    @property
    def allowed_folders(self) -> tuple[str, ...]:
        """Folders with files that these files may refer to; asked for each file, and mostly there are none."""
        if is_default("allow_external") and "allow_external" not in dict(self.options):
            return ()
        return self.choices().allow_external


class _Registry:
    """Secrets of this process by handle; equal secrets share one."""

    lock = threading.Lock()
    by_handle: dict[str, Mapping[str, str]] = {}  # noqa: RUF012  # the one registry, shared on purpose
    file_systems: dict[str, object] = {}  # noqa: RUF012  # likewise


def make_access(storage_options: Mapping[str, object] | None = None) -> Access:
    """Return how to reach files, with the secrets among `storage_options` put aside.

    What ``with nwb_dask.options(...)`` says about engine, deadline, concurrency and the chunk cache goes with it, so
    that files are read elsewhere as they were planned here.

    Parameters
    ----------
    storage_options : mapping, optional
        Names as s3fs has them (``key``, ``secret``, ``token``, ``anon``, ``endpoint_url``, ``profile``,
        ``requester_pays``, ``client_kwargs={"endpoint_url", "region_name"}``), gcsfs (``token``, ``project``), adlfs
        (``account_name``, ``account_key``, ``sas_token``, ``connection_string``), or obstore (``access_key_id``,
        ``skip_signature``, ``region`` ...); for http(s), ``headers``, or ``username`` and ``password``; for ``dandi://``,
        ``dandi_api_key``; and ``engine``, ``deadline``, ``requests_per_host``, ``dandi_api``, ``remap``,
        ``allow_hosts``, ``allow_external`` and ``chunk_cache`` (with ``_dir``, ``_bytes`` and ``_max_age``) of
        `nwb_dask.options`. With ``engine="fsspec"`` or ``"s3fs"`` other names
        are passed on to the file system as they are. ``fs`` (or ``filesystem``) is a file system of fsspec that is
        there already, and used in this process only. Options that are None count as absent. ``access``, an `Access`
        that was made before, stands for all of them: on a worker, which knows it only by its handle.

    Raises
    ------
    TypeError
        For a name that is none of these, or a value of the wrong type.
    ValueError
        For two different values for one option, or half a pair of keys. No message ever shows a value.
    """
    ready = storage_options.get("access") if isinstance(storage_options, Mapping) else None
    if isinstance(ready, Access):
        return ready
    given, file_system = _taken(storage_options or {})
    asked = {name: value for name, value in chosen_options().items() if name in CHOICES}
    asked |= {name: value for name, value in given.items() if name in CHOICES and value is not None}
    chosen = current_options(asked)
    # As Options has them: checked, and plain.
    plain: dict[str, Plain] = {name: _plain(getattr(chosen, name)) for name in asked}
    if file_system is not None:
        plain[FILE_SYSTEM] = _register_file_system(file_system)
    hidden = _settle(plain, chosen)
    for name, value in _canonical(given, is_open=chosen.engine in {"fsspec", "s3fs"}):
        target: dict[str, str] | dict[str, Plain] = plain if name in _PLAIN else hidden
        if target.setdefault(name, value) != value:  # type: ignore[arg-type]  # secrets are text: see _canonical
            raise ValueError(f"storage_options has two different values for {name!r}")
    if ("key" in hidden) != ("secret" in hidden):
        raise ValueError("storage_options needs both 'key' and 'secret', or neither")
    if "@" in str(plain.get("endpoint_url", "")):
        raise ValueError("storage_options['endpoint_url'] must not hold a user; give 'key' and 'secret'")
    return Access(tuple(sorted(plain.items())), _register(hidden) if hidden else None)


def _taken(given: Mapping[str, object]) -> tuple[Mapping[str, object], object]:
    """Return options without the file system that is given among them, and that, or None."""
    systems = [given[name] for name in _GIVEN if given.get(name) is not None]
    for one in systems:
        if not callable(getattr(one, "cat_file", None)) or not callable(getattr(one, "info", None)):
            raise TypeError(f"storage_options['fs'] must be a file system of fsspec, not {type(one).__name__}")
    if len(systems) > 1:
        raise ValueError("storage_options has both 'fs' and 'filesystem'; give one of them")
    if systems and given.get("engine", "fsspec") not in {"auto", "fsspec", None}:
        raise ValueError(f"storage_options has both a file system and the engine {given['engine']!r}; give one of them")
    left = {name: value for name, value in given.items() if name not in _GIVEN}
    return left, systems[0] if systems else None


def _settle(plain: dict[str, Plain], options: Options) -> dict[str, str]:
    """Turn what is said about references into text, which is hashable; return it where it holds secrets."""
    hidden: dict[str, str] = {}
    for name in ("remap", "allow_hosts"):
        text = str(getattr(options, name))
        if plain.pop(name, None) and text:
            is_secret = name == "remap" and any(display_url(url) != url for url in json.loads(text).values())
            (hidden if is_secret else plain)[name] = text
    return hidden


def _plain(value: object) -> Plain:
    """Return a choice as it travels."""
    return os.fspath(value) if isinstance(value, os.PathLike) else value  # type: ignore[return-value]  # checked by Options


def _canonical(options: Mapping[str, object], *, is_open: bool) -> Iterator[tuple[str, Plain]]:
    """Yield the options under the names used here, nested ones and headers laid flat.

    Those of other names are kept as JSON if `is_open` says that a file system may know them, and refused else.
    """
    for given, value in options.items():
        name = _ALIASES.get(given, given)
        if value is None or name in _IGNORED or name in CHOICES:
            continue
        if name != "headers" and name not in _NESTED:
            yield _leaf(given, value, is_open=is_open)
        elif not isinstance(value, Mapping):
            raise TypeError(f"storage_options[{given!r}] must be a mapping")
        elif name == "headers":
            yield from _headers(value)
        else:
            own, foreign = _parted(value) if is_open else (value, {})
            yield from _canonical(own, is_open=False)
            if foreign:
                yield _FSSPEC + given, _as_json(given, foreign)


def _leaf(given: str, value: object, *, is_open: bool) -> tuple[str, Plain]:
    """Return one option under the name used here."""
    name = _ALIASES.get(given, given)
    if name in _SWITCHES and (isinstance(value, bool) or not is_open):
        if not isinstance(value, bool):
            raise TypeError(f"storage_options[{given!r}] must be True or False")
        return name, value
    if name == "token" and isinstance(value, Mapping):
        return name, _as_json(given, value)
    if name in _SECRETS or name in _PLAIN:
        if not isinstance(value, str):
            raise TypeError(f"storage_options[{given!r}] must be text")
        return name, value
    if not is_open:
        raise _unknown(given)
    return _FSSPEC + given, _as_json(given, value)


def _parted(nested: Mapping[str, object]) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Return those of nested options that are known here, and those that only the file system knows."""
    known = {*_ALIASES, *_SECRETS, *_PLAIN, *_IGNORED}
    own = {name: value for name, value in nested.items() if name in known}
    return own, {name: value for name, value in nested.items() if name not in known}


def _as_json(name: str, value: object) -> str:
    try:
        return json.dumps(dict(value) if isinstance(value, Mapping) else value)
    except (TypeError, ValueError):
        # The message of the exception shows the value.
        failed = TypeError(f"storage_options[{name!r}] must be plain data: text, numbers, lists and dicts of them")
    raise failed


def _unknown(given: str) -> TypeError:
    known = sorted({*_ALIASES, *_SECRETS, *_PLAIN, *_NESTED})
    close = difflib.get_close_matches(given, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
    return TypeError(f"storage_options has no {given!r}; {hint}")


def _headers(headers: Mapping[object, object]) -> Iterator[tuple[str, str]]:
    for name, value in headers.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise TypeError("storage_options['headers'] must map text to text")
        yield _HEADER + name, value


def find_remap(access: Access) -> dict[str, str]:
    """Return what stands for URLs that references name, as the options that hold for `access` say."""
    text = find_secrets(access).get("remap") or str(access.choices().remap or "")
    return {} if not text else dict(json.loads(text))


def limit_access(access: Access, rules: Sequence[str], *, is_trusted: bool) -> Access:
    """Return how to reach what a file names: no other servers than those of `rules` are asked, redirects included.

    Parameters
    ----------
    access : Access
        How the file that names it was reached.
    rules : sequence of str
        See `storage.hosts`.
    is_trusted : bool
        Whether credentials and options may be used there. Otherwise it is asked as anybody may.
    """
    kept = [(name, value) for name, value in access.options if name != ONLY_HOSTS and (is_trusted or name in CHOICES)]
    anonymous = () if is_trusted else (("anon", True),)
    options = sorted([*kept, *anonymous, (ONLY_HOSTS, ",".join(rules))])
    return Access(tuple(options), access.handle if is_trusted else None)


def find_rules(access: Access) -> tuple[str, ...] | None:
    """Return the rules for servers that `limit_access` was given; None where every server may be asked."""
    text = access.option(ONLY_HOSTS)
    return None if text is None else tuple(text.split(","))


def _register(hidden: Mapping[str, str]) -> str:
    with _Registry.lock:
        for handle, known in _Registry.by_handle.items():
            if known == hidden:
                return handle
        handle = os.urandom(8).hex()
        _Registry.by_handle[handle] = MappingProxyType(dict(hidden))
        return handle


def _register_file_system(system: object) -> str:
    with _Registry.lock:
        for handle, known in _Registry.file_systems.items():
            if known is system:
                return handle
        handle = os.urandom(8).hex()
        _Registry.file_systems[handle] = system
        return handle


def find_file_system(access: Access) -> Any:  # noqa: ANN401  # of fsspec, which is not imported for this
    """Return the file system that `access` was given, or None.

    Raises
    ------
    SourceUnavailableError
        If that was in another process.
    """
    handle = access.option(FILE_SYSTEM)
    if handle is None:
        return None
    found = _Registry.file_systems.get(handle)
    if found is None:
        raise SourceUnavailableError(
            "a file system that is given with storage_options['fs'] is used in the process that it was given to; "
            "elsewhere give engine='fsspec' and its options"
        )
    return found


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


def find_fsspec_options(access: Access) -> dict[str, object]:
    """Return the options of `access` that only a file system of fsspec knows."""
    found = find_secrets(access).items()
    return {name.removeprefix(_FSSPEC): json.loads(value) for name, value in found if name.startswith(_FSSPEC)}


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
