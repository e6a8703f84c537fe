"""Zarr assets of an archive."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import zarr

import nwb_dask
from nwb_dask.dataframe import read_nwb
from nwb_dask.errors import SourceAccessError, SourceChangedError, SourceNotFoundError, SourceUnavailableError
from nwb_dask.index import Identity, Url
from nwb_dask.storage import Folder, make_access, open_store, trace
from nwb_dask.testing import DandiServer
from nwb_dask.testing.zarr_sessions import write_zarr_session
from tests.storage.archives import DANDISET, KEY, NAMES, everything_said, named
from tests.storage.folders import contents, write_store
from tests.storage.test_folder_local import read

NAME = "sub-z/sub-z.nwb.zarr"


@pytest.fixture
def path(dandi: DandiServer, tmp_path: Path) -> Path:
    path = write_store(tmp_path / "z.nwb.zarr")
    dandi.add("000363", NAME, path, is_zarr=True)
    return path


def opened(
    path: str = NAME, expected: Identity | None = None, cached: Identity | None = None, **options: object
) -> Folder:
    url = nwb_dask.sources(f"{DANDISET}@draft/{path}")[0]
    found = open_store(Url(url), make_access(options), expected, cached=cached)
    assert isinstance(found, Folder)
    return found


def test_a_store_is_an_asset_of_a_dandiset_as_a_file_is(dandi: DandiServer, path: Path) -> None:
    names = [*NAMES[:2], NAMES[2], NAMES[3], NAME]
    assert nwb_dask.sources(f"{DANDISET}@draft").names == tuple(named(one, "draft") for one in names)
    assert len(nwb_dask.sources(f"{DANDISET}@draft", exclude="*.zarr")) == len(NAMES)


def test_values_come_from_the_bucket_that_the_archive_names(dandi: DandiServer, path: Path) -> None:
    url = nwb_dask.sources(f"{DANDISET}@draft/{NAME}")[0]
    with trace() as seen, dandi.api.budget(requests=1), open_store(Url(url), make_access(None)) as folder:
        assert isinstance(folder, Folder)
        assert seen.requests == 1
        with dandi.storage.budget(requests=4):
            expected = [contents(path, "x/0"), contents(path, ".zmetadata"), None, contents(path, "x/1")[-4:]]
            assert read(folder, ("x/0", None), (".zmetadata", None), ("x/7", None), ("x/1", 4)) == expected
        assert folder.source.url == url
        assert set(seen.by_url) == {named(NAME, "draft")}


def test_keys_are_listed(dandi: DandiServer, path: Path) -> None:
    with opened() as folder:
        assert folder.list_keys() == sorted(str(one.relative_to(path)) for one in path.rglob("*") if one.is_file())
        assert folder.list_keys("units/id/") == ["units/id/.zarray", "units/id/.zattrs", "units/id/0"]


def test_values_are_located_in_the_bucket_by_listing_it(dandi: DandiServer, path: Path) -> None:
    with opened() as folder, dandi.api.budget(requests=0), dandi.storage.budget(requests=2):
        places = folder.locate_keys(["x/0", "x/none", "units/id/0"])
        assert [one and (one.start, one.stop) for one in places] == [
            (0, len(contents(path, "x/0"))),
            None,
            (0, len(contents(path, "units/id/0"))),
        ]
        assert folder.locate_keys([]) == []
        assert places[0] is not None
        assert places[0].url.startswith(dandi.storage.base_url)
        assert places[0].url.endswith("/x/0")


@pytest.mark.parametrize("version", [2, 3])
def test_a_table_of_an_asset_in_zarr_has_the_rows_that_were_written(
    version: Literal[2, 3], dandi: DandiServer, tmp_path: Path
) -> None:
    store = write_zarr_session(tmp_path / "t.nwb.zarr", version, n_units=40, spikes_per_unit=50, chunk_spikes=200)
    dandi.add("000363", "sub-t/sub-t.nwb.zarr", store, is_zarr=True)
    url = f"{DANDISET}@draft/sub-t/sub-t.nwb.zarr"
    units = zarr.open_group(str(store), mode="r", use_consolidated=False)["units"]
    assert isinstance(units, zarr.Group)
    columns = {name: np.asarray(array) for name, array in units.arrays()}
    ragged = np.split(columns["spike_times"], columns["spike_times_index"].astype(np.int64)[:-1])
    found = read_nwb(url, "/units").compute(scheduler="sync")
    np.testing.assert_array_equal(found["snr"], columns["snr"])
    chosen = read_nwb(url, "/units", columns=["spike_times"], filters=[("shank", "==", 2)]).compute(scheduler="sync")
    assert [list(one) for one in chosen["spike_times"]] == [list(one) for one in ragged[20:30]]
    document = tmp_path / "t.lindi.json"
    nwb_dask.write_references(url, document, max_chunks=None)
    with nwb_dask.options(remap={dandi.storage.base_url: dandi.storage.base_url}), nwb_dask.open_h5(document) as file:
        np.testing.assert_array_equal(file["units/spike_times"][()], columns["spike_times"])


def test_the_version_is_that_of_all_files_and_told_by_one_question(dandi: DandiServer, path: Path) -> None:
    version = opened().source.identity
    assert version.kind == "version"
    assert opened(cached=version).is_unchanged
    assert opened(expected=version).is_confirmed
    (path / "x" / "1").unlink()
    assert not opened(cached=version).is_unchanged
    with pytest.raises(SourceChangedError, match=r"z\.nwb\.zarr is not"):
        opened(expected=version)


@pytest.mark.parametrize("where", ["asset", "name"])
def test_a_store_is_found_whatever_it_is_called(where: str, dandi: DandiServer, path: Path) -> None:
    asset_id = dandi.add("000363", "plain.nwb", path, is_zarr=True)
    url = f"dandi://dandi/assets/{asset_id}" if where == "asset" else f"{DANDISET}@draft/plain.nwb"
    with open_store(Url(nwb_dask.sources(url)[0]), make_access(None)) as folder:
        assert isinstance(folder, Folder)
        assert read(folder, ("x/0", None)) == [contents(path, "x/0")]
        version = folder.source.identity
    assert open_store(Url(nwb_dask.sources(url)[0]), make_access(None), version).source.identity == version


def test_an_asset_that_was_deleted_is_not_found(dandi: DandiServer, path: Path) -> None:
    url = Url(nwb_dask.sources(f"{DANDISET}@draft/{NAME}")[0])
    dandi.delete(url.partition("?asset=")[2])
    with pytest.raises(SourceNotFoundError, match="not in the archive any more"):
        open_store(url, make_access(None))


def test_a_value_that_is_refused_is_an_error_and_the_key_goes_to_the_api_alone(
    dandi: DandiServer, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dandi.embargo("000363", KEY)
    access = make_access({"dandi_api_key": KEY})
    url = Url(str(nwb_dask.sources(f"{DANDISET}@draft/{NAME}", storage_options={"dandi_api_key": KEY})[0]))
    with open_store(url, access) as folder:
        assert isinstance(folder, Folder)
        assert read(folder, ("x/0", None)) == [contents(path, "x/0")]
        dandi.storage.random_failures(1.0, [403])
        with pytest.raises(SourceAccessError, match="embargoed"):
            folder.read_keys([("x/1", None)])
        assert pickle.loads(pickle.dumps(folder.source)) == folder.source
    assert all("authorization" not in request.headers for request in dandi.storage.log)
    assert KEY not in everything_said(caplog)


@pytest.mark.parametrize("place", ["http://169.254.169.254/latest/", "ftp://example.org/zarr/", "http://[::1/"])
def test_an_archive_may_not_lead_anywhere(dandi: DandiServer, path: Path, place: str) -> None:
    url = Url(nwb_dask.sources(f"{DANDISET}@draft/{NAME}")[0])
    asset_id = url.partition("?asset=")[2]
    dandi.say(f"assets/{asset_id}/", f'{{"contentUrl": ["{place}"], "contentSize": 1, "digest": {{}}}}'.encode())
    with pytest.raises(SourceUnavailableError, match="does not answer as one of a DANDI archive"):
        open_store(url, make_access(None))
