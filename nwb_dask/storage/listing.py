"""What an S3 bucket holds under a prefix."""

from __future__ import annotations

from collections.abc import Iterator

import obstore

from nwb_dask.errors import NWBDaskError
from nwb_dask.storage.access import Access, has_lost_secrets
from nwb_dask.storage.clients import connect_bucket
from nwb_dask.storage.faults import REQUEST_ERRORS, explain

_PAGE = 1000


def list_keys(bucket: str, folder: str, access: Access, *, recursive: bool) -> list[str]:
    """Return the keys of a bucket below `folder`, unsorted.

    Parameters
    ----------
    bucket : str
        Its name.
    folder : str
        ``""`` for the whole bucket, or ending in a slash.
    access : Access
        Credentials and options.
    recursive : bool
        Whether folders in the folder are listed too; otherwise only the keys directly in it.

    Raises
    ------
    SourceNotFoundError, SourceAccessError, SourceUnavailableError
        If it cannot be listed.
    """
    failure: NWBDaskError
    try:
        return list(_keys(bucket, folder, access, recursive=recursive))
    except REQUEST_ERRORS as exc:
        failure = explain(exc, f"s3://{bucket}/{folder}", lost_secrets=has_lost_secrets(access))
    # Outside of the handler, so that obstore's message does not become the context.
    raise failure


def _keys(bucket: str, folder: str, access: Access, *, recursive: bool) -> Iterator[str]:
    client = connect_bucket(bucket, access)
    if not recursive:
        for found in obstore.list_with_delimiter(client, folder or None)["objects"]:
            yield found["path"]
        return
    for page in obstore.list(client, folder or None, chunk_size=_PAGE):
        for found in page:
            yield found["path"]
