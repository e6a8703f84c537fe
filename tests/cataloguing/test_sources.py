from __future__ import annotations

import pickle
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from dask._task_spec import convert_legacy_graph
from pandas.testing import assert_frame_equal

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.catalog.shared import Manifest
from nwb_dask.catalog.shared.parts import read_table
from nwb_dask.cataloguing.catalog import Catalog
from nwb_dask.errors import PathNotFoundError, SourceChangedError, SourceNotFoundError
from nwb_dask.read import opening, scan_sources
from nwb_dask.storage.target import Target
from nwb_dask.testing.catalogs import write_simulated_catalog
from nwb_dask.testing.files import write_session


@pytest.fixture
def unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if a file is opened."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(opening, "open_store", refuse)


@pytest.mark.usefixtures("unopened")
def test_planning_opens_no_file(catalog: Catalog) -> None:
    assert dd.read_nwb(catalog, "/units").npartitions == 4
    assert "spike_times" in nwb_dask.schema(catalog, "/units").names
    assert nwb_dask.scan_nwb(catalog, "/units").collect_schema()
    assert len(nwb_dask.read_metadata(catalog)) == 4
    assert "/intervals/trials" in nwb_dask.list_paths(catalog)
    assert "units" in nwb_dask.sql_context(catalog).tables()


@pytest.mark.parametrize("table", ["/units", "/intervals/*", "/", "/general/subject", ["/units", "/intervals/trials"]])
@pytest.mark.parametrize("options", [{}, {"blocksize": 300}, {"aggregate_files": "1 MB"}, {"columns": ["id"]}])
def test_plan_is_that_of_the_files(
    catalog: Catalog, written: Path, table: str | list[str], options: dict[str, object]
) -> None:
    if "columns" in options and table in ("/", "/general/subject"):
        pytest.skip("has no column id")
    ours, theirs = (scan_sources(one, table, **options) for one in (catalog, written))  # type: ignore[arg-type]  # options
    assert ours.fields == theirs.fields
    assert ours.pieces.drop_columns("typed").to_pylist() == theirs.pieces.drop_columns("typed").to_pylist()
    assert ours.bounds.tolist() == theirs.bounds.tolist()
    # A file that was described before may say more than was asked for.
    assert dict(ours.sizes).items() <= dict(theirs.sizes).items()


def test_answers_are_those_of_the_files(catalog: Catalog, written: Path) -> None:
    assert_frame_equal(nwb_dask.read_metadata(catalog), nwb_dask.read_metadata(written))
    assert nwb_dask.list_paths(catalog) == nwb_dask.list_paths(written)
    query = 'SELECT subject_id, COUNT(*) AS n FROM "/units" JOIN session USING (_nwb_path) GROUP BY subject_id'
    ours, theirs = (nwb_dask.sql(query, one, eager=True).sort("subject_id") for one in (catalog, written))
    assert ours.equals(theirs)
    frames = [dd.read_nwb(one, "/units", session_columns=["subject_id"]).compute() for one in (catalog, written)]
    assert_frame_equal(*frames)
    assert len(nwb_dask.read_spike_times(catalog)) == len(nwb_dask.read_spike_times(written))


def test_file_that_changed_since_is_noticed_at_the_read(sessions: Path, tmp_path: Path) -> None:
    made = nwb_dask.build_catalog(sessions, tmp_path / "catalog")
    write_session(sessions / "s1.nwb", seed=77, n_units=30)
    with pytest.raises(SourceChangedError, match=r"s1\.nwb"):
        nwb_dask.read_table(made, "/units")


def test_unknown_tables_and_columns_are_told_with_the_nearest(catalog: Catalog) -> None:
    with pytest.raises(PathNotFoundError, match="did you mean '/units'"):
        nwb_dask.schema(catalog, "/unitz")
    with pytest.raises(PathNotFoundError, match="did you mean 'quality'"):
        nwb_dask.schema(catalog, "/units", columns=["qualty"])
    with pytest.raises(PathNotFoundError, match=r"s3\.nwb; .*s0\.nwb has it"):
        nwb_dask.schema(catalog, "/intervals/trials", missing_table="raise")


