"""What a bucket holds under a prefix."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from nwb_dask.storage.access import Access, has_lost_secrets
from nwb_dask.storage.engines.protocol import Failure
from nwb_dask.storage.faults import explain
from nwb_dask.storage.retry import persist

if TYPE_CHECKING:
    from nwb_dask.storage.clients import Client  # loads a library of its own

_PAGE = 1000

_Skip: TypeAlias = "Callable[[str], str | None] | None"


def list_keys(bucket_url: str, folder: str, access: Access, *, recursive: bool, skip: _Skip = None) -> list[str]:
    """Return the keys of a bucket below `folder`, unsorted.

    Parameters
    ----------
    bucket_url : str
        ``s3://bucket``, ``gs://bucket`` or ``az://container``.
    folder : str
        ``""`` for the whole bucket, or ending in a slash.
    access : Access
        Credentials and options. Listings go by obstore, whatever the engine is.
    recursive : bool
        Whether folders in the folder are listed too; otherwise only the keys directly in it, and the folders, which
        end in a slash.
    skip : callable, optional
        Takes a key, and returns the store that it is in, or None. Where a page of the listing ends in a store, the rest
        of it is left out: stores have many more keys than anyone asks for.

    Raises
    ------
    SourceNotFoundError, SourceAccessError, SourceUnavailableError
        If it cannot be listed.
    """
    name = f"{bucket_url}/{folder}"
    found: list[str] = []
    outcome, _ = persist(
        lambda _: _extend(found, bucket_url, folder, access, recursive=recursive, skip=skip),
        host=bucket_url,
        name=name,
        seconds=access.choices().deadline,
    )
    if isinstance(outcome, Failure):
        raise explain(outcome, name, lost_secrets=has_lost_secrets(access))
    return found


def list_sizes(bucket_url: str, folder: str, access: Access) -> dict[str, int]:
    """Return the keys of a bucket below `folder`, at any depth, with the lengths of their values; see `list_keys`."""
    found: list[str] = []
    sizes: list[int] = []
    name = f"{bucket_url}/{folder}"
    outcome, _ = persist(
        lambda _: _extend(found, bucket_url, folder, access, recursive=True, skip=None, sizes=sizes),
        host=bucket_url,
        name=name,
        seconds=access.choices().deadline,
    )
    if isinstance(outcome, Failure):
        raise explain(outcome, name, lost_secrets=has_lost_secrets(access))
    return dict(zip(found, sizes, strict=True))


def _extend(
    found: list[str],
    bucket_url: str,
    folder: str,
    access: Access,
    *,
    recursive: bool,
    skip: _Skip,
    sizes: list[int] | None = None,
) -> Failure | None:
    """Add the keys that follow those in `found`; return what ended that too soon."""
    from nwb_dask.storage.clients import connect_bucket  # noqa: PLC0415  # only buckets need it
    from nwb_dask.storage.engines.obstore import REQUEST_ERRORS, translate  # noqa: PLC0415  # likewise

    client = connect_bucket(bucket_url, access)
    try:
        if recursive:
            _extend_below(found, client, folder, skip, sizes)
        else:
            found[:] = _directly_in(client, folder)
    except REQUEST_ERRORS as exc:
        return translate(exc)
    return None


def _extend_below(found: list[str], client: Client, folder: str, skip: _Skip, sizes: list[int] | None) -> None:
    import obstore  # noqa: PLC0415  # only buckets need it

    is_done = False
    while not is_done:
        is_done = True
        # Keys come in order, so that a listing goes on where it broke off, or behind a store.
        for page in obstore.list(client, folder or None, offset=_offset(found, skip), chunk_size=_PAGE):
            found.extend(one["path"] for one in page)
            if sizes is not None:
                sizes.extend(one["size"] for one in page)
            if len(page) == _PAGE and _offset(found, skip) != found[-1]:
                is_done = False
                break


def _offset(found: list[str], skip: _Skip) -> str | None:
    """Return what the following keys come after."""
    if not found:
        return None
    store = None if skip is None else skip(found[-1])
    if store is None or found[-1].removeprefix(f"{store}/").startswith("."):
        return found[-1]
    # The documents of version 2 come first, and no key of Zarr after this.
    return max(found[-1], f"{store}/~")


def _directly_in(client: Client, folder: str) -> list[str]:
    import obstore  # noqa: PLC0415  # only buckets need it

    listed = obstore.list_with_delimiter(client, folder or None)
    return [*(one["path"] for one in listed["objects"]), *(f"{one}/" for one in listed["common_prefixes"])]
