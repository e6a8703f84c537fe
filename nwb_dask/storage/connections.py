"""Connections to http(s) servers, kept while they are idle, on Python's own client.

Why not urllib3 or requests: their pools take locks, and a reader that holds h5py's lock must wait for none (see
`BlockFile`); their timeouts start anew with every byte, so that a slow drip never ends; and urllib3 rewrites
percent-encodings, where a signature may count the letters.
"""

from __future__ import annotations

import errno
import http.client
import io
import os
import select
import socket
import ssl
import time
import urllib.request
from base64 import b64encode
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from nwb_dask.storage.hosts import is_link_local, is_link_local_name

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer  # exists for type checkers only

CONNECT_SECONDS = 5.0
"""An unreachable server fails after two of these."""
SILENCE_SECONDS = 12.0
"""Longest time between two pieces of an answer; a server that never answers fails after two of these."""
_IDLE_SECONDS = 20.0
"""Servers close idle connections after 5 s (Apache), 60 s (nginx, S3) or more."""
_N_SERVERS = 64
_BUFFER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Origin:
    """A server, and whether to speak TLS with it."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class GuardedAddressError(OSError):
    """The name of a server leads to an address of the machine's own link."""


class Connection:
    """One connection, with a deadline for all that is sent and received.

    Parameters
    ----------
    origin : Origin
        The server.
    """

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.until = 0.0
        self.is_open = False
        """Whether the server was reached."""
        self.is_used = False
        """Whether it was kept from an earlier request, and may have been closed since."""
        self.is_guarded = False
        """Whether addresses of the machine's own link are refused, of what names lead to as well."""
        self._prefix = ""
        self._headers: dict[str, str] = {}
        self._is_proxied = False
        self._made: http.client.HTTPConnection | None = None

    def ask(self, target: str, headers: Mapping[str, str], until: float) -> http.client.HTTPResponse:
        """Send a GET and return the answer, whose body is still to be read, before `until`.

        Raises
        ------
        OSError, http.client.HTTPException
            If no answer comes.
        GuardedAddressError
            If the server is one that a guarded connection does not ask; nothing is sent then.
        """
        self.until = until
        client = self._made
        if client is None or client.sock is None:
            if self.is_guarded and is_link_local_name(self.origin.host):
                raise GuardedAddressError
            client = self._made = self._connect()
        if self.is_guarded and not self._is_proxied and is_link_local(client.sock.getpeername()[0]):
            # The name leads elsewhere now than when it was looked up.
            raise GuardedAddressError
        client.request("GET", self._prefix + target, headers={**headers, **self._headers})
        return client.getresponse()

    def is_alive(self) -> bool:
        """Return whether an idle connection is still open: one that can be read from has been closed, or is mad."""
        if self._made is None or self._made.sock is None:
            return False
        poll = select.poll()
        poll.register(self._made.sock, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close the connection."""
        if self._made is not None:
            self._made.close()

    def _make(self) -> http.client.HTTPConnection:
        """Return the client of the server, or of the proxy that the environment names for it."""
        origin, proxy = self.origin, _find_proxy(self.origin)
        if proxy is None:
            return _client(origin.scheme, origin.host, origin.port)
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if parts.scheme != "http" or not parts.hostname:
            raise OSError(errno.EPROTONOSUPPORT, "the proxy is not reached by http://")
        self._is_proxied = True
        headers = _proxy_headers(parts.username, parts.password)
        client = _client(origin.scheme, parts.hostname, parts.port or 80)
        if origin.scheme == "https":
            client.set_tunnel(origin.host, origin.port, headers)
        else:
            self._prefix, self._headers = str(origin), headers
        return client

    def _connect(self) -> http.client.HTTPConnection:
        client = self._make()
        client.timeout = min(CONNECT_SECONDS, max(self.until - time.monotonic(), 0.001))
        client.connect()
        client.sock = _TimedSocket(client.sock, self)
        self.is_open = True
        return client


def _client(scheme: str, host: str, port: int) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, context=_tls())
    return http.client.HTTPConnection(host, port)


class _TimedSocket:
    """A socket whose every operation ends before the deadline of its connection."""

    def __init__(self, held: socket.socket, connection: Connection) -> None:
        self.held = held
        self.connection = connection
        held.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        return self.held.fileno()

    def sendall(self, data: bytes) -> None:
        self.allow()
        self.held.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002  # http.client asks for "rb"
        return io.BufferedReader(_TimedReader(self), _BUFFER_BYTES)

    def close(self) -> None:
        self.held.close()

    def getpeername(self) -> tuple[str, ...]:
        found: tuple[str, ...] = self.held.getpeername()
        return found

    def allow(self) -> None:
        """Give the next operation the time that is left."""
        left = self.connection.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.held.settimeout(min(left, SILENCE_SECONDS))


class _TimedReader(io.RawIOBase):
    """The receiving side of a `_TimedSocket`; keeps the socket open until it is closed itself, as files do."""

    def __init__(self, timed: _TimedSocket) -> None:
        super().__init__()
        self._timed = timed
        self._file = timed.held.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        self._timed.allow()
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Idle:
    """Connections without a user, by server. Appending and taking are atomic: no lock is needed."""

    by_origin: OrderedDict[Origin, deque[tuple[float, Connection]]] = OrderedDict()  # noqa: RUF012  # the one of the process
    left: OrderedDict[Origin, deque[tuple[float, Connection]]]


def take(origin: Origin) -> Connection:
    """Return an idle connection to a server, the last one used first, or a new one."""
    idle = _Idle.by_origin.get(origin)
    while idle:
        try:
            since, found = idle.pop()
        except IndexError:
            break
        if time.monotonic() - since < _IDLE_SECONDS and found.is_alive():
            found.is_used = True
            return found
        found.close()
    return Connection(origin)


def give_back(connection: Connection) -> None:
    """Keep a connection whose last answer was read to its end."""
    idle = _Idle.by_origin.get(connection.origin)
    if idle is None:
        idle = _Idle.by_origin.setdefault(connection.origin, deque())
        while len(_Idle.by_origin) > _N_SERVERS:
            for _, left in _Idle.by_origin.popitem(last=False)[1]:
                left.close()
    idle.append((time.monotonic(), connection))


def forget(origin: Origin) -> None:
    """Close what is idle: the server has closed one of them, and probably all."""
    idle = _Idle.by_origin.pop(origin, None)
    for _, left in idle or ():
        left.close()


def _leave_to_parent() -> None:
    # The parent goes on using the sockets. They stay referred to, so that Python does not warn that they are open.
    _Idle.left = _Idle.by_origin
    _Idle.by_origin = OrderedDict()


os.register_at_fork(after_in_child=_leave_to_parent)


@cache
def _tls() -> ssl.SSLContext:
    """Return the settings of TLS: certificates of the system or of SSL_CERT_FILE, else those of certifi."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not (paths.cafile or paths.capath):
        import certifi  # noqa: PLC0415  # only for systems without certificates

        context.load_verify_locations(certifi.where())
    return context


def _find_proxy(origin: Origin) -> str | None:
    if urllib.request.proxy_bypass(origin.host):
        return None
    return urllib.request.getproxies().get(origin.scheme)


def _proxy_headers(user: str | None, password: str | None) -> dict[str, str]:
    if user is None:
        return {}
    pair = f"{unquote(user)}:{unquote(password or '')}"
    return {"Proxy-Authorization": "Basic " + b64encode(pair.encode()).decode()}
