"""Queries made from the tables themselves, of every real file: each engine answers as on the rows in memory."""

from __future__ import annotations

import json
import operator
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import dask
import numpy as np
import pandas as pd
import polars as pl
import pytest

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.testing.oddities import ODDITIES

from . import oracle
from .memory import Part, to_pandas, to_polars
from .oracle import Table
from .same_frames import check_same
from .summary import QUERY_OUTCOME
from .test_parity import INTEROP, REAL
from .values import Text, Values

Record = Callable[[str, object], None]
Engine = Literal["dask", "polars", "pandas"]
Operator = Literal["==", "!=", ">", "is"]
every_engine = pytest.mark.parametrize("engine", ["dask", "polars", "pandas"])
FILES = [*map(str, [*REAL, *INTEROP]), *ODDITIES]
ONE_TABLE_OF = 8
"""What a run without the slow tests asks: one table of so many, chosen by its name."""
COLUMNS_OF_IT = 4
"""How many columns of such a table are filtered on."""
_MAX_ROWS = 20_000
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {"==": operator.eq, "!=": operator.ne, ">": operator.gt}


@dataclass(frozen=True)
class Condition:
    """A filter on one column."""

    column: str
    operator: Operator
    value: Any = None


@pytest.fixture(scope="module", params=FILES, ids=["/".join(Path(name).parts[-2:]) for name in FILES])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file."""
    path = Path(request.param)
    if request.param in ODDITIES:
        path = tmp_path_factory.mktemp("written") / f"{request.param}.nwb"
        ODDITIES[request.param](path)
    return path


@pytest.fixture(scope="module")
def some_parts(path: Path) -> list[Part]:
    """Some of its tables, which need not be any."""

    def is_chosen(table: str) -> bool:
        return crc32(f"{path.name}{table}".encode()) % ONE_TABLE_OF == 0

    return [Part(path, table) for table in oracle.read_file(path, is_chosen)]


@pytest.fixture(scope="module")
def parts(path: Path) -> list[Part]:
    """Every table of it."""
    return [Part(path, table) for table in oracle.read_file(path)]


@every_engine
def test_queries_of_some_tables_answer_as_in_memory(
    some_parts: list[Part], engine: Engine, record_property: Record
) -> None:
    _ask_all(some_parts, engine, record_property, columns=COLUMNS_OF_IT)


@pytest.mark.slow
@every_engine
def test_queries_of_every_table_answer_as_in_memory(parts: list[Part], engine: Engine, record_property: Record) -> None:
    _ask_all(parts, engine, record_property, columns=10_000)


def _ask_all(parts: list[Part], engine: Engine, record_property: Record, *, columns: int) -> None:
    outcomes, wrong = [], []
    for part in parts:
        said = {"query": f"{part.table.path} of {part.path.name}", "engine": engine}
        reason = _why_not(part.table)
        if reason:
            outcomes.append({**said, "outcome": f"not asked: {reason}"})
            continue
        asked = _ASK[engine](part, list(_conditions(part.table, columns)))
        count = 0
        for name, check in asked:
            count += 1
            try:
                check()
            # One query that fails in whatever way must not hide the others.
            except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001  # any failure is counted
                wrong.append(f"{said['query']}, {name}: {type(error).__name__}: {error}")
        outcomes.append({**said, "outcome": "equal", "count": str(count)})
    record_property(QUERY_OUTCOME, json.dumps(outcomes))
    assert not wrong, "\n".join(wrong)


def _why_not(table: Table) -> str:
    """Return why the rows in memory are not those of the table; empty if they are."""
    refused = {column.may_refuse for column in table.columns if column.may_refuse}
    names = [column.name for column in table.columns]
    if table.left_out or refused:
        return table.left_out or f"columns may be refused: {', '.join(sorted(refused))}"
    if len(set(names)) < len(names):
        return "two columns of one name"
    return "no column can be read" if _good(table) == [] else ""


def _good(table: Table) -> list[str]:
    return [column.name for column in table.columns if not column.problem]


def _bad(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.problem]


def _conditions(table: Table, n_columns: int) -> Iterator[Condition]:
    """Yield the filters that are asked of columns of one value per row."""
    scalars = [column for column in table.columns if column.values is not None and _is_scalar(column.values)]
    for column in scalars[:: -(-len(scalars) // n_columns) or 1]:
        values = column.values
        assert values is not None
        common = _most_common(values)
        yield Condition(column.name, "is")
        if common is not None:
            yield Condition(column.name, "==", common)
            yield Condition(column.name, "!=", common)
        if isinstance(values, np.ndarray) and values.dtype.kind in "iuf" and values.size:
            middle = np.sort(values[values == values])[values[values == values].size // 2 :]  # noqa: PLR0124  # not NaN
            yield Condition(column.name, ">", middle[0].item() if middle.size else 0.0)


def _is_scalar(values: Values) -> bool:
    if isinstance(values, Text):
        return values.strings.ndim == 1
    return isinstance(values, np.ndarray) and values.ndim == 1


def _most_common(values: Values) -> Any:
    items = values.strings if isinstance(values, Text) else values
    assert isinstance(items, np.ndarray)
    found = Counter(item for item in items[:_MAX_ROWS].tolist() if item is not None and item == item)  # noqa: PLR0124  # not NaN
    return found.most_common(1)[0][0] if found else None


def _some_columns(table: Table) -> list[str]:
    """Return the first column, one in the middle and the last, in another order than the table has."""
    names = _good(table)
    return list(dict.fromkeys([names[-1], names[len(names) // 2], names[0]]))


_Checks = Iterator[tuple[str, Callable[[], None]]]
_SHOWN = ["_table_index", "_nwb_path"]


def _ask_dask(part: Part, conditions: list[Condition]) -> _Checks:
    memory, names = to_pandas([part], _bad(part.table)), _some_columns(part.table)
    frame = dd.read_nwb(str(part.path), part.table.path, columns=_good(part.table))

    def same(ask: Callable[[Any], Any], expected: Any) -> Callable[[], None]:
        def check() -> None:
            with dask.config.set(scheduler="synchronous"):
                found = ask(frame)
                check_same(found.compute() if hasattr(found, "compute") else found, expected)

        return check

    yield "count", same(len, len(memory))
    yield "head", same(lambda d: d.head(3), memory.head(3))
    yield "columns", same(lambda d: d[names].head(50), memory[names].head(50))
    for one in conditions:
        shown = [one.column, *_SHOWN]
        yield str(one), same(lambda d, one=one, shown=shown: d[_of(d, one)][shown], memory[_of(memory, one)][shown])  # type: ignore[misc]  # defaults of a lambda


def _ask_pandas(part: Part, conditions: list[Condition]) -> _Checks:
    memory, names = to_pandas([part], _bad(part.table)), _some_columns(part.table)

    def same(expected: pd.DataFrame, first: int | None = None, **options: Any) -> Callable[[], None]:
        def check() -> None:
            found = nwb_dask.read_table(str(part.path), part.table.path, "pandas", **options)
            check_same(found[expected.columns.tolist()].head(first if first is not None else len(found)), expected)

        return check

    yield "columns", same(memory[names].head(50), 50, columns=names, include_path_columns=False)
    for one in conditions:
        expected = memory[_of(memory, one)][[one.column, *_SHOWN]]
        filters = [(one.column, one.operator, one.value)]
        yield str(one), same(expected, columns=[one.column], filters=filters)


def _of(frame: Any, one: Condition) -> Any:
    column = frame[one.column]
    return column.isna() if one.operator == "is" else _COMPARE[one.operator](column, one.value)


def _ask_polars(part: Part, conditions: list[Condition]) -> _Checks:
    memory, names = to_polars([part], _bad(part.table)).lazy(), _some_columns(part.table)
    frame = nwb_dask.scan_nwb(str(part.path), part.table.path).drop(_bad(part.table))

    def same(ask: Callable[[pl.LazyFrame], pl.LazyFrame]) -> Callable[[], None]:
        def check() -> None:
            expected = ask(memory).collect()
            for engine in ("in-memory", "streaming"):
                check_same(ask(frame).collect(engine=engine), expected)

        return check

    yield "count", same(lambda f: f.select(pl.len()))
    yield "head", same(lambda f: f.head(3))
    yield "columns", same(lambda f: f.select(names).head(50))
    yield "tail", same(lambda f: f.select(names).tail(2))
    for one in conditions:
        condition = _polars_of(one)
        yield str(one), same(lambda f, one=one, condition=condition: f.filter(condition).select(one.column, *_SHOWN))  # type: ignore[misc]  # as above


def _polars_of(one: Condition) -> pl.Expr:
    column = pl.col(one.column)
    return column.is_null() if one.operator == "is" else _COMPARE[one.operator](column, one.value)


_ASK: dict[Engine, Callable[[Part, list[Condition]], _Checks]] = {
    "dask": _ask_dask,
    "polars": _ask_polars,
    "pandas": _ask_pandas,
}


def test_the_real_files_are_there() -> None:
    if not REAL:
        pytest.skip("NO REAL FILE WAS ASKED: the folder of real files is absent")
    assert len(REAL) > 100  # what the project has
