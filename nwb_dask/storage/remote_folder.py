"""Remote folders: one object per key, in a bucket or on a server, asked for in rounds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from nwb_dask.errors import NWBDaskError, SourceAccessError, SourceNotFoundError, SourceUnavailableError
from nwb_dask.index import Identity, Source, Url
from nwb_dask.storage.access import Access, has_lost_secrets
from nwb_dask.storage.coalesce import Buffer
from nwb_dask.storage.concurrency import check_process, run_all
from nwb_dask.storage.engines import connect
from nwb_dask.storage.engines.protocol import Answer, Failure, Outcome, Pin, Wanted
from nwb_dask.storage.faults import changed, explain, is_absent, is_refused
from nwb_dask.storage.folder_url import join_key
from nwb_dask.storage.key_plan import cut, plan_keys
from nwb_dask.storage.keys import KeyRange, check_key
from nwb_dask.storage.listing import list_keys
from nwb_dask.storage.remote import BEYOND_END, plan_remote
from nwb_dask.storage.retry import identify, send
from nwb_dask.storage.root_versions import RootVersion, candidates, choose, join_versions, split_version
from nwb_dask.storage.trace import record_round
from nwb_dask.storage.urls import BUCKETS, display_url, scheme, split_bucket


class RemoteFolder:
    """One folder on a server or in a bucket, at one version.

    The version is that of the documents at its root, or `expected`, or `cached` if it is still there; see
    `root_versions` for what it does not show. An `expected` one costs a small request in the round of the first read.
    Documents that were fetched to open the folder are kept, also that they are not there.

    Parameters
    ----------
    url : Url
        Anything but a local path.
    access : Access
        Credentials and options.
    expected : Identity, optional
        The version that must be there; opening needs no request then.
    cached : Identity, optional
        A version that was there once; one conditional request for each document of it tells whether it still is.

    Raises
    ------
    SourceNotFoundError
        If none of the documents is there.
    """

    local_path: str | None = None

    def __init__(self, url: Url, access: Access, *, expected: Identity | None, cached: Identity | None = None) -> None:
        check_process()
        self.access = access
        self._url = url
        self._name = display_url(url).rstrip("/")
        options = access.choices()
        self._seconds, self._limit = options.deadline, options.requests_per_host
        self._host = connect(join_key(url, ".zgroup"), access).host
        # Documents at the root that were asked for. Only added to, so that threads need no lock.
        self._held: dict[str, Buffer | None] = {}
        self._unproven: list[RootVersion] = []
        self._had_access = False
        self.is_unchanged = False
        """Whether the version given as `cached` is still there."""
        if expected is not None:
            identity = expected
            self._unproven = split_version(expected) or []
        else:
            identity = self._open(cached)
        self.source = Source(url, identity)
        self.size = identity.size

    @property
    def is_confirmed(self) -> bool:
        """Whether an answer has shown that the folder is this version."""
        return not self._unproven

    def read_keys(self, wanted: Sequence[KeyRange]) -> list[Buffer | None]:
        """Return values, or parts of them; see `Folder.read_keys`.

        A value that the server says is not there (404) is None. One that may not be read is an error: S3 says so also
        of what is not there, to those who may not list the bucket, and a fill value must not be guessed.

        Raises
        ------
        SourceChangedError
            If the documents at the root are not of the version expected, or a value is replaced while it is read.
        """
        check_process()
        for key, _ in wanted:
            check_key(key, name=self._name)
        keys = {key for key, _ in wanted}
        unproven = self._unproven
        proofs = [one for one in unproven if one.root not in self._held]
        asked = [one for one in wanted if not self._is_held(one[0], proofs)]
        plan = plan_keys(asked, plan=plan_remote)
        calls = [partial(self._ask_root, one.root, None if one.root in keys else one) for one in proofs]
        calls += [partial(self._ask, key, part) for key, part in plan.requests]
        outcomes = self._run(calls, is_fatal=_is_fatal) if calls else []
        for key, one in zip([*(one.root for one in proofs), *(key for key, _ in plan.requests)], outcomes, strict=True):
            if isinstance(one, Failure) and _is_fatal(one):
                raise self._explain(one, key)
        self._prove(proofs, outcomes, keys)
        answers = outcomes[len(proofs) :]
        self._check_parts(plan.requests, answers)
        found = iter(plan.values([one.body if isinstance(one, Answer) else None for one in answers]))
        return [self._part_of_held(*one) if one[0] in self._held else next(found) for one in wanted]

    def list_keys(self, prefix: str = "") -> list[str] | None:
        """Return all keys below a folder (``"units/"``), sorted; None where the server has no listing (http)."""
        if scheme(self._url) not in BUCKETS:
            return None
        bucket, above, _ = split_bucket(self._url)
        above = f"{above.rstrip('/')}/".lstrip("/")
        found = list_keys(f"{scheme(self._url)}://{bucket}", above + prefix, self.access, recursive=True)
        return sorted(one.removeprefix(above) for one in found if one.startswith(above) and not one.endswith("/"))

    def _is_held(self, key: str, proofs: Sequence[RootVersion]) -> bool:
        return key in self._held or any(one.root == key for one in proofs)

    def _part_of_held(self, key: str, part: tuple[int, int] | int | None) -> Buffer | None:
        body = self._held[key]
        return None if body is None else cut(body, part)

    # --- Versions

    def _open(self, cached: Identity | None) -> Identity:
        """Return the version of the folder to read, which is `cached` if it is still there."""
        known = None if cached is None or cached.kind == "size" else split_version(cached)
        if cached is not None and known:
            outcomes = self._run([partial(self._ask_root, one.root, one) for one in known])
            if all(self._is_same(one, outcome) for one, outcome in zip(known, outcomes, strict=True)):
                self.is_unchanged = True
                return cached
        versions = self._look()
        identity = join_versions(versions)
        self.is_unchanged = identity == cached
        return identity

    def _look(self) -> list[RootVersion]:
        """Ask for all documents that may be at the root; return the versions of those that count."""
        roots = candidates(self._name)
        left = [root for root in roots if root not in self._held]
        outcomes = dict(zip(left, self._run([partial(self._ask_root, root, None) for root in left]), strict=True))
        found = {root: one.identity for root, one in outcomes.items() if isinstance(one, Answer) and one.identity}
        versions = choose(found)
        failures = [one for one in outcomes.values() if isinstance(one, Failure) and not is_absent(one)]
        passing = [one for one in failures if not is_refused(one)]
        if passing or (failures and not versions):
            raise self._explain((passing or failures)[0], "")
        if not versions:
            raise SourceNotFoundError(
                f"nothing is at {self._name}, neither a file nor a store: it has no {', '.join(roots)}", url=self._name
            )
        for root, one in outcomes.items():
            self._held[root] = one.body if isinstance(one, Answer) else None
        self._had_access = True
        return versions

    def _ask_root(self, root: str, known: RootVersion | None) -> Outcome:
        """Return the answer for a document at the root; no body if it is `known` still."""
        engine = connect(join_key(self._url, root), self.access)
        now = identify(engine, name=self._name, seconds=self._seconds)
        if isinstance(now, Failure):
            return now
        if now is not None and known is not None:
            return Failure("unchanged") if now == known.identity else Answer(memoryview(b""), 0, now)
        is_etag = known is not None and known.identity.kind == "etag"
        pin = Pin(unless=known.identity.value) if known is not None and is_etag else Pin()
        wanted = None if known is None or is_etag else (0, 1)
        outcome = send(engine, wanted, pin, name=self._name, seconds=self._seconds)
        if isinstance(outcome, Answer) and outcome.content_type.startswith("text/html"):
            # What some servers send for whatever is not there.
            return Failure("status", 404)
        if now is not None and now != identify(engine, name=self._name, seconds=self._seconds):
            raise changed(self._name)
        return outcome

    def _is_same(self, known: RootVersion, outcome: Outcome | None) -> bool:
        if isinstance(outcome, Failure) and not is_absent(outcome):
            if outcome.reason == "unchanged":
                return True
            raise self._explain(outcome, known.root)
        return isinstance(outcome, Answer) and outcome.identity == known.identity

    def _prove(self, proofs: Sequence[RootVersion], outcomes: Sequence[Outcome | None], keys: Collection[str]) -> None:
        """Raise unless the documents at the root are of the version expected; keep those that are wanted."""
        for one, outcome in zip(proofs, outcomes, strict=False):
            if not self._is_same(one, outcome):
                raise changed(self._name)
            if isinstance(outcome, Answer) and one.root in keys:
                self._held[one.root] = outcome.body
        if proofs:
            self._unproven = []

    # --- Values

    def _run(
        self, calls: Sequence[partial[Outcome]], *, is_fatal: Callable[[Outcome], bool] = lambda _: False
    ) -> list[Outcome | None]:
        record_round()
        return run_all(self._host, calls, limit=self._limit, is_fatal=is_fatal)

    def _ask(self, key: str, wanted: Wanted) -> Outcome:
        """Return the answer for a value or a part of it, which is empty where the value is shorter."""
        engine = connect(join_key(self._url, key), self.access, is_value=True)
        get = partial(send, engine, pin=Pin(), name=self._name, seconds=self._seconds)
        outcome = get(wanted)
        if isinstance(outcome, Answer) and outcome.content_type.startswith("text/html"):
            return Failure("odd", said="it is a web page")
        if isinstance(outcome, Answer) or wanted is None:
            return outcome
        if outcome.reason == "whole":
            whole = get(None)
            return whole if isinstance(whole, Failure) else _part(whole, wanted)
        if outcome.status != BEYOND_END:
            return outcome
        if isinstance(wanted, int):
            # Some stores do not count from the end.
            first = get((0, 1))
            if isinstance(first, Answer):
                size = None if first.identity is None else first.identity.size
                rest = get(None if size is None else (max(size - wanted, 0), size))
                return _part(rest, wanted) if isinstance(rest, Answer) else rest
            outcome = first
        return Answer(memoryview(b""), 0, None) if outcome.status == BEYOND_END else outcome

    def _check_parts(self, requests: Sequence[KeyRange], answers: Sequence[Outcome | None]) -> None:
        """Raise for a value of which parts are of several versions."""
        seen: dict[str, tuple[bool, Identity | None]] = {}
        for (key, _), one in zip(requests, answers, strict=True):
            is_there = isinstance(one, Answer)
            identity = one.identity if isinstance(one, Answer) else None
            was_there, before = seen.get(key, (is_there, None))
            if was_there != is_there or (before is not None and identity is not None and identity != before):
                raise changed(f"{self._name}/{key}")
            seen[key] = (is_there, before or identity)
        self._had_access = True

    def _explain(self, failure: Failure, key: str) -> NWBDaskError:
        name = f"{self._name}/{key}".rstrip("/")
        if failure.reason == "long":
            return SourceUnavailableError(
                f"{name} has {failure.size / 2**20:.0f} MiB, which is too much to hold in memory", url=self._name
            )
        lost_secrets = has_lost_secrets(self.access)
        if is_refused(failure) and self._had_access and not lost_secrets and scheme(self._url) in BUCKETS:
            return SourceAccessError(
                f"reading {name} was refused{f' ({failure.said})' if failure.said else ''}: it may not be read, or the "
                "credentials have expired, or it is not there and the bucket says so only to those who may list it; a "
                "value is not guessed",
                url=self._name,
            )
        return explain(failure, name, lost_secrets=lost_secrets, had_access=self._had_access)

    def close(self) -> None:
        """Give up what is in memory; connections are shared and stay."""
        self._held = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"RemoteFolder({self._name!r})"


def _is_fatal(outcome: Outcome) -> bool:
    return isinstance(outcome, Failure) and outcome.reason != "unchanged" and not is_absent(outcome)


def _part(whole: Answer, wanted: tuple[int, int] | int) -> Answer:
    body = memoryview(cut(whole.body, wanted))
    return Answer(body, 0, whole.identity, whole.content_type, whole.n_requests, len(whole.body))
