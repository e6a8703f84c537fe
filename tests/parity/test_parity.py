"""Every table of every real file comes back equal from every engine; h5py and pynwb say what is equal."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import nwb_dask
from nwb_dask import NWBDaskError, UnsupportedLayoutError
from nwb_dask.testing.oddities import ODDITIES
from tests.backends.zarr.by_hand import by_hand, comparable

from . import oracle, oracle_pynwb
from .compare import arrow_difference, pandas_difference, polars_difference, pynwb_difference
from .oracle import Column, Table
from .summary import FILE_OUTCOME, OUTCOME
from .values import elements

DATA = Path(__file__).parents[3] / "shared" / "data"
REAL = sorted(
    path
    for pattern in ("*.nwb", "*.h5")
    for path in (DATA / "real").glob(f"*/**/{pattern}")
    if path.is_file() and not any(parent.suffix == ".zarr" for parent in path.parents)
)
INTEROP = [path for path in [DATA / "interop" / "session.nwb"] if path.exists()]
ZARR = sorted(path for folder in ("real", "interop") for path in (DATA / folder).glob("**/*.zarr"))
PATH_COLUMNS = ("_nwb_path", "_table_path", "_table_index")

Record = Callable[[str, object], None]


@dataclass
class Subject:
    """One file with what the oracles say of it."""

    name: str
    path: Path
    tables: tuple[Table, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.tables = oracle.read_file(self.path)

    @cached_property
    def shown(self) -> oracle_pynwb.Shown:
        return oracle_pynwb.read_file(self.path)


def _label(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@pytest.fixture(scope="module", params=[*map(_label, [*REAL, *INTEROP]), *(f"written/{name}" for name in ODDITIES)])
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    kind, _, name = request.param.partition("/")
    if kind == "written":
        path = tmp_path_factory.mktemp("written") / f"{name}.nwb"
        ODDITIES[name](path)
    else:
        path = next(path for path in [*REAL, *INTEROP] if _label(path) == request.param)
    return Subject(request.param, path)


def read(engine: str, path: Path, table: str, columns: list[str] | None) -> Any:
    if engine == "dask":
        from nwb_dask.dataframe import read_nwb  # noqa: PLC0415  # the other engines do without dask

        return read_nwb(str(path), table, columns=columns).compute(scheduler="synchronous")
    return nwb_dask.read_table(str(path), table, engine=engine, columns=columns)  # type: ignore[call-overload]  # one of the literals


def difference(engine: str, frame: Any, column: Column) -> str:
    assert column.values is not None
    if engine == "arrow":
        return arrow_difference(frame.column(column.name), column.values)
    if engine == "polars":
        return polars_difference(frame[column.name], column.values)
    return pandas_difference(frame[column.name], column.values)


def origin_difference(engine: str, frame: Any, path: Path, table: Table) -> str:
    """Return how the three path columns, or pandas' row labels, are wrong."""
    found = {name: frame[name] for name in PATH_COLUMNS}
    # `list` of a column of text makes a value at a time.
    lists = {name: found[name].to_pylist() if engine == "arrow" else found[name].to_list() for name in PATH_COLUMNS}
    rows = list(range(table.n_rows))
    wrong = [
        name
        for name, wanted in zip(
            PATH_COLUMNS, ([str(path)] * table.n_rows, [table.path] * table.n_rows, rows), strict=True
        )
        if lists[name] != wanted
    ]
    if isinstance(frame, pd.DataFrame) and frame.index.tolist() != rows:
        wrong.append("index")
    return f"wrong origin: {wrong}" if wrong else ""


def names_of(frame: pa.Table | pl.DataFrame | pd.DataFrame) -> list[str]:
    return list(frame.column_names if isinstance(frame, pa.Table) else frame.columns)


def differences(engine: str, path: Path, table: Table) -> list[str]:
    """Return how what `engine` reads differs from the oracle; raises what reading raises."""
    good = [column for column in table.columns if not column.problem]
    wrong = []
    if table.problems:
        with pytest.raises(NWBDaskError) as caught:
            read(engine, path, table.path, None)
        if not any(name in str(caught.value) for name in table.problems):
            wrong.append(f"the error names none of {sorted(table.problems)}: {caught.value}")
    frame = read(engine, path, table.path, [column.name for column in good] if table.problems else None)
    wanted = [column.name for column in good]
    if names_of(frame) != [*wanted, *PATH_COLUMNS]:
        return [*wrong, f"columns {names_of(frame)}, expected {wanted} and the path columns"]
    if len(frame) != table.n_rows:
        return [*wrong, f"{len(frame)} rows, expected {table.n_rows}"]
    found = [(column.name, difference(engine, frame, column)) for column in good]
    origin = origin_difference(engine, frame, path, table)
    return [*wrong, *(f"{name}: {text}" for name, text in found if text), *([origin] if origin else [])]


