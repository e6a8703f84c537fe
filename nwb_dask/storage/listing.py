"""What a bucket holds under a prefix."""

from __future__ import annotations

from nwb_dask.storage.access import Access, has_lost_secrets
from nwb_dask.storage.engines.protocol import Failure
from nwb_dask.storage.faults import explain
from nwb_dask.storage.retry import persist

_PAGE = 1000


def list_keys(bucket_url: str, folder: str, access: Access, *, recursive: bool) -> list[str]:
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
        Whether folders in the folder are listed too; otherwise only the keys directly in it.

    Raises
    ------
    SourceNotFoundError, SourceAccessError, SourceUnavailableError
        If it cannot be listed.
    """
    name = f"{bucket_url}/{folder}"
    found: list[str] = []
    outcome, _ = persist(
        lambda _: _extend(found, bucket_url, folder, access, recursive=recursive),
        host=bucket_url,
        name=name,
        seconds=access.choices().deadline,
    )
    if isinstance(outcome, Failure):
        raise explain(outcome, name, lost_secrets=has_lost_secrets(access))
    return found


def _extend(found: list[str], bucket_url: str, folder: str, access: Access, *, recursive: bool) -> Failure | None:
    """Add the keys that follow those in `found`; return what ended that too soon."""
    import obstore  # noqa: PLC0415  # only buckets need it

    from nwb_dask.storage.clients import connect_bucket  # noqa: PLC0415  # likewise
    from nwb_dask.storage.engines.obstore import REQUEST_ERRORS, translate  # noqa: PLC0415  # likewise

    client = connect_bucket(bucket_url, access)
    try:
        if recursive:
            # Keys come in order, so that a listing goes on where it broke off.
            for page in obstore.list(client, folder or None, offset=found[-1] if found else None, chunk_size=_PAGE):
                found.extend(one["path"] for one in page)
        else:
            found[:] = [one["path"] for one in obstore.list_with_delimiter(client, folder or None)["objects"]]
    except REQUEST_ERRORS as exc:
        return translate(exc)
    return None
