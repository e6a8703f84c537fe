"""What a draft begins with: references to all that the original holds."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from nwb_dask.amending.document import LindiDocument, as_json, load_document
from nwb_dask.amending.values import EXTERNAL
from nwb_dask.backends import File, ReachingZarr
from nwb_dask.backends.lindi import Contents, NotedFile, holds_references, load, make_policy, note_file, note_of
from nwb_dask.backends.lindi.values import parse_value
from nwb_dask.errors import MalformedFileError, NWBDaskError, UnsupportedLayoutError
from nwb_dask.references import LeftOut, lindi_references, stated_url
from nwb_dask.storage import Folder, Named, Store, is_local, local_path

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
    noted: Mapping[str, NotedFile] = MappingProxyType({})
    """What the original notes of files that it refers to itself."""


def begin_from_file(file: File, source: Named, url: str | None) -> Beginning:
    """Return references to all that an HDF5 file or a Zarr store holds.

    Parameters
    ----------
    file : File
        Open.
    source : Named
        What it is.
    url : str or None
        What is written for it; None for where it is.

    Raises
    ------
    UnsupportedLayoutError
        If it is a Zarr store with arrays that have no place in a LINDI document. Those of an HDF5 file may become links
        to it; for arrays of Zarr LINDI has no links.
    """
    text, left_out = lindi_references(file, source.url, url)
    if isinstance(file, ReachingZarr):
        _refuse_lost(file, source, left_out)
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
    # What moved with a remote document has a path as its name, which would be one of this machine in the new one.
    files = contents.document.files if is_local(container.source.url) else {}
    is_folder = isinstance(container, Folder)
    policy = make_policy(container.source.url, container.access, is_folder=is_folder, files=files)
    own = stated_url(container.source.url, None, format_="lindi")
    places: dict[str, str] = {own: container.source.url}
    refs: dict[str, Any] = {}
    for key, value in contents.document.refs.items():
        refs[key] = _absolute(value, contents, own, is_folder, key)
        if (named := _named(key, refs[key], contents)) is not None and named not in places:
            within = named == own or named.startswith(f"{own}/")
            places[named] = named if within else policy.place(named).url
    document = {"refs": refs, "version": 1}
    if contents.document.templates.texts:
        document["templates"] = dict(contents.document.templates.texts)
    return Beginning(document, places, noted=files)


def _refuse_lost(file: File, source: Named, left_out: tuple[LeftOut, ...]) -> None:
    lost = [one for one in left_out if "@" not in one.path and file.index(one.path).array(one.path) is not None]
    if not lost:
        return
    more = f", and for {len(lost) - 1} more arrays" if len(lost) > 1 else ""
    message = (
        f"{source.name} cannot be amended: LINDI has no words for its {lost[0].path} ({lost[0].reason}){more}; "
        "convert it to HDF5 and amend that, or write the store anew, with codecs that Zarr v2 has or unzipped"
    )
    raise UnsupportedLayoutError(message, url=source.name, path=lost[0].path)


def noted_of(found: Beginning, store: Store | Folder, named: str, *, is_named: bool, folder: Path) -> dict[str, Json]:
    """Return what a new output notes of the files that it refers to.

    Parameters
    ----------
    found : Beginning
        What it begins with.
    store : Store or Folder
        The original. Nothing is noted of a LINDI folder, to which more may be added.
    named : str
        As the references name it.
    is_named : bool
        Whether the user said so.
    folder : Path
        Where the output is.
    """
    noted = [
        replace(one, beside=_beside(found.places[one.named], folder))
        for one in found.noted.values()
        if one.named in found.places
    ]
    if not isinstance(store, Folder) or not holds_references(store):
        noted.append(note_file(store, named, None if is_named else _beside(store.source.url, folder)))
    return {one.named: note_of(one) for one in noted}


def _beside(url: str, folder: Path) -> str | None:
    """Return the path of a local file relative to a folder that it is in or below; None of others."""
    path = Path(os.path.realpath(local_path(url))) if is_local(url) else None
    return path.relative_to(folder).as_posix() if path is not None and path.is_relative_to(folder) else None


def _absolute(value: Json, contents: Contents, own: str, is_folder: bool, key: str) -> Json:  # noqa: FBT001  # as it is called
    """Return a reference into the file itself as one that holds from elsewhere."""
    if not isinstance(value, list):
        return value
    try:
        parse_value(value, contents.document.templates)
    except NWBDaskError as error:
        raise error.at(path=f"/{key}") from None
    if not str(value[0]).startswith(_INSIDE):
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
