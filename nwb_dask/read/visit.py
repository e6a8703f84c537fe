"""Visits many files, each once, and leaves out those that cannot be read if the user wants that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from nwb_dask.backends import File
from nwb_dask.errors import MalformedFileError, NWBDaskError, SourceNotFoundError
from nwb_dask.read.concurrently import each_of
from nwb_dask.read.opening import open_source
from nwb_dask.read.warn import warn_skipped
from nwb_dask.storage import Access, Named

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[T]):
    """What came of one file, or why it is left out."""

    found: T | None = None
    reason: str = ""
    is_missing: bool = False


def visit_files(
    named: Sequence[Named], access: Access, visit: Callable[[Named, File], T], *, skip_corrupt: bool
) -> tuple[list[tuple[Named, T]], tuple[tuple[str, str], ...]]:
    """Return what `visit` gives for each open file, in order, and the files that are left out, with the reasons.

    Remote files are visited at once. With `skip_corrupt`, corrupt and missing files are left out, with one warning.
    `visit` never gives None.

    Raises
    ------
    MalformedFileError, SourceUnavailableError
        If a file cannot be read, or if every file is left out.
    """

    def outcome(one: Named) -> _Outcome[T]:
        try:
            with open_source(one.url, access) as file:
                return _Outcome(visit(one, file))
        except (MalformedFileError, SourceNotFoundError) as error:
            if skip_corrupt:
                return _Outcome(reason=error.message, is_missing=isinstance(error, SourceNotFoundError))
            raise error.at(url=one.name) from error.__cause__
        except NWBDaskError as error:
            raise error.at(url=one.name) from error.__cause__

    outcomes = each_of(named, outcome)
    skipped = tuple((one.name, o.reason) for one, o in zip(named, outcomes, strict=True) if o.reason)
    found = [(one, o.found) for one, o in zip(named, outcomes, strict=True) if o.found is not None]
    if not found:
        raise _nothing_left(outcomes, skipped)
    if skipped:
        warn_skipped(skipped, len(named))
    return found, skipped


def _nothing_left(outcomes: Sequence[_Outcome[T]], skipped: Sequence[tuple[str, str]]) -> NWBDaskError:
    message = f"none of {len(skipped)} files could be read; the first is left out because: {skipped[0][1]}"
    kind = SourceNotFoundError if all(one.is_missing for one in outcomes) else MalformedFileError
    return kind(message, url=skipped[0][0])
