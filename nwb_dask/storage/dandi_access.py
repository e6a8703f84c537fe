"""Which API stands behind the name of an archive, and which key it may see."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from nwb_dask.errors import SourceNotFoundError
from nwb_dask.storage.access import Access, find_secrets
from nwb_dask.storage.dandi_url import INSTANCES, key_variable


@dataclass(frozen=True, slots=True)
class Archive:
    """An API, and the headers that it alone is sent."""

    api: str
    """Without a slash at the end."""
    headers: Mapping[str, str] = field(repr=False)
    is_known: bool
    """Whether it is one of the public archives, which have no reason to lead into the user's own network."""


def find_archive(instance: str, access: Access) -> Archive:
    """Return the API of an archive, and the key that goes with it.

    The API is the option ``dandi_api``, or else that of the archive that is known by this name. The key is
    ``dandi_api_key`` of the storage options, or else the variable of the environment that belongs to the name
    (``DANDI_API_KEY``, ``DANDI_SANDBOX_API_KEY`` ...: as dandi-cli has them). A variable of a known archive is not sent
    to an API that the storage options put in its place.

    Raises
    ------
    SourceNotFoundError
        If no archive is known by that name and no API is given.
    """
    known = INSTANCES.get(instance)
    chosen = access.choices().dandi_api
    if chosen is None and known is None:
        raise SourceNotFoundError(
            f"no archive is known as {instance!r}; known are {', '.join(INSTANCES)}, and another one needs the URL of "
            "its API: storage_options={'dandi_api': ...} or NWB_DASK_DANDI_API",
            url=f"dandi://{instance}",
        )
    api = (chosen or (known.api if known else "")).rstrip("/")
    is_known = known is not None and api == known.api
    key = find_secrets(access).get("dandi_api_key")
    if key is None and (is_known or known is None or access.option("dandi_api") is None):
        key = os.environ.get(key_variable(instance))
    key = (key or "").strip()
    return Archive(api, {"Authorization": f"token {key}"} if key else {}, is_known)
