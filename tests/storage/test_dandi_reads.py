from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import dask
import h5py
import numpy as np
import pandas as pd
import pytest

import nwb_dask
from nwb_dask.errors import SourceChangedError, SourceNotFoundError, SourceUnavailableError
from nwb_dask.index import Url
from nwb_dask.storage import make_access, open_bytes
from nwb_dask.storage.engines import http
from nwb_dask.testing import DandiServer
from tests.storage.archives import (
    DANDISET,
    KEY,
    NAMES,
    asked,
    everything_said,
    forget,
    kept_text,
    named,
    units_and_series,
)
from tests.storage.elsewhere import computed, lfp

ACCESS = make_access()


def spikes_of(file: Path) -> list[float]:
    with h5py.File(file) as opened:
        return [float(value) for value in opened["units/spike_times"][:]]


def url_of(source: str = f"{DANDISET}/{NAMES[0]}") -> Url:
    return Url(nwb_dask.sources(source)[0])


def test_bytes_are_those_of_the_file(dandi: DandiServer, sessions: dict[str, Path]) -> None:
    for url, file in zip(nwb_dask.sources(DANDISET), sessions.values(), strict=True):
        with open_bytes(Url(url), ACCESS) as store:
            content = file.read_bytes()
            assert store.size == len(content)
            (found,) = store.read([(0, store.size)])
            assert bytes(found) == content


READERS: dict[str, Callable[[object], object]] = {
    "read_table": lambda source: nwb_dask.read_table(source, "/units", include_path_columns=False),
    "read_nwb": lambda source: nwb_dask.read_nwb(source, "/units", include_path_columns=False).compute(
        scheduler="threads"
    ),
    "scan_nwb": lambda source: nwb_dask.scan_nwb(source, "/units", include_path_columns=False).collect().to_pandas(),
    "sql": lambda source: nwb_dask.sql("SELECT id, spike_times FROM units", source).collect().to_pandas(),
    "open_timeseries": lambda source: nwb_dask.open_timeseries(source, "lfp").to_pandas(),
    "open_nwb": lambda source: nwb_dask.open_nwb(source).trials.read(include_path_columns=False),
    "session": lambda source: nwb_dask.open_nwb(source).session_id,
    "read_metadata": lambda source: nwb_dask.read_metadata(source).drop(columns=["_nwb_path"]),
    "schema": lambda source: nwb_dask.schema(source, "/units"),
    "list_paths": lambda source: list(nwb_dask.list_paths(source)),
}


@pytest.mark.parametrize("reader", READERS)
def test_every_function_gives_what_it_gives_of_the_file(
    dandi: DandiServer, sessions: dict[str, Path], reader: str
) -> None:
    read = READERS[reader]
    expected = read(sessions[NAMES[1]])
    for found in (read(f"{DANDISET}/{NAMES[1]}"), read(nwb_dask.sources(DANDISET)[1:2])):
        if isinstance(expected, pd.DataFrame) and isinstance(found, pd.DataFrame):
            pd.testing.assert_frame_equal(found, expected)
        else:
            assert found == expected


def test_rows_carry_the_version_and_the_path_and_are_found_as_they_were_typed(
    dandi: DandiServer, sessions: dict[str, Path]
) -> None:
    frame = nwb_dask.read_table(DANDISET, "/units", columns=["spike_times"])
    assert list(frame["_nwb_path"].unique()) == [named(path) for path in NAMES]
    values = [value for row in frame["spike_times"] for value in row]
    assert values == [value for file in sessions.values() for value in spikes_of(file)]
    lazy = nwb_dask.read_nwb(f"{DANDISET}/{NAMES[0]}", "/units")
    assert len(lazy[lazy["_nwb_path"] == f"{DANDISET}/{NAMES[0]}"].compute(scheduler="threads")) == 5


# --- What it costs


def test_each_asset_is_redirected_once_in_a_process(dandi: DandiServer) -> None:
    found = nwb_dask.sources(DANDISET)
    forget(dandi)
    for _ in range(2):
        nwb_dask.read_table(found, "/units")
        for url in found:
            units_and_series(url)
    assert asked(dandi, "/download/") == dandi.api.n_requests == len(NAMES)


def test_what_is_known_of_an_asset_is_believed_without_a_question(dandi: DandiServer) -> None:
    found = nwb_dask.sources(DANDISET)
    nwb_dask.read_table(found, "/units", columns=["spike_times"])
    dandi.storage.expire_signatures()
    with dandi.api.budget(requests=0), dandi.storage.budget(requests=0):
        nwb_dask.schema(found, "/units")
    # Another version has the same assets.
    draft = nwb_dask.sources(f"{DANDISET}@draft")
    with dandi.api.budget(requests=0), dandi.storage.budget(requests=0):
        nwb_dask.schema(draft, "/units")


