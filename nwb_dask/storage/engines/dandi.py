"""Assets of an archive: its API says for a while where the bytes are, and the store that has them is asked directly."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict

from nwb_dask.errors import SourceUnavailableError
from nwb_dask.storage.access import Access
from nwb_dask.storage.dandi_access import find_archive
from nwb_dask.storage.dandi_url import split_pinned
from nwb_dask.storage.engines.http import HttpEngine, Link, Location
from nwb_dask.storage.hosts import address_of

_N_LINKS = 4096


class _Links:
    """Signed links of this process, least recently used first: in memory only, and in no value that travels."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.links: OrderedDict[tuple[str, str, str], Link] = OrderedDict()

    def find(self, key: tuple[str, str, str]) -> Link:
        with self.lock:
            link = self.links.setdefault(key, Link())
            self.links.move_to_end(key)
            while len(self.links) > _N_LINKS:
                self.links.popitem(last=False)
            return link

    def after_fork(self) -> None:
        self.lock = threading.Lock()


_links = _Links()
os.register_at_fork(after_in_child=_links.after_fork)


class DandiEngine(HttpEngine):
    """One asset, by its id, which stands for the same bytes for ever.

    ``/assets/{id}/download/`` redirects to a signed URL (dandi-archive, ``dandiapi/api/views/asset.py``), which all
    readers of this process use until it expires; readers that begin at once may each ask for one. The key is sent to
    the API and to nobody else. The identity of an asset is its id, which is in the URL, with the ETag and the size that
    the store says in every answer: the ETag is the ``dandi-etag`` of the archive's metadata, which accepts no upload
    that has another one (``dandiapi/api/views/upload.py``). Its ``sha2-256`` is computed after the upload, so that an
    asset may have none when it is planned.

    Parameters
    ----------
    url : str
        As `dandi_url.pin` makes it.
    access : Access
        Key, and where the API is.

    Raises
    ------
    SourceUnavailableError
        If the URL names no asset.
    SourceNotFoundError
        If the archive is not known.
    """

    def __init__(self, url: str, access: Access) -> None:
        found = split_pinned(url)
        if found is None:
            raise SourceUnavailableError("no asset is named; list it with nwb_dask.sources(url)", url=url)
        instance, asset_id = found
        archive = find_archive(instance, access)
        link = _links.find((archive.api, asset_id, archive.headers.get("Authorization", "")))
        super().__init__(f"{archive.api}/assets/{asset_id}/download/", archive.headers, link)
        self.version = asset_id
        self._is_known = archive.is_known

    def _refuse(self, place: Location) -> str | None:
        if self._home.origin.scheme == "https" and place.origin.scheme != "https":
            return "a redirect leads from https to http"
        if not may_lead_to(place.origin.host, is_public=self._is_known):
            return "a redirect leads into this machine's own network"
        return None

    def _is_trusted(self, place: Location) -> bool:
        # A store on the same server would refuse two ways of saying who asks, if it were one's own.
        return place is self._home


def may_lead_to(host: str, *, is_public: bool) -> bool:
    """Return whether a redirect to a server may be followed.

    Addresses that exist only on the user's own link, such as those that hand out the credentials of a cloud machine,
    never; of a public archive, no private or local ones either. Names are not looked up.
    """
    address = address_of(host)
    if address is None:
        is_local = host.rstrip(".").lower() == "localhost" or host.rstrip(".").lower().endswith(".localhost")
        return not (is_public and is_local)
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    return not is_public or address.is_global
