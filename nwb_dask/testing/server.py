"""An HTTP server that serves a folder by ranges, as web servers and S3 do; it counts, delays, and fails on demand.

In this process::

    with RangeServer(folder, delay_seconds=0.03) as server:
        server.inject("a.nwb", "status", status=503, times=2)
        with server.budget(requests=4):
            read(server.url("a.nwb"))

As a process of its own, so that its work does not take time from what is measured::

    python -m nwb_dask.testing.server FOLDER --delay 0.03 --line 125e6

which prints its URL; ``URL/-/log`` says as JSON what was counted, and ``URL/-/reset`` begins again at nothing.
`nwb_dask.testing.RangeServerProcess` starts and stops such a process.

Of S3, path-style reads and listings are spoken: a folder below the served one is a bucket, and `RangeServer.base_url`
the endpoint. Signatures are not verified.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from nwb_dask.testing import s3
from nwb_dask.testing.connection import Listener
from nwb_dask.testing.counts import Counts
from nwb_dask.testing.faulty import TRANSIENT, Failure, Fault, FaultScript, Rule
from nwb_dask.testing.line import Line
from nwb_dask.testing.messages import Answer, Request
from nwb_dask.testing.ranges import ETagKind, answer_file

__all__ = ["TRANSIENT", "Failure", "Fault", "RangeServer", "Request"]

_CONTROL = "-/"
_JSON = {"Content-Type": "application/json"}
# Sleeps up to this are exact; longer ones end with the server.
_EXACT_SECONDS = 0.05


class RangeServer(Counts):
    """Serves the files below `folder` on 127.0.0.1 while its ``with`` block lasts.

    Parameters
    ----------
    folder : Path
        What to serve.
    delay_seconds : float
        Waited before each answer, as a network would.
    bytes_per_second : float, optional
        What one connection carries.
    line_bytes_per_second : float, optional
        What all connections carry together; 125e6 is 1 Gbit/s.
    etag : {"strong", "weak", "none"}
        Which ETag answers carry.
    last_modified : bool
        Whether answers carry Last-Modified (in whole seconds, as HTTP has it).
    port : int
        Where to listen; 0 is any that is free.

    All but the folder and the port may be set while the server runs.
    """

    def __init__(
        self,
        folder: Path,
        *,
        delay_seconds: float = 0.0,
        bytes_per_second: float | None = None,
        line_bytes_per_second: float | None = None,
        etag: ETagKind = "strong",
        last_modified: bool = True,
        port: int = 0,
    ) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.delay_seconds = delay_seconds
        self.bytes_per_second = bytes_per_second
        self.line_bytes_per_second = line_bytes_per_second
        self.etag: ETagKind = etag
        self.last_modified = last_modified
        self.headers: dict[str, str] = {}
        """What answers about files say besides, such as Cache-Control; may be set while the server runs."""
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._script = FaultScript()
        self._swaps: dict[str, tuple[bytes, int]] = {}
        self._links: dict[str, tuple[str | Callable[[], str], int]] = {}
        self._versions: dict[tuple[str, str], Path] = {}
        self._signatures = s3.Signatures()
        self._connections: set[socket.socket] = set()
        self._listener = Listener(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._ending.set()
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    @property
    def line_bytes_per_second(self) -> float | None:
        """What all connections carry together; None: as much as they can."""
        return None if self._line is None else self._line.bytes_per_second

    @line_bytes_per_second.setter
    def line_bytes_per_second(self, value: float | None) -> None:
        self._line = None if value is None else Line(value)

    @property
    def base_url(self) -> str:
        """Root of the served folder, without a slash at the end; the endpoint for S3."""
        return f"http://127.0.0.1:{self._listener.server_address[1]}"

    def url(self, path: str) -> str:
        """Return the URL of a file below the folder, percent-encoded."""
        return f"{self.base_url}/{quote(path)}"

    # --- What goes wrong

    def inject(
        self,
        path: str,
        fault: Fault,
        *,
        after: int = 0,
        times: int | None = None,
        probability: float = 1.0,
        seed: int = 0,
        status: int = 500,
        code: str = "",
        retry_after: int | str | None = None,
        bytes_per_second: float = 1000.0,
        seconds: float = 60.0,
    ) -> None:
        """Let requests of a file fail: after `after` good ones, `times` of them (None: all); one fault per file.

        Parameters
        ----------
        path : str
            The file; for listings, the bucket.
        fault : Fault
            What goes wrong.
        after, times
            Which requests.
        probability, seed
            Whether chance decides of each of them, and how it does.
        status, code, retry_after
            Of the fault ``"status"``: error status, S3 error code, Retry-After.
        bytes_per_second
            Of the fault ``"drip"``.
        seconds
            Of the fault ``"stall"``.
        """
        failure = Failure(fault, status, code, retry_after, bytes_per_second, seconds)
        with self._lock:
            self._script.put(path, Rule([failure], after, times, probability, seed))

    def random_failures(
        self, probability: float, kinds: Sequence[Fault | int | Failure] = TRANSIENT, *, seed: int = 0
    ) -> None:
        """Let requests of all files fail by chance, but for those that were told to with `inject`.

        Parameters
        ----------
        probability : float
            Of each request; 0 ends it.
        kinds : sequence
            What goes wrong, drawn with equal chances; a number is an error status.
        seed : int
            All draws follow from it, from the path and the range, and from how often that range was asked for: the
            order of concurrent requests changes nothing.
        """
        drawn = [
            kind if isinstance(kind, Failure) else Failure("status", kind) if isinstance(kind, int) else Failure(kind)
            for kind in kinds
        ]
        with self._lock:
            self._script.put_everywhere(Rule(drawn, probability=probability, seed=seed))

    def clear_faults(self) -> None:
        """Let nothing go wrong from now on."""
        with self._lock:
            self._script.clear()

    def swap(self, path: str, content: bytes, *, after: int) -> None:
        """Replace a file after `after` more requests of it have been answered."""
        with self._lock:
            self._swaps[path] = (content, after)

    # --- Where files are

    def redirect(self, path: str, url: str | Callable[[], str], *, status: int = 302) -> None:
        """Answer requests of `path` with this URL, as archives do; a function is asked for it each time."""
        with self._lock:
            self._links[path] = (url, status)

    def signed_url(self, path: str, *, seconds: float = 3600.0, requests: int | None = None) -> str:
        """Return a URL that opens a file for so long, and so many times; then, and for HEAD, it is refused with 403."""
        with self._lock:
            return f"{self.url(path)}?{self._signatures.issue(path, seconds=seconds, requests=requests)}"

    def expire_signatures(self) -> None:
        """Refuse all signed URLs that were issued until now."""
        with self._lock:
            self._signatures.expire()

    def require_signature(self, path: str) -> None:
        """Refuse requests of a file that are not signed, neither in the URL nor by a header."""
        with self._lock:
            self._signatures.private.add(path)

    def add_version(self, path: str, version: str, file: Path) -> None:
        """Serve `file` for ``path?versionId=version``; a version that was not added is not found."""
        with self._lock:
            self._versions[path, version] = file

    # --- What a connection asks of its service

    @contextmanager
    def serving(self, request: Request) -> Iterator[Answer]:
        """Answer a request after its delay; it is in flight while the block lasts."""
        if request.path.startswith(_CONTROL):
            yield self._control(request.path.removeprefix(_CONTROL))
            return
        with self.counting(request):
            failure, opened = self._arrive(request)
            try:
                self.wait_until(request.arrived + self.delay_seconds)
                if failure is not None and failure.fault == "stall":
                    self.wait_until(time.monotonic() + failure.seconds)
                answer = self._answer(request, failure, opened)
            finally:
                if opened is not None:
                    os.close(opened)
            try:
                yield answer
            finally:
                answer.close()

    def lines(self) -> list[Line]:
        """Return what all connections share, and what is one connection's own."""
        shared, own = self._line, self.bytes_per_second
        return [line for line in (shared, own and Line(own)) if line]

    def wait_until(self, moment: float) -> None:
        """Sleep, on the clock of `time.monotonic`, or until the server ends."""
        seconds = moment - time.monotonic()
        if seconds > _EXACT_SECONDS:
            self._ending.wait(seconds)
        elif seconds > 0:
            time.sleep(seconds)

    def connected(self, connection: socket.socket) -> None:
        """Count a connection, and cut it off when the server ends."""
        self.count_connection()
        with self._lock:
            self._connections.add(connection)

    def disconnected(self, connection: socket.socket) -> None:
        """Forget a connection."""
        with self._lock:
            self._connections.discard(connection)

    # --- Answers

    def _arrive(self, request: Request) -> tuple[Failure | None, int | None]:
        """Replace the file if that is due; return what is to go wrong, and the open file if it may be replaced soon."""
        path, opened = request.path, None
        with self._lock:
            if path in self._swaps:
                content, after = self._swaps[path]
                if after > 0:
                    self._swaps[path] = (content, after - 1)
                    opened = os.open(self.folder / path, os.O_RDONLY)
                else:
                    del self._swaps[path]
                    self._replace(path, content)
            failure = self._script.due(path, f"{request.method} {request.headers.get('range', '')}")
        if failure is not None:
            self.count_fault(failure)
        return failure, opened

    def _replace(self, path: str, content: bytes) -> None:
        # Renamed into place: who is reading the old file reads it to its end.
        beside = (self.folder / path).with_name(f".{threading.get_ident()}.swap")
        beside.write_bytes(content)
        beside.replace(self.folder / path)

    def _answer(self, request: Request, failure: Failure | None, opened: int | None) -> Answer:
        path, query = request.path, request.query
        if failure is not None and failure.fault in {"status", "expired"}:
            return _error(failure)
        with self._lock:
            refused, link = self._signatures.refusal(request), self._links.get(path)
        if refused is not None:
            return refused
        if request.method not in {"GET", "HEAD"}:
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET, HEAD"})
        if link is not None:
            url, status = link
            return Answer(status, {"Location": url() if callable(url) else url})
        if "list-type" in query:
            return s3.list_objects(self.folder, path.strip("/"), query, etag=self.etag)
        if "location" in query:
            return s3.location(self.folder, path.strip("/"))
        version = query.get("versionId")
        more = self.headers if version is None else {**self.headers, "x-amz-version-id": version}
        file = self.folder / path if version is None else self._versions.get((path, version))
        if file is None:
            return s3.refuse(HTTPStatus.NOT_FOUND, "NoSuchVersion", "The specified version does not exist.", Key=path)
        if ".." not in path.split("/") and file.is_file():
            descriptor = os.open(file, os.O_RDONLY) if opened is None else os.dup(opened)
            return answer_file(
                request, descriptor, failure, etag=self.etag, last_modified=self.last_modified, more=more
            )
        return self._answer_absent(path, failure)

    def _answer_absent(self, path: str, failure: Failure | None) -> Answer:
        """Return what is said of a path that is no file."""
        bucket, _, key = path.partition("/")
        if (self.folder / path).is_dir() and (path.endswith("/") or not key):
            page = b"<html>an index of files</html>"
            return Answer(HTTPStatus.OK, {"Content-Type": "text/html; charset=utf-8"}, page, failure)
        if not key:
            return Answer(HTTPStatus.NOT_FOUND)
        return s3.no_such_key(key) if (self.folder / bucket).is_dir() else s3.no_such_bucket(bucket)

    def _control(self, command: str) -> Answer:
        if command == "reset":
            self.reset()
        elif command != "log":
            return Answer(HTTPStatus.NOT_FOUND, is_counted=False)
        return Answer(HTTPStatus.OK, _JSON, json.dumps(self.summary()).encode(), is_counted=False)


def _error(failure: Failure) -> Answer:
    if failure.fault == "expired":
        return s3.expired()
    headers = {} if failure.retry_after is None else {"Retry-After": str(failure.retry_after)}
    if not failure.code:
        return Answer(failure.status, headers)
    plain = s3.refuse(failure.status, failure.code, "as it was told to")
    return replace(plain, headers={**plain.headers, **headers})


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a folder until it is interrupted; print the URL first."""
    parser = argparse.ArgumentParser(prog="python -m nwb_dask.testing.server", description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="before each answer")
    parser.add_argument("--line", type=float, metavar="BYTES", help="a second, of all connections together")
    parser.add_argument("--connection", type=float, metavar="BYTES", help="a second, of each connection")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input does, as with the parent")
    options = parser.parse_args(arguments)
    server = RangeServer(
        options.folder,
        delay_seconds=options.delay,
        bytes_per_second=options.connection,
        line_bytes_per_second=options.line,
        port=options.port,
    )
    with suppress(KeyboardInterrupt), server:
        sys.stdout.write(f"{server.base_url}\n")
        sys.stdout.flush()
        if options.until_eof:
            sys.stdin.buffer.read()
        else:
            threading.Event().wait()


if __name__ == "__main__":
    main()