def test_another_process_needs_a_link_and_the_data_of_known_assets(
    dandi: DandiServer, sessions: dict[str, Path]
) -> None:
    url = url_of()
    with h5py.File(sessions[NAMES[0]]) as opened:
        expected = opened["acquisition/lfp/data"][:].astype(float).tolist()
    assert lfp(url) == expected
    graph = pickle.dumps(nwb_dask.read_nwb(f"{DANDISET}/{NAMES[0]}", "/acquisition/lfp", columns=["data"]))
    assert b"Amz" not in graph
    assert len(graph) < 10_000
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        forget(dandi)
        assert pool.submit(lfp, url).result(60) == expected
        assert asked(dandi, "/download/") == dandi.api.n_requests == 1
        assert dandi.storage.n_requests == 1
        forget(dandi)
        assert pool.submit(computed, graph).result(60) == expected
        assert dandi.api.n_requests == 0
        assert dandi.storage.n_requests == 1


# --- Links that end


def test_a_link_that_expires_in_the_middle_of_a_read_is_had_again(
    dandi: DandiServer, sessions: dict[str, Path]
) -> None:
    content = sessions[NAMES[0]].read_bytes()
    url = url_of()
    with open_bytes(url, ACCESS) as planned:
        identity = planned.source.identity
    with open_bytes(url, ACCESS, identity) as store:
        for start in range(0, 4000, 1000):
            dandi.storage.expire_signatures()
            forget(dandi)
            found = [bytes(one) for one in store.read([(start, start + 10), (len(content) - 20, len(content))])]
            assert found == [content[start : start + 10], content[-20:]]
            assert asked(dandi, "/download/") == 1


