"""A lazy frame answers as polars does on the same rows in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import h5py
import polars as pl
import pytest
from hypothesis import given, settings
from polars.testing import assert_frame_equal

import nwb_dask
from nwb_dask.adapters.polars_frame.scan import ScanSource
from nwb_dask.errors import PathNotFoundError
from nwb_dask.plan.batches import BatchLimits
from nwb_dask.read import batches as batches_module
from nwb_dask.read import scan_sources
from nwb_dask.testing.files import write_session
from nwb_dask.testing.odd_columns import TEXT, add_column, add_table, as_column, new_file
from tests.adapters.polars_frame.tables import NAN, TABLE, predicates

Engine = Literal["in-memory", "streaming"]
ENGINES: list[Engine] = ["in-memory", "streaming"]
REAL = Path(__file__).parents[4] / "shared" / "data" / "real"
c = pl.col

QUERIES: dict[str, Callable[[pl.LazyFrame], pl.LazyFrame]] = {
    "all": lambda f: f,
    "one column": lambda f: f.select("spike_times"),
    "columns in another order": lambda f: f.select("_table_index", "kind", "id", "rate"),
    "no columns of the file": lambda f: f.select("_nwb_path"),
    "expressions": lambda f: f.select(c("spike_times").list.len(), total=c("rate") + c("count")),
    "NaN is above every number": lambda f: f.filter(c("rate") > 1),
    "NaN is not equal to a number": lambda f: f.filter(c("rate") != 1.5),
    "NaN equals itself": lambda f: f.filter(c("rate") == NAN),
    "negation keeps no nulls": lambda f: f.filter(~(c("rate") > 1)),
    "nulls": lambda f: f.filter(c("note").is_null()).select("spike_times", "note"),
    "empty text": lambda f: f.filter(c("quality") == "").select("id", "waveform"),
    "category": lambda f: f.filter(c("kind") == "c").select("kind"),
    "category of the order of all files": lambda f: f.filter(c("kind") > "a").select("kind", "id"),
    "two filters": lambda f: f.filter(c("count") > 2).filter(c("quality").is_in(["good", "a", ""])).select("id"),
    "on a ragged column": lambda f: f.filter(c("spike_times").list.len() > 120).select("id"),
    "on an average": lambda f: f.filter((c("count") > 2) & (c("count") > c("count").mean())),
    "on rows before": lambda f: f.filter(c("count").cum_sum() > 20).select("id", "count"),
    "on the order of rows": lambda f: f.filter(c("quality").is_first_distinct(), c("count") > 1).select("id"),
    "over groups": lambda f: f.filter(c("count") == c("count").max().over("quality")).select("id", "count"),
    "shifted": lambda f: f.filter(c("count").shift(1) > 3).select("count"),
    "head": lambda f: f.head(12),
    "head over two files": lambda f: f.head(12).select("id", "_nwb_path"),
    "nothing": lambda f: f.head(0),
    "slice": lambda f: f.slice(8, 6).select("id"),
    "slice from the end": lambda f: f.slice(-5, 3).select("id", "note"),
    "tail": lambda f: f.tail(3),
    "head, then filter": lambda f: f.head(12).filter(c("count") > 4).select("id", "spike_times"),
    "filter, then head": lambda f: f.filter(c("count") > 4).head(3).select("id", "spike_times"),
    "filter, head, filter": lambda f: f.filter(c("count") > 2).head(9).filter(c("big") > 0),
    "slice, then filter": lambda f: f.slice(3, 12).filter(c("count") > 4),
    "no row": lambda f: f.filter(c("count") > 1000),
    "no file": lambda f: f.filter(c("_nwb_path") == "nowhere"),
    "always": lambda f: f.filter(pl.lit(value=True), c("count") < 3),
    "never": lambda f: f.filter(pl.lit(value=False)),
    "count of rows": lambda f: f.select(pl.len()),
    "count of filtered rows": lambda f: f.filter(c("flag")).select(pl.len()),
    "group by": lambda f: f.group_by("quality").agg(c("count").sum(), c("spike_times").explode().sum()).sort("quality"),
    "join with itself": lambda f: (
        f.select("id", "count").join(f.select("id", "rate"), on="id").sort("id", "count", "rate")
    ),
    "concatenated": lambda f: pl.concat([f.head(3), f.filter(c("id") == 30)]),
    "with row index": lambda f: f.with_row_index().filter(c("index") > 11).select("index", "id"),
    "unnested": lambda f: f.filter(c("count") > 6).explode("spike_times").select(c("spike_times").sum()),
    "sorted": lambda f: f.sort("count", "_nwb_path").select("count", "id").head(5),
    "function of Python": lambda f: f.filter(c("count").map_elements(bin, return_dtype=pl.String) > "0b11"),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("query", QUERIES)
def test_query_answers_as_in_memory(lazy: pl.LazyFrame, eager: pl.DataFrame, query: str, engine: Engine) -> None:
    got = QUERIES[query](lazy).collect(engine=engine)
    assert_frame_equal(got, QUERIES[query](eager.lazy()).collect())


def test_schema_is_known_before_anything_is_read(lazy: pl.LazyFrame, eager: pl.DataFrame) -> None:
    with nwb_dask.trace() as trace:
        assert lazy.collect_schema() == eager.schema
    assert trace.requests == 0
    assert eager.schema["kind"] == pl.Enum(["a", "b", "c"])


def test_frame_in_memory_has_the_values_that_h5py_reads(files: list[Path], eager: pl.DataFrame) -> None:
    """The oracle of this module, for one column."""
    expected = []
    for path in files:
        with h5py.File(path) as file:
            expected += file[TABLE]["big"][:].tolist()
    assert eager["big"].to_list() == expected


@given(predicate=predicates())
@settings(deadline=None, max_examples=120)
def test_random_filters_keep_the_rows_that_they_keep_in_memory(
    files: list[Path], eager: pl.DataFrame, predicate: pl.Expr
) -> None:
    frame = nwb_dask.scan_nwb(files, TABLE)
    shown = ["id", "rate", "spike_times", "_nwb_path", "_table_index"]
    assert_frame_equal(frame.filter(predicate).select(shown).collect(), eager.filter(predicate).select(shown))


@given(predicate=predicates())
@settings(deadline=None, max_examples=40)
def test_random_filters_answer_the_same_in_small_batches(
    files: list[Path], eager: pl.DataFrame, predicate: pl.Expr
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches_module, "BatchLimits", lambda *_: BatchLimits(2, 8, 4000))
        query = nwb_dask.scan_nwb(files, TABLE).filter(predicate).select("id", "spike_times", "note")
        got = query.collect(engine="streaming")
    assert_frame_equal(got, eager.filter(predicate).select("id", "spike_times", "note"))


def test_source_gives_batches_of_the_size_asked_for(files: list[Path], eager: pl.DataFrame) -> None:
    source = ScanSource(scan_sources(files, TABLE))
    frames = list(source(["id", "count"], c("count") > 1, None, 3))
    assert max(frame.height for frame in frames) <= 3
    assert_frame_equal(pl.concat(frames), eager.filter(c("count") > 1).select("id", "count"))


def test_rows_are_counted_without_columns(files: list[Path], eager: pl.DataFrame) -> None:
    source = ScanSource(scan_sources(files, TABLE))
    for condition in (None, c("count") > 3):
        expected = eager.height if condition is None else eager.filter(condition).height
        assert sum(frame.height for frame in source([], condition, None, None)) == expected


def test_scans_of_different_files_in_one_query_are_not_taken_for_each_other(files: list[Path]) -> None:
    first, second = (nwb_dask.scan_nwb(path, TABLE).select("id", "_nwb_path") for path in (files[0], files[3]))
    rows = first.join(second, on="id").collect()
    assert rows["_nwb_path"].unique().to_list() == [str(files[0])]
    assert rows["_nwb_path_right"].unique().to_list() == [str(files[3])]


def test_column_that_cannot_be_read_is_an_error_only_where_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "broken.nwb"
    with new_file(path) as file:
        group = add_table(file, "processing/deep/table", {"good": [1, 2, 3]})
        add_column(group, "bad", [b"a", b"\xff", b"c"], dtype=TEXT)
        group.attrs.create("colnames", ["bad", "good"], dtype=TEXT)
    frame = nwb_dask.scan_nwb(path, TABLE)
    assert frame.filter(c("good") > 1).select("good").collect()["good"].to_list() == [2, 3]
    for query in (frame, frame.filter(c("bad") == "a").select("good")):
        with pytest.raises(nwb_dask.MalformedFileError, match="bad") as caught:
            query.collect()
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_are_counted_beside_a_column_that_cannot_be_read(tmp_path: Path, engine: Engine) -> None:
    """Polars counts the narrowest column by its dtype, which is not to be the one that raises."""
    path = tmp_path / "broken.nwb"
    with new_file(path) as file:
        group = add_table(file, "processing/deep/table", {"good": ["a", "b", "c"]})
        group["bad"] = h5py.SoftLink("/nowhere")
        group.attrs.create("colnames", ["bad", "good"], dtype=TEXT)
    frame = nwb_dask.scan_nwb(path, TABLE)
    assert frame.select(pl.len()).collect(engine=engine).item() == 3
    assert frame.filter(c("good") > "a").select(pl.len()).collect(engine=engine).item() == 2
    assert nwb_dask.scan_nwb(path, TABLE, include_path_columns=False).select(pl.len()).collect().item() == 3


def test_rows_stream_into_parquet(lazy: pl.LazyFrame, eager: pl.DataFrame, tmp_path: Path) -> None:
    lazy.filter(c("count") > 2).sink_parquet(tmp_path / "out.parquet")
    assert_frame_equal(pl.read_parquet(tmp_path / "out.parquet"), eager.filter(c("count") > 2), categorical_as_str=True)


OPTIONS: dict[str, dict[str, Any]] = {
    "without path columns": {"include_path_columns": False},
    "resolved regions": {"resolve": True},
    "one region": {"resolve": ["electrodes"]},
    "other types": {"schema_overrides": {"depth": "float64"}},
    "skipping": {"errors": "skip"},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_options_are_those_of_read_table(tmp_path: Path, options: dict[str, Any]) -> None:
    paths = [write_session(tmp_path / f"{seed}.nwb", seed=seed, n_units=6, spikes_per_unit=4) for seed in range(2)]
    expected = nwb_dask.read_table(paths, "/units", engine="polars", **options)
    frame = nwb_dask.scan_nwb(paths, "/units", **options)
    assert_frame_equal(frame.collect(), expected)
    condition = (c("depth") > 1000) & c("quality").is_in(["good", "mua"])
    assert_frame_equal(frame.filter(condition).collect(), expected.filter(condition))


def test_missing_names_are_errors_of_the_project(files: list[Path]) -> None:
    with pytest.raises(PathNotFoundError, match="no table"):
        nwb_dask.scan_nwb(files, "/nowhere")
    with pytest.raises(PathNotFoundError, match="missing_columns='insert'"):
        nwb_dask.scan_nwb(files, TABLE, missing_columns="raise")
    with pytest.raises(ValueError, match="missing_columns"):
        nwb_dask.scan_nwb(files, TABLE, missing_columns="no")  # type: ignore[arg-type]  # what is tested


REAL_TABLES = [
    (path, table)
    for path in sorted(REAL.glob("**/*.nwb"))[::12]
    for table in ("/units", "/intervals/trials", "/general/extracellular_ephys/electrodes")
]


@pytest.mark.skipif(not REAL_TABLES, reason="the real files are not there")
@pytest.mark.parametrize(("path", "table"), REAL_TABLES, ids=[f"{path.stem}{table}" for path, table in REAL_TABLES])
def test_real_tables_are_equal(path: Path, table: str) -> None:
    try:
        expected = nwb_dask.read_table(path, table, engine="polars")
    except nwb_dask.NWBDaskError as error:
        with pytest.raises(type(error)):
            nwb_dask.scan_nwb(path, table).collect()
        return
    frame = nwb_dask.scan_nwb(path, table)
    assert_frame_equal(frame.collect(), expected)
    number = next(name for name, dtype in expected.schema.items() if dtype.is_numeric())
    condition = c(number) > expected[number].median()
    assert_frame_equal(frame.filter(condition).collect(engine="streaming"), expected.filter(condition))


@pytest.mark.parametrize("engine", ENGINES)
def test_names_that_are_patterns_to_polars_are_names(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "names.nwb"
    with new_file(path) as file:
        group = add_table(file, "units", {"*": [1, 2], "^v.*$": [3, 4], "value": [5, 6]})
        kind = h5py.enum_dtype({"low": 0, "high": 1})
        as_column(group.create_dataset("^k.*$", data=[0, 1], dtype=kind))
        group.attrs.create("colnames", ["*", "^v.*$", "value", "^k.*$"], dtype=TEXT)
    rows: dict[str, list[Any]] = {"*": [1, 2], "^v.*$": [3, 4], "value": [5, 6], "^k.*$": ["low", "high"]}
    lazy = nwb_dask.scan_nwb(path, "/units", include_path_columns=False).drop("id")
    assert lazy.collect(engine=engine).to_dict(as_series=False) == rows
    assert lazy.filter(c("value") > 5).collect(engine=engine).row(0) == (2, 4, 6, "high")
    for name, values in rows.items():
        found = nwb_dask.read_table(path, "/units", "polars", columns=[name], filters=[(name, "==", values[1])])
        assert found[name].to_list() == values[1:]
