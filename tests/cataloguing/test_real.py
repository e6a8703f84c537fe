"""Over real files of every container, random questions have the same answer from a catalog as from the files."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.cataloguing.catalog import Catalog
from nwb_dask.errors import NWBDaskError
from nwb_dask.read import scan_sources
from tests.parity.test_parity import INTEROP, REAL, ZARR

FILES = [*REAL, *INTEROP, *ZARR]
RECORDS = ("/", "/general", "/general/subject")
LINDI_NAMES = "http://127.0.0.1:8765/session.nwb"
"""What the LINDI document of the interop folder refers to."""
MOST_ROWS = 20_000
SOME = 6
"""Files that are asked in every run: the smallest of each container first, then others by chance."""

pytestmark = [
    pytest.mark.skipif(not FILES, reason="real NWB files are absent: ../shared/data/real"),
    pytest.mark.filterwarnings("ignore:metadata that does not come"),
]


def few() -> list[Path]:
    """Return one file of each container, and some more."""
    small = [one for one in FILES if one.is_dir() or one.stat().st_size < 1_000_000]
    order = sorted(small, key=lambda one: crc32(one.name.encode()))
    kinds = {("".join(one.suffixes[-2:]), one.is_dir()): one for one in reversed(order)}
    return list(dict.fromkeys([*kinds.values(), *order]))[:SOME]


def outcome(ask: Callable[..., Any], *rest: object) -> Any:
    try:
        return ask(*rest)
    except (NWBDaskError, TypeError, ValueError, pl.exceptions.PolarsError, pa.ArrowException) as error:
        return type(error)


def fields(source: object, table: str) -> object:
    return scan_sources(source, table).fields


def answer(source: object, table: str, engine: str, asked: Any = None) -> object:
    if engine == "dask":
        return dd.read_nwb(source, table, filters=asked).compute(scheduler="sync")
    return nwb_dask.read_table(source, table, filters=asked, engine="polars" if engine == "polars" else "pandas")


def same(one: Any, other: Any) -> bool:
    if isinstance(one, pl.DataFrame) and isinstance(other, pl.DataFrame):
        return one.schema == other.schema and one.equals(other)
    if isinstance(one, pd.DataFrame) and isinstance(other, pd.DataFrame):
        try:
            assert_frame_equal(one, other)
        except AssertionError:
            return False
        return True
    return bool(one is other)


def questions(rows: pd.DataFrame, chance: random.Random) -> list[tuple[str, str, object]] | None:
    """Return conditions on columns of one value per row, made from the values."""
    found: list[tuple[str, str, object]] = []
    columns = [name for name in rows.columns if not name.startswith("_nwb")]
    for name in chance.choices(columns, k=chance.choice((1, 1, 2))) if columns and len(rows) else ():
        value = rows[name].iloc[chance.randrange(len(rows))]
        if not isinstance(value, str) and not pd.api.types.is_scalar(value):
            continue
        value = chance.choice((0, 1.5, "x")) if pd.isna(value) else getattr(value, "item", lambda value=value: value)()
        operator = chance.choice(("==", "!=", ">", ">=", "<", "<=", "in"))
        found.append((name, operator, [value] if operator == "in" else value))
    return found or None


def compare(path: Path, made: Catalog, n_questions: int) -> list[str]:
    """Return the questions that a catalog of one file answers in another way than the file."""
    chance, wrong = random.Random(path.name), []
    for table in sorted({*nwb_dask.list_paths(made), *RECORDS}):
        theirs, ours = (outcome(fields, one, table) for one in (path, made))
        if theirs != ours:
            wrong.append(f"{table}: {theirs} and {ours}")
        rows = outcome(answer, path, table, "pandas")
        if not isinstance(rows, pd.DataFrame) or len(rows) > MOST_ROWS:
            continue
        for engine in ("pandas", "polars", "dask") * n_questions:
            asked = questions(rows, chance)
            if not same(*(outcome(answer, one, table, engine, asked) for one in (path, made))):
                wrong.append(f"{table}, {asked}, {engine}")
    return wrong


@pytest.mark.parametrize(
    ("files", "n_questions"), [(few(), 1), pytest.param(FILES, 2, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_answers_of_a_catalog_are_those_of_the_files(files: list[Path], n_questions: int, tmp_path: Path) -> None:
    made = nwb_dask.build_catalog(files, tmp_path / "catalog", range_rows=7)
    assert not len(made.failed)
    wrong = {
        path.name: found
        for number, path in enumerate(files)
        if (found := compare(path, made.choose([number]), n_questions))
    }
    assert not wrong


@pytest.mark.skipif(not INTEROP, reason="the session in four containers is absent: ../shared/data/interop")
def test_containers_of_one_session_stand_in_one_catalog(tmp_path: Path) -> None:
    folder = INTEROP[0].parent
    files = [*INTEROP, *folder.glob("*.zarr"), *folder.glob("*.lindi.json")]
    with nwb_dask.options(remap={LINDI_NAMES: str(INTEROP[0])}):
        made = nwb_dask.build_catalog(files, tmp_path / "catalog")
        ours, theirs = (nwb_dask.read_table(one, "/units", engine="polars") for one in (made, files))
    assert ours.equals(theirs)
    assert len(set(made.tables.query("path == '/units'")["n_rows"])) == 1
    assert ours["_nwb_path"].n_unique() == len(files) > 2