def test_a_link_that_is_about_to_end_is_not_used(dandi: DandiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    url = url_of()
    dandi.link_seconds = 30.0
    with open_bytes(url, ACCESS) as store:
        identity = store.source.identity
    with open_bytes(url, ACCESS, identity) as store:
        store.read([(0, 10)])
        forget(dandi)
        store.read([(10, 20)])
        assert asked(dandi, "/download/") == 1
        monkeypatch.setattr(http, "_MARGIN_SECONDS", 1.0)
        store.read([(20, 30)])
        assert asked(dandi, "/download/") == 1


def test_a_link_that_is_refused_anew_is_an_error_after_one_more_try(dandi: DandiServer) -> None:
    url = url_of()
    with open_bytes(url, ACCESS) as store:
        identity = store.source.identity
    dandi.link_seconds = -1.0
    dandi.storage.expire_signatures()
    forget(dandi)
    with open_bytes(url, ACCESS, identity) as store, pytest.raises(SourceUnavailableError, match="expired") as caught:
        store.read([(0, 10)])
    assert "Amz" not in str(caught.value)
    assert asked(dandi, "/download/") <= 2


def test_threads_share_a_link(dandi: DandiServer) -> None:
    url = url_of()
    expected = units_and_series(url)
    forget(dandi)
    with ThreadPoolExecutor(8) as pool:
        assert all(found == expected for found in pool.map(units_and_series, [url] * 16))
    assert dandi.api.n_requests == 0


# --- Drafts, and what is deleted


def test_a_draft_that_was_replaced_is_read_as_it_was_planned_and_anew_when_it_is_planned_anew(
    dandi: DandiServer, sessions: dict[str, Path]
) -> None:
    draft = f"{DANDISET}@draft/{NAMES[0]}"
    pinned, lazy = nwb_dask.sources(draft), nwb_dask.read_nwb(draft, "/units", columns=["spike_times"])
    before = spikes_of(sessions[NAMES[0]])
    nwb_dask.read_table(draft, "/units")
    dandi.add("000363", NAMES[0], sessions[NAMES[3]])
    with dask.config.set(scheduler="threads"):
        for frame in (lazy.compute(), nwb_dask.read_table(pinned, "/units")):
            assert [value for row in frame["spike_times"] for value in row] == before
    now = nwb_dask.read_table(draft, "/units", columns=["spike_times"])
    assert np.concatenate(now["spike_times"].to_list()).tolist() == spikes_of(sessions[NAMES[3]])


def test_an_asset_that_is_no_more_says_so(dandi: DandiServer) -> None:
    found = nwb_dask.sources(f"{DANDISET}/{NAMES[0]}")
    dandi.delete(found[0].partition("?asset=")[2])
    with pytest.raises(SourceNotFoundError, match=r"ses-1\.nwb is not in the archive any more.*list it again"):
        nwb_dask.read_table(found, "/units")


def test_a_store_that_has_other_bytes_than_were_planned_is_noticed(
    dandi: DandiServer, sessions: dict[str, Path]
) -> None:
    lazy = nwb_dask.read_nwb(f"{DANDISET}/{NAMES[0]}", "/acquisition/lfp")
    blob = next(path for path in (dandi.folder / "blobs").rglob("*") if path.resolve() == sessions[NAMES[0]].resolve())
    blob.unlink()
    blob.write_bytes(sessions[NAMES[0]].read_bytes()[::-1])
    with pytest.raises(SourceChangedError):
        lazy.compute(scheduler="threads")


# --- What is secret, and who is not trusted


def test_the_key_goes_to_the_api_and_is_nowhere_else(
    dandi: DandiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    dandi.embargo("000363", KEY)
    monkeypatch.setenv("DANDI_API_KEY", KEY)
    found = nwb_dask.sources(DANDISET)
    lazy = nwb_dask.read_nwb(found, "/units", storage_options={"dandi_api_key": KEY})
    nwb_dask.read_table(found, "/units", storage_options={"dandi_api_key": KEY})
    units_and_series(found[0])
    dandi.storage.expire_signatures()
    assert len(lazy.compute(scheduler="threads")) == 20
    with open_bytes(url_of(), ACCESS) as store:
        values = repr((found, lazy, store, store.source, ACCESS, dask.base.tokenize(lazy)))
    monkeypatch.delenv("DANDI_API_KEY")
    dandi.storage.expire_signatures()
    with pytest.raises(SourceUnavailableError, match=r"embargoed.*DANDI_API_KEY") as caught:
        nwb_dask.read_nwb(found, "/acquisition/lfp").compute()
    said = [
        pickle.dumps((found, lazy)),
        kept_text(tmp_path / "cache"),
        values.encode(),
        everything_said(caplog).encode(),
    ]
    for text in (*said, repr(caught.value).encode(), str(caught.value).encode()):
        assert KEY.encode() not in text
        assert b"X-Amz" not in text
    assert {"authorization" in request.headers for request in dandi.storage.log} == {False}
    assert {request.headers["authorization"] for request in dandi.api.log if "authorization" in request.headers} == {
        f"token {KEY}"
    }


def test_a_key_of_the_environment_is_not_sent_to_what_options_put_in_place_of_its_archive(
    dandi: DandiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DANDI_API_KEY", KEY)
    monkeypatch.delenv("NWB_DASK_DANDI_API")
    nwb_dask.sources(DANDISET, storage_options={"dandi_api": dandi.api_url})
    assert {"authorization" in request.headers for request in dandi.api.log} == {False}


def test_one_key_is_not_sent_to_two_archives(dandi: DandiServer) -> None:
    with pytest.raises(ValueError, match="is of one archive, not of dandi, lab"):
        nwb_dask.sources([DANDISET, "dandi://lab/000363"], storage_options={"dandi_api_key": KEY})
    assert dandi.api.n_requests == 0


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("file:///etc/passwd", "no http URL"),
        ("http://169.254.169.254/latest/meta-data/?sig=hush", "this machine's own network"),
        ("http://[::ffff:a9fe:a9fe]/?sig=hush", "this machine's own network"),
    ],
)
def test_a_link_into_the_users_own_machine_is_not_followed(dandi: DandiServer, target: str, reason: str) -> None:
    url = url_of()
    dandi.api.redirect(f"api/assets/{url.partition('?asset=')[2]}/download/", target)
    with pytest.raises(SourceUnavailableError, match=reason) as caught:
        open_bytes(url, ACCESS)
    assert "hush" not in str(caught.value)


def test_the_key_does_not_follow_a_redirect_to_another_place_of_the_same_server(
    dandi: DandiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DANDI_API_KEY", KEY)
    dandi.embargo("000999", KEY)
    url = url_of()
    dandi.api.redirect(f"api/assets/{url.partition('?asset=')[2]}/download/", "/blob?sig=hush")
    forget(dandi)
    with pytest.raises(SourceNotFoundError):
        open_bytes(url, ACCESS)
    assert {"authorization" in one.headers for one in dandi.api.log if one.path == "blob"} == {False}


def test_engines_that_cannot_renew_a_link_are_refused(dandi: DandiServer) -> None:
    with pytest.raises(SourceUnavailableError, match="'fsspec' does not read dandi://"):
        open_bytes(url_of(), make_access({"engine": "fsspec"}))


def test_an_asset_in_zarr_that_is_named_by_its_id_is_refused_by_the_archive(
    dandi: DandiServer, sessions: dict[str, Path]
) -> None:
    asset_id = dandi.add("000363", "z.nwb.zarr", sessions[NAMES[0]], is_zarr=True)
    with pytest.raises(SourceUnavailableError, match="Zarr"):
        nwb_dask.read_table(f"dandi://dandi/assets/{asset_id}", "/units")


def test_an_asset_is_read_by_its_id(dandi: DandiServer, sessions: dict[str, Path]) -> None:
    asset_id = url_of().partition("?asset=")[2]
    frame = nwb_dask.read_table(f"dandi://dandi/assets/{asset_id}", "/units", columns=["spike_times"])
    assert list(frame["_nwb_path"].unique()) == [f"dandi://dandi/assets/{asset_id}"]
    assert np.concatenate(frame["spike_times"].to_list()).tolist() == spikes_of(sessions[NAMES[0]])
