from __future__ import annotations

import json
import pickle
from pathlib import Path
from uuid import uuid4

import pytest

import nwb_dask
from nwb_dask.errors import SourceAccessError, SourceNotFoundError, SourceUnavailableError
from nwb_dask.storage import Sources
from nwb_dask.testing import DandiServer
from tests.storage.archives import DANDISET, KEY, NAMES, VERSION, asked, forget, named

LISTING = f"dandisets/000363/versions/{VERSION}/assets/"


@pytest.mark.parametrize(
    ("behind", "paths"),
    [
        ("", NAMES),
        ("/", NAMES),
        ("/sub-1/", NAMES[:2]),
        ("/sub-1/sub-1_ses-2.nwb", NAMES[1:2]),
        ("/sub-?/*ses-1.nwb", (NAMES[0], *NAMES[2:])),
        ("/**/*ses-2.nwb", NAMES[1:2]),
        ("/sub-[ab]/*.nwb", NAMES[3:]),
        ("/*/", NAMES),
    ],
)
def test_every_form_means_its_assets_sorted_by_character(
    dandi: DandiServer, behind: str, paths: tuple[str, ...]
) -> None:
    assert nwb_dask.sources(f"{DANDISET}@{VERSION}{behind}").names == tuple(map(named, paths))
    assert asked(dandi, "/download/") == 0


def test_without_a_version_it_is_the_one_published_last(dandi: DandiServer, sessions: dict[str, Path]) -> None:
    dandi.add("000364", NAMES[0], sessions[NAMES[0]])
    assert nwb_dask.sources("dandi://dandi/000364").names == (f"dandi://dandi/000364@draft/{NAMES[0]}",)
    dandi.publish("000363", "0.240101.0000")
    assert nwb_dask.sources(DANDISET)[0].startswith(f"{DANDISET}@0.240101.0000/")


def test_listing_takes_a_question_for_the_version_and_one_for_each_page(dandi: DandiServer) -> None:
    with dandi.api.budget(requests=3), dandi.storage.budget(requests=0):
        nwb_dask.sources(DANDISET)
    with dandi.api.budget(requests=1):
        nwb_dask.sources(f"{DANDISET}@{VERSION}/{NAMES[0]}")
    with dandi.api.budget(requests=0):
        nwb_dask.sources("dandi://dandi/assets/21c622b7-6d8e-459b-98e8-b968a97a1585")


def test_what_is_no_nwb_is_left_out_of_folders(dandi: DandiServer, sessions: dict[str, Path]) -> None:
    for name in ("a.mp4", "b.nwb.json", ".hidden.nwb", ".cache/c.nwb", "d.NWB"):
        dandi.add("000363", name, sessions[NAMES[0]])
    assert nwb_dask.sources(f"{DANDISET}@draft").names == tuple(named(path, "draft") for path in NAMES)


def test_assets_are_chosen_ordered_and_bounded(dandi: DandiServer, sessions: dict[str, Path]) -> None:
    draft = f"{DANDISET}@draft"
    dandi.add("000363", NAMES[0], sessions[NAMES[0]])
    newest_last = tuple(named(path, "draft") for path in (*NAMES[1:], NAMES[0]))
    assert nwb_dask.sources(draft, order="created").names == newest_last
    assert nwb_dask.sources(draft, order="-modified").names == newest_last[::-1]
    assert nwb_dask.sources(draft, order="-path", max_assets=2).names == tuple(
        named(path, "draft") for path in (NAMES[3], NAMES[2])
    )
    chosen = nwb_dask.sources(draft, include=["sub-1/*", "*B_ses-1.nwb"], exclude="*ses-2*")
    assert chosen.names == (named(NAMES[0], "draft"), named(NAMES[2], "draft"))
    with pytest.raises(SourceNotFoundError, match="'include' and 'exclude' leave none"):
        nwb_dask.sources(draft, include="*.mat")


def test_files_that_are_no_assets_are_chosen_likewise(dandi: DandiServer, sessions: dict[str, Path]) -> None:
    folder = next(iter(sessions.values())).parent
    found = nwb_dask.sources([folder, f"{DANDISET}/sub-a/"], exclude="1.nwb", max_assets=5)
    assert found.names == (*(str(folder / f"{i}.nwb") for i in (0, 2, 3)), named(NAMES[3]))
    assert nwb_dask.sources(folder, order="-path").names == tuple(str(folder / f"{i}.nwb") for i in (3, 2, 1, 0))
    with pytest.raises(ValueError, match="of assets of an archive only"):
        nwb_dask.sources(folder, order="created")


