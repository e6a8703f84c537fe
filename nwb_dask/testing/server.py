"""An HTTP server in this process that serves a folder by ranges, counts what it sends, and fails on demand."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias
from urllib.parse import quote, unquote, urlsplit

Fault: TypeAlias = Literal["status", "ignore-range", "no-suffix", "truncate", "reset"]
"""What goes wrong: an error status, the whole file with 200 instead of a part, suffix ranges refused with 416, a
body that ends in its middle, a connection that is reset before the answer."""

_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One request that arrived."""

    method: str
    target: str
    """As it stood in the request line: path and query string, percent-encoded."""
    headers: dict[str, str]
    """Names in lower case."""

    @property
    def path(self) -> str:
        """Path of the file below the served folder."""
        return unquote(urlsplit(self.target).path).lstrip("/")


@dataclass(slots=True)
class _Injected:
    fault: Fault
    status: int
    after: int
    times: int | None


@dataclass(slots=True)
class _Swap:
    content: bytes
    after: int


class RangeServer:
    """Serves the files below `folder` on 127.0.0.1 while its ``with`` block lasts.

    Parameters
    ----------
    folder : Path
        What to serve.
    delay_seconds : float
        Waited before each answer, as a network would.
    etag : {"strong", "weak", "none"}
        Which ETag answers carry.
    last_modified : bool
        Whether answers carry Last-Modified (in whole seconds, as HTTP has it).
    """

    def __init__(
        self,
        folder: Path,
        *,
        delay_seconds: float = 0.0,
        etag: Literal["strong", "weak", "none"] = "strong",
        last_modified: bool = True,
    ) -> None:
        self.folder = folder
        self.delay_seconds = delay_seconds
        self.etag = etag
        self.last_modified = last_modified
        self._lock = threading.Lock()
        self._faults: dict[str, _Injected] = {}
        self._swaps: dict[str, _Swap] = {}
        self.redirects: dict[str, str] = {}
        self.reset()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"range_server": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        """Root of the served folder, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def url(self, path: str) -> str:
        """Return the URL of a file below the folder, percent-encoded."""
        return f"{self.base_url}/{quote(path)}"

    def reset(self) -> None:
        """Forget what was counted; injected faults stay."""
        with self._lock:
            self.log: list[Request] = []
            self.bytes_by_path: Counter[str] = Counter()

    @property
    def n_requests(self) -> int:
        """Requests that arrived, of any method and with any outcome."""
        return len(self.log)

    @property
    def n_bytes(self) -> int:
        """Bytes of all bodies that were sent; headers do not count."""
        return self.bytes_by_path.total()

    @contextmanager
    def budget(self, *, requests: int | None = None, bytes: int | None = None) -> Iterator[None]:  # noqa: A002  # as read
        """Fail the test if the block takes more requests, or more bytes of bodies, than this."""
        requests_before, bytes_before = self.n_requests, self.n_bytes
        yield
        used = (self.n_requests - requests_before, self.n_bytes - bytes_before)
        if (requests is not None and used[0] > requests) or (bytes is not None and used[1] > bytes):
            raise AssertionError(f"used {used[0]} requests of {requests} and {used[1]} bytes of {bytes}")

    def inject(self, path: str, fault: Fault, *, status: int = 500, after: int = 0, times: int | None = None) -> None:
        """Let requests of a file fail: after `after` good ones, `times` of them (None: all); one fault per file."""
        self._faults[path] = _Injected(fault, status, after, times)

    def swap(self, path: str, content: bytes, *, after: int) -> None:
        """Replace a file after `after` more requests of it have been answered."""
        self._swaps[path] = _Swap(content, after)

    def redirect(self, path: str, url: str) -> None:
        """Answer requests of `path` with 302 and this URL, as archives do."""
        self.redirects[path] = url

    def arrive(self, request: Request) -> _Injected | None:
        """Count a request, replace its file if that is due, and return what is to go wrong."""
        with self._lock:
            self.log.append(request)
            swap = self._swaps.get(request.path)
            if swap is not None and swap.after == 0:
                (self.folder / request.path).write_bytes(swap.content)
                del self._swaps[request.path]
            elif swap is not None:
                swap.after -= 1
            return self._due(self._faults.get(request.path))

    @staticmethod
    def _due(injected: _Injected | None) -> _Injected | None:
        if injected is None:
            return None
        if injected.after > 0:
            injected.after -= 1
            return None
        if injected.times is not None:
            if injected.times == 0:
                return None
            injected.times -= 1
        return injected

    def count(self, path: str, n_bytes: int) -> None:
        """Count bytes of a body, before they are sent: the client may look as soon as it has them."""
        with self._lock:
            self.bytes_by_path[path] += n_bytes


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # Sixteen connections may come at once; those beyond the queue would be refused.
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    range_server: RangeServer

    def setup(self) -> None:
        """Send headers and body without waiting for each other's acknowledgement."""
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # named by the base class
        """Say nothing."""

    def do_HEAD(self) -> None:
        """Answer like GET, without a body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Answer with the file, a part of it, or what was injected."""
        server = self.range_server
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers)
        injected = server.arrive(request)
        time.sleep(server.delay_seconds)
        fault = injected.fault if injected else None
        file = server.folder / request.path
        if injected and fault == "status":
            self._refuse(injected.status)
        elif fault == "reset":
            # Zero linger makes closing send RST.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        elif request.path in server.redirects:
            self._refuse(HTTPStatus.FOUND, {"Location": server.redirects[request.path]})
        elif file.is_dir():
            page = b"<html>an index of files</html>"
            self._send(HTTPStatus.OK, page, {"Content-Type": "text/html; charset=utf-8"}, request, fault)
        elif not file.is_file():
            self._refuse(HTTPStatus.NOT_FOUND)
        else:
            self._answer(request, file, fault)

    def _answer(self, request: Request, file: Path, fault: Fault | None) -> None:
        content, tags = file.read_bytes(), self._tags(file)
        wanted = request.headers.get("range", "")
        if request.headers.get("if-match") not in {None, tags.get("ETag")}:
            self._refuse(HTTPStatus.PRECONDITION_FAILED)
            return
        if not wanted or fault == "ignore-range":
            self._send(HTTPStatus.OK, content, tags, request, fault)
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(len(content) - int(last), 0)
        stop = min(int(last) + 1, len(content)) if first and last else len(content)
        if start >= len(content) or (fault == "no-suffix" and not first):
            self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, {"Content-Range": f"bytes */{len(content)}"})
            return
        tags["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
        self._send(HTTPStatus.PARTIAL_CONTENT, content[start:stop], tags, request, fault)

    def _tags(self, file: Path) -> dict[str, str]:
        status, server = file.stat(), self.range_server
        tags = {"Accept-Ranges": "bytes"}
        if server.etag != "none":
            tags["ETag"] = ("W/" if server.etag == "weak" else "") + f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        if server.last_modified:
            tags["Last-Modified"] = formatdate(status.st_mtime, usegmt=True)
        return tags

    def _send(
        self, status: HTTPStatus, body: bytes, headers: dict[str, str], request: Request, fault: Fault | None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if request.method == "HEAD":
            return
        if fault == "truncate":
            body = body[: len(body) // 2]
            self.close_connection = True
        try:
            for start in range(0, len(body), _PIECE_BYTES):
                piece = body[start : start + _PIECE_BYTES]
                self.range_server.count(request.path, len(piece))
                self.wfile.write(piece)
        except ConnectionError:
            # The client has seen enough.
            self.close_connection = True

    def _refuse(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()
