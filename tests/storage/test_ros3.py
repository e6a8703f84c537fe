from __future__ import annotations

import pytest

from nwb_dask.errors import SourceUnavailableError
from nwb_dask.index import Url
from nwb_dask.storage import Driver, make_access, open_bytes
from nwb_dask.testing import RangeServer
from tests.storage.serving import MIDDLE, NAME, expected_of, read

pytestmark = pytest.mark.usefixtures("no_cloud")


def driver_of(server: RangeServer, url: str, **options: object) -> Driver:
    access = make_access({"engine": "ros3", "endpoint_url": server.base_url, **options})
    with open_bytes(Url(url), access) as store:
        assert read(store, MIDDLE) == expected_of(MIDDLE)
        assert store.driver is not None
        return store.driver


def test_a_url_on_a_server_is_left_to_the_driver_as_it_is(bucket_server: RangeServer) -> None:
    url = bucket_server.url(NAME)
    driver = driver_of(bucket_server, url)
    assert (driver.name, driver.url, driver.keywords) == ("ros3", url, {})


def test_an_object_becomes_a_url_with_its_credentials(bucket_server: RangeServer) -> None:
    driver = driver_of(bucket_server, f"s3://{NAME}", key="hush", secret="hush", token="hush", region="r")
    assert driver.url == f"{bucket_server.base_url}/{NAME}"
    assert driver.keywords == {
        "aws_region": b"r",
        "secret_id": b"hush",
        "secret_key": b"hush",
        "session_token": b"hush",
    }
    assert "hush" not in repr(driver)


def test_anonymous_access_has_no_credentials(bucket_server: RangeServer) -> None:
    assert driver_of(bucket_server, f"s3://{NAME}", anon=True).keywords == {}


def test_a_version_of_an_object_cannot_be_read_by_it(bucket_server: RangeServer) -> None:
    with pytest.raises(SourceUnavailableError, match="ros3 cannot read a version"):
        driver_of(bucket_server, f"s3://{NAME}?versionId=v", anon=True)


def test_other_engines_have_no_driver(bucket_server: RangeServer) -> None:
    with open_bytes(Url(bucket_server.url(NAME)), make_access()) as store:
        assert store.driver is None
