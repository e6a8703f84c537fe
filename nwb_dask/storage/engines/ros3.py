"""What h5py needs to read a file with libhdf5's own driver for S3 (ros3). Nothing of h5py is imported here."""

from __future__ import annotations

from urllib.parse import quote

from nwb_dask.errors import SourceUnavailableError
from nwb_dask.storage.access import Access
from nwb_dask.storage.credentials import find_endpoint, find_provider, find_region
from nwb_dask.storage.engines.protocol import Driver
from nwb_dask.storage.urls import BUCKETS, display_url, scheme, split_bucket


def find_driver(url: str, access: Access) -> Driver:
    """Return the driver for an ``s3://`` or ``http(s)://`` URL, with credentials if there are any.

    Whether the installed h5py has it says ``h5py.h5.get_config().ros3``; the wheels on PyPI have not.

    Raises
    ------
    SourceUnavailableError
        For a version of an object, which the driver cannot ask for, or a bucket whose region is not known.
    """
    if scheme(url) not in BUCKETS:
        return Driver("ros3", url, {})
    bucket, key, version = split_bucket(url)
    name = display_url(url)
    if version is not None:
        raise SourceUnavailableError(f"ros3 cannot read a version of {name}; choose engine='auto'", url=name)
    endpoint, region = find_endpoint(access), find_region(bucket, access)
    if region is None and endpoint is None:
        message = f"ros3 needs the region of {name}: storage_options={{'client_kwargs': {{'region_name': ...}}}}"
        raise SourceUnavailableError(message, url=name)
    where = f"{endpoint.rstrip('/')}/{bucket}" if endpoint else f"https://s3.{region}.amazonaws.com/{bucket}"
    provider = find_provider(access)
    keywords: dict[str, object] = {}
    if provider is not None:
        given = provider()
        keywords = {
            "aws_region": (region or "us-east-1").encode(),
            "secret_id": given["access_key_id"].encode(),
            "secret_key": given["secret_access_key"].encode(),
        }
        if given["token"]:
            keywords["session_token"] = given["token"].encode()
    return Driver("ros3", f"{where}/{quote(key, safe='/')}", keywords)
