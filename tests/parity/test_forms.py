"""One session in five forms (HDF5, Zarr v2, Zarr v3, LINDI, amended LINDI) is the same for every engine."""

from __future__ import annotations

import json
import tarfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numcodecs import Blosc

import nwb_dask

from . import oracle, oracle_series
from .oracle import Table
from .oracle_series import Shown
from .summary import OUTCOME, SERIES_OUTCOME
from .test_parity import DATA, differences
from .test_series import compare_series

FOLDER = DATA / "interop"
SESSION = FOLDER / "session.nwb"
WRITTEN_TO = "http://127.0.0.1:8765/session.nwb"
"""Where the LINDI documents say that the session is."""
FORMS = {
    "HDF5": "session.nwb",
    "Zarr v2": "session_zarr2.nwb.zarr",
    "Zarr v3": "session_zarr3.nwb.zarr",
    "LINDI": "session.lindi.json",
    "amended LINDI": "amended.lindi.tar",
}
AMENDED = "/processing/behavior/amended"
"""The series that was added to one of them."""

Record = Callable[[str, object], None]

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"NO FORM WAS COMPARED: {FOLDER} is absent")


@pytest.fixture(autouse=True)
def _session_is_here() -> Iterator[None]:
    with nwb_dask.options(remap={WRITTEN_TO: str(SESSION)}):
        yield


@pytest.fixture(scope="module")
def tables() -> tuple[Table, ...]:
    return oracle.read_file(SESSION)


@pytest.fixture(scope="module")
def series() -> oracle_series.File:
    return oracle_series.read_file(SESSION)


def _is_added(form: str, path: str) -> bool:
    return form.startswith("amended") and path == AMENDED


@pytest.mark.parametrize("engine", ["arrow", "pandas", "polars", "dask"])
@pytest.mark.parametrize("form", FORMS)
def test_every_table_of_every_form_is_equal(
    form: str, engine: str, tables: tuple[Table, ...], record_property: Record
) -> None:
    path = FOLDER / FORMS[form]
    failures: list[str] = []
    entries = []
    for table in tables:
        wrong = differences(engine, path, table)
        failures += [f"{table.path} ({table.kind}): {text}" for text in wrong]
        entries.append(
            {
                "file": f"the session as {form}",
                "table": table.path,
                "engine": engine,
                "outcome": "failed" if wrong else "passed",
                "columns": str(len(table.columns)),
                "raising": "0",
            }
        )
    record_property(OUTCOME, json.dumps(entries))
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("form", FORMS)
def test_every_series_of_every_form_is_equal(form: str, series: oracle_series.File, record_property: Record) -> None:
    tree = xr.open_datatree(FOLDER / FORMS[form], engine="nwb", dtype="float64")
    found = {node.path: node.dataset for node in tree.subtree if "data" in node.dataset}
    assert {path for path in found if not _is_added(form, path)} == set(series.series)
    outcomes: list[dict[str, Any]] = []
    for path, shown in series.series.items():
        outcome = compare_series(found[path], shown, series, [])
        outcomes.append({"file": f"the session as {form}", "series": path, **outcome})
    record_property(SERIES_OUTCOME, json.dumps(outcomes))


def test_the_added_series_is_what_zarr_decodes() -> None:
    array = nwb_dask.open_timeseries(FOLDER / FORMS["amended LINDI"], AMENDED, dtype="float64")
    stored = _first_chunk(FOLDER / FORMS["amended LINDI"])
    shown = Shown("TimeSeries", stored, np.arange(len(stored)) / 100.0)
    assert array.shape == (20_000,)
    np.testing.assert_array_equal(array.values, shown.values)
    np.testing.assert_array_equal(array["time"].values, shown.times)


def _first_chunk(path: Path) -> Any:
    with tarfile.open(path) as tar:
        blob = tar.extractfile(f"blobs{AMENDED}/data/0")
        assert blob is not None
        return np.frombuffer(Blosc().decode(blob.read()), np.float64)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "HDF5"])
def test_metadata_paths_and_schemas_of_every_form_are_equal(form: str) -> None:
    path = FOLDER / FORMS[form]
    expected, found = (nwb_dask.read_metadata(one).drop(columns="_nwb_path") for one in (SESSION, path))
    pd.testing.assert_frame_equal(found.reset_index(drop=True), expected.reset_index(drop=True))
    listed = [one for one in nwb_dask.list_paths(path) if not _is_added(form, one)]
    assert listed == list(nwb_dask.list_paths(SESSION))
    for table in ("/units", "/intervals/trials", "/general/extracellular_ephys/electrodes"):
        assert nwb_dask.schema(path, table) == nwb_dask.schema(SESSION, table)


@pytest.mark.parametrize("form", FORMS)
def test_one_query_over_all_forms_has_the_rows_of_each(form: str) -> None:
    paths = [str(FOLDER / name) for name in FORMS.values()]
    together = nwb_dask.read_table(paths, "/units", "polars", filters=[("presence_ratio", ">", 0.5)])
    alone = nwb_dask.read_table(SESSION, "/units", "polars", filters=[("presence_ratio", ">", 0.5)])
    rows = together.filter(together["_nwb_path"] == str(FOLDER / FORMS[form]))
    assert len(rows) > 0
    assert rows.drop("_nwb_path").equals(alone.drop("_nwb_path"))


def test_warnings_of_the_forms_are_those_of_the_file() -> None:
    said: dict[str, list[str]] = {}
    for form, name in FORMS.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            xr.open_datatree(FOLDER / name, engine="nwb")
        said[form] = sorted(str(one.message).replace(str(FOLDER / name), "") for one in caught)
    assert all(one == said["HDF5"] for one in said.values()), said
