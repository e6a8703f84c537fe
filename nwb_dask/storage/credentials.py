"""Who asks an S3 bucket for bytes, and where the bucket is."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from nwb_dask.storage.access import Access, find_secrets

if TYPE_CHECKING:
    from obstore.store import S3Credential  # exists for type checkers only

_REFRESH = timedelta(minutes=5)
_AWS_URL = "https://s3.amazonaws.com"


def find_provider(access: Access) -> Callable[[], S3Credential] | None:
    """Return what signs requests, or None for anonymous access.

    In this order: the secrets of `access`; its profile; the environment; what botocore finds (configuration
    files, SSO, container and instance roles). ``anon=True`` asks none of them.
    """
    if access.switch("anon"):
        return None
    hidden, environment = find_secrets(access), os.environ
    if "key" in hidden:
        return _fixed(hidden["key"], hidden["secret"], hidden.get("token"))
    profile = access.option("profile")
    key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if profile is None and key and secret:
        return _fixed(key, secret, environment.get("AWS_SESSION_TOKEN"))
    return _from_botocore(profile)


def _fixed(key: str, secret: str, token: str | None) -> Callable[[], S3Credential]:
    def provide() -> S3Credential:
        return {"access_key_id": key, "secret_access_key": secret, "token": token, "expires_at": None}

    return provide


def _from_botocore(profile: str | None) -> Callable[[], S3Credential] | None:
    # The import takes 0.15 s, and only users with credentials outside options and environment need it.
    import botocore.exceptions  # noqa: PLC0415  # 0.2 s that only S3 users pay
    import botocore.session  # noqa: PLC0415  # likewise

    try:
        credentials: Any = botocore.session.Session(profile=profile).get_credentials()
    except botocore.exceptions.ProfileNotFound as exc:
        raise ValueError(f"storage_options: there is no AWS profile {profile!r}") from exc
    if credentials is None:
        return None

    def provide() -> S3Credential:
        # Roles and SSO sessions expire; botocore renews them when it is asked.
        now = credentials.get_frozen_credentials()
        return {
            "access_key_id": now.access_key,
            "secret_access_key": now.secret_key,
            "token": now.token,
            "expires_at": datetime.now(UTC) + _REFRESH,
        }

    return provide


def find_endpoint(access: Access) -> str | None:
    """Return the S3 endpoint that options or environment name; None for AWS."""
    environment = os.environ
    return (
        access.option("endpoint_url")
        or environment.get("AWS_ENDPOINT_URL_S3")
        or environment.get("AWS_ENDPOINT_URL")
        or None
    )


def find_region(bucket: str, access: Access, *, aws_url: str = _AWS_URL) -> str | None:
    """Return the region of a bucket: as the options say, else as AWS says, else as the environment says.

    A request signed for another region fails, and obstore does not follow; AWS names the region in the headers of
    any answer, the refusal of an anonymous request included. Endpoints other than AWS are not asked.
    """
    region = access.option("region")
    stated = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region or (find_endpoint(access) and aws_url == _AWS_URL):
        return region or stated
    # The import takes 20 ms, and only S3 on AWS needs it.
    import urllib.error  # noqa: PLC0415  # only for buckets whose region is not known
    import urllib.request  # noqa: PLC0415  # likewise

    request = urllib.request.Request(f"{aws_url}/{bucket}", method="HEAD")  # noqa: S310  # the scheme is fixed
    try:
        with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310  # as above
            found = response.headers.get("x-amz-bucket-region")
    except urllib.error.HTTPError as exc:
        found = exc.headers.get("x-amz-bucket-region")
        exc.close()
    except OSError:
        # The read that follows says better what is wrong with the network.
        return stated
    return found or stated
