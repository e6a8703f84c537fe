"""What a draft begins with: references to all that the original holds."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from nwb_dask.amending.document import LindiDocument, as_json, load_document
from nwb_dask.amending.values import EXTERNAL
from nwb_dask.backends import File
from nwb_dask.backends.lindi import Contents, load, make_policy
from nwb_dask.errors import MalformedFileError
from nwb_dask.references import LeftOut, lindi_references, stated_url
from nwb_dask.storage import Folder, Named, Store

Json: TypeAlias = Any
"""A value of a document."""

_INSIDE = "./"


class Beginning(NamedTuple):
    """A document, and what it takes to read through it."""

    document: LindiDocument
    places: Mapping[str, str]
    """URLs that it names, and where these files are."""
    left_out: tuple[LeftOut, ...] = ()
    """What of the original has no place in it."""


def begin_from_hdf5(file: File, source: Named, url: str | None) -> Beginning:
    """Return references to all that an HDF5 file holds; `url` is written for it, by default where it is."""
    text, left_out = lindi_references(file, source.url, url)
    named = stated_url(source.url, url, format_="lindi")
    return Beginning(load_document(text), {named: source.url}, left_out)


def begin_from_references(container: Store | Folder) -> Beginning:
    """Return the references of a LINDI file, those into itself made absolute.

    Raises
    ------
    SourceAccessError
        If it refers to what it may not refer to: out of the new document, which is local, more might be read.
    """
    contents = load(container)
    policy = make_policy(container.source.url, container.access, is_folder=isinstance(container, Folder))
    own = stated_url(container.source.url, None, format_="lindi")
    places: dict[str, str] = {own: container.source.url}
    refs: dict[str, Any] = {}
    for key, value in contents.document.refs.items():
        refs[key] = _absolute(value, contents, own, isinstance(container, Folder), key)
        if (named := _named(key, refs[key], contents)) is not None and named not in places:
            within = named == own or named.startswith(f"{own}/")
            places[named] = named if within else policy.place(named).url
    document = {"refs": refs, "version": 1}
    if contents.document.templates.texts:
        document["templates"] = dict(contents.document.templates.texts)
    return Beginning(document, places)


def _absolute(value: Json, contents: Contents, own: str, is_folder: bool, key: str) -> Json:  # noqa: FBT001  # as it is called
    """Return a reference into the file itself as one that holds from elsewhere."""
    if not isinstance(value, list) or not str(value[0]).startswith(_INSIDE):
        return value
    name = str(value[0]).removeprefix(_INSIDE)
    if contents.entries is None:
        folder = own.rstrip("/") if is_folder else posixpath.dirname(own)
        return [f"{folder}/{name}", *value[1:]]
    if name not in contents.entries:
        raise MalformedFileError(f"damaged: its tar file has no {name[:200]!r}", path=f"/{key}")
    start, stop = contents.entries[name]
    offset, length = value[1:] if len(value) > 1 else (0, stop - start)
    if offset < 0 or length < 0 or start + offset + length > stop:
        raise MalformedFileError(f"damaged: a reference reaches past the end of {name[:200]!r}", path=f"/{key}")
    return [own, start + offset, length]


def _named(key: str, value: Json, contents: Contents) -> str | None:
    """Return the file that a value names; None if it names none."""
    fill: Callable[[str], str] = contents.document.templates.fill
    if isinstance(value, list):
        return fill(str(value[0]))
    if key.endswith(".zattrs"):
        link = as_json(value).get(EXTERNAL)
        if isinstance(link, Mapping) and isinstance(link.get("url"), str):
            return str(link["url"])
    return None
