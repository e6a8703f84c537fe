"""Questions to the API of an archive, which answers in JSON.

Names of fields and parameters are those of dandi-archive (``dandiapi/api/views/``: ``asset.py``, ``dandiset.py``,
``serializers.py``, ``pagination.py``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit

from nwb_dask.errors import SourceNotFoundError, SourceUnavailableError
from nwb_dask.storage.access import Access, has_lost_secrets
from nwb_dask.storage.concurrency import check_process, run_all
from nwb_dask.storage.dandi_access import find_archive
from nwb_dask.storage.dandi_url import UUID, DandiUrl
from nwb_dask.storage.engines.dandi import may_lead_to
from nwb_dask.storage.engines.http import HttpEngine, Location, locate
from nwb_dask.storage.engines.protocol import Failure, Pin
from nwb_dask.storage.faults import explain, is_absent
from nwb_dask.storage.retry import send

_PAGE = 1000
"""Assets of one answer: as many as the API gives (``LazyPagination.max_page_size``)."""
_MOST_PAGES = 10_000
_N_AT_ONCE = 5
"""Pages that are asked for at once: as dandi-cli does."""


@dataclass(frozen=True, slots=True)
class Asset:
    """What a listing says of one asset (``AssetSerializer``)."""

    asset_id: str
    path: str
    size: int
    """Bytes."""
    is_zarr: bool
    """Whether it is a Zarr store and no file."""
    created: str
    modified: str


@dataclass(frozen=True, slots=True)
class ZarrPlace:
    """Where the values of an asset in Zarr are, and which they are now."""

    url: str
    digest: str
    """Of names and contents of all files (``dandi:dandi-zarr-checksum``), or the time of the last change while the
    archive has not computed it; ``""`` if it says neither."""
    size: int
    """Bytes of all files."""


class _JsonEngine(HttpEngine):
    """One answer of an API, which has no reason to lead elsewhere."""

    def _refuse(self, place: Location) -> str:  # noqa: ARG002  # it does not matter where
        return "the API redirects; give the URL that it leads to"


class Api:
    """One dandiset, as the API of its archive describes it.

    Parameters
    ----------
    url : DandiUrl
        Which archive and dandiset.
    access : Access
        Key, deadline and concurrency.
    """

    def __init__(self, url: DandiUrl, access: Access) -> None:
        check_process()
        self._archive = find_archive(url.instance, access)
        self._access = access
        self._dandiset = url.dandiset
        self._lost_secrets = has_lost_secrets(access)
        self.name = f"dandi://{url.instance}/{url.dandiset or f'assets/{url.asset_id}'}"
        """Of the dandiset or asset, for errors."""

    def default_version(self) -> str:
        """Return the version that was published last, or else the draft: as dandi-cli chooses.

        Raises
        ------
        SourceNotFoundError
            If there is no such dandiset.
        """
        found = self._ask(f"/dandisets/{self._dandiset}/", {})
        if isinstance(found, Failure):
            if is_absent(found):
                raise SourceNotFoundError(
                    f"there is no dandiset {self._dandiset} at {self._archive.api}; one of yours may be on another "
                    "archive (dandi://sandbox/...)",
                    url=self.name,
                )
            raise self._explain(found)
        versions = [found.get(field) for field in ("most_recent_published_version", "draft_version")]
        names = [one.get("version") for one in versions if isinstance(one, Mapping)]
        if not names or not isinstance(names[0], str):
            raise self._odd("a dandiset has no version")
        return names[0]

    def list_assets(self, version: str, query: Mapping[str, str]) -> list[Asset]:
        """Return the assets of a version that match, by path as the archive sorts it.

        Parameters
        ----------
        version : str
            ``draft``, or that of a published one.
        query : mapping
            ``path``: the asset of this path, or else those whose path begins with it; ``glob``: where ``*`` stands for
            anything, slashes too. Both regardless of case.

        Raises
        ------
        SourceNotFoundError
            If there is no such version.
        SourceUnavailableError
            If the archive does not answer as its API promises, or lists other assets while it is asked.
        """
        place = f"/dandisets/{self._dandiset}/versions/{version}/assets/"
        asked = {**query, "order": "path", "metadata": "false", "page_size": str(_PAGE)}
        first = self._ask(place, asked)
        if isinstance(first, Failure):
            if is_absent(first):
                latest = self.default_version()
                raise SourceNotFoundError(
                    f"{self.name} has no version {version}; the one to be had without naming it is {latest}",
                    url=self.name,
                )
            raise self._explain(first)
        rows = self._rows(first)
        count = first.get("count")
        if first.get("next") is not None:
            if type(count) is not int or not len(rows) < count <= _MOST_PAGES * len(rows):
                raise self._odd("it does not say how many assets there are")
            rows += self._further(place, asked, range(2, -(-count // len(rows)) + 1))
        assets = [self._asset(row) for row in rows]
        if type(count) is int and len({one.asset_id for one in assets}) != count:
            message = f"the assets of {self.name}@{version} changed while they were listed; try again"
            raise SourceUnavailableError(message, url=self.name)
        return assets

    def find_zarr(self, asset_id: str) -> ZarrPlace:
        """Return where the values of an asset in Zarr are.

        The metadata of an asset (``Asset.full_metadata`` of dandi-archive) have the place in the store as the second
        ``contentUrl``, which stays, and the digest of what is there now: the files of a draft may change.

        Raises
        ------
        SourceNotFoundError
            If there is no such asset.
        SourceUnavailableError
            If it is not in Zarr, or its place is none that the archive may lead to.
        """
        found = self._ask(f"/assets/{asset_id}/", {})
        if isinstance(found, Failure):
            raise self._explain(found)
        urls, digest, size = (found.get(name) for name in ("contentUrl", "digest", "contentSize"))
        places = [one for one in urls if isinstance(one, str) and one.endswith("/")] if isinstance(urls, list) else []
        places = [one for one in places if not one.startswith(self._archive.api)]
        if not places or type(size) is not int:
            raise self._odd("an asset in Zarr has no place or size")
        if not self._may_be_at(places[0]):
            raise self._odd("the place of an asset is one that it may not lead to")
        checksum = digest.get("dandi:dandi-zarr-checksum") if isinstance(digest, Mapping) else None
        return ZarrPlace(places[0], str(checksum or found.get("dateModified") or ""), size)

    def _may_be_at(self, url: str) -> bool:
        try:
            origin = locate(url).origin
        except ValueError:
            return False
        is_safe = origin.scheme == "https" or urlsplit(self._archive.api).scheme != "https"
        return is_safe and may_lead_to(origin.host, is_public=self._archive.is_known)

    def _further(self, place: str, asked: Mapping[str, str], pages: range) -> list[object]:
        calls = [partial(self._ask, place, {**asked, "page": str(page)}) for page in pages]
        answers = run_all(self._archive.api, calls, limit=_N_AT_ONCE, is_fatal=lambda one: isinstance(one, Failure))
        for one in answers:
            if isinstance(one, Failure):
                raise self._explain(one)
        return [row for one in answers if isinstance(one, Mapping) for row in self._rows(one)]

    def _ask(self, place: str, query: Mapping[str, str]) -> dict[str, Any] | Failure:
        """Return the answer of the API, or why there is none."""
        url = self._archive.api + place + ("?" + urlencode(query) if query else "")
        try:
            engine = _JsonEngine(url, self._archive.headers)
        except ValueError:
            engine = None
        if engine is None:
            raise SourceUnavailableError(f"the API of {self.name} has no URL that can be asked", url=self.name)
        outcome = send(engine, None, Pin(), name=self.name, seconds=self._access.choices().deadline)
        if isinstance(outcome, Failure):
            return outcome
        try:
            found = json.loads(bytes(outcome.body))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self._odd("it is no JSON object")
        return found

    def _rows(self, page: Mapping[str, object]) -> list[object]:
        following, rows = page.get("next"), page.get("results")
        # Pages are asked for by number; a link elsewhere still says that this is not the archive.
        if following is not None and not (isinstance(following, str) and self._is_own(following)):
            raise self._odd("its next page is on another server")
        if not isinstance(rows, list):
            raise self._odd("a page has no results")
        return rows

    def _is_own(self, url: str) -> bool:
        try:
            # Behind a proxy, servers may not know their own scheme and port.
            return urlsplit(url).hostname == urlsplit(self._archive.api).hostname
        except ValueError:
            return False

    def _asset(self, row: object) -> Asset:
        fields = row if isinstance(row, Mapping) else {}
        asset_id, path, size = (fields.get(name) for name in ("asset_id", "path", "size"))
        if not (isinstance(asset_id, str) and isinstance(path, str) and type(size) is int):
            raise self._odd("an asset has no id, path or size")
        if not re.fullmatch(UUID, asset_id):
            raise self._odd("the id of an asset is none")
        is_zarr = fields.get("zarr") is not None
        return Asset(asset_id, path, size, is_zarr, str(fields.get("created")), str(fields.get("modified")))

    def _odd(self, what: str) -> SourceUnavailableError:
        return SourceUnavailableError(
            f"the API of {self.name} does not answer as one of a DANDI archive: {what}", url=self.name
        )

    def _explain(self, failure: Failure) -> Exception:
        return explain(failure, self.name, lost_secrets=self._lost_secrets)
