"""The rules of RFC 9111, section by section."""

from __future__ import annotations

import math

import pytest

from nwb_dask.storage.freshness import DAY, YEAR, Said, is_fresh

NOW = 1_900_000_000.0


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (Said("max-age=60"), 60),
        (Said("public, MAX-AGE=60"), 60),
        (Said('max-age="60"'), 60),
        (Said("max-age=60, immutable"), 60),
        (Said("private,max-age=31536000,immutable"), YEAR),
        # Said twice: the stricter holds; not understood: nothing is allowed (section 4.2.1).
        (Said("max-age=60, max-age=5"), 5),
        (Said("max-age=soon"), 0),
        (Said("max-age=-1"), 0),
        (Said("max-age"), 0),
        (Said("no-cache, max-age=60"), 0),
        (Said('no-cache="Set-Cookie", max-age=60'), 0),
        (Said("no-store"), 0),
        (Said("max-age=60", varies=True), 0),
        # A directive inside of a quoted value is none.
        (Said('ext="no-cache", max-age=60'), 60),
        (Said("s-maxage=60"), 0),
        # max-age overrides Expires (section 5.3).
        (Said("max-age=60", expires=NOW + 5, date=NOW), 60),
        (Said(expires=NOW + 5, date=NOW), 5),
        (Said(expires=NOW + 5), 5),
        (Said(expires=0.0, date=NOW, modified=0.0), 0),
        (Said(expires=NOW - 5, date=NOW), 0),
        (Said("immutable"), YEAR),
        # Heuristics (section 4.2.2).
        (Said(modified=NOW - 1000, date=NOW), 100),
        (Said(modified=NOW - 1000), 100),
        (Said("public", modified=NOW - 1000), 100),
        (Said(modified=NOW - 1000 * DAY, date=NOW), DAY),
        (Said(modified=NOW + 1000, date=NOW), 0),
        (Said(), 0),
    ],
)
def test_an_answer_is_believed_for_as_long_as_http_caching_says(said: Said, seconds: float) -> None:
    assert said.lifetime(NOW) == pytest.approx(seconds)


def fresh(said: Said, *, after: float, max_age: float | None = None) -> bool:
    return is_fresh(said, asked=NOW, now=NOW + after, max_age=max_age)


def test_belief_ends_with_the_lifetime() -> None:
    said = Said("max-age=60", date=NOW)
    assert fresh(said, after=0)
    assert fresh(said, after=59)
    assert not fresh(said, after=60)


def test_time_in_other_caches_and_on_the_way_counts() -> None:
    assert not fresh(Said("max-age=60", age=50), after=10)
    assert fresh(Said("max-age=60", age=50), after=9)
    assert not fresh(Said("max-age=60", date=NOW - 50), after=10)
    # The server's clock is ahead: that adds nothing.
    assert not fresh(Said("max-age=60", date=NOW + 50), after=60)


def test_what_the_user_says_overrides_what_the_server_says() -> None:
    assert not fresh(Said("max-age=60"), after=0, max_age=0)
    assert fresh(Said("no-cache"), after=99, max_age=100)
    assert not fresh(Said("max-age=1000"), after=100, max_age=100)
    assert fresh(Said("no-cache"), after=1e12, max_age=math.inf)
    assert fresh(Said(), after=-1e6, max_age=math.inf)


def test_an_answer_from_the_future_is_not_believed() -> None:
    assert not fresh(Said("max-age=60"), after=-10)
    assert not fresh(Said(), after=-10, max_age=100)


def test_no_store_alone_forbids_keeping() -> None:
    assert not Said("public, No-Store").may_be_kept
    assert Said("no-cache").may_be_kept
    assert Said('ext="no-store"').may_be_kept


def test_an_answer_without_a_body_changes_what_it_repeats() -> None:
    before = Said("max-age=60", None, NOW - 100, 5, NOW - 1000)
    assert before.updated(Said(date=NOW)) == Said("max-age=60", None, NOW, 0, NOW - 1000)
    assert before.updated(Said("max-age=5", date=NOW)).lifetime(NOW) == 5
    assert Said(expires=NOW + 5).updated(Said(date=NOW)).lifetime(NOW) == 5
    assert Said(expires=NOW + 5).updated(Said("public", date=NOW, modified=NOW - 100)).lifetime(NOW) == 10
