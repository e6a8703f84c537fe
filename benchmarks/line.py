"""An HTTP server behind a line of one delay and one bandwidth, in a process of its own.

::

    python -m benchmarks.line FOLDER --delay 0.03 --bytes-per-second 125e6

Each request waits for the delay; the bodies of all connections share the bandwidth, piece by piece. Opening a
connection costs nothing, as if it were open already. Serves ``GET`` and ``HEAD`` with ranges, ETag, If-Match and
If-None-Match; ``/-/log`` returns what was asked since ``/-/reset``. The first line on standard output is the address;
the process ends when its standard input closes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

PIECE_BYTES = 64 * 1024
SHORTEST_SLEEP_SECONDS = 0.001
"""What the event loop can time; shorter waits are saved up."""


@dataclass(slots=True)
class Exchange:
    """One request and its answer."""

    method: str
    path: str
    """Below the folder, decoded."""
    start: int
    """First byte of the file that was asked for."""
    stop: int
    """Byte after the last one; equal to `start` if there is no body."""
    status: int
    began: float
    """When the request arrived, in seconds of the server's clock."""
    ended: float = 0.0
    """When the last byte was handed to the network, or the client hung up."""
    sent: int = 0
    """Bytes of the body that were sent."""


class Bandwidth:
    """Seconds that bytes take on a line that all connections share."""

    def __init__(self, bytes_per_second: float) -> None:
        self._bytes_per_second = bytes_per_second
        self._free_at = 0.0

    async def carry(self, n_bytes: int, ready: float) -> float:
        """Wait until the line has carried bytes that were ready then, after those of others; return when it had.

        Counts from when the bytes were due, not from when the event loop woke up, so that late wakes cost no bandwidth.
        """
        self._free_at = carried = max(ready, self._free_at) + n_bytes / self._bytes_per_second
        if carried - time.monotonic() > SHORTEST_SLEEP_SECONDS:
            await asyncio.sleep(carried - time.monotonic())
        return carried