def test_sources_are_a_frozen_sequence_that_is_a_source(dandi: DandiServer) -> None:
    found = nwb_dask.sources(DANDISET)
    assert isinstance(found, Sources)
    assert pickle.loads(pickle.dumps(found)) == found
    assert {found: 1}[found] == 1
    assert (len(found), list(found), found[-1]) == (4, [found[i] for i in range(4)], found[3])
    assert found[1:3].names == found.names[1:3]
    assert repr(found[:2]) == f"Sources(2 files: '{named(NAMES[0])}', '{named(NAMES[1])}')"
    assert repr(found).endswith("... 1 more)")
    forget(dandi)
    again = nwb_dask.sources([found[:1], found[1], *found[2:]])
    assert (again.names, list(again)) == (found.names, list(found))
    assert dandi.api.n_requests == 0


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("dandi://dandi/000999", "there is no dandiset 000999 at http"),
        ("dandi://dandi/000999@draft", "there is no dandiset 000999 at http"),
        (f"{DANDISET}@0.1.2", f"has no version 0.1.2; the one to be had without naming it is {VERSION}"),
        (f"{DANDISET}/sub-1", "no asset 'sub-1'; it is a folder: end it with '/'"),
        (f"{DANDISET}/none.nwb", rf"no asset 'none.nwb'; sources\('{DANDISET}@{VERSION}'\) lists them"),
        (f"{DANDISET}/none/", "no asset in .* matches"),
    ],
)
def test_what_is_not_there_says_the_way_out(dandi: DandiServer, source: str, reason: str) -> None:
    with pytest.raises(SourceNotFoundError, match=reason):
        nwb_dask.sources(source)


def test_an_archive_that_is_not_known_needs_its_api(dandi: DandiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"dandi_api": dandi.api_url + "/"}
    monkeypatch.delenv("NWB_DASK_DANDI_API")
    with pytest.raises(SourceNotFoundError, match=r"no archive is known as 'lab'.*dandi_api.*NWB_DASK_DANDI_API"):
        nwb_dask.sources("dandi://lab/000363")
    assert nwb_dask.sources("dandi://lab/000363/sub-1/", storage_options=options).names[0] == named(NAMES[0]).replace(
        "dandi://dandi", "dandi://lab"
    )
    with nwb_dask.options(dandi_api=dandi.api_url):
        assert len(nwb_dask.sources("dandi://lab/000363")) == 4
    for wrong in ("https://me:hush@lab.org/api", "https://lab.org:65536/api"):
        with pytest.raises(ValueError, match="not the URL of an API"):
            nwb_dask.read_table(f"dandi://lab/assets/{uuid4()}", "/units", storage_options={"dandi_api": wrong})


def test_embargoed_assets_are_listed_with_the_key_only(dandi: DandiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    dandi.embargo("000363", KEY)
    with pytest.raises(SourceAccessError, match=r"embargoed.*DANDI_API_KEY"):
        nwb_dask.sources(DANDISET)
    monkeypatch.setenv("DANDI_API_KEY", KEY)
    assert len(nwb_dask.sources(DANDISET)) == 4
    monkeypatch.setenv("DANDI_API_KEY", "another")
    with pytest.raises(SourceAccessError, match="DANDI_API_KEY"):
        nwb_dask.sources(DANDISET)
    assert len(nwb_dask.sources(DANDISET, storage_options={"dandi_api_key": KEY})) == 4


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("status", [429, 500, 503])
def test_busy_archives_are_asked_again(dandi: DandiServer, status: int) -> None:
    dandi.api.inject(f"api/{LISTING}", "status", status=status, times=2)
    with nwb_dask.trace() as traced:
        assert len(nwb_dask.sources(DANDISET)) == 4
    assert traced.retries == 2


PAGE: dict[str, object] = {"count": 1, "next": None, "previous": None, "results": []}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>", "no JSON object"),
        (b"[" * 100_000, "no JSON object"),
        (b"[]", "no JSON object"),
        (b"{}", "no results"),
        (
            json.dumps({**PAGE, "results": [{"asset_id": 1, "path": "a.nwb", "size": 1}]}).encode(),
            "no id, path or size",
        ),
        (
            json.dumps({**PAGE, "results": [{"asset_id": "../../x", "path": "a.nwb", "size": 1}]}).encode(),
            "the id of an asset is none",
        ),
        (json.dumps({**PAGE, "next": "https://evil.org/?page=2"}).encode(), "next page is on another server"),
        (json.dumps({**PAGE, "next": "http://[/"}).encode(), "next page is on another server"),
        (json.dumps({**PAGE, "count": None, "next": "http://127.0.0.1/"}).encode(), "how many assets"),
        (json.dumps({**PAGE, "count": 10**12, "next": "http://127.0.0.1/"}).encode(), "how many assets"),
        (json.dumps({**PAGE, "count": 7}).encode(), "changed while they were listed"),
    ],
)
def test_an_answer_that_is_none_is_an_error(dandi: DandiServer, body: bytes, reason: str) -> None:
    dandi.say(LISTING, body)
    with pytest.raises(SourceUnavailableError, match=reason):
        nwb_dask.sources(DANDISET)


def test_an_api_that_redirects_is_not_followed(dandi: DandiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANDI_API_KEY", KEY)
    dandi.api.redirect("api/dandisets/000363/", f"{dandi.storage.base_url}/api/dandisets/000363/")
    with pytest.raises(SourceUnavailableError, match="the API redirects; give the URL that it leads to"):
        nwb_dask.sources(DANDISET)
    assert dandi.storage.n_requests == 0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"order": "size"}, ValueError),
        ({"max_assets": 0}, ValueError),
        ({"max_assets": 1.5}, TypeError),
        ({"include": [1]}, TypeError),
    ],
)
def test_arguments_that_mean_nothing_are_refused(options: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        nwb_dask.sources("a.nwb", **options)  # type: ignore[arg-type]  # on purpose