def test_no_session_left_is_no_file(catalog: Catalog) -> None:
    for read in (dd.read_nwb, nwb_dask.read_table, nwb_dask.scan_nwb):
        with pytest.raises(SourceNotFoundError, match="no session of the catalog"):
            read(catalog.find(min_units=1000), "/units")
    assert not nwb_dask.list_paths(catalog.find(has="nothing"))


def test_find_narrows_to_sessions_that_have_what_is_asked_for(catalog: Catalog) -> None:
    def found(**asked: object) -> list[str]:
        return [Path(one).name for one in catalog.find(**asked).sessions["_nwb_path"]]  # type: ignore[arg-type]  # by name

    assert found(min_units=7) == ["s2.nwb", "s3.nwb"]
    assert found(has="trials") == ["s0.nwb", "s1.nwb", "s2.nwb"]
    assert found(has=["Units", "/intervals/trials"], min_units=6) == ["s1.nwb", "s2.nwb"]
    assert found(has="nothing*") == []
    subject = catalog.sessions["subject_id"][1]
    assert "s1.nwb" in found(subject=subject)
    assert found(species="Rattus*") == []
    areas = catalog.sql("SELECT DISTINCT _nwb_path FROM columns WHERE \"column\" = 'location'")
    assert isinstance(areas, pl.DataFrame)
    with pytest.raises(PathNotFoundError, match="did you mean 'institution'"):
        found(institutoin="x")


def test_narrowed_catalog_is_a_source_again_and_pickles(catalog: Catalog) -> None:
    narrow = pickle.loads(pickle.dumps(catalog.find(min_units=6).find(has="trials")))
    assert [Path(one.name).name for one in narrow.files] == ["s1.nwb", "s2.nwb"]
    assert set(narrow.tables["_nwb_path"]) == {one.name for one in narrow.files}
    frame = nwb_dask.read_table(narrow, "/units", columns=["id"])
    assert len(frame) == 6 + 7
    assert len(nwb_dask.sources(narrow)) == 2


def test_sql_answers_over_the_tables_of_the_catalog(catalog: Catalog) -> None:
    answer = catalog.sql("SELECT _nwb_path, n_rows FROM tables WHERE path = '/units' AND n_rows > 6 ORDER BY n_rows")
    assert isinstance(answer, pl.DataFrame)
    assert answer["n_rows"].to_list() == [7, 8]
    assert isinstance(catalog.sql("SELECT * FROM series", eager=False), pl.LazyFrame)


def test_it_shows_what_it_is(catalog: Catalog) -> None:
    assert repr(catalog) == f"<Catalog {catalog.name}: 4 sessions>"
    assert "/units" in catalog._repr_html_()


@pytest.mark.usefixtures("unopened")
@pytest.mark.parametrize("n_sessions", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_thousands_of_sessions_are_planned_by_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_sessions: int
) -> None:
    large = write_simulated_catalog(tmp_path / "large", n_sessions)
    looked_at: list[str] = []

    def noting(target: Target, manifest: Manifest, name: str) -> pa.Table:
        looked_at.append(name)
        return read_table(target, manifest, name)

    monkeypatch.setattr("nwb_dask.catalog.shared.dataset.read_table", noting)
    frame = dd.read_nwb(large, "/units", session_columns=["session_id"])
    assert sorted(looked_at) == ["schemas", "sessions", "tables"]
    assert frame.npartitions == n_sessions
    whole, chosen = frame.optimize(), frame[(frame.firing_rate > 0.95) & (frame.location == "CA1")].optimize()
    assert sorted(looked_at) == ["columns", "schemas", "sessions", "tables"]
    assert 0 < chosen.npartitions < n_sessions / 50
    assert len(pickle.dumps(chosen)) < len(pickle.dumps(whole)) < 100 * n_sessions
    for one in (frame.session_id == "ses-00500", frame["_nwb_path"] == large.files[500].name):
        (task,) = convert_legacy_graph(frame[one].optimize().__dask_graph__()).values()
        assert len(pickle.dumps(task)) < 10_000
