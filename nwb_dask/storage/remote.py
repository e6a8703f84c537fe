"""Remote files: ranged GETs that are pinned to one version of the file."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

import obstore

from nwb_dask.errors import SourceChangedError, SourceNotFoundError, SourceUnavailableError
from nwb_dask.index import Identity, Source, Url
from nwb_dask.storage.access import Access, has_lost_secrets
from nwb_dask.storage.clients import check_process, connect, run_all
from nwb_dask.storage.coalesce import Buffer, plan_requests
from nwb_dask.storage.faults import REQUEST_ERRORS, explain, ignores_ranges, is_beyond_end
from nwb_dask.storage.local import past_end
from nwb_dask.storage.trace import record
from nwb_dask.storage.urls import display_url

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta  # exist for type checkers only

END_BYTES = 256 * 1024
"""Head and tail of a file, which the first round fetches: best or within 10 % of it at 5 to 100 ms a request."""
_GAP_BYTES = 128 * 1024
# What a request may fetch in vain: this much in any case, and else a quarter of what is wanted of it.
_FREE_BYTES = 16 * 1024
_WASTE = 0.25
# One connection carries only so much a second; several requests of this size carry more than one of their sum.
_CAP_BYTES = 4 * 1024 * 1024
# Largest file to hold in memory when its server sends nothing less than all of it.
_WHOLE_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Answer:
    """A response that arrived whole."""

    meta: ObjectMeta
    content_type: str
    start: int
    body: memoryview


class RemoteStore:
    """One file on an HTTP or S3 server, at one version.

    The version is the one of the first answer, or `expected`. A strong ETag is sent as If-Match with every read;
    without one, the Last-Modified time and the size of every answer are compared.

    Parameters
    ----------
    url : Url
        ``http(s)://`` or ``s3://``.
    access : Access
        Credentials and options.
    expected : Identity, optional
        The version that must be there; known to the first read, so that opening needs no request.
    """

    local_path: str | None = None

    def __init__(self, url: Url, access: Access, *, expected: Identity | None) -> None:
        self._name = display_url(url)
        self._lost_secrets = has_lost_secrets(access)
        self._download_lock = threading.Lock()
        # Parts of the file in memory: (first byte, bytes). Replaced, never modified.
        self._held: tuple[tuple[int, memoryview], ...] = ()
        self._remote = connect(url, access)
        self._pin: GetOptions = {"version": self._remote.version} if self._remote.version else {}
        identity = self._first_round() if expected is None else expected
        if identity.kind == "etag":
            self._pin = {"if_match": identity.value}
        self.source = Source(url, identity)
        self.size = identity.size

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[Buffer]:
        """Return the bytes of each half-open range; see `Store.read`."""
        check_process()
        for start, stop in ranges:
            if not 0 <= start <= stop <= self.size:
                raise past_end(start, stop, size=self.size, name=self._name)
        out = [self._find(start, stop) for start, stop in ranges]
        missing = [i for i, found in enumerate(out) if found is None]
        plan = plan_requests(
            [ranges[i] for i in missing],
            gap_bytes=_GAP_BYTES,
            free_bytes=_FREE_BYTES,
            waste=_WASTE,
            cap_bytes=_CAP_BYTES,
        )
        if plan.requests:
            bodies = run_all([partial(self._fetch, start, stop) for start, stop in plan.requests])
            record(self._name, requests=len(bodies), n_bytes=sum(map(len, bodies)))
            for i, found in zip(missing, plan.slices(bodies), strict=True):
                out[i] = found
        return [found for found in out if found is not None]

    def _find(self, start: int, stop: int) -> Buffer | None:
        """Return a range from memory, or None."""
        if start == stop:
            return b""
        for offset, body in self._held:
            if offset <= start and stop <= offset + len(body):
                return body[start - offset : stop - offset]
        return None

    def _fetch(self, start: int, stop: int) -> Buffer:
        answer = self._ask({"range": (start, stop), **self._pin})
        if isinstance(answer, Exception):
            if ignores_ranges(answer):
                self._download(self.source.identity)
                return self._find(start, stop) or b""
            raise explain(answer, self._name, lost_secrets=self._lost_secrets)
        self._verify(answer, self.source.identity)
        if len(answer.body) != stop - start:
            raise SourceUnavailableError(f"reading {self._name} failed: the answer is too short", url=self._name)
        return answer.body

    def _first_round(self) -> Identity:
        """Fetch the head and the tail at once; return the version that both have."""
        head, tail = run_all(
            [
                partial(self._ask, {"range": (0, END_BYTES), **self._pin}),
                partial(self._ask, {"range": {"suffix": END_BYTES}, **self._pin}),
            ]
        )
        answers = [answer for answer in (head, tail) if isinstance(answer, _Answer)]
        record(self._name, requests=2, n_bytes=sum(len(answer.body) for answer in answers))
        if isinstance(head, Exception):
            # An empty file has no first byte to give.
            if ignores_ranges(head) or is_beyond_end(head):
                return self._download(None)
            raise explain(head, self._name, lost_secrets=self._lost_secrets)
        identity = self._identity(head)
        # A tail is missing where the server does not count from the end; it is then asked for by position.
        for answer in answers:
            self._verify(answer, identity)
        self._held = tuple((answer.start, answer.body) for answer in answers)
        return identity

    def _download(self, expected: Identity | None) -> Identity:
        """Fetch the whole file, once, from a server that knows no ranges; return its version."""
        with self._download_lock:
            if expected is not None and self._held:
                return expected
            answer = self._ask(self._pin)
            if isinstance(answer, Exception):
                raise explain(answer, self._name, lost_secrets=self._lost_secrets)
            self._verify(answer, expected or self._identity(answer))
            record(self._name, requests=1, n_bytes=len(answer.body))
            self._held = ((0, answer.body),)
            return expected or self._identity(answer)

    def _ask(self, options: GetOptions) -> _Answer | Exception:
        """Return the answer to one GET, or the error of obstore as a value.

        An error raised while another is handled would keep that one as its context, with the URL in it.
        """
        try:
            result = obstore.get(self._remote.client, self._remote.path, options=options)
            if "range" not in options and result.meta["size"] > _WHOLE_BYTES:
                return _too_long(self._name, result.meta["size"])
            # Typed as a buffer by obstore only for Python 3.12 and later.
            content_type = str(result.attributes.get("Content-Type", ""))
            return _Answer(result.meta, content_type, result.range[0], memoryview(result.bytes()))
        except REQUEST_ERRORS as exc:
            return exc.with_traceback(None)

    def _identity(self, answer: _Answer) -> Identity:
        """Return the version of the file that an answer belongs to."""
        meta = answer.meta
        if self._name.endswith("/") and answer.content_type.startswith("text/html"):
            raise SourceNotFoundError(
                f"{self._name} is a web page: http servers have no listing, so folders do not work there; "
                "give the list of URLs",
                url=self._name,
            )
        if self._remote.version:
            return Identity("version", self._remote.version, meta["size"])
        etag = meta["e_tag"]
        if etag and not etag.startswith("W/"):
            return Identity("etag", etag, meta["size"])
        # obstore gives the epoch where the server gives no time.
        if meta["last_modified"].timestamp() > 0:
            return Identity("mtime", meta["last_modified"].isoformat(), meta["size"])
        return Identity("size", "", meta["size"])

    def _verify(self, answer: _Answer, expected: Identity) -> None:
        """Raise if an answer is of another version."""
        if self._identity(answer) != expected:
            raise SourceChangedError(f"{self._name} is not the file that was planned; plan again", url=self._name)

    def close(self) -> None:
        """Give up what is in memory; connections are shared and stay."""
        self._held = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"RemoteStore({self._name!r})"


def _too_long(name: str, size: int) -> SourceUnavailableError:
    return SourceUnavailableError(
        f"the server of {name} does not send parts of files, and the whole of {size / 2**20:.0f} MiB is too much to "
        "hold in memory; download it and give the local path",
        url=name,
    )
