"""Files on http(s) servers, with Python's own client: redirects, headers of refusals and deadlines are seen here."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from urllib.parse import parse_qs, quote, urljoin, urlsplit

from nwb_dask.index import Identity
from nwb_dask.storage import connections
from nwb_dask.storage.connections import Connection, Origin
from nwb_dask.storage.engines.protocol import (
    WHOLE_BYTES,
    Answer,
    Driver,
    Failure,
    Outcome,
    Pin,
    Wanted,
    make_identity,
)
from nwb_dask.storage.hosts import allows

_N_REDIRECTS = 10
_MOVED = {301, 302, 303, 307, 308}
_OK, _PARTIAL, _UNCHANGED = 200, 206, 304
_REFUSED = {400, 401, 403}
_PORTS = {"http": 80, "https": 443}
# A signature is not used any more so long before it expires.
_MARGIN_SECONDS = 60.0
_ERROR_BYTES = 64 * 1024
_CODE = re.compile(rb"<Code>(\w+)</Code>")
_PHRASE = re.compile(r"[A-Za-z' -]{1,40}\Z")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)\s*\Z")
# What a URL may hold as it stands; the rest is encoded as UTF-8. A percent sign begins an encoding already.
_AS_IT_IS = "%/:?#[]@!$&'()*+,;=~\"<>\\^`{|}"

_movers: set[Origin] = set()
"""Servers that have redirected a request."""


@dataclass(frozen=True, slots=True, repr=False)
class Location:
    """Where to ask: the server, and what stands in the request line."""

    origin: Origin
    target: str
    url: str
    expires: float
    """Time of `time.time` at which a signature in it ends."""


def locate(url: str) -> Location:
    """Return where an http(s) URL is; its query string stays as it was typed, to the letter.

    A number sign is part of the path: a fragment never reaches a server, so none can be meant.

    Raises
    ------
    ValueError
        If it is not a URL.
    """
    base, mark, query = url.partition("?")
    parts = urlsplit(base.replace("#", "%23"))
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("no server is named")
    origin = Origin(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme])
    target = quote(parts.path or "/", safe=_AS_IT_IS) + mark + quote(query, safe=_AS_IT_IS)
    return Location(origin, target, url, _expiry(query))


class Link:
    """What redirects of one URL have led to, for all engines that share it.

    Replaced as a whole, never modified: threads need no lock.
    """

    __slots__ = ("moved",)

    def __init__(self) -> None:
        self.moved: Location | None = None


class HttpEngine:
    """One file on an http(s) server.

    What redirects lead to is asked directly from then on, until a signature in it expires. Headers of the user go to
    the server that was named, and to no other.

    Parameters
    ----------
    url : str
        ``http(s)://``, without a user.
    headers : mapping
        What to send with each request.
    link : Link, optional
        What redirects have led to already.
    rules : tuple of str, optional
        Servers that may be asked (see `storage.hosts`), redirects included; all by default.

    Raises
    ------
    ValueError
        If it is not a URL.
    """

    version: str | None = None
    driver: Driver | None = None

    def __init__(
        self, url: str, headers: Mapping[str, str], link: Link | None = None, rules: tuple[str, ...] | None = None
    ) -> None:
        self._home = locate(url)
        self._rules = rules
        self._headers = headers
        self._link = Link() if link is None else link
        self._may_move = self._home.target.partition("?")[0].endswith("/")
        self.host = str(self._home.origin)

    def get(self, wanted: Wanted, pin: Pin, until: float) -> Outcome:
        """Return the answer to one request and to those that redirects lead to; see `Engine.get`."""
        known = self._known()
        place = known or self._home
        if self._rules is not None and not allows(self._rules, str(place.origin)):
            return Failure("host", said=place.origin.host)
        for n_requests in range(1, _N_REDIRECTS + 2):
            outcome = self._ask(place, wanted, pin, until)
            if not isinstance(outcome, Location):
                is_refused = isinstance(outcome, Failure) and outcome.status in _REFUSED
                if not is_refused and place is not self._home:
                    self._link.moved = place
                if isinstance(outcome, Failure):
                    outcome = replace(outcome, renewable=known is not None and is_renewable(outcome))
                return replace(outcome, n_requests=n_requests)
            place = outcome
        return Failure("odd", said="too many redirects", n_requests=_N_REDIRECTS + 1)

    def expect(self, identity: Identity) -> None:
        """Do nothing: every answer says the version that it is of."""

    def identify(self, until: float) -> None:
        """Return None: every answer says the version that it is of."""

    def prepare(self, n_following: int, until: float) -> tuple[int, int]:
        """Follow a redirect once, before many requests would each; return the requests, and bytes, that it took."""
        if n_following == 1 or self._known() is not None or not (self._may_move or self._home.origin in _movers):
            return 0, 0
        outcome = self._ask(self._home, (0, 1), Pin(), until)
        if isinstance(outcome, Location):
            self._link.moved = outcome
        else:
            self._may_move = False
        return 1, len(outcome.body) if isinstance(outcome, Answer) else 0

    def renew(self) -> None:
        """Forget what redirects led to."""
        self._link.moved = None

    def place(self) -> tuple[str, Mapping[str, str], bool]:
        """Return the URL to ask now, the headers that may be sent there, and whether a redirect led to it."""
        known = self._known()
        if known is None:
            return self._home.url, self._headers, False
        return known.url, self._headers if self._is_trusted(known) else {}, True

    def _known(self) -> Location | None:
        moved = self._link.moved
        return moved if moved is not None and time.time() < moved.expires - _MARGIN_SECONDS else None

    def _ask(self, place: Location, wanted: Wanted, pin: Pin, until: float) -> Outcome | Location:
        """Return the answer to one request, or where it says to ask instead."""
        connection = connections.take(place.origin)
        connection.is_guarded = self._rules is not None
        headers = self._headers_for(place, wanted, pin)
        try:
            response = connection.ask(place.target, headers, until)
        except (OSError, HTTPException, ValueError) as exc:
            connection.close()
            return _lost(exc, connection)
        try:
            outcome = _read(response, place, wanted)
        except TimeoutError:
            outcome = Failure("timeout")
        except (OSError, HTTPException, ValueError):
            outcome = Failure("broken")
        if response.isclosed() and not response.will_close:
            connections.give_back(connection)
        else:
            connection.close()
            response.close()
        if isinstance(outcome, Location):
            _movers.add(self._home.origin)
            if self._rules is not None and not allows(self._rules, str(outcome.origin)):
                return Failure("host", said=outcome.origin.host)
            refusal = self._refuse(outcome)
            return outcome if refusal is None else Failure("odd", said=refusal)
        return outcome

    def _refuse(self, place: Location) -> str | None:  # noqa: ARG002  # for engines that know more of their servers
        """Return why a redirect is not followed; None if it is."""
        return None

    def _is_trusted(self, place: Location) -> bool:
        """Return whether the headers of the user may be sent there."""
        return place.origin == self._home.origin

    def _headers_for(self, place: Location, wanted: Wanted, pin: Pin) -> dict[str, str]:
        headers = {"User-Agent": "nwb-dask", "Accept": "*/*"}
        if self._is_trusted(place):
            headers.update(self._headers)
        if isinstance(wanted, tuple):
            headers["Range"] = f"bytes={wanted[0]}-{wanted[1] - 1}"
        elif wanted is not None:
            headers["Range"] = f"bytes=-{wanted}"
        if pin.etag is not None:
            headers["If-Match"] = pin.etag
        if pin.unless is not None:
            headers["If-None-Match"] = pin.unless
        return headers


def is_renewable(failure: Failure) -> bool:
    """Return whether another link may be let through where one was refused: S3 answers 400 to expired tokens."""
    return failure.status in {401, 403} or (failure.status in _REFUSED and "Expired" in failure.said)


def _lost(exc: Exception, connection: Connection) -> Failure:
    """Return the failure of a request without an answer."""
    if isinstance(exc, connections.GuardedAddressError):
        return Failure("host", said=connection.origin.host)
    if isinstance(exc, TimeoutError):
        return Failure("timeout")
    if not connection.is_open:
        strerror = exc.strerror if isinstance(exc, OSError) else None
        return Failure("connect", said=getattr(exc, "verify_message", None) or strerror or "")
    if isinstance(exc, ValueError):
        # Its message holds the header.
        return Failure("odd", said="a header cannot be sent")
    if connection.is_used:
        connections.forget(connection.origin)
        return Failure("stale")
    return Failure("broken")


def _read(response: HTTPResponse, place: Location, wanted: Wanted) -> Outcome | Location:
    """Return what an answer says; its body is read to the end if it is of use."""
    status = response.status
    if status == _PARTIAL:
        return _read_part(response, wanted)
    if status == _OK:
        return _read_whole(response) if wanted is None else Failure("whole")
    body = response.read(_ERROR_BYTES)
    following = response.getheader("Location")
    if status in _MOVED and following:
        try:
            return locate(urljoin(place.url, following))
        except ValueError:
            return Failure("odd", said="a redirect leads to what is no http URL")
    if status == _UNCHANGED:
        return Failure("unchanged", status=status)
    return Failure(
        "status", status, _said(response, body), retry_after=parse_seconds(response.getheader("Retry-After"))
    )


def _read_part(response: HTTPResponse, wanted: Wanted) -> Outcome:
    match = _CONTENT_RANGE.match(response.getheader("Content-Range", ""))
    if match is None or wanted is None:
        return Failure("odd", said="it does not say which part of the file it is")
    start, stop, size = int(match[1]), int(match[2]) + 1, int(match[3])
    expected = (wanted[0], min(wanted[1], size)) if isinstance(wanted, tuple) else (max(size - wanted, 0), size)
    if (start, stop) != expected:
        return Failure("odd", said="it is another part of the file")
    return _answer(response, _receive(response, stop - start), start=start, size=size)


def _read_whole(response: HTTPResponse) -> Outcome:
    size = response.length
    if size is None:
        body = response.read(WHOLE_BYTES + 1)
        size = len(body)
    if size > WHOLE_BYTES:
        return Failure("long", size=size)
    received = memoryview(body) if response.length is None else _receive(response, size)
    return _answer(response, received, start=0, size=size)


def _receive(response: HTTPResponse, n_bytes: int) -> memoryview | None:
    """Return the body; None if it ends too soon."""
    view = memoryview(bytearray(n_bytes))
    at = 0
    while at < n_bytes:
        n_new = response.readinto(view[at:])
        if not n_new:
            return None
        at += n_new
    if not n_bytes:
        response.read()
    return view.toreadonly()


def _answer(response: HTTPResponse, body: memoryview | None, *, start: int, size: int) -> Outcome:
    if body is None:
        return Failure("broken")
    if response.getheader("Content-Encoding", "identity") not in {"identity", ""}:
        return Failure("odd", said="the server compresses it on the way")
    identity = make_identity(
        version=None,
        etag=response.getheader("ETag"),
        modified=parse_date(response.getheader("Last-Modified")),
        size=size,
    )
    return Answer(body, start, identity, response.getheader("Content-Type", ""))


def _said(response: HTTPResponse, body: bytes) -> str:
    """Return the server's word for a refusal, as far as it is one and not a text about the request."""
    code = _CODE.search(body)
    if response.status in _REFUSED and b"expired" in body.lower():
        return code[1].decode() if code and b"Expired" in code[1] else "RequestExpired"
    if code:
        return code[1].decode()
    return response.reason if _PHRASE.match(response.reason) else ""


def parse_seconds(header: str | None) -> float | None:
    """Return the seconds that Retry-After asks for: a number of them, or a date (RFC 9110, section 10.2.3)."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    date = parse_date(header)
    return None if date is None else max((date - datetime.now(UTC)).total_seconds(), 0.0)


def parse_date(header: str | None) -> datetime | None:
    """Return the time that a header such as Last-Modified says; None if it says none."""
    if header is None:
        return None
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _expiry(query: str) -> float:
    """Return the time at which the signature in a query string ends, as its kind says; infinity if none does."""
    values = {name.lower(): found[0] for name, found in parse_qs(query).items()}
    try:
        for kind in ("x-amz", "x-goog"):
            if f"{kind}-expires" in values:
                signed = datetime.strptime(values[f"{kind}-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                return signed.timestamp() + float(values[f"{kind}-expires"])
        if "expires" in values:
            return float(values["expires"])
        if "se" in values:
            return datetime.fromisoformat(values["se"]).astimezone(UTC).timestamp()
    except (KeyError, ValueError):
        # Something else of that name.
        return float("inf")
    return float("inf")
