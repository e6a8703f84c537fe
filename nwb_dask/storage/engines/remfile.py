"""Files on http(s) servers through remfile, which asks with requests."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial

import requests
from remfile import File

from nwb_dask.index import Identity
from nwb_dask.storage.connections import CONNECT_SECONDS, SILENCE_SECONDS
from nwb_dask.storage.engines import http
from nwb_dask.storage.engines.http import HttpEngine
from nwb_dask.storage.engines.protocol import Answer, Driver, Failure, Outcome, Pin, Wanted, make_identity
from nwb_dask.storage.freshness import Said

_OK, _PARTIAL = 200, 206
_N_SERVERS = 16
# As many as may be under way: requests warns of each connection that it has no room to keep.
_N_CONNECTIONS = 128
_SIZE = re.compile(r"bytes \d+-\d+/(\d+)\s*\Z")


class RemfileEngine:
    """One file on an http(s) server, its ranges read by remfile.

    remfile knows only ranges that count from the start, of a file whose length it is told, and sees no version. What
    it does not know (the end of the file, conditions, redirects to be remembered) is asked with Python's own client;
    the requests that it makes get an If-Match, and their answers are looked at. It reads whole blocks of 100 KiB.
    Its connections are kept by requests, whose locks h5py over a `BlockFile` may wait for.

    Parameters
    ----------
    url : str
        ``http(s)://``, without a user.
    headers : mapping
        What to send with each request.

    Raises
    ------
    ValueError
        If it is not a URL.
    """

    version: str | None = None
    driver: Driver | None = None

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._http = HttpEngine(url, headers)
        self._size: int | None = None
        self.host = f"remfile:{self._http.host}"

    def get(self, wanted: Wanted, pin: Pin, until: float) -> Outcome:
        """Return the answer to one request; see `Engine.get`."""
        size = self._size
        if size is None or not isinstance(wanted, tuple) or pin.unless is not None:
            outcome = self._http.get(wanted, pin, until)
            if isinstance(outcome, Answer) and outcome.identity is not None:
                self._size = outcome.identity.size
            return outcome
        start, stop = wanted[0], min(wanted[1], size)
        # requests would take the headers along to wherever a redirect leads.
        n_asked, n_bytes_asked = self._http.prepare(2, until)
        url, headers, is_moved = self._http.place()
        session = _Session(headers, pin, until)
        # Of a file that ends where the range does, nothing is read beyond it.
        file = File(url, _size=stop)
        file.session = session
        try:
            file.seek(start)
            body = file.read(stop - start)
        except _GiveUp as stopped:
            is_renewable = is_moved and http.is_renewable(stopped.failure)
            return replace(stopped.failure, n_requests=session.n_requests + n_asked, renewable=is_renewable)
        identities = set(session.identities)
        return Answer(
            memoryview(body),
            start,
            # Of two versions, either is the wrong one.
            identities.pop() if len(identities) == 1 else Identity("size", "several versions", 0),
            n_requests=session.n_requests + n_asked,
            n_received=session.n_bytes + n_bytes_asked,
            caching=session.caching,
        )

    def expect(self, identity: Identity) -> None:
        """Take it that the file is as long as was planned."""
        self._size = identity.size

    def identify(self, until: float) -> None:
        """Return None: every answer says the version that it is of."""

    def prepare(self, n_following: int, until: float) -> tuple[int, int]:
        """Follow a redirect once; see `Engine.prepare`."""
        return self._http.prepare(n_following, until)

    def renew(self) -> None:
        """Forget what redirects led to."""
        self._http.renew()


class _GiveUp(BaseException):
    """Ends a read of remfile, which would try again up to eight times after any `Exception`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__()
        self.failure = failure


@dataclass(slots=True)
class _Session:
    """What remfile asks instead of a session of requests: adds the conditions, and looks at the answers."""

    headers: Mapping[str, str]
    pin: Pin
    until: float
    n_requests: int = 0
    n_bytes: int = 0
    identities: list[Identity] = field(default_factory=list)
    caching: Callable[[], Said] = Said

    def get(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """Return the answer to a request of remfile."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise _GiveUp(Failure("timeout"))
        self.n_requests += 1
        failure = Failure("broken")
        try:
            response = _session().get(
                url,
                headers={**headers, **self.headers, **({"If-Match": self.pin.etag} if self.pin.etag else {})},
                timeout=(min(CONNECT_SECONDS, left), min(SILENCE_SECONDS, left)),
                allow_redirects=False,
            )
        except requests.exceptions.Timeout:
            failure = Failure("timeout")
        except requests.exceptions.ConnectionError:
            failure = Failure("connect")
        except (requests.exceptions.RequestException, ValueError):
            failure = Failure("broken")
        else:
            return self._look(response)
        raise _GiveUp(failure)

    def _look(self, response: requests.Response) -> requests.Response:
        size = _SIZE.match(response.headers.get("Content-Range", ""))
        if response.status_code == _OK:
            raise _GiveUp(Failure("whole"))
        if response.status_code != _PARTIAL or size is None:
            wait = http.parse_seconds(response.headers.get("Retry-After"))
            raise _GiveUp(Failure("status", response.status_code, retry_after=wait))
        self.n_bytes += len(response.content)
        self.caching = partial(http.said_by, response.headers.get)
        self.identities.append(
            make_identity(
                version=None,
                etag=response.headers.get("ETag"),
                modified=http.parse_date(response.headers.get("Last-Modified")),
                size=int(size[1]),
            )
        )
        return response


@cache
def _session() -> requests.Session:
    session = requests.Session()
    adapter = requests.adapters.HTTPAdapter(pool_connections=_N_SERVERS, pool_maxsize=_N_CONNECTIONS)
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    return session
