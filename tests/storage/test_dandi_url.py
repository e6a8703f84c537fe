from __future__ import annotations

import pytest

from nwb_dask.errors import SourceNotFoundError, display_url
from nwb_dask.storage.dandi_url import DandiUrl, asset_name, instance_of, key_variable, parse_dandi, pin, split_pinned
from nwb_dask.storage.engines.dandi import may_lead_to
from nwb_dask.storage.globs import make_choice
from nwb_dask.storage.url_keys import url_key

ID = "21c622b7-6d8e-459b-98e8-b968a97a1585"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("dandi://dandi/000363", DandiUrl("dandi", "dandiset", "000363")),
        ("dandi://dandi/000363/", DandiUrl("dandi", "dandiset", "000363")),
        ("DANDI://DANDI/000363@draft", DandiUrl("dandi", "dandiset", "000363", "draft")),
        ("dandi://dandi/000363@0.231012.2129", DandiUrl("dandi", "dandiset", "000363", "0.231012.2129")),
        ("dandi://sandbox/000363/sub-1/", DandiUrl("dandi-sandbox", "folder", "000363", None, "sub-1/")),
        ("dandi://lab/000363/a/b c.nwb", DandiUrl("lab", "path", "000363", None, "a/b c.nwb")),
        ("dandi://lab/000363/a/b%20c%3F.nwb", DandiUrl("lab", "path", "000363", None, "a/b c?.nwb")),
        ("dandi://lab/000363/sub-?/*.nwb", DandiUrl("lab", "glob", "000363", None, "sub-?/*.nwb")),
        ("dandi://lab/000363/sub-*/", DandiUrl("lab", "glob", "000363", None, "sub-*/**/*.nwb")),
        (f"dandi://lab/assets/{ID}", DandiUrl("lab", "asset", asset_id=ID)),
        (f"dandi://lab/000363@draft/a.nwb?asset={ID.upper()}", DandiUrl("lab", "asset", asset_id=ID)),
        ("https://dandiarchive.org/dandiset/000363", DandiUrl("dandi", "dandiset", "000363")),
        ("https://dandiarchive.org/#/dandiset/000363/draft", DandiUrl("dandi", "dandiset", "000363", "draft")),
        (
            "https://sandbox.dandiarchive.org/dandiset/000363/0.1.2/files?location=sub-1%2Fa&page=2",
            DandiUrl("dandi-sandbox", "folder", "000363", "0.1.2", "sub-1/a/"),
        ),
        ("https://api.dandiarchive.org/api/dandisets/000363/", DandiUrl("dandi", "dandiset", "000363")),
        (f"https://api.dandiarchive.org/api/assets/{ID}/", DandiUrl("dandi", "asset", asset_id=ID)),
        (f"https://api.dandiarchive.org/api/assets/{ID}/download/", None),
        ("https://dandiarchive.org/about", None),
        ("https://dandiarchive.org.evil.org/dandiset/000363", None),
        ("s3://dandiarchive/000363", None),
        ("/data/dandi/000363", None),
    ],
)
def test_every_form_says_what_it_means(text: str, meant: DandiUrl | None) -> None:
    assert parse_dandi(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "dandi://dandi",
        "dandi://dandi/363",
        "dandi://dandi/000363@latest",
        "dandi://dandi/assets/none",
        "dandi:///000363",
    ],
)
def test_another_form_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(SourceNotFoundError, match="dandi://dandi/000363, …/000363@draft"):
        parse_dandi(text)


@pytest.mark.parametrize("path", ["sub-1/a b.nwb", "a?asset=1.nwb", "100%/[x]*.nwb", "ü#&+.nwb"])
def test_the_name_of_an_asset_means_that_asset_and_is_shown_whole(path: str) -> None:
    name = asset_name(DandiUrl("dandi", "dandiset", "000363"), "draft", path)
    assert parse_dandi(name) == DandiUrl("dandi", "path", "000363", "draft", path)
    assert display_url(pin(name, ID)) == name
    assert split_pinned(pin(name, ID)) == ("dandi", ID)


def test_an_asset_is_known_by_its_id_in_every_version_and_archives_are_told_apart() -> None:
    keys = [url_key(f"dandi://{rest}?asset={ID}") for rest in ("dandi/000363@0.1.2/a.nwb", "dandi/000363@draft/b.nwb")]
    assert keys[0] == keys[1]
    assert url_key(f"dandi://lab/000363@0.1.2/a.nwb?asset={ID}") != keys[0]
    assert url_key(f"dandi://dandi/000363@0.1.2/a.nwb?asset={ID[::-1]}") != keys[0]


def test_each_archive_has_its_own_variable_for_the_key() -> None:
    found = [
        key_variable(str(instance_of(name))) for name in ("dandi://dandi/1", "dandi://sandbox/1", "dandi://my.lab/1")
    ]
    assert found == ["DANDI_API_KEY", "DANDI_SANDBOX_API_KEY", "MY_LAB_API_KEY"]


@pytest.mark.parametrize(
    ("host", "of_public", "of_own"),
    [
        ("dandiarchive.s3.amazonaws.com", True, True),
        ("3.5.1.1", True, True),
        ("127.0.0.1", False, True),
        ("10.0.0.5", False, True),
        ("localhost.", False, True),
        ("::1", False, True),
        ("169.254.169.254", False, False),
        ("2852039166", False, False),
        ("0xa9fea9fe", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("fe80::1%eth0", False, False),
        ("0.0.0.0", False, False),  # nothing listens there
    ],
)
def test_redirects_lead_into_no_network_of_the_users_own(host: str, *, of_public: bool, of_own: bool) -> None:
    assert (may_lead_to(host, is_public=True), may_lead_to(host, is_public=False)) == (of_public, of_own)


@pytest.mark.parametrize(
    ("glob", "matches"),
    [
        ("*.nwb", True),
        ("x_ecephys.nwb", True),
        ("ecephys.nwb", False),
        ("sub-1/*", True),
        ("/sub-1/*", True),
        ("ub-1/*", False),
        ("000363@draft/**/*.nwb", True),
        ("sub-2/*", False),
    ],
)
def test_a_choice_is_made_by_the_end_of_a_name(glob: str, *, matches: bool) -> None:
    name = "dandi://dandi/000363@draft/sub-1/x_ecephys.nwb"
    assert make_choice(glob, None, "path").keeps(name) is matches
    assert make_choice(None, [glob], "path").keeps(name) is not matches
