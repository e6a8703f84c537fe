from __future__ import annotations

import pytest

from nwb_dask.storage.url_keys import url_key

PLAIN = "https://host.org/folder/a.nwb"
AWS = "X-Amz-Algorithm=AWS4&X-Amz-Credential=AKIA&X-Amz-Date=2025&X-Amz-Expires=3600&X-Amz-Signature={}"


@pytest.mark.parametrize(
    "query",
    [
        AWS.format("0123"),
        AWS.format("4567") + "&response-content-disposition=attachment",
        "AWSAccessKeyId=AKIA&Signature=abc%3D&Expires=17",
        "Expires=1&Signature=a&Key-Pair-Id=K",
        "Policy=p&Signature=a&Key-Pair-Id=K",
        "sv=2024-01-01&st=2025&se=2026&sr=b&sp=r&sig=abc",
        "X-Goog-Algorithm=G&X-Goog-Signature=ab",
        "access_token=abc",
    ],
)
def test_a_signed_url_is_the_file_that_it_signs(query: str) -> None:
    assert url_key(f"{PLAIN}?{query}") == url_key(PLAIN)
    assert url_key(f"{PLAIN}?id=3&{query}") == url_key(f"{PLAIN}?id=3")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (PLAIN + "?id=3", PLAIN + "?id=4"),
        (PLAIN + "?id=3", PLAIN),
        (PLAIN + "?versionId=a", PLAIN + "?versionId=b"),
        # Only beside a signature these belong to it.
        (PLAIN + "?sv=1", PLAIN + "?sv=2"),
        (PLAIN + "?Expires=1", PLAIN + "?Expires=2"),
        ("s3://bucket/a?sig=1", "s3://bucket/a?sig=2"),
        ("s3://bucket/a?versionId=1", "s3://bucket/a?versionId=2"),
        ("/data/a?token=1", "/data/a?token=2"),
        ("/data/\udcff.nwb", "/data/\udcfe.nwb"),
        ("https://host.org/a", "http://host.org/a"),
    ],
)
def test_urls_that_may_be_different_files_are_apart(one: str, other: str) -> None:
    assert url_key(one) != url_key(other)


def test_user_and_password_do_not_count() -> None:
    assert url_key("https://me:secret@host.org/a.nwb") == url_key("https://host.org/a.nwb")
