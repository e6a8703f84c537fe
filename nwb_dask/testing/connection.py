"""A connection of the test server: requests in, answers out, as fast as the line and as badly as the script says."""

from __future__ import annotations

import math
import os
import socket
import socketserver
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from nwb_dask.testing.line import Line
from nwb_dask.testing.messages import Answer, Body, Request, read_request
from nwb_dask.testing.ranges import content

# Bodies up to this size leave with their headers.
_SMALL_BYTES = 64 * 1024
_PIECE_BYTES = 256 * 1024
# A piece occupies the line for so long: short, for connections take turns.
_PIECE_SECONDS = 0.002
# Only Linux can be told that more is coming.
_MORE: int = getattr(socket, "MSG_MORE", 0)


class Service(Protocol):
    """What a connection needs to know."""

    def serving(self, request: Request) -> AbstractContextManager[Answer]:
        """Answer a request; the block lasts until the answer has been sent."""

    def lines(self) -> list[Line]:
        """Return what all connections share, and what is this connection's own."""

    def count(self, path: str, n_bytes: int) -> None:
        """Count bytes of a body, before they are sent: the client may look as soon as it has them."""

    def departing(self, request: Request) -> None:
        """Count a request as answered, before the last of its answer is sent: the client may ask again at once."""

    def wait_until(self, moment: float) -> None:
        """Sleep, on the clock of `time.monotonic`, or until the server ends."""

    def connected(self, connection: socket.socket) -> None:
        """Count a connection, and cut it off when the server ends."""

    def disconnected(self, connection: socket.socket) -> None:
        """Forget a connection."""


class Listener(socketserver.ThreadingTCPServer):
    """Accepts connections and gives each a thread."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    # Many connections may come at once; those beyond the queue would be refused.
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], service: Service) -> None:
        self.service = service
        super().__init__(address, Connection)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Close without a farewell, which would come before a reset."""
        self.close_request(request)


class Connection(socketserver.BaseRequestHandler):
    """Answers the requests of one connection in their order."""

    server: Listener
    request: socket.socket

    def handle(self) -> None:
        """Answer until the client leaves, or an answer ends the connection."""
        service, self._closing = self.server.service, False
        # Headers and body do not wait for each other's acknowledgement.
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        service.connected(self.request)
        try:
            with self.request.makefile("rb") as stream:
                while not self._closing and (request := read_request(stream)) is not None:
                    self._closing = request.headers.get("connection", "").lower() == "close"
                    with service.serving(request) as answer:
                        self._answer(request, answer)
        except (ConnectionError, TimeoutError):
            # The client has seen enough.
            pass
        finally:
            service.disconnected(self.request)

    def _answer(self, request: Request, answer: Answer) -> None:
        fault = answer.failure.fault if answer.failure else None
        if fault in {"reset", "close"}:
            self._break(is_reset=fault == "reset")
            return
        is_broken = fault in {"reset-body", "truncate"}
        is_chunked = fault == "chunked"
        n_bytes = len(answer.body) // 2 if is_broken else len(answer.body)
        if request.method == "HEAD":
            n_bytes = 0
        head = answer.head(is_chunked=is_chunked)
        lines = self._lines(answer)
        piece_bytes = _piece_bytes(lines)
        if n_bytes == 0:
            self.server.service.departing(request)
            self.request.sendall(head)
        elif n_bytes <= min(piece_bytes, _SMALL_BYTES) and not is_chunked:
            body = content(answer.body)
            for start, stop in self._pieces(request, answer, n_bytes, lines):
                self.request.sendall(head + body[start:stop])
            self._closing = self._closing or len(body) < len(answer.body)
        else:
            self.request.sendall(head, 0 if lines else _MORE)
            for start, stop in self._pieces(request, answer, n_bytes, lines):
                self._send(answer.body, start, stop, is_chunked=is_chunked)
            if is_chunked:
                self.request.sendall(b"0\r\n\r\n")
        if is_broken:
            self._break(is_reset=fault == "reset-body")

    def _break(self, *, is_reset: bool) -> None:
        self._closing = True
        if is_reset:
            # Zero linger makes closing send RST.
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _lines(self, answer: Answer) -> list[Line]:
        lines = self.server.service.lines()
        if answer.failure is not None and answer.failure.fault == "drip":
            lines.append(Line(answer.failure.bytes_per_second))
        return lines

    def _send(self, body: Body, start: int, stop: int, *, is_chunked: bool) -> None:
        """Send bytes ``[start, stop)`` of a body, a file without copying it into this process."""
        if isinstance(body, bytes) or is_chunked:
            piece = body[start:stop] if isinstance(body, bytes) else body.read(start, stop)
            self.request.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            return
        while start < stop:
            sent = os.sendfile(self.request.fileno(), body.descriptor, body.start + start, stop - start)
            if sent == 0:
                # The length that was promised cannot be kept.
                raise ConnectionAbortedError("the file was cut while it was read")
            start += sent

    def _pieces(
        self, request: Request, answer: Answer, n_bytes: int, lines: Sequence[Line]
    ) -> Iterator[tuple[int, int]]:
        """Yield half-open ranges of a body, each when the lines have carried it, and count them."""
        service, piece_bytes, arrived = self.server.service, _piece_bytes(lines), time.monotonic()
        for start in range(0, n_bytes, piece_bytes):
            stop = min(start + piece_bytes, n_bytes)
            if lines:
                arrived = max(line.reserve(stop - start, arrived) for line in lines)
                service.wait_until(arrived)
            if answer.is_counted:
                service.count(request.path, stop - start)
            if stop == n_bytes:
                service.departing(request)
            yield start, stop


def _piece_bytes(lines: Sequence[Line]) -> int:
    slowest = min((line.bytes_per_second for line in lines), default=math.inf)
    return max(int(min(slowest * _PIECE_SECONDS, _PIECE_BYTES)), 1)
