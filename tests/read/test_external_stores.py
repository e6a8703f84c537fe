"""Tables and series in other Zarr stores, through the engines: permission and versions travel with the plan."""

from __future__ import annotations

import os
import pickle
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
import zarr

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.errors import MalformedFileError, NWBDaskError, SourceChangedError, UnsupportedLayoutError
from nwb_dask.options import options
from nwb_dask.testing import RangeServer
from nwb_dask.testing.zarr_sessions import ZarrColumn, write_zarr_tables
from tests.read.elsewhere import ENDS, compare_engines

RATES = [0, 2.5, 5, 7.5, 10, 12.5]
SERIES = ("/acquisition/far", "/acquisition/linked")
OTHER = "../data/other.nwb.zarr"


def typed(kind: str, namespace: str = "core") -> dict[str, str]:
    return {"neurodata_type": kind, "namespace": namespace, "object_id": f"id of a {kind}"}


def add_links(group: zarr.Group, version: int, links: Mapping[str, tuple[str, str]]) -> None:
    listed = [{"name": name, "source": source, "path": path} for name, (source, path) in links.items()]
    group.attrs["zarr_link" if version == 2 else "_LINKS"] = listed


def reference(version: int, source: str, path: str) -> dict[str, Any]:
    target = {"source": source, "path": path}
    return {"zarr_dtype": "object", "value": target} if version == 2 else {"_REFERENCE": target}


def add_series(parent: zarr.Group, name: str) -> zarr.Group:
    series = parent.create_group(name)
    series.attrs.update({**typed("TimeSeries"), "description": "x", "comments": ""})
    start = series.create_array("starting_time", data=np.zeros(1 if parent.metadata.zarr_format == 2 else ()))
    start.attrs.update({"rate": 10.0, "unit": "seconds"})
    if parent.metadata.zarr_format == 2:
        start.attrs["zarr_dtype"] = "scalar"
    return series


def write_other(path: Path, version: Any) -> None:
    units = {
        "times": ZarrColumn(np.arange(9.0)),
        "times_index": ZarrColumn(np.array(ENDS).astype("u1"), target="times"),
        "rate": ZarrColumn(np.array(RATES)),
        "place": ZarrColumn(np.array([2, 1, 0, 0, 1, 2]), table="/places"),
    }
    places = {"depth": ZarrColumn(np.arange(3) * 10.0)}
    write_zarr_tables(path, version, {"units": ("Units", units), "places": ("DynamicTable", places)})
    root = zarr.open_group(str(path), mode="r+", use_consolidated=False)
    series = add_series(root.create_group("acquisition"), "far")
    data = series.create_array("data", data=np.arange(20.0), chunks=(7,))
    data.attrs.update({"unit": "V", "conversion": 1.0, "resolution": -1.0, "offset": 0.0})
    zarr.consolidate_metadata(str(path), zarr_format=version)


def write_main(path: Path, version: Any, source: str) -> None:
    """Write a session with a table, a column, a region and series in another store."""
    own = {"near": ZarrColumn(np.arange(6)), "place": ZarrColumn(np.array([2, 1, 0, 0, 1, 2]), table="/x")}
    write_zarr_tables(path, version, {"intervals/own": ("DynamicTable", own)})
    root = zarr.open_group(str(path), mode="r+", use_consolidated=False)
    add_links(root, version, {"units": (source, "/units")})
    table = root["intervals/own"]
    assert isinstance(table, zarr.Group)
    table.attrs["colnames"] = ["near", "place", "rate"]
    add_links(table, version, {"rate": (source, "/units/rate")})
    table["place"].attrs["table"] = reference(version, source, "/places")
    acquisition = root.create_group("acquisition")
    add_links(acquisition, version, {"far": (source, "acquisition/far")})
    add_links(add_series(acquisition, "linked"), version, {"data": (source, "/acquisition/far/data")})
    zarr.consolidate_metadata(str(path), zarr_format=version)


