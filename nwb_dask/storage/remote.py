"""Remote files: ranged requests that are pinned to one version of the file."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from nwb_dask.errors import SourceNotFoundError
from nwb_dask.index import Identity, Source, Url
from nwb_dask.storage.access import Access, has_lost_secrets
from nwb_dask.storage.coalesce import Buffer, plan_requests
from nwb_dask.storage.concurrency import check_process, run_all
from nwb_dask.storage.engines import Driver, connect
from nwb_dask.storage.engines.protocol import Answer, Failure, Outcome, Pin, Wanted
from nwb_dask.storage.faults import changed, explain
from nwb_dask.storage.local import past_end
from nwb_dask.storage.retry import identify, send
from nwb_dask.storage.trace import record, record_round
from nwb_dask.storage.urls import display_url

_log = logging.getLogger(__name__)

END_BYTES = 256 * 1024
"""Head and tail of a file, which the first round fetches: best or within 10 % of it at 5 to 100 ms a request."""
plan_remote = partial(
    plan_requests,
    gap_bytes=128 * 1024,
    # What a request may fetch in vain: this much in any case, and else a quarter of what is wanted of it.
    free_bytes=16 * 1024,
    waste=0.25,
    # One connection carries only so much a second; several requests of this size carry more than one of their sum.
    cap_bytes=4 * 1024 * 1024,
)
"""Requests that cover ranges of one remote file; see `coalesce.plan_requests`."""
BEYOND_END = 416


class RemoteStore:
    """One file on a server or in a bucket, at one version.

    The version is the one of the first answer, or `expected`, or `cached` if it is still there. A strong ETag is sent
    as If-Match with every read where the engine can; the identity of every answer is compared in any case.

    Parameters
    ----------
    url : Url
        Anything but a local path.
    access : Access
        Credentials and options.
    expected : Identity, optional
        The version that must be there; known to the first read, so that opening needs no request.
    cached : Identity, optional
        A version that was there once; one small request tells whether it still is.
    """

    local_path: str | None = None

    def __init__(self, url: Url, access: Access, *, expected: Identity | None, cached: Identity | None = None) -> None:
        self.access = access
        self._name = display_url(url)
        self._lost_secrets = has_lost_secrets(access)
        options = access.choices()
        self._seconds, self._limit = options.deadline, options.requests_per_host
        # Parts of the file in memory: (first byte, bytes). Replaced, never modified.
        self._held: tuple[tuple[int, memoryview], ...] = ()
        self._pin = Pin()
        self._had_access = False
        self._engine = connect(url, access)
        self.is_unchanged = False
        """Whether the version given as `cached` is still there."""
        identity = self._open(cached) if expected is None else expected
        self._engine.expect(identity)
        if identity.kind == "etag":
            self._pin = Pin(etag=identity.value)
        self.source = Source(url, identity)
        self.size = identity.size

    @property
    def is_confirmed(self) -> bool:
        """Whether an answer has shown that the file is this version."""
        return self._had_access or self.is_unchanged

    @property
    def driver(self) -> Driver | None:
        """What h5py shall read the file with, if ``engine="ros3"`` says so."""
        return self._engine.driver

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[Buffer]:
        """Return the bytes of each half-open range; see `Store.read`."""
        check_process()
        for start, stop in ranges:
            if not 0 <= start <= stop <= self.size:
                raise past_end(start, stop, size=self.size, name=self._name)
        out = [self._find(start, stop) for start, stop in ranges]
        missing = [i for i, found in enumerate(out) if found is None]
        plan = plan_remote([ranges[i] for i in missing])
        if plan.requests:
            bodies = self._fetch(plan.requests)
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

    def _fetch(self, requests: Sequence[tuple[int, int]]) -> list[Buffer]:
        """Return the bytes of each request, all of one version."""
        outcomes = self._ask(requests, self._pin, all_needed=True)
        failures = [one for one in outcomes if isinstance(one, Failure)]
        if any(one.reason == "whole" for one in failures):
            _log.debug("%s: its server sends no parts of files", self._name)
            self._download(self.source.identity)
            return [one for one in (self._find(start, stop) for start, stop in requests) if one is not None]
        if failures:
            raise self._explain(failures[0])
        bodies: list[Buffer] = []
        for (start, stop), one in zip(requests, outcomes, strict=True):
            assert isinstance(one, Answer)  # noqa: S101  # an outcome is left out only after a failure
            self._verify(one, self.source.identity)
            if (one.start, len(one.body)) != (start, stop - start):
                raise self._explain(Failure("broken"))
            bodies.append(one.body)
        self._verify_now(self.source.identity)
        self._had_access = True
        return bodies

    def _ask(self, wanted: Sequence[Wanted], pin: Pin, *, all_needed: bool = False) -> list[Outcome | None]:
        """Return the outcomes of one round; None for what was left out because not `all_needed` can be had."""
        record_round()
        self._prepare(len(wanted))
        is_fatal = _is_failure if all_needed else _is_nothing
        outcomes = self._send_all(wanted, pin, is_fatal)
        expired = {i for i, one in enumerate(outcomes) if isinstance(one, Failure) and one.renewable}
        if expired:
            _log.debug("%s: the link that a redirect gave has expired", self._name)
            self._engine.renew()
            record_round()
            again = [i for i, one in enumerate(outcomes) if one is None or i in expired]
            self._prepare(len(again))
            for i, one in zip(again, self._send_all([wanted[i] for i in again], pin, is_fatal), strict=True):
                outcomes[i] = one
        return outcomes

    def _send_all(
        self, wanted: Sequence[Wanted], pin: Pin, is_fatal: Callable[[Outcome], bool]
    ) -> list[Outcome | None]:
        calls = [partial(send, self._engine, one, pin, name=self._name, seconds=self._seconds) for one in wanted]
        return run_all(self._engine.host, calls, limit=self._limit, is_fatal=is_fatal)

    def _prepare(self, n_following: int) -> None:
        began = time.monotonic()
        n_requests, n_bytes = self._engine.prepare(n_following, began + self._seconds)
        if n_requests:
            record_round()
            record(self._name, requests=n_requests, n_bytes=n_bytes, began=began, ended=time.monotonic())

    def _open(self, cached: Identity | None) -> Identity:
        """Return the version of the file to read, which is `cached` if it is still there."""
        if cached is None or cached.kind == "size":
            # A size alone proves nothing.
            return self._first_round()
        if cached.kind == "version" or self._engine.version is not None:
            # A URL that pins a version has one for ever, whatever the server says of it.
            self.is_unchanged = cached.kind != "version" or cached.value == self._engine.version
            return cached if self.is_unchanged else self._first_round()
        now = self._identify()
        if now is not None:
            self.is_unchanged = now == cached
            return now
        is_strong = cached.kind == "etag"
        wanted = (0, END_BYTES) if is_strong else (0, 1)
        pin = Pin(unless=cached.value) if is_strong else Pin()
        (outcome,) = self._ask([wanted], pin)
        is_same = isinstance(outcome, Failure) and outcome.reason == "unchanged"
        identity = cached if is_same else self._accept([outcome])
        self.is_unchanged = identity == cached
        return identity

    def _first_round(self) -> Identity:
        """Fetch the head and the tail at once; return the version that both have."""
        return self._accept(self._ask([(0, END_BYTES), END_BYTES], Pin()))

    def _accept(self, outcomes: Sequence[Outcome | None]) -> Identity:
        """Hold the answers about a file that nothing was known of; the first is of its head."""
        head = outcomes[0]
        answers = [answer for answer in outcomes if isinstance(answer, Answer)]
        if not isinstance(head, Answer):
            # An empty file has no first byte to give.
            if isinstance(head, Failure) and (head.reason == "whole" or head.status == BEYOND_END):
                return self._download(None)
            raise self._explain(head or Failure("broken"))
        identity = self._identity(head)
        # A tail is missing where the server does not count from the end; it is then asked for by position.
        for answer in answers:
            self._verify(answer, identity)
        self._verify_now(identity)
        self._held = tuple((answer.start, answer.body) for answer in answers)
        self._had_access = True
        return identity

    def _download(self, expected: Identity | None) -> Identity:
        """Fetch the whole file from a server that knows no ranges; return its version.

        Two threads may both do so: one that waited for the other might hold h5py's lock (see `BlockFile`).
        """
        if expected is not None and self._find(0, expected.size) is not None:
            return expected
        (outcome,) = self._ask([None], self._pin)
        if not isinstance(outcome, Answer):
            raise self._explain(outcome or Failure("broken"))
        identity = expected or self._identity(outcome)
        self._verify(outcome, identity)
        self._verify_now(identity)
        self._held = ((0, outcome.body),)
        return identity

    def _identity(self, answer: Answer) -> Identity:
        """Return the version of the file that the first answer belongs to."""
        if self._name.endswith("/") and answer.content_type.startswith("text/html"):
            raise SourceNotFoundError(
                f"{self._name} is a web page: http servers have no listing, so folders do not work there; "
                "give the list of URLs",
                url=self._name,
            )
        assert answer.identity is not None  # noqa: S101  # engines without it know the version once they are prepared
        return answer.identity

    def _verify(self, answer: Answer, expected: Identity) -> None:
        """Raise if an answer is of another version."""
        if answer.identity is not None and answer.identity != expected:
            raise changed(self._name)

    def _verify_now(self, expected: Identity) -> None:
        """Raise if another version is there now, where answers do not say of which they are.

        Versions only follow one another: what was read since `expected` was there is of it if it is there still.
        """
        now = self._identify()
        if now is not None and now != expected:
            raise changed(self._name)

    def _identify(self) -> Identity | None:
        now = identify(self._engine, name=self._name, seconds=self._seconds)
        if now is not None:
            record_round()
        if isinstance(now, Failure):
            raise self._explain(now)
        return now

    def _explain(self, failure: Failure) -> Exception:
        return explain(failure, self._name, lost_secrets=self._lost_secrets, had_access=self._had_access)

    def close(self) -> None:
        """Give up what is in memory; connections are shared and stay."""
        self._held = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"RemoteStore({self._name!r})"


def _is_failure(outcome: Outcome) -> bool:
    return isinstance(outcome, Failure)


def _is_nothing(_: Outcome) -> bool:
    return False
