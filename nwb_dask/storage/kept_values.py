"""What is kept on disk of the values in one remote folder; each is a file of its own to the chunk cache."""

from __future__ import annotations

from collections.abc import Sequence

from nwb_dask.index import Identity, Url
from nwb_dask.options import Options
from nwb_dask.storage.coalesce import Range
from nwb_dask.storage.cover import find_holes, join
from nwb_dask.storage.engines.protocol import Answer, Failure, Outcome, Wanted
from nwb_dask.storage.faults import is_absent
from nwb_dask.storage.folder_url import join_key
from nwb_dask.storage.freshness import Said
from nwb_dask.storage.kept import Kept, keep_parts

_ABSENT = Failure("status", 404)


class KeptValues:
    """Answers for values of a folder, from the disk where they may be believed (see `kept.Kept`).

    That a value is not there is kept too. A server says nothing of how long that holds; it is believed for as long as
    a file would be that was written when the newest document at the root was.

    Parameters
    ----------
    url : Url
        The folder.
    options : Options
        Where, and for how long.
    """

    def __init__(self, url: Url, options: Options) -> None:
        self._url = url
        self._options = options
        self._within: Identity | None = None
        self._written: float | None = None

    def begin(self, identity: Identity) -> None:
        """Take it that this is the version of the folder; values of another are not found."""
        self._within = identity

    def find(self, key: str, wanted: Wanted) -> Outcome | None:
        """Return the answer for a value or a part of it, clipped to the value; None if the server is to be asked."""
        kept = self._of(key)
        return None if kept is None else self._find(kept, wanted)

    def find_roots(self, roots: Sequence[tuple[str, Identity | None]]) -> list[Outcome] | None:
        """Return the answers for documents at the root; None if the server is to be asked for them.

        One of which a version is given has no body if it is that.
        """
        found: list[Outcome] = []
        for root, known in roots:
            kept = self._of_root(root)
            if kept is None:
                return None
            if known is None:
                one = self._find(kept, None)
            else:
                # Another version than was seen last is asked for: either may be the newer one.
                one = Failure("unchanged") if kept.last == known and kept.is_fresh(known) else None
            if one is None:
                return None
            self._note_written(kept.modified)
            found.append(one)
        return found

    def find_expired(self, key: str, wanted: Wanted) -> Answer | None:
        """Return what is kept of a value if its ETag can tell whether it is still that."""
        kept = self._of(key)
        identity = None if kept is None else kept.last
        return self._read(kept, identity, wanted) if kept and identity and identity.kind == "etag" else None

    def keep(self, key: str, outcome: Outcome | None, asked: float) -> None:
        """Keep what an answer about a value shows, unless it is not known yet of which version of the folder it is."""
        kept = self._of(key)
        if kept is not None:
            self._keep(kept, outcome, asked)

    def keep_root(self, root: str, outcome: Outcome | None, asked: float) -> None:
        """Keep what an answer about a document at the root shows."""
        kept = self._of_root(root)
        if kept is not None:
            if isinstance(outcome, Answer):
                self._note_written(outcome.caching().modified)
            self._keep(kept, outcome, asked)

    def forget_root(self, root: str, identity: Identity) -> None:
        """Believe no more that a document is of this version."""
        kept = self._of_root(root)
        if kept is not None:
            kept.forget(identity)

    def forget(self, key: str) -> None:
        """Believe no more that a value is what was seen last."""
        kept = self._of(key)
        if kept is not None and kept.last is not None:
            kept.forget(kept.last)

    def _find(self, kept: Kept, wanted: Wanted) -> Outcome | None:
        if kept.is_absent():
            return _ABSENT
        identity = kept.last
        return self._read(kept, identity, wanted) if identity is not None and kept.is_fresh(identity) else None

    def _keep(self, kept: Kept, outcome: Outcome | None, asked: float) -> None:
        if isinstance(outcome, Failure):
            if is_absent(outcome) and self._written is not None:
                kept.note_absent(Said(modified=self._written), asked)
            elif outcome.reason == "unchanged" and kept.last is not None:
                kept.begin(kept.last)
                kept.confirm(kept.last, outcome.caching(), asked)
        elif outcome is not None and outcome.identity is not None:
            kept.begin(outcome.identity)
            kept.confirm(outcome.identity, outcome.caching(), asked)
            kept.keep(outcome.start, outcome.body)

    def _note_written(self, modified: float | None) -> None:
        self._written = max(self._written or 0.0, modified or 0.0) or None

    def _of_root(self, root: str) -> Kept | None:
        return keep_parts(join_key(self._url, root), self._options)

    def _of(self, key: str) -> Kept | None:
        within = self._within
        return None if within is None else keep_parts(join_key(self._url, key), self._options, within)

    @staticmethod
    def _read(kept: Kept, identity: Identity, wanted: Wanted) -> Answer | None:
        kept.begin(identity)
        one = _clipped(wanted, identity.size)
        pieces = kept.find([one]) if one[0] < one[1] else []
        if find_holes([one], pieces):
            return None
        (body,) = join([one], pieces)
        return Answer(memoryview(body), one[0], identity)


def _clipped(wanted: Wanted, size: int) -> Range:
    if isinstance(wanted, tuple):
        return min(wanted[0], size), min(wanted[1], size)
    return (0 if wanted is None else max(size - wanted, 0)), size
