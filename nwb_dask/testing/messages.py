"""HTTP/1.1 messages as the test server has them: requests that arrived, and answers to be sent."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import BinaryIO, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from nwb_dask.testing.faulty import Failure

_LONGEST_LINE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One request that arrived."""

    method: str
    target: str
    """As it stood in the request line: path and query string, percent-encoded."""
    headers: dict[str, str]
    """Names in lower case."""
    arrived: float = field(default_factory=time.monotonic, compare=False)
    """Seconds on the clock of `time.monotonic`."""

    @property
    def path(self) -> str:
        """Path of the file below the served folder."""
        return unquote(urlsplit(self.target).path).lstrip("/")

    @property
    def query(self) -> dict[str, str]:
        """Parameters of the query string, decoded; those without a value have an empty one."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes ``[start, stop)`` of an open file; whoever has the answer closes it."""

    descriptor: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes ``[start, stop)`` of the part; fewer if the file has become shorter."""
        return os.pread(self.descriptor, stop - start, self.start + start)


Body: TypeAlias = bytes | Part


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with, and what is to go wrong while that is sent."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """All but those that say how the body is sent."""
    body: Body = b""
    failure: Failure | None = None
    is_counted: bool = True
    """Whether bytes of the body count; those of errors do not."""

    def close(self) -> None:
        """Close the file."""
        if isinstance(self.body, Part):
            os.close(self.body.descriptor)

    def head(self, *, is_chunked: bool) -> bytes:
        """Return status line and headers as they are sent."""
        length = ("Transfer-Encoding", "chunked") if is_chunked else ("Content-Length", str(len(self.body)))
        # Of all answers, this one may not say how long its body would be.
        framing = () if self.status == HTTPStatus.NOT_MODIFIED else (length,)
        lines = [f"HTTP/1.1 {self.status} {_reason(self.status)}", f"Date: {formatdate(usegmt=True)}"]
        lines += [f"{name}: {value}" for name, value in (*self.headers.items(), *framing)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def read_request(stream: BinaryIO) -> Request | None:
    """Return the next request of a connection; None where the client has sent its last or what is no request."""
    words = stream.readline(_LONGEST_LINE).decode("latin-1").split()
    if len(words) != 3:  # noqa: PLR2004  # method, target, version
        return None
    headers = {}
    while (line := stream.readline(_LONGEST_LINE).rstrip(b"\r\n")) != b"":
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    # What is sent along is not wanted, and would be taken for the next request.
    stream.read(int(headers.get("content-length", "0")))
    if words[2] == "HTTP/1.0":
        headers.setdefault("connection", "close")
    return Request(words[0], words[1], headers)
