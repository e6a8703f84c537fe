"""By which of the sources files were found: folders, globs and prefixes, which are listed again for an update."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from nwb_dask.catalog.shared import SharedCatalog
from nwb_dask.cataloguing.rows import kept_url
from nwb_dask.index import Url
from nwb_dask.storage import Access, Named, Sources, expand_sources, is_local, local_path


@dataclass(frozen=True, slots=True)
class Listed:
    """A file, and what it was found by."""

    named: Named
    found_by: tuple[str, ...]
    """Folders, globs or prefixes, absolute and without secrets; none for a file that was only named itself."""


def list_files(sources: object, access: Access) -> tuple[Listed, ...]:
    """Return the files of `sources`, each once, in order; errors are those of `storage.expand_sources`."""
    items = sources if isinstance(sources, (list, tuple)) else (sources,)
    listed = [
        Listed(one, () if _is_itself(item, one, len(found)) else (_kept(item),))
        for item in items
        for found in (expand_sources(item, access),)
        for one in found
    ]
    # What is said of all of them: that there are none, that names clash.
    expand_sources(Sources(tuple(one.named for one in listed)) if listed else sources, access)
    once: dict[Url, Listed] = {}
    for one in listed:
        before = once.get(one.named.url, Listed(one.named, ()))
        once[one.named.url] = Listed(before.named, tuple(dict.fromkeys(before.found_by + one.found_by)))
    return tuple(once.values())


def built_from(catalog: SharedCatalog) -> list[str]:
    """Return what the files of a catalog were found by, and files that were named themselves, in order."""
    sessions = catalog.table("sessions")
    found_by: Sequence[Sequence[str] | None] = sessions.column("found_by").to_pylist()
    first = [one[0] if one else file.url for one, file in zip(found_by, catalog.files, strict=True)]
    return list(dict.fromkeys([*first, *(name for one in found_by for name in one or ())]))


def _is_itself(item: object, one: Named, n_files: int) -> bool:
    if not isinstance(item, str | os.PathLike) or isinstance(item, Named):
        return True
    text = os.fspath(item)
    return n_files == 1 and one.url == (_absolute(text) if is_local(Url(text)) else text)


def _kept(item: object) -> str:
    text = str(item)
    return _absolute(text) if is_local(Url(text)) else kept_url(Url(text))


def _absolute(text: str) -> str:
    return os.path.abspath(os.path.expanduser(local_path(text)))  # noqa: PTH100, PTH111  # as `expand_sources` does
