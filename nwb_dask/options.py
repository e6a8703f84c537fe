"""Choices that hold for many calls: how bytes are fetched, and what is kept on disk.

An argument of a call wins over ``with options(...)``, which wins over the environment, which wins over the defaults.
The environment is read when a choice is needed, never at import.

======================  ==========================  ===========================================================
name                    environment                 what it decides
======================  ==========================  ===========================================================
``engine``              NWB_DASK_ENGINE             which library fetches the bytes of remote files
``deadline``            NWB_DASK_DEADLINE           seconds that one request may take, its retries included
``requests_per_host``   NWB_DASK_REQUESTS_PER_HOST  requests to one server that are under way at once
``decode_threads``      NWB_DASK_DECODE_THREADS     threads of this process that decode chunks; by default one for each
                                                    processor, at most 8
``dandi_api``           NWB_DASK_DANDI_API          where the API of the archive behind ``dandi://`` is; for one
                                                    that is hosted by yourself
``remap``               NWB_DASK_REMAP              what stands for URLs that documents of references (LINDI)
                                                    name: ``{URL or prefix of one: URL or local path}``, in the
                                                    environment as JSON
``allow_hosts``         NWB_DASK_ALLOW_HOSTS        servers that such documents, and Zarr stores with links, may
                                                    name beside those that are allowed anyway, see
                                                    `nwb_dask.storage.hosts`; with commas between them in the
                                                    environment
``cache``               NWB_DASK_CACHE              ``on`` or ``off``: whether indexes of files are kept on disk
``cache_dir``           NWB_DASK_CACHE_DIR          where; by default the user's cache folder of the system
``cache_bytes``         NWB_DASK_CACHE_BYTES        how much is kept before the oldest is dropped
``allow_external``      NWB_DASK_ALLOW_EXTERNAL     folders with files that local HDF5 files may refer to, by links, by
                                                    external storage or by virtual datasets, Zarr stores that local
                                                    ones may refer to by links or references, and local documents of
                                                    references by any path; none by default. In the environment,
                                                    between colons as in ``PATH``
``chunk_cache``         NWB_DASK_CHUNK_CACHE        ``on`` or ``off``: whether bytes of remote files are kept on disk
``chunk_cache_dir``     NWB_DASK_CHUNK_CACHE_DIR    where; by default ``cache_dir``
``chunk_cache_bytes``   …_CHUNK_CACHE_BYTES         how much is kept before what was used longest ago is dropped
``chunk_cache_max_age`` …_CHUNK_CACHE_MAX_AGE       seconds for which a kept version is believed without asking
======================  ==========================  ===========================================================
"""

from __future__ import annotations

import difflib
import json
import math
import os
import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

EngineName: TypeAlias = Literal["auto", "http", "obstore", "fsspec", "s3fs", "remfile", "ros3"]
"""Who fetches bytes of remote files.

``auto`` is ``http`` (Python's own client) for http(s), ``obstore`` for s3, gs and az, and ``fsspec`` for other schemes
that fsspec knows. Local files are read with ``pread`` in any case."""