def outcome_of(engine: str, path: Path, table: Table) -> tuple[str, list[str]]:
    if table.left_out:
        return f"left out: {table.left_out}", []
    refusable = sorted({column.may_refuse for column in table.columns if column.may_refuse})
    try:
        wrong = differences(engine, path, table)
    except UnsupportedLayoutError as exc:
        if refusable:
            return f"left out: {refusable[0]}", []
        wrong = [f"refused: {exc}"]
    # One table that fails in whatever way must not hide the others of its file.
    except (Exception, pytest.fail.Exception, pl.exceptions.PanicException) as exc:  # noqa: BLE001  # any failure is counted
        wrong = [f"{type(exc).__name__}: {exc}"]
    return ("failed" if wrong else "passed"), wrong


@pytest.mark.parametrize("engine", ["arrow", "pandas", "polars", "dask"])
def test_every_table_comes_back_equal(subject: Subject, engine: str, record_property: Record) -> None:
    entries, failures = [], []
    for table in subject.tables:
        outcome, wrong = outcome_of(engine, subject.path, table)
        entries.append(
            {
                "file": subject.name,
                "table": table.path,
                "engine": engine,
                "outcome": outcome,
                "columns": str(len(table.columns) - len(table.problems)),
                "raising": str(len(table.problems)),
            }
        )
        failures += [f"{table.path} ({table.kind}): {text}" for text in wrong]
    record_property(OUTCOME, json.dumps(entries))
    assert not failures, "\n".join(failures)


def test_every_table_and_series_is_found(subject: Subject) -> None:
    session = nwb_dask.open_nwb(str(subject.path))
    series = {table.path for table in subject.tables if table.kind == "series"}
    tables = {table.path for table in subject.tables if table.kind in ("table", "compound")}
    assert set(session.series) == series
    assert set(session.tables) - set(oracle.ONE_ROW) == tables


def test_the_oracles_agree(subject: Subject, record_property: Record) -> None:
    shown = subject.shown
    kind = "written by the tests" if subject.name.startswith("written/") else "real"
    reason = (
        f"compared with h5py only, pynwb refuses them: {shown.refused}"
        if shown.refused
        else "compared with h5py and pynwb"
    )
    record_property(FILE_OUTCOME, json.dumps([{"file": subject.name, "outcome": f"({kind}) {reason}"}]))
    if shown.refused:
        return
    known = {table.path: table for table in subject.tables if table.kind != "group"}
    assert set(shown.tables) | set(shown.unshown) == set(known)
    # What pynwb fails to show has a column that nobody reads, or a reference to nothing, which is null here.
    assert all(known[path].problems or "reference" in reason for path, reason in shown.unshown.items()), shown.unshown
    for path, rows in shown.tables.items():
        assert [column.name for column in known[path].columns] == list(rows), path
        for column in known[path].columns:
            if column.values is not None and not column.may_refuse:
                values = column.values if isinstance(column.values, np.ndarray) else elements(column.values)
                assert not pynwb_difference(values, rows[column.name], column.name), f"{path} {column.name}"


def test_every_table_equals_what_pynwb_shows(subject: Subject) -> None:
    failures = []
    for path, rows in subject.shown.tables.items():
        table = next(table for table in subject.tables if table.path == path)
        names = [name for name in rows if name not in table.problems]
        if any(column.may_refuse for column in table.columns) or not names:
            continue
        frame = read("pandas", subject.path, path, names)
        for name in names:
            column = frame[name]
            actual = (
                column.to_numpy()
                if column.dtype.kind in "iufb" and isinstance(column.dtype, np.dtype)
                else list(column)
            )
            text = pynwb_difference(actual, rows[name], name)
            failures += [f"{path} {name}: {text}"] if text else []
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("store", ZARR, ids=_label)
def test_every_table_of_a_zarr_store_comes_back_equal(store: Path, record_property: Record) -> None:
    tables = [
        path for path, one in nwb_dask.open_nwb(str(store)).contents.items() if one.kind not in {"series", "record"}
    ]
    n_columns = 0
    for table in tables:
        pandas, polars, dask = (read(engine, store, table, None) for engine in ("pandas", "polars", "dask"))
        pd.testing.assert_frame_equal(dask, pandas)
        assert list(polars.columns) == list(pandas.columns)
        for name in polars.columns:
            document = store / table[1:] / name / ".zarray"
            if not document.exists() or (document.parent.parent / f"{name}_index").exists():
                continue
            expected = by_hand(document.parent, json.loads(document.read_text()))
            if expected.dtype.hasobject:
                texts = [comparable(one) for one in expected.tolist()]
                expected = [one.decode() if isinstance(one, bytes) else one for one in texts]
                assert polars[name].to_list() == expected, f"{table} {name}"
            else:
                np.testing.assert_array_equal(polars[name].to_list(), expected, f"{table} {name}")
            n_columns += 1
    outcome = f"(real) Zarr: {len(tables)} tables from every engine, {n_columns} columns equal the chunks by hand"
    record_property(FILE_OUTCOME, json.dumps([{"file": _label(store), "outcome": outcome}]))


def test_the_real_files_are_there() -> None:
    if not REAL:
        pytest.skip(f"NO REAL FILE WAS COMPARED: {DATA / 'real'} is absent")
    assert len(REAL) + len([path for path in ZARR if "real" in path.parts]) == len(_manifest())


def _manifest() -> list[str]:
    return (DATA / "real" / "MANIFEST.tsv").read_text().splitlines()[1:]
