"""Remote files: ranged requests that are pinned to one version of the file."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from nwb_dask.errors import SourceChangedError, SourceNotFoundError
from nwb_dask.index import Identity, Source, Url
from nwb_dask.storage.access import Access, has_lost_secrets
from nwb_dask.storage.coalesce import Buffer, RequestPlan, plan_requests
from nwb_dask.storage.concurrency import check_process, run_all
from nwb_dask.storage.cover import find_holes, join, shrink_requests
from nwb_dask.storage.engines import Driver, Engine, connect
from nwb_dask.storage.engines.protocol import Answer, Failure, Outcome, Pin, Wanted
from nwb_dask.storage.faults import changed, explain
from nwb_dask.storage.freshness import Said
from nwb_dask.storage.kept import Kept, keep_parts
from nwb_dask.storage.local import past_end
from nwb_dask.storage.retry import identify, send
from nwb_dask.storage.trace import record, record_round
from nwb_dask.storage.urls import display_url

_log = logging.getLogger(__name__)

END_BYTES = 256 * 1024
"""Head and tail of a file, which the first round fetches: best or within 10 % of it at 5 to 100 ms a request."""
_GAP_BYTES = 128 * 1024
plan_remote = partial(
    plan_requests,
    gap_bytes=_GAP_BYTES,
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
        self.access = access
        self._lost_secrets = has_lost_secrets(access)
        options = access.choices()
        self._seconds, self._limit = options.deadline, options.requests_per_host
        # Parts of the file in memory: (first byte, bytes). Replaced, never modified.
        self._held: tuple[tuple[int, memoryview], ...] = ()
        self._pin = Pin()
        self._had_access = False
        self._connect = partial(connect, url, access)
        self._expected: Identity | None = None
        self._has_driver = options.engine == "ros3"
        self._kept = keep_parts(url, options)
        self._proof: tuple[Said, float] | None = None
        # A file that is on disk needs no server, and finding out how to reach one may take requests.
        self._connected = self._connect() if self._kept is None else None
        self.is_unchanged = False
        """Whether the version given as `cached` is still there."""
        identity = self._open(cached) if expected is None else expected
        self._expected = identity
        if self._connected is not None:
            self._connected.expect(identity)
        if identity.kind == "etag":
            self._pin = Pin(etag=identity.value)
        self.source = Source(url, identity)
        self.size = identity.size
        if self._kept is not None:
            self._begin(self._kept)

    @property
    def _engine(self) -> Engine:
        """Who fetches the bytes; several threads may each make one at first."""
        engine = self._connected
        if engine is None:
            engine = self._connect()
            if self._expected is not None:
                engine.expect(self._expected)
            self._connected = engine
        return engine

    @property
    def is_confirmed(self) -> bool:
        """Whether an answer has shown that the file is this version."""
        return self._had_access or self.is_unchanged or self._proof is not None

    @property
    def driver(self) -> Driver | None:
        """What h5py shall read the file with, if ``engine="ros3"`` says so."""
        return self._engine.driver if self._has_driver else None

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[Buffer]:
        """Return the bytes of each half-open range; see `Store.read`."""
        if self._kept is None:
            check_process()
        for start, stop in ranges:
            if not 0 <= start <= stop <= self.size:
                raise past_end(start, stop, size=self.size, name=self._name)
        out = [self._find(start, stop) for start, stop in ranges]
        missing = [i for i, found in enumerate(out) if found is None]
        plan = plan_remote([ranges[i] for i in missing])
        if plan.requests:
            kept = self._kept
            bodies = plan.slices(self._fetch(plan.requests)) if kept is None else self._read_kept(kept, plan)
            for i, found in zip(missing, bodies, strict=True):
                out[i] = found
        return [found for found in out if found is not None]

    def _read_kept(self, kept: Kept, plan: RequestPlan) -> list[Buffer]:
        """Return the bytes of each range of `plan`, from the disk as far as they are there."""
        pieces = kept.find(plan.ranges)
        holes = find_holes(plan.ranges, pieces)
        requests = shrink_requests(plan.requests, holes, gap_bytes=_GAP_BYTES)
        try:
            if requests:
                bodies = self._fetch(requests)
                pieces += [(start, body) for (start, _), body in zip(requests, bodies, strict=True)]
            elif not (self.is_confirmed or kept.is_fresh(self.source.identity)):
                self._make_sure(kept)
        except SourceChangedError:
            kept.forget(self.source.identity)
            raise
        return join(plan.ranges, pieces)

    def _make_sure(self, kept: Kept) -> None:
        """Ask whether the version that was read from the disk is still there; raise if it is not."""
        identity, asked, said = self.source.identity, time.time(), Said()
        now = self._identify()
        if now is None:
            (outcome,) = self._ask([(0, 1)], Pin(unless=identity.value) if identity.kind == "etag" else Pin())
            if isinstance(outcome, Answer):
                now, said = outcome.identity, outcome.caching()
            elif isinstance(outcome, Failure) and outcome.reason == "unchanged":
                now, said = identity, outcome.caching()
            elif isinstance(outcome, Failure) and outcome.reason == "whole":
                now = self._download(identity)
            else:
                raise self._explain(outcome or Failure("broken"))
        if now != identity:
            raise changed(self._name)
        self._had_access = True
        kept.confirm(identity, said, asked)

    def _begin(self, kept: Kept) -> None:
        """Keep what opening the file has fetched."""
        kept.begin(self.source.identity)
        if self._proof is not None:
            kept.confirm(self.source.identity, *self._proof)
        for start, body in self._held:
            kept.keep(start, body)

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
        asked = time.time()
        outcomes = self._ask(requests, self._pin, all_needed=True)
        failures = [one for one in outcomes if isinstance(one, Failure)]
        if any(one.reason == "whole" for one in failures):
            _log.debug("%s: its server sends no parts of files", self._name)
            self._download(self.source.identity)
            if self._kept is not None:
                self._begin(self._kept)
            return [one for one in (self._find(start, stop) for start, stop in requests) if one is not None]
        if failures:
            raise self._explain(failures[0])
        bodies: list[Buffer] = []
        said: Callable[[], Said] = Said
        for (start, stop), one in zip(requests, outcomes, strict=True):
            assert isinstance(one, Answer)  # noqa: S101  # an outcome is left out only after a failure
            self._verify(one, self.source.identity)
            if (one.start, len(one.body)) != (start, stop - start):
                raise self._explain(Failure("broken"))
            bodies.append(one.body)
            said = one.caching
        self._verify_now(self.source.identity)
        self._had_access = True
        if self._kept is not None:
            self._kept.confirm(self.source.identity, said(), asked)
            for (start, _), body in zip(requests, bodies, strict=True):
                self._kept.keep(start, body)
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
        last = None if self._kept is None else self._kept.last
        if last is None or cached not in {None, last}:
            identity = self._compare(cached)
        else:
            assert self._kept is not None  # noqa: S101  # it says which was the last
            identity = last if self._kept.is_fresh(last) else self._compare(last)
        # A size alone proves nothing.
        self.is_unchanged = cached is not None and cached.kind != "size" and identity == cached
        return identity

    def _compare(self, cached: Identity | None) -> Identity:
        """Return the version that is there, of which nothing is fetched if it is `cached`."""
        if cached is None or cached.kind == "size":
            return self._first_round()
        if cached.kind == "version" or self._engine.version is not None:
            # A URL that pins a version has one for ever, whatever the server says of it.
            is_same = cached.kind != "version" or cached.value == self._engine.version
            return cached if is_same else self._first_round()
        asked = time.time()
        now = self._identify()
        if now is not None:
            self._proof = (Said(), asked)
            return now
        is_strong = cached.kind == "etag"
        wanted = (0, END_BYTES) if is_strong else (0, 1)
        pin = Pin(unless=cached.value) if is_strong else Pin()
        (outcome,) = self._ask([wanted], pin)
        if isinstance(outcome, Failure) and outcome.reason == "unchanged":
            self._proof = (outcome.caching(), asked)
            return cached
        return self._accept([outcome], asked)

    def _first_round(self) -> Identity:
        """Fetch the head and the tail at once; return the version that both have."""
        asked = time.time()
        return self._accept(self._ask([(0, END_BYTES), END_BYTES], Pin()), asked)

    def _accept(self, outcomes: Sequence[Outcome | None], asked: float) -> Identity:
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
        self._note(head, asked)
        return identity

    def _download(self, expected: Identity | None) -> Identity:
        """Fetch the whole file from a server that knows no ranges; return its version.

        Two threads may both do so: one that waited for the other might hold h5py's lock (see `BlockFile`).
        """
        if expected is not None and self._find(0, expected.size) is not None:
            return expected
        asked = time.time()
        (outcome,) = self._ask([None], self._pin)
        if not isinstance(outcome, Answer):
            raise self._explain(outcome or Failure("broken"))
        identity = expected or self._identity(outcome)
        self._verify(outcome, identity)
        self._verify_now(identity)
        self._held = ((0, outcome.body),)
        self._note(outcome, asked)
        return identity

    def _note(self, answer: Answer, asked: float) -> None:
        """Note how long an answer may be believed, if that matters."""
        if self._kept is not None:
            self._proof = (answer.caching(), asked)

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