_PREFIX = "NWB_DASK_"
_LAST_PORT = 65_535
_API = re.compile(r"https?://(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?(?:/[^@?#\s]*)?")
_RULE = re.compile(
    r"(?:(?:https?|s3|s3a|gs|gcs|az|azure|abfss?|adl)://)?(?:[\w.*@-]+|\[[0-9a-f:.]+\])(?::(?P<port>\d{1,5}))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One choice for everything; a bad one cannot exist.

    Raises
    ------
    TypeError, ValueError
        For a value that an option cannot have.
    """

    engine: EngineName = "auto"
    deadline: float = 300.0
    """Seconds."""
    requests_per_host: int = 64
    decode_threads: int | None = None
    """1 for the thread that reads; None for one for each processor, at most 8."""
    dandi_api: str | None = None
    """``https://api.example.org/api``; None for the archive that the URL names."""
    remap: str | Mapping[str, str] | None = field(default=None, repr=False)
    """Becomes the JSON text of it, sorted; "" for none."""
    allow_hosts: str | Sequence[str] = ()
    """Becomes one text, with commas."""
    cache: Literal["on", "off"] = "on"
    cache_dir: str | os.PathLike[str] | None = None
    """A folder; None for the user's cache folder of the system."""
    cache_bytes: int = 2 * 1024**3
    allow_external: tuple[str, ...] = ()
    """Absolute paths; given as one folder or several. What is below them, links resolved, may be read."""
    chunk_cache: Literal["on", "off"] = "off"
    chunk_cache_dir: str | os.PathLike[str] | None = None
    """A folder; None for `cache_dir`."""
    chunk_cache_bytes: int = 10 * 1024**3
    chunk_cache_max_age: float | None = None
    """Seconds; 0 for never, infinity for ever. None for as long as the server allows (RFC 9111)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "allow_external", _folders("allow_external", self.allow_external))
        _check_choice("engine", self.engine, get_args(EngineName))
        _check_api("dandi_api", self.dandi_api)
        _check_choice("cache", self.cache, ("on", "off"))
        _check_seconds("deadline", self.deadline)
        _check_count("requests_per_host", self.requests_per_host, least=1)
        if self.decode_threads is not None:
            _check_count("decode_threads", self.decode_threads, least=1)
        _check_count("cache_bytes", self.cache_bytes, least=0)
        _check_folder("cache_dir", self.cache_dir)
        _check_choice("chunk_cache", self.chunk_cache, ("on", "off"))
        _check_folder("chunk_cache_dir", self.chunk_cache_dir)
        _check_count("chunk_cache_bytes", self.chunk_cache_bytes, least=0)
        _check_age("chunk_cache_max_age", self.chunk_cache_max_age)
        # As text they are hashable, and travel with other plain options.
        object.__setattr__(self, "remap", _remap_text("remap", self.remap))
        object.__setattr__(self, "allow_hosts", _hosts_text("allow_hosts", self.allow_hosts))


def _remap_text(name: str, value: object) -> str:
    # No value is shown: a URL may be signed.
    wrong = f"{name} is not a mapping of URLs: {{URL or prefix: URL or local path}}"
    if isinstance(value, str):
        try:
            value = json.loads(value) if value else {}
        except ValueError:
            raise ValueError(wrong) from None
    items = {} if value is None else value
    if not isinstance(items, Mapping):
        raise TypeError(wrong)
    if not all(isinstance(one, str) and one for pair in items.items() for one in pair):
        raise TypeError(wrong)
    return json.dumps(dict(items), sort_keys=True) if items else ""


def _hosts_text(name: str, value: object) -> str:
    rules = value.split(",") if isinstance(value, str) else value
    if not isinstance(rules, Sequence) or not all(isinstance(one, str) for one in rules):
        raise TypeError(f"{name} is not a list of servers: example.org, *.example.org, s3://bucket")
    found = sorted({one.strip().lower() for one in rules} - {""})
    for one in found:
        match = _RULE.fullmatch(one)
        if match is None or int(match["port"] or 0) > _LAST_PORT:
            # Not shown: there may be a password in it.
            raise ValueError(
                f"{name} names servers like these: example.org, *.example.org, https://h:8000, s3://bucket, *"
            )
    return ",".join(found)


def _check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} is none of {', '.join(choices)}")


def _check_api(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        raise TypeError(f"{name} is not the URL of an API")
    # No value is shown: there may be a password in it.
    match = _API.fullmatch(value)
    if match is None or int(match["port"] or 0) > _LAST_PORT:
        raise ValueError(f"{name} is not the URL of an API: https://api.example.org/api")


def _check_seconds(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}={value!r} is not a number of seconds")
    if not 0 < value < math.inf:
        raise ValueError(f"{name}={value!r} is not a number of seconds above 0")


def _check_age(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}={value!r} is not a number of seconds")
    if not value >= 0:
        raise ValueError(f"{name}={value!r} is not a number of seconds, 0 or more")


def _check_count(name: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={value!r} is not a whole number")
    if value < least:
        raise ValueError(f"{name}={value!r} is less than {least}")


def _check_folder(name: str, value: object) -> None:
    if value is not None and not (isinstance(value, (str, os.PathLike)) and os.fspath(value)):
        raise TypeError(f"{name}={value!r} is not the path of a folder")


def _folders(name: str, value: object) -> tuple[str, ...]:
    """Return folders as absolute paths, sorted, so that they mean the same in every process."""
    given = (value,) if isinstance(value, (str, os.PathLike)) else value
    if not isinstance(given, (tuple, list, set, frozenset)):
        raise TypeError(f"{name}={value!r} is not a list of folders")
    for one in given:
        _check_folder(name, one or 0)
    return tuple(sorted({os.path.abspath(Path(one).expanduser()) for one in given}))  # noqa: PTH100  # links are resolved when a file is opened


_NAMES = tuple(one.name for one in fields(Options))
_SWITCH = {**dict.fromkeys(("0", "false", "no"), "off"), **dict.fromkeys(("1", "true", "yes"), "on")}
_PARSERS: Mapping[str, Callable[[str], object]] = {
    "deadline": float,
    "requests_per_host": int,
    "decode_threads": int,
    "cache": lambda text: _SWITCH.get(text.lower(), text.lower()),
    "cache_bytes": int,
    "allow_external": lambda text: tuple(one for one in text.split(os.pathsep) if one),
    "chunk_cache": lambda text: _SWITCH.get(text.lower(), text.lower()),
    "chunk_cache_bytes": int,
    "chunk_cache_max_age": float,
}
_chosen: ContextVar[Mapping[str, object]] = ContextVar("nwb_dask_options", default=MappingProxyType({}))


def current_options(given: Mapping[str, object] | None = None) -> Options:
    """Return the options that hold here.

    Parameters
    ----------
    given : mapping, optional
        What the caller was asked for by name; None values count as absent.

    Raises
    ------
    TypeError, ValueError
        For an option that does not exist, or a value that it cannot have; a variable of the environment is named.
    """
    asked = {name: value for name, value in (given or {}).items() if value is not None}
    _check_names(asked)
    chosen = {**_chosen.get(), **asked}
    return _made({**_from_environment(leave=chosen), **chosen})


def chosen_options() -> Mapping[str, object]:
    """Return what open ``with options(...)`` blocks say, and only that: what must travel to other processes."""
    return _chosen.get()


def is_default(name: str) -> bool:
    """Return whether neither a block nor the environment says anything about an option, which takes a microsecond."""
    return name not in _chosen.get() and _PREFIX + name.upper() not in os.environ


@contextmanager
def options(**changes: object) -> Iterator[Options]:
    """Let `changes` hold for every call inside the block; yields the options that hold there.

    Blocks nest. The choice belongs to this thread or asyncio task; what is planned inside the block keeps it,
    wherever and whenever it is read.

    Parameters
    ----------
    **changes
        Fields of `Options`.

    Raises
    ------
    TypeError, ValueError
        As `current_options`.
    """
    _check_names(changes)
    merged = MappingProxyType({**_chosen.get(), **changes})
    _made(merged)
    token = _chosen.set(merged)
    try:
        yield current_options()
    finally:
        _chosen.reset(token)


def _check_names(given: Mapping[str, object]) -> None:
    for name in given:
        if name not in _NAMES:
            close = difflib.get_close_matches(name, _NAMES, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(_NAMES)}"
            raise TypeError(f"there is no option {name!r}; {hint}")


def _made(values: Mapping[str, object]) -> Options:
    return Options(**values)  # type: ignore[arg-type]  # Options checks them


def _from_environment(leave: Container[str]) -> dict[str, object]:
    """Return what the environment says about options that are not in `leave`."""
    found: dict[str, object] = {}
    for name in _NAMES:
        variable = _PREFIX + name.upper()
        text = os.environ.get(variable, "").strip()
        if not text or name in leave:
            continue
        try:
            found[name] = _PARSERS.get(name, str)(text)
            _made({name: found[name]})
        except ValueError as exc:
            reason = exc if name in str(exc) else f"{text!r} is not a number"
            raise ValueError(f"the environment variable {variable} is not understood: {reason}") from None
    return found
