"""One list of queries, three engines: each answers as it does on the rows that the oracle holds in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

import dask
import pandas as pd
import pytest

from .asked import Asked, write_asked
from .queries import FILTERS, Query
from .queries_of_sessions import SESSIONS
from .queries_of_shape import COLUMNS, GROUPS, LISTS
from .same_frames import check_same
from .summary import QUERY_OUTCOME

QUERIES: dict[str, Query] = {
    f"{family}: {name}": query
    for family, queries in {
        "filter": FILTERS, "columns": COLUMNS, "groups": GROUPS, "lists": LISTS, "sessions": SESSIONS,
    }.items()
    for name, query in queries.items()
}  # fmt: skip
Record = Callable[[str, object], None]
Engine = Literal["dask", "polars", "pandas"]
Tables = dict[str, Asked]
PARTITIONS: tuple[dict[str, Any], ...] = ({}, {"aggregate_files": "1 MB"}, {"blocksize": 600})
"""How dask parts the rows: by file, all in one, a few rows each."""


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return write_asked(tmp_path_factory.mktemp("asked"))


@pytest.fixture(params=["dask", "polars", "pandas"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param  # type: ignore[no-any-return]  # one of them


@pytest.mark.parametrize("name", QUERIES)
def test_query_answers_as_in_memory(name: str, engine: Engine, tables: Tables, record_property: Record) -> None:
    query = QUERIES[name]
    reason = _why_not(engine, query)
    outcome = f"not asked: {reason}" if reason else "equal"
    if not reason:
        _ASK[engine](query, tables)
    record_property(QUERY_OUTCOME, json.dumps([{"query": name, "engine": engine, "outcome": outcome}]))


def _why_not(engine: Engine, query: Query) -> str:
    """Return why the engine has no words for the query; empty if it has."""
    if engine == "pandas":
        words: object = query.pandas or query.memory or query.frame
    else:
        words = query.lazy if engine == "polars" else query.frame
    return words if isinstance(words, str) else ""


def _ask_dask(query: Query, tables: Tables) -> None:
    ask, in_memory = query.frame, query.memory or query.frame
    assert callable(ask)
    assert callable(in_memory)
    expected = in_memory(_of(tables, query, lambda table: table.in_pandas))
    if query.parted_alike:
        expected = in_memory(_of(tables, query, lambda table: table.in_dask)).compute(scheduler="synchronous")
    for options in PARTITIONS[: 1 if query.one_partition or query.parted_alike else None]:
        with dask.config.set(scheduler="synchronous"):
            found = ask(_of(tables, query, lambda table: table.dask(**options)))  # noqa: B023  # called at once
            computed = found.compute() if hasattr(found, "compute") else found
            check_same(query.after(computed), query.after(expected), rounded=query.rounded)


def _ask_polars(query: Query, tables: Tables) -> None:
    assert callable(query.lazy)
    expected = query.lazy(_of(tables, query, lambda table: table.in_polars.lazy())).collect()
    for engine in ("in-memory", "streaming"):
        found = query.lazy(_of(tables, query, lambda table: table.polars())).collect(engine=engine)
        check_same(found, expected, rounded=query.rounded)


def _ask_pandas(query: Query, tables: Tables) -> None:
    in_memory = query.memory or (query.frame if callable(query.frame) else query.pandas)
    assert callable(in_memory)
    options = query.read if isinstance(query.read, dict) else {}
    if isinstance(options.get("filters"), str) and query.pandas is not None:
        # Text means what it does to pandas, where `==` of text is `isin`, which is false and not null for null.
        expected = query.pandas(tables[query.table].in_pandas.query(options["filters"]))
    else:
        expected = in_memory(_of(tables, query, lambda table: table.in_pandas))
    found = _of(tables, query, lambda table: table.pandas(**options))
    if query.pandas is not None:
        found = query.pandas(found)
    elif not options:
        assert callable(query.frame)
        found = query.frame(found)
    check_same(query.after(found), query.after(expected), rounded=query.rounded)


_ASK: dict[Engine, Callable[[Query, Tables], None]] = {"dask": _ask_dask, "polars": _ask_polars, "pandas": _ask_pandas}


def _of(tables: Tables, query: Query, get: Callable[[Asked], Any]) -> Any:
    """Return the frame of the query's table, or for a query of several what gives the frame of each."""
    return get(tables[query.table]) if query.table else (lambda name: get(tables[name]))


def test_the_data_have_what_makes_engines_differ(tables: Tables) -> None:
    frame = tables["traps"].in_pandas
    assert frame["rate"].isna().any()
    assert frame["note"].isna().any()
    assert (frame["note"] == "").any()
    assert frame["flag"].dtype == pd.BooleanDtype()
    assert (frame["spike_times"].map(len) == 0).any()
    assert [len(table.in_pandas) for name, table in tables.items() if name in {"units", "trials"}] == [19, 15]