@pytest.fixture(params=[2, 3], scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_other(folder / "data/other.nwb.zarr", request.param)
        write_main(folder / "main.nwb.zarr", request.param, OTHER)
    return folder


@pytest.fixture
def main(written: Path, tmp_path: Path) -> Path:
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    return tmp_path / "main.nwb.zarr"


@pytest.fixture
def allowed(main: Path) -> dict[str, object]:
    return {"allow_external": [str(main.with_name("data"))]}


def test_a_table_in_another_store_is_read_by_every_engine(main: Path, allowed: dict[str, object]) -> None:
    compare_engines(main, allowed)


@pytest.mark.parametrize("table", ["/units", "/intervals/own"])
def test_regions_of_tables_in_another_store_lead_to_them(main: Path, allowed: dict[str, object], table: str) -> None:
    frame = nwb_dask.read_table(main, table, engine="pandas", resolve=["place"], storage_options=allowed)
    assert frame["place.depth"].tolist() == [20, 10, 0, 0, 10, 20]
    with pytest.raises(NWBDaskError, match=r"other\.nwb\.zarr.*allow_external"):
        nwb_dask.read_table(main, table, resolve=["place"])


def test_without_permission_what_is_in_another_store_is_not_there(main: Path) -> None:
    found = nwb_dask.open_nwb(main)
    assert list(found.contents) == ["/", "/acquisition/linked", "/intervals/own"]
    assert "unreadable: rate" in repr(found)
    assert "units" not in repr(found)


def test_a_column_in_another_store_is_a_column_or_says_how_to_become_one(
    main: Path, allowed: dict[str, object]
) -> None:
    frame = nwb_dask.read_table(main, "/intervals/own", engine="pandas", storage_options=allowed)
    assert frame["rate"].tolist() == RATES
    with pytest.raises(MalformedFileError, match=rf"'{OTHER}'.*allow_external=\[") as caught:
        nwb_dask.read_table(main, "/intervals/own", columns=["rate"])
    assert str(main) in str(caught.value)
    with pytest.raises(UnsupportedLayoutError, match=rf"'{OTHER}'.*allow_external=\["):
        nwb_dask.read_table(main, "/units")


@pytest.mark.parametrize("path", SERIES)
def test_series_in_other_stores_are_arrays_or_say_how_to_become_one(
    main: Path, allowed: dict[str, object], path: str
) -> None:
    assert path in nwb_dask.open_nwb(main, storage_options=allowed).contents
    series = nwb_dask.open_timeseries(main, path, storage_options=allowed)
    sent = pickle.loads(pickle.dumps(series.sel(time=slice(0.5, 0.8))))  # our own
    assert sent.compute(scheduler="sync").values.tolist() == [5, 6, 7, 8]
    with options(allow_external=[str(main.with_name("data"))]):
        opened = xr.open_dataset(main, engine="nwb", group=path)
        assert opened["data"][18:].values.tolist() == [18, 19]
    with pytest.raises((UnsupportedLayoutError, MalformedFileError), match=r"allow_external=\["):
        nwb_dask.open_timeseries(main, path)


@pytest.mark.parametrize("table", ["/units", "/intervals/own"])
def test_a_table_whose_store_changed_since_the_plan_says_so(main: Path, allowed: dict[str, object], table: str) -> None:
    frame = dd.read_nwb(main, table, storage_options=allowed)
    assert len(frame.compute()) == 6
    other = main.with_name("data") / "other.nwb.zarr"
    rates = zarr.open_array(str(other / "units/rate"), mode="r+")
    rates[:] = -1
    for document in other.rglob("*"):
        os.utime(document, ns=(1, 1))
    with dask.config.set(scheduler="sync"), pytest.raises(SourceChangedError, match="plan again"):
        frame["rate"].compute()
    again = nwb_dask.read_table(main, table, engine="pandas", storage_options=allowed)
    assert again["rate"].tolist() == [-1] * 6


def test_links_in_a_circle_or_to_what_is_not_allowed_or_not_there_are_problems(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, other in (("a", "../b.zarr"), ("b", str(tmp_path / "in/a.zarr"))):
            group = zarr.create_group(str(tmp_path / f"in/{name}.zarr"), zarr_format=3)
            links = {"round": (other, "/round"), "gone": ("../gone.zarr", "/"), "bare": ("../../out.zarr", "/")}
            add_links(group, 3, {**links, "trick": ("../trick.zarr", "/"), "odd": ("../odd.zarr", "/")})
        zarr.create_group(str(tmp_path / "out.zarr"))
    (tmp_path / "in/trick.zarr").symlink_to(tmp_path / "out.zarr")
    (tmp_path / "in/odd.zarr").write_text("no folder")
    reasons = {
        "/round": "circles",
        "/gone": "not there",
        "/bare": r"allow_external=\[",
        "/trick": r"allow_external=\[",
        "/odd": "odd.zarr",
    }
    with options(allow_external=[str(tmp_path / "in")]):
        for path, reason in reasons.items():
            with pytest.raises(NWBDaskError, match=reason):
                nwb_dask.read_table(tmp_path / "in/a.zarr", path)
        assert nwb_dask.open_nwb(tmp_path / "in/a.zarr").contents is not None


def test_absolute_sources_chains_and_zip_files_are_followed(main: Path) -> None:
    other = main.with_name("data") / "other.nwb.zarr"
    shutil.make_archive(str(other), "zip", other)
    version = 2 if (main / ".zmetadata").exists() else 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, source in (("absolute", str(other)), ("chain", "../main.nwb.zarr"), ("zipped", f"{OTHER}.zip")):
            group = zarr.create_group(str(main.with_name(f"{name}.zarr")), zarr_format=version)  # type: ignore[arg-type]  # 2 or 3
            add_links(group, version, {"units": (source, "/units")})
    for name in ("absolute", "chain", "zipped"):
        frame = nwb_dask.read_table(
            main.with_name(f"{name}.zarr"),
            "/units",
            engine="pandas",
            resolve=["place"],
            storage_options={"allow_external": [str(main.parent)]},
        )
        assert frame["rate"].tolist() == RATES, name
        assert frame["place.depth"].tolist() == [20, 10, 0, 0, 10, 20], name


def test_remote_stores_lead_to_stores_of_their_server_and_to_others_that_are_allowed(main: Path) -> None:
    with RangeServer(main.parent) as server, RangeServer(main.parent) as elsewhere:
        frame = nwb_dask.read_table(server.url("main.nwb.zarr"), "/units", engine="pandas", resolve=["place"])
        assert frame["rate"].tolist() == RATES
        assert frame["place.depth"].tolist() == [20, 10, 0, 0, 10, 20]
        series = nwb_dask.open_timeseries(server.url("main.nwb.zarr"), "/acquisition/linked")
        assert series[3:5].values.tolist() == [3, 4]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            far = zarr.create_group(str(main.with_name("far.zarr")), zarr_format=3)
            links = {"units": (elsewhere.url("data/other.nwb.zarr"), "/units"), "local": (str(main), "/units")}
            add_links(far, 3, links)
            zarr.consolidate_metadata(str(main.with_name("far.zarr")))
        for url in (server.url("far.zarr"), str(main.with_name("far.zarr"))):
            if url.startswith("http"):
                with pytest.raises(NWBDaskError, match="allow_hosts"):
                    nwb_dask.read_table(url, "/units")
                with pytest.raises(NWBDaskError, match="this machine"):
                    nwb_dask.read_table(url, "/local")
            permission = {"allow_hosts": elsewhere.base_url, "allow_external": [str(main.parent)]}
            found = nwb_dask.read_table(url, "/units", engine="pandas", storage_options=permission)
            assert found["rate"].tolist() == RATES


def test_a_remote_store_whose_other_store_changed_says_so_once(main: Path) -> None:
    with RangeServer(main.parent) as server:
        series = nwb_dask.open_timeseries(server.url("main.nwb.zarr"), "/acquisition/linked")
        assert series[3:5].values.tolist() == [3, 4]
        for root in (".zmetadata", "zarr.json"):
            document = main.with_name("data") / "other.nwb.zarr" / root
            if document.exists():
                document.write_text(f"{document.read_text()} ")
                os.utime(document, ns=(1, 1))
        with pytest.raises(SourceChangedError, match="plan again"):
            series[5:7].compute()
        again = nwb_dask.open_timeseries(server.url("main.nwb.zarr"), "/acquisition/linked")
        assert again[5:7].values.tolist() == [5, 6]


def test_stores_that_are_reached_from_remote_ones_get_no_credentials_and_lead_no_further(main: Path) -> None:
    with RangeServer(main.parent) as first, RangeServer(main.parent) as second, RangeServer(main.parent) as third:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, other in (("one", second.url("two.zarr")), ("two", third.url("data/other.nwb.zarr"))):
                group = zarr.create_group(str(main.with_name(f"{name}.zarr")), zarr_format=3)
                add_links(group, 3, {"units": (other, "/units")})
                zarr.consolidate_metadata(str(main.with_name(f"{name}.zarr")))
        # A server that is not named with its scheme may be asked, and is told nothing.
        permission = {
            "allow_hosts": second.base_url.removeprefix("http://"),
            "headers": {"Authorization": "Bearer hush"},
        }
        with pytest.raises(NWBDaskError, match="allow_hosts"):
            nwb_dask.read_table(first.url("one.zarr"), "/units", storage_options=permission)
        assert {request.headers.get("authorization") for request in first.log} == {"Bearer hush"}
        assert {request.headers.get("authorization") for request in second.log} == {None}
        assert not third.log
