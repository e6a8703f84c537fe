from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pytest

import nwb_dask
from nwb_dask.catalog.shared import MANIFEST
from nwb_dask.cataloguing import gather
from nwb_dask.cataloguing.catalog import Catalog
from nwb_dask.cataloguing.describe import describe_source
from nwb_dask.cli.answering import CATALOG
from nwb_dask.errors import MalformedFileError, OutputError, SourceNotFoundError, UnsupportedLayoutError
from nwb_dask.storage import make_access
from nwb_dask.storage.target import held, open_target
from nwb_dask.testing.files import write_session


def parts(out: Path) -> list[str]:
    return sorted(one.relative_to(out).as_posix() for one in out.rglob("*.parquet"))


def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note which files are described."""
    names: list[str] = []

    def noting(url: str, name: str, *rest: object) -> object:
        names.append(Path(name).name)
        return describe_source(url, name, *rest)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(gather, "describe_source", noting)
    return names


def test_plain_pandas_and_polars_read_the_tables(catalog: Catalog, written: Path) -> None:
    sessions = pd.read_parquet(f"{catalog.name}/sessions")
    assert sessions["_nwb_path"].tolist() == [str(written / f"s{i}.nwb") for i in range(4)]
    tables = pl.read_parquet(f"{catalog.name}/tables/*.parquet")
    for row in sessions.itertuples():
        found = tables.filter(pl.col("source") == str(row.source), pl.col("path") == "/units")
        with h5py.File(str(row.url)) as file:
            assert found["n_rows"].to_list() == [len(file["units/id"])]


def test_bounds_are_those_of_the_values_that_h5py_reads(catalog: Catalog) -> None:
    rows = catalog.frame("columns", "arrow").to_pylist()
    for path in catalog.sessions["_nwb_path"]:
        with h5py.File(path) as file:
            for name in ("firing_rate", "id"):
                if f"units/{name}" not in file:
                    continue
                values = file[f"units/{name}"][()]
                wanted = (path, "/units", name)
                (row,) = [one for one in rows if (one["_nwb_path"], one["path"], one["column"]) == wanted]
                kind = "float" if values.dtype.kind == "f" else "int"
                assert row[f"min_{kind}"] == np.nanmin(values)
                assert row[f"max_{kind}"] == np.nanmax(values)
                assert (row["row_start"], row["row_stop"]) == (0, len(values))


def test_distinct_text_is_that_of_the_file(catalog: Catalog) -> None:
    rows = catalog.frame("columns", "arrow").to_pylist()
    text = [row for row in rows if row["path"] == "/units" and row["column"] == "quality"]
    assert len(text) == 4
    for row in text:
        with h5py.File(row["_nwb_path"]) as file:
            assert row["values"] == sorted({one.decode() for one in file["units/quality"][()]})


def test_a_bad_file_is_listed_and_loses_no_other(sessions: Path, tmp_path: Path) -> None:
    (sessions / "s1.nwb").write_bytes(b"no HDF5")
    made = nwb_dask.build_catalog(sessions, tmp_path / "catalog")
    assert made.n_sessions == 4
    (failed,) = made.failed.to_dict("records")
    assert (Path(failed["_nwb_path"]).name, failed["error"]) == ("s1.nwb", "MalformedFileError")
    assert len(made.find()) == 3
    with pytest.raises(MalformedFileError, match="errors='skip'"):
        nwb_dask.schema(made, "/units")


def test_update_opens_only_what_is_new_or_has_changed(
    sessions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nwb_dask.build_catalog(sessions, tmp_path / "catalog")
    (sessions / "s0.nwb").unlink()
    write_session(sessions / "s2.nwb", seed=9, n_units=11)
    write_session(sessions / "s9.nwb", seed=10, n_units=2)
    names = opened(monkeypatch)
    made = nwb_dask.build_catalog(sessions, tmp_path / "catalog")
    assert names == ["s2.nwb", "s9.nwb"]
    assert [Path(one).name for one in made.sessions["_nwb_path"]] == ["s1.nwb", "s2.nwb", "s3.nwb", "s9.nwb"]
    anew = nwb_dask.build_catalog(sessions, tmp_path / "other")
    for name in ("sessions", "tables", "columns", "series"):
        assert made.frame(name, "arrow").to_pylist() == anew.frame(name, "arrow").to_pylist()
    assert len(parts(tmp_path / "catalog")) == len(parts(tmp_path / "other"))


def test_catalog_of_files_that_did_not_change_stays_as_it_is(
    sessions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nwb_dask.build_catalog(sessions / "s0.nwb", tmp_path / "catalog")
    before, names = parts(tmp_path / "catalog"), opened(monkeypatch)
    nwb_dask.build_catalog(sessions / "s0.nwb", tmp_path / "catalog")
    assert (parts(tmp_path / "catalog"), names) == (before, [])


def test_broken_run_leaves_what_was_there_and_goes_on_where_it_was(
    sessions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "catalog"
    nwb_dask.build_catalog(sessions / "s0.nwb", out)
    monkeypatch.setattr(gather, "_BATCH", 1)

    def dying(url: str, name: str, *rest: object) -> object:
        if name.endswith("s3.nwb"):
            raise KeyboardInterrupt
        return describe_source(url, name, *rest)  # type: ignore[arg-type]  # passed on

    with monkeypatch.context() as patch:
        patch.setattr(gather, "describe_source", dying)
        with pytest.raises(KeyboardInterrupt):
            nwb_dask.build_catalog(sessions, out)
    assert len(nwb_dask.open_catalog(out)) == 1
    assert len(pd.read_parquet(out / "sessions")) == 1
    names = opened(monkeypatch)
    assert len(nwb_dask.build_catalog(sessions, out)) == 4
    assert names == ["s3.nwb"]
    assert not list(out.rglob("*.batch"))


def test_second_builder_is_told_to_wait(sessions: Path, tmp_path: Path) -> None:
    with (
        held(open_target(tmp_path / "catalog", make_access())),
        pytest.raises(OutputError, match="another process"),
    ):
        nwb_dask.build_catalog(sessions, tmp_path / "catalog")


def test_folder_with_something_else_is_not_touched(sessions: Path, tmp_path: Path) -> None:
    out = tmp_path / "others"
    (out / "sessions").mkdir(parents=True)
    (out / "sessions" / "mine.parquet").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"mine\.parquet"):
        nwb_dask.build_catalog(sessions, out)
    assert (out / "sessions" / "mine.parquet").read_bytes() == b"mine"
    with pytest.raises(OutputError, match="no catalog"):
        nwb_dask.build_catalog(sessions, sessions)


def test_damaged_part_is_an_error_that_says_the_way_out(sessions: Path, tmp_path: Path) -> None:
    out = tmp_path / "catalog"
    nwb_dask.build_catalog(sessions / "s0.nwb", out)
    (part,) = (out / "tables").iterdir()
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(MalformedFileError, match="update=False"):
        nwb_dask.list_paths(nwb_dask.open_catalog(out))
    assert nwb_dask.list_paths(nwb_dask.build_catalog(sessions / "s0.nwb", out, update=False))


def test_newer_and_missing_catalogs_are_told(sessions: Path, tmp_path: Path) -> None:
    out = tmp_path / "catalog"
    with pytest.raises(SourceNotFoundError, match="build_catalog"):
        nwb_dask.open_catalog(out)
    nwb_dask.build_catalog(sessions / "s0.nwb", out)
    manifest = out / MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": 99}))
    with pytest.raises(UnsupportedLayoutError, match="update nwb_dask"):
        nwb_dask.open_catalog(out)
    manifest.write_text("{")
    with pytest.raises(MalformedFileError, match="update=False"):
        nwb_dask.open_catalog(out)


def test_names_of_the_manifest_agree() -> None:
    assert CATALOG == MANIFEST
