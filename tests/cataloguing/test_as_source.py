"""What opens files takes a catalog as their list."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import polars as pl
import xarray as xr
from pandas.testing import assert_frame_equal

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.adapters.browse import Session
from nwb_dask.cataloguing.catalog import Catalog


def n_units(session: Session) -> dict[str, object]:
    return {"n": len(nwb_dask.read_table(session.source, "/units", columns=["id"]))}


def test_regions_are_resolved(catalog: Catalog, written: Path) -> None:
    ours, theirs = (dd.read_nwb(one, "/units", resolve=True).compute() for one in (catalog, written))
    assert any(name.startswith("electrodes.") for name in ours.columns)
    assert_frame_equal(ours, theirs)
    chosen = catalog.find(min_units=7)
    assert len(nwb_dask.read_table(chosen, "/units", resolve=["electrodes"])) == 7 + 8


def test_tables_are_converted(catalog: Catalog, written: Path, tmp_path: Path) -> None:
    for name, source in (("ours", catalog), ("theirs", written)):
        nwb_dask.convert(source, tmp_path / name, tables=["/units", "/intervals/trials"])
    ours, theirs = ({one.relative_to(tmp_path / name): one for one in (tmp_path / name).rglob("*.parquet")}
                    for name in ("ours", "theirs"))  # fmt: skip
    assert ours.keys() == theirs.keys()
    assert all(pl.read_parquet(ours[key]).equals(pl.read_parquet(theirs[key])) for key in ours)


def test_series_of_sessions_are_opened(catalog: Catalog, written: Path) -> None:
    path = catalog.series["path"][0]
    ours, theirs = (nwb_dask.open_sessions(one, path) for one in (catalog, written))
    xr.testing.assert_identical(ours, theirs)


def test_functions_are_mapped_over_sessions(catalog: Catalog, written: Path) -> None:
    ours, theirs = (nwb_dask.map_sessions(n_units, one).compute() for one in (catalog, written))
    assert isinstance(ours, pd.DataFrame)
    assert isinstance(theirs, pd.DataFrame)
    assert ours["n"].tolist() == [5, 6, 7, 8]
    assert_frame_equal(ours, theirs)
    assert len(nwb_dask.map_sessions(n_units, catalog.find(has="trials")).compute()) == 3


def test_catalog_stands_among_other_sources(catalog: Catalog, written: Path) -> None:
    some = [catalog.find(min_units=8), written / "s0.nwb"]
    assert len(nwb_dask.read_table(some, "/units", columns=["id"])) == 8 + 5
    assert len(nwb_dask.sources(some)) == 2
