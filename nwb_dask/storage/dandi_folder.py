"""Zarr stores in an archive: its API says where one is and which it is, and its bucket is asked directly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from nwb_dask.errors import SourceUnavailableError
from nwb_dask.index import Identity, Url
from nwb_dask.storage.access import CHOICES, Access, Plain
from nwb_dask.storage.dandi_api import Api, ZarrPlace
from nwb_dask.storage.dandi_url import DandiUrl, split_pinned
from nwb_dask.storage.faults import changed
from nwb_dask.storage.folder_listing import folder_of, list_below, sizes_below
from nwb_dask.storage.remote_folder import RemoteFolder
from nwb_dask.storage.urls import display_url

_MARK = "zarr:"
_AWS = re.compile(r"(?P<bucket>[a-z0-9.-]+)\.s3[a-z0-9.-]*\.amazonaws\.com")


class DandiFolder(RemoteFolder):
    """One asset in Zarr, by its id.

    Its version is the id with the digest that the archive has of all its files: unlike the bytes of a file, those of a
    Zarr asset may change while its draft is not published. One question to the API opens it, whatever is known of it,
    and finds out both; the key of the user goes to the API alone. Values of an embargoed store cannot be read: the
    archive gives no links to them.

    Parameters
    ----------
    url : Url
        As `dandi_url.pin` makes it.
    access : Access
        Key, and where the API is.
    expected : Identity, optional
        The version that must be there.
    cached : Identity, optional
        A version that was there once.
    """

    def __init__(self, url: Url, access: Access, *, expected: Identity | None, cached: Identity | None = None) -> None:
        found = split_pinned(url)
        if found is None:
            raise SourceUnavailableError("no asset is named; list it with nwb_dask.sources(url)", url=url)
        instance, asset_id = found
        if access.choices().engine not in {"auto", "http"}:
            message = f"the engine {access.choices().engine!r} does not read dandi://; choose 'http' or 'auto'"
            raise SourceUnavailableError(message, url=url)
        api = Api(DandiUrl(instance, "asset", asset_id=asset_id), access)
        api.name = display_url(url)
        self._place = api.find_zarr(asset_id)
        identity = _identity(asset_id, self._place)
        if expected is not None and expected != identity:
            raise changed(display_url(url))
        base = Access(tuple((name, value) for name, value in access.options if name in CHOICES))
        super().__init__(url, access, expected=identity, base=(Url(self._place.url), base))
        self.is_unchanged = identity == cached

    def list_keys(self, prefix: str = "") -> list[str]:
        """Return all keys below a folder (``"units/"``), sorted."""
        return list_below(*self._bucket(prefix))

    def _list_sizes(self, keys: Sequence[str]) -> dict[str, int]:
        return sizes_below(*self._bucket(folder_of(keys)))

    def _bucket(self, prefix: str) -> tuple[str, str, Access]:
        """Return what is to be listed in the bucket, and how."""
        parts = urlsplit(self._place.url)
        match = _AWS.fullmatch(parts.hostname or "")
        options: dict[str, Plain] = {**dict(self._base_access.options), "anon": True}
        options.pop("engine", None)
        if match is None:
            # Archives of one's own have the bucket in the path.
            options["endpoint_url"] = f"{parts.scheme}://{parts.netloc}"
        url = f"s3://{match['bucket'] if match else ''}{parts.path if match else parts.path[1:]}"
        return url, prefix, Access(tuple(sorted(options.items())))


def is_zarr_version(identity: Identity) -> bool:
    """Return whether a version is of an asset in Zarr."""
    return identity.value.startswith(_MARK)


def _identity(asset_id: str, place: ZarrPlace) -> Identity:
    return Identity("version" if place.digest else "size", f"{_MARK}{asset_id}:{place.digest}", place.size)