class Server:
    """Answers the requests of one folder and remembers them."""

    def __init__(self, folder: Path, delay_seconds: float, bytes_per_second: float) -> None:
        self.folder = folder.resolve()
        self.delay_seconds = delay_seconds
        self.bandwidth = Bandwidth(bytes_per_second)
        self.log: list[Exchange] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until either side closes it."""
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while await self._answer(await reader.readuntil(b"\r\n\r\n"), writer):
                pass
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def _answer(self, request: bytes, writer: asyncio.StreamWriter) -> bool:
        began = time.monotonic()
        first, *lines = request.decode("latin-1").rstrip().split("\r\n")
        method, target, _ = first.split(" ", 2)
        fields = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in fields}
        path = unquote(urlsplit(target).path).lstrip("/")
        if path.startswith("-/"):
            self._tell(path, writer)
        else:
            await self._serve(method, path, headers, writer, began)
        await writer.drain()
        return headers.get("connection", "").lower() != "close"

    def _tell(self, path: str, writer: asyncio.StreamWriter) -> None:
        body = b"[]"
        if path == "-/log":
            body = json.dumps([asdict(exchange) for exchange in self.log]).encode()
        else:
            self.log = []
        writer.write(_head(200, {"Content-Type": "application/json", "Content-Length": len(body)}) + body)

    async def _serve(
        self, method: str, path: str, headers: Mapping[str, str], writer: asyncio.StreamWriter, began: float
    ) -> None:
        file = (self.folder / path).resolve()
        status, start, stop, fields = _plan(file if self.folder in file.parents else None, method, headers)
        exchange = Exchange(method, path, start, stop, status, began)
        self.log.append(exchange)
        try:
            await asyncio.sleep(max(began + self.delay_seconds - time.monotonic(), 0))
            writer.write(_head(status, fields))
            if stop > start and method == "GET":
                await self._send(file, exchange, writer)
        finally:
            exchange.ended = time.monotonic()

    async def _send(self, file: Path, exchange: Exchange, writer: asyncio.StreamWriter) -> None:
        descriptor = os.open(file, os.O_RDONLY)
        carried = time.monotonic()
        try:
            for at in range(exchange.start, exchange.stop, PIECE_BYTES):
                piece = os.pread(descriptor, min(PIECE_BYTES, exchange.stop - at), at)
                carried = await self.bandwidth.carry(len(piece), carried)
                writer.write(piece)
                await writer.drain()
                if writer.is_closing():
                    break
                exchange.sent += len(piece)
        finally:
            os.close(descriptor)


def _plan(file: Path | None, method: str, headers: Mapping[str, str]) -> tuple[int, int, int, dict[str, object]]:
    """Return the status, the range of the file that is the body, and the fields of the answer."""
    if method not in {"GET", "HEAD"}:
        return 405, 0, 0, {"Allow": "GET, HEAD", "Content-Length": 0}
    if file is None or not file.is_file():
        return 404, 0, 0, {"Content-Length": 0}
    described = file.stat()
    size = described.st_size
    etag = f'"{described.st_ino:x}-{described.st_mtime_ns:x}-{size:x}"'
    fields: dict[str, object] = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Last-Modified": formatdate(described.st_mtime, usegmt=True),
    }
    if not _matches(headers.get("if-match", "*"), etag):
        return 412, 0, 0, fields | {"Content-Length": 0}
    if _matches(headers.get("if-none-match", ""), etag):
        return 304, 0, 0, fields
    wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", headers.get("range", "").replace(" ", ""))
    if wanted is None or not any(wanted.groups()):
        return 200, 0, size, fields | {"Content-Length": size}
    first, last = wanted.groups()
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= stop:
        return 416, 0, 0, {"Content-Range": f"bytes */{size}", "Content-Length": 0}
    return (
        206,
        start,
        stop,
        fields | {"Content-Range": f"bytes {start}-{stop - 1}/{size}", "Content-Length": stop - start},
    )


def _matches(tags: str, etag: str) -> bool:
    return "*" in tags or etag in [tag.strip() for tag in tags.split(",")]


def _head(status: int, fields: Mapping[str, object]) -> bytes:
    lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def count_rounds(exchanges: Iterable[Exchange]) -> int:
    """Return how many times something was in flight after nothing was: what waited for each other.

    A lower bound of the longest chain of dependent requests; chains that overlap count once.
    """
    rounds, busy_until = 0, float("-inf")
    for exchange in sorted(exchanges, key=lambda one: one.began):
        rounds += exchange.began > busy_until
        busy_until = max(busy_until, exchange.ended)
    return rounds


class Line:
    """The server in its process, from ``with`` to its end."""

    def __init__(self, folder: Path, *, delay_seconds: float, bytes_per_second: float) -> None:
        options = ["--delay", str(delay_seconds), "--bytes-per-second", str(bytes_per_second)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.line", str(folder), *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def reset(self) -> None:
        """Forget what was asked."""
        self._ask("reset")

    def log(self) -> list[Exchange]:
        """Return what was asked since the last `reset`."""
        return [Exchange(**one) for one in json.loads(self._ask("log"))]

    def _ask(self, what: str) -> bytes:
        with urllib.request.urlopen(f"{self.url}/-/{what}") as answer:
            body: bytes = answer.read()
        return body


async def _run(server: Server) -> None:
    listening = await asyncio.start_server(server.talk, "127.0.0.1", 0, backlog=1024)
    host, port = listening.sockets[0].getsockname()[:2]
    print(f"http://{host}:{port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    # Not closed in order: clients that keep their connections would be waited for.
    os._exit(0)


def main() -> None:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--delay", type=float, default=0.03, help="seconds before each answer")
    parser.add_argument("--bytes-per-second", type=float, default=125e6, help="of all connections together")
    arguments = parser.parse_args()
    asyncio.run(_run(Server(arguments.folder, arguments.delay, arguments.bytes_per_second)))


if __name__ == "__main__":
    main()
