"""A Zarr store with the other stores that its links and references lead to, as far as that is allowed.

A source counts from the store that names it: ``../other.nwb.zarr`` is beside it. Local stores lead to others in the
folders of ``allow_external``, remote ones to those that a document of references may name; see `lindi.policy`. What is
reached over many steps is held to the rules of the first store, and to its credentials.
"""

from __future__ import annotations

import posixpath
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from typing import TypeAlias
from urllib.parse import quote

from nwb_dask.backends.hdf5.linked import LinkedFile
from nwb_dask.backends.hdf5.outside import Outside
from nwb_dask.backends.known import Known
from nwb_dask.backends.lindi.policy import make_policy
from nwb_dask.backends.protocol import File
from nwb_dask.backends.zarr import ZarrFile
from nwb_dask.errors import SourceNotFoundError, UnsupportedLayoutError
from nwb_dask.index import Source, Url
from nwb_dask.storage import (
    Access,
    Folder,
    display_url,
    is_local,
    local_path,
    open_allowed_folder,
    open_store,
    url_scheme,
)

_HTTP = ("http", "https")
_MAX_PINNED = 256

OpenStore: TypeAlias = "Callable[[str, str, Access], Folder]"


class ReachingZarr(LinkedFile[Folder]):
    """One open Zarr store, with what its links and references lead to in others; see `backends.File`.

    Parameters
    ----------
    store : Folder
        Its bytes; stays open when this is closed.
    known : Known, optional
        As `ZarrFile`.
    place : str, optional
        Where the store is, if another led to it.
    outside : Outside, optional
        Likewise, the stores that have been reached.
    """

    def __init__(
        self,
        store: Folder,
        known: Known | None = None,
        *,
        place: str | None = None,
        outside: Outside[Folder] | None = None,
    ) -> None:
        is_first = outside is None
        url = store.source.url
        if outside is None and not is_local(url):
            pinned = _pinned(store.source)
            outside = Outside(store.access, store.source.identity, _opener(url, store.access), _open_other, pinned)
        elif outside is None and store.access.allowed_folders:
            outside = Outside(store.access, store.source.identity, _opener(url, store.access), _open_other)
        here = local_path(url) if is_local(url) else url
        super().__init__(ZarrFile(store, known), here if place is None else place, outside, is_first=is_first)


def _open_other(store: Folder, place: str, outside: Outside[Folder]) -> File:
    return ReachingZarr(store, place=place, outside=outside)


_pins: OrderedDict[Source, dict[str, str]] = OrderedDict()
"""Versions of stores that remote ones led to, as this process saw them first. Operations are atomic: no lock."""


def _pinned(source: Source) -> MutableMapping[str, str]:
    """Return the versions of the stores that a remote one has led to in this process."""
    found = _pins.setdefault(source, {})
    while len(_pins) > _MAX_PINNED:
        _pins.popitem(last=False)
    return found


def _opener(first: Url, access: Access) -> OpenStore:
    """Return what opens the stores that one leads to, directly or through others."""
    policy = make_policy(first, access, is_folder=True)

    def opened(source: str, beside: str, access: Access) -> Folder:
        if is_local(beside) and url_scheme(source) in {"", "file"}:
            return open_allowed_folder(local_path(source), beside, access)
        place = policy.place(_joined(beside, source))
        store = open_store(place.url, place.access)
        if isinstance(store, Folder):
            return store
        store.close()
        message = f"{display_url(beside)} leads to {display_url(place.url)}, which is no Zarr store by its name"
        raise UnsupportedLayoutError(message, url=beside)

    return opened


def _joined(beside: str, source: str) -> str:
    """Return the URL of a store that a remote one names; a path of a machine as it is."""
    if url_scheme(source) or source.startswith(("/", "\\")):
        return source
    if not source or "\0" in source:
        raise SourceNotFoundError(f"{display_url(beside)} leads to {source!r}, which no store is named", url=beside)
    scheme, _, rest = display_url(beside).partition("://")
    server, _, folder = rest.partition("/")
    name = quote(source) if scheme in _HTTP else source
    return f"{scheme}://{server}{posixpath.normpath(posixpath.join('/', folder, name))}"
