"""Remote folders: one object per key, in a bucket or on a server, asked for in rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from nwb_dask.errors import (
    NWBDaskError,
    SourceAccessError,
    SourceNotFoundError,
    SourceUnavailableError,
    UnsupportedLayoutError,
)
from nwb_dask.index import Identity, Source, Url
from nwb_dask.storage.access import Access, has_lost_secrets
from nwb_dask.storage.coalesce import Buffer
from nwb_dask.storage.concurrency import check_process, run_all
from nwb_dask.storage.engines import connect
from nwb_dask.storage.engines.protocol import Answer, Failure, Outcome, Pin, Wanted
from nwb_dask.storage.faults import changed, explain, is_absent, is_refused
from nwb_dask.storage.folder_listing import folder_of, list_below, sizes_below
from nwb_dask.storage.folder_url import join_key
from nwb_dask.storage.kept_values import KeptValues
from nwb_dask.storage.key_plan import cut, plan_keys
from nwb_dask.storage.keys import KeyPlace, KeyRange, check_key
from nwb_dask.storage.one_value import ask_value
from nwb_dask.storage.remote import plan_remote
from nwb_dask.storage.retry import identify, send
from nwb_dask.storage.root_versions import RootVersion, candidates, choose, join_versions, split_version
from nwb_dask.storage.trace import record_round
from nwb_dask.storage.urls import BUCKETS, display_url, scheme


def _is_fatal(outcome: Outcome) -> bool:
    return isinstance(outcome, Failure) and outcome.reason != "unchanged" and not is_absent(outcome)


def _never(_: Outcome) -> bool:
    return False


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
    base : (Url, Access), optional
        Where the values are, and how to reach them, if that is not what `url` and `access` say.
    cached : Identity, optional
        A version that was there once; one conditional request for each document of it tells whether it still is.
    is_proven : bool
        Whether an answer has just shown that the `expected` version is there, so that no read asks for it.

    Raises
    ------
    SourceNotFoundError
        If none of the documents is there.
    """

    local_path: str | None = None

    def __init__(
        self,
        url: Url,
        access: Access,
        *,
        expected: Identity | None,
        cached: Identity | None = None,
        base: tuple[Url, Access] | None = None,
        is_proven: bool = False,
    ) -> None:
        check_process()
        self.access = access
        self._base, self._base_access = base or (url, access)
        self._name = display_url(url).rstrip("/")
        options = access.choices()
        self._seconds, self._limit = options.deadline, options.requests_per_host
        self._host = ""
        self._kept = None if options.chunk_cache == "off" else KeptValues(url, options)
        # Documents at the root that were taken from the disk without asking.
        self._believed: dict[str, RootVersion] = {}
        # Documents at the root that were asked for. Only added to, so that threads need no lock.
        self._held: dict[str, Buffer | None] = {}
        self._unproven: list[RootVersion] = []
        # Values of which parts were read, as they were: the index of a shard says where other parts are.
        self._in_parts: dict[str, tuple[bool, Identity | None]] = {}
        self._had_access = False
        self.is_unchanged = False
        """Whether the version given as `cached` is still there."""
        if expected is not None:
            identity = expected
            self._unproven = [] if is_proven else split_version(expected) or []
        else:
            identity = self._open(cached)
        self.source = Source(url, identity)
        self.size = identity.size
        if self._kept is not None and identity.kind != "size":
            self._kept.begin(identity)

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
        outcomes = self._ask_all([(one.root, None if one.root in keys else one) for one in proofs], plan.requests)
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
        return list_below(self._base, prefix, self._base_access) if scheme(self._base) in BUCKETS else None

    def locate_keys(self, keys: Sequence[str]) -> list[KeyPlace | None]:
        """Return where values are and how long they are; see `Folder.locate_keys`."""
        check_process()
        for key in keys:
            check_key(key, name=self._name)
        sizes = self._list_sizes(keys) if keys else {}
        if sizes is None:
            sizes = self._ask_sizes(keys)
        return [KeyPlace(join_key(self._base, key), 0, sizes[key]) if key in sizes else None for key in keys]

    def _list_sizes(self, keys: Sequence[str]) -> dict[str, int] | None:
        """Return the lengths of the values that there are, by a listing; None where there is none."""
        if scheme(self._base) not in BUCKETS:
            return None
        return sizes_below(self._base, folder_of(keys), self._base_access)

    def _ask_sizes(self, keys: Sequence[str]) -> dict[str, int]:
        """Return the lengths of the values that there are, as the answers to requests for their first bytes say."""
        outcomes = self._run([partial(self._ask, key, (0, 1)) for key in keys], _is_fatal)
        found: dict[str, int] = {}
        for key, one in zip(keys, outcomes, strict=True):
            if isinstance(one, Failure) and _is_fatal(one):
                raise self._explain(one, key)
            if isinstance(one, Answer):
                if one.identity is None:
                    message = f"{self._name}: the server does not say how long {key!r} is"
                    raise UnsupportedLayoutError(message, url=self._name)
                found[key] = one.identity.size
        return found

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
            outcomes = self._ask_all([(one.root, one) for one in known], is_fatal=_never)
            if all(self._is_same(one, outcome) for one, outcome in zip(known, outcomes, strict=True)):
                self.is_unchanged = True
                return cached
        versions = self._look()
        identity = join_versions(versions)
        self.is_unchanged = identity == cached
        return identity

    def _look(self) -> list[RootVersion]:
        """Ask for the documents that may be at the root; return the versions of those that count."""
        outcomes: dict[str, Outcome | None] = {}
        versions: list[RootVersion] = []
        failures: list[Failure] = []
        for roots in candidates(self._name):
            answers = self._ask_all([(root, None) for root in roots], is_fatal=_never)
            outcomes |= dict(zip(roots, answers, strict=True))
            found = {root: one.identity for root, one in outcomes.items() if isinstance(one, Answer) and one.identity}
            versions = choose(found)
            failures = [one for one in outcomes.values() if isinstance(one, Failure) and not is_absent(one)]
            if versions or not all(map(is_refused, failures)):
                break
        passing = [one for one in failures if not is_refused(one)]
        if passing or (failures and not versions):
            raise self._explain((passing or failures)[0], "")
        if not versions:
            raise SourceNotFoundError(
                f"nothing is at {self._name}, neither a file nor a store: it has no {', '.join(outcomes)}",
                url=self._name,
            )
        for root, one in outcomes.items():
            self._held[root] = one.body if isinstance(one, Answer) else None
        self._had_access = True
        return versions

    def _ask_root(self, root: str, known: RootVersion | None) -> Outcome:
        """Return the answer for a document at the root; no body if it is `known` still."""
        engine = connect(join_key(self._base, root), self._base_access)
        now = identify(engine, name=self._name, seconds=self._seconds)
        if isinstance(now, Failure):
            return now
        if now is not None and known is not None:
            return Failure("unchanged") if now == known.identity else Answer(memoryview(b""), 0, now)
        is_etag = known is not None and known.identity.kind == "etag"
        pin = Pin(unless=known.identity.value) if known is not None and is_etag else Pin()
        wanted = None if known is None or is_etag else (0, 1)
        outcome = send(engine, wanted, pin, name=self._name, seconds=self._seconds)
        if isinstance(outcome, Failure) and outcome.reason == "whole":
            # The server does not know ranges.
            outcome = send(engine, None, pin, name=self._name, seconds=self._seconds)
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

    def _ask_all(
        self,
        roots: Sequence[tuple[str, RootVersion | None]],
        values: Sequence[KeyRange] = (),
        *,
        is_fatal: Callable[[Outcome], bool] = _is_fatal,
    ) -> list[Outcome | None]:
        """Return the answers for documents at the root and for values in one round, from the disk where they are there.

        What is believed of the root is asked for in the same round as values that are not on the disk: old and new
        values must not come together.
        """
        calls = [partial(self._ask_root, root, known) for root, known in roots]
        calls += [partial(self._ask, key, part) for key, part in values]
        kept = self._kept
        if kept is None:
            return self._run(calls, is_fatal)
        out: list[Outcome | None] = [None] * len(roots)
        found = kept.find_roots([(root, None if known is None else known.identity) for root, known in roots])
        if found is not None:
            out = [*found]
            told = {root: one.identity for (root, _), one in zip(roots, found, strict=True) if isinstance(one, Answer)}
            told |= {root: known.identity for root, known in roots if known is not None}
            self._believed |= {root: RootVersion(root, one) for root, one in told.items() if one is not None}
        out += [kept.find(key, part) for key, part in values]
        left = [i for i, one in enumerate(out) if one is None]
        proofs = list(self._believed.values()) if left else []
        asked = time.time()
        outcomes = self._run(
            [*(calls[i] for i in left), *(partial(self._ask_root, one.root, one) for one in proofs)], is_fatal
        )
        for i, one in zip(left, outcomes, strict=False):
            out[i] = one
        if not any(isinstance(one, Failure) and _is_fatal(one) for one in outcomes):
            self._disprove(kept, proofs, outcomes[len(left) :])
            names = [*(root for root, _ in roots), *(key for key, _ in values)]
            # What is there comes first: it tells how old the folder is.
            for i in sorted(left, key=lambda i: isinstance(out[i], Failure)):
                (kept.keep_root if i < len(roots) else kept.keep)(names[i], out[i], asked)
        return out

    def _disprove(self, kept: KeptValues, proofs: Sequence[RootVersion], outcomes: Sequence[Outcome | None]) -> None:
        """Raise, and believe no more, if what was believed of the root does not hold."""
        for one, outcome in zip(proofs, outcomes, strict=True):
            if not self._is_same(one, outcome):
                for other in proofs:
                    kept.forget_root(other.root, other.identity)
                raise changed(self._name)
        if proofs:
            self._believed = {}

    def _run(self, calls: Sequence[partial[Outcome]], is_fatal: Callable[[Outcome], bool]) -> list[Outcome | None]:
        if not calls:
            return []
        record_round()
        # What is on disk needs no server, and finding out how to reach one may take requests.
        self._host = self._host or connect(join_key(self._base, ".zgroup"), self._base_access).host
        return run_all(self._host, calls, limit=self._limit, is_fatal=is_fatal)

    def _ask(self, key: str, wanted: Wanted) -> Outcome:
        """Return the answer for a value or a part of it, which is empty where the value is shorter."""
        engine = connect(join_key(self._base, key), self._base_access, is_value=True)
        expired = None if self._kept is None else self._kept.find_expired(key, wanted)
        return ask_value(engine, wanted, expired, name=self._name, seconds=self._seconds)

    def _check_parts(self, requests: Sequence[KeyRange], answers: Sequence[Outcome | None]) -> None:
        """Raise for a value of which parts are of several versions, now or since a part of it was read first."""
        seen: dict[str, tuple[bool, Identity | None]] = {}
        for (key, part), one in zip(requests, answers, strict=True):
            is_there = isinstance(one, Answer)
            identity = one.identity if isinstance(one, Answer) else None
            was_there, before = seen.get(key) or self._in_parts.get(key) or (is_there, None)
            if was_there != is_there or (before is not None and identity is not None and identity != before):
                # Whoever reads it again from its beginning reads one version.
                self._in_parts.pop(key, None)
                if self._kept is not None:
                    self._kept.forget(key)
                raise changed(f"{self._name}/{key}")
            seen[key] = (is_there, before or identity)
            if part is not None:
                self._in_parts[key] = seen[key]
        self._had_access = True

    def _explain(self, failure: Failure, key: str) -> NWBDaskError:
        name = f"{self._name}/{key}".rstrip("/")
        if failure.reason == "long":
            return SourceUnavailableError(
                f"{name} has {failure.size / 2**20:.0f} MiB, which is too much to hold in memory", url=self._name
            )
        lost_secrets = has_lost_secrets(self.access)
        if is_refused(failure) and self._had_access and not lost_secrets and scheme(self._base) in BUCKETS:
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
