"""What storage asks of whoever fetches the bytes, and what it gets back: values, never exceptions.

The libraries put whole URLs into their exceptions, signatures included, and an exception that is raised while another
is handled keeps that one as its context.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol, TypeAlias

from nwb_dask.index import Identity

Wanted: TypeAlias = "tuple[int, int] | int | None"
"""A half-open range in bytes; a number of bytes at the end of the file; None for all of it."""

WHOLE_BYTES = 512 * 1024 * 1024
"""Largest file to hold in memory when its server sends nothing less than all of it."""


@dataclass(frozen=True, slots=True)
class Pin:
    """Conditions that are sent with a request; an engine that cannot send one leaves it out."""

    etag: str | None = None
    """If-Match: refuse (412) if the file has another ETag."""
    unless: str | None = None
    """If-None-Match: say no more than that nothing changed (304) if it has this one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes that arrived whole, and the version of the file that they are of."""

    body: memoryview
    start: int
    """Where `body` begins in the file."""
    identity: Identity | None
    """None where the engine does not see it: see `Engine.identify`."""
    content_type: str = ""
    n_requests: int = 1
    """What the answer took: each redirect is one more."""
    n_received: int | None = None
    """Bytes that arrived for it, where that is more than `body`."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request without the bytes that it was for."""

    reason: Literal[
        "status",
        "unchanged",
        "whole",
        "long",
        "connect",
        "stale",
        "timeout",
        "broken",
        "odd",
        "path",
        "refused",
        "host",
    ]
    """``status``: see there. ``unchanged``: 304. ``whole``: all of the file instead of a range. ``long``: more than
    `WHOLE_BYTES`. ``connect``: no connection. ``stale``: the server had closed a connection that was kept.
    ``timeout``, ``broken``: no complete answer. ``odd``: not what was asked for. ``path``: nothing that can be asked
    for. ``refused``: not permitted, without a status. ``host``: on a server that may not be asked."""
    status: int = 0
    said: str = ""
    """The server's or the system's word for it (``ExpiredToken``, ``Service Unavailable``): nothing secret."""
    retry_after: float | None = None
    """Seconds that the server asks to be left alone."""
    renewable: bool = False
    """Whether the URL was found by a redirect earlier, and another may be had."""
    size: int = 0
    """Length of the file, where that is what is wrong."""
    n_requests: int = 1


Outcome: TypeAlias = Answer | Failure


class Engine(Protocol):
    """One object, as one library reads it. Methods may be called from any thread, and hold no lock while they wait.

    `until` is a time of `time.monotonic` after which nothing is waited for.
    """

    @property
    def host(self) -> str:
        """What bounds on concurrency and pauses go by."""

    @property
    def version(self) -> str | None:
        """Version that the URL pins, so that no other can be read."""

    @property
    def driver(self) -> Driver | None:
        """What h5py reads the file with, if it shall; see `Driver`."""

    def get(self, wanted: Wanted, pin: Pin, until: float) -> Outcome:
        """Return the answer to one request, tried once."""

    def expect(self, identity: Identity) -> None:
        """Take it that the file is of this version, as was planned; what is read is compared."""

    def identify(self, until: float) -> Identity | Failure | None:
        """Return the version that is there now; None where every answer says it."""

    def prepare(self, n_following: int, until: float) -> tuple[int, int]:
        """Find out what `n_following` requests would else find out each; return the requests, and bytes, it took."""

    def renew(self) -> None:
        """Forget what redirects led to: a signature has expired."""


@dataclass(frozen=True, slots=True)
class Driver:
    """A driver of libhdf5 that reads the file on its own, past this package: its requests are in no trace."""

    name: str
    url: str
    keywords: Mapping[str, object]
    """Of ``h5py.File``, credentials included."""

    def __repr__(self) -> str:
        return f"Driver({self.name!r})"


def make_identity(*, version: str | None, etag: str | None, modified: datetime | None, size: int) -> Identity:
    """Return the strongest identity that an answer gives: version, strong ETag, time of modification, size.

    A weak ETag stands for equal meaning, not equal bytes (RFC 9110, section 8.8.1).
    """
    if version:
        return Identity("version", version, size)
    if etag and not etag.startswith("W/"):
        return Identity("etag", etag, size)
    if modified is not None:
        return Identity("mtime", modified.astimezone(UTC).isoformat(), size)
    return Identity("size", "", size)
