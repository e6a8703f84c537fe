"""What a statement in SQL names in place of tables, as polars reads it."""

from __future__ import annotations

import re

import polars as pl
from polars.sql.context import PySQLContext  # type: ignore[attr-defined]  # no public name tells tables in a query

_FIRST_WORD = re.compile(r"(?:\s|\(|--[^\n]*(?:\n|$)|/\*.*?\*/)*(\w*)", re.DOTALL)
_QUERIES = frozenset({"SELECT", "WITH", "FROM", "VALUES", "EXPLAIN"})
SHOW_TABLES = re.compile(r"\s*SHOW\s+TABLES\s*;?\s*", re.IGNORECASE)
_BARE_PATH = re.compile(r"""\b(?:FROM|JOIN)\s+(/[^\s"'`;,()]+)""", re.IGNORECASE)


def named_tables(query: str) -> list[str]:
    """Return what the query names in place of tables.

    Raises
    ------
    polars.exceptions.SQLInterfaceError
        If it is no SQL, or a statement that asks for nothing.
    """
    try:
        # As `SQLContext.execute_global` of polars does.
        names: list[str] = PySQLContext.table_identifiers(query, include_schema=True, unique=True)
    except pl.exceptions.PolarsError as error:
        bare = _BARE_PATH.search(query)
        if bare is not None:
            error.add_note(f'a path is written in double quotes: "{bare.group(1)}"')
        raise
    first = _FIRST_WORD.match(query)
    word = first.group(1).upper() if first else ""
    if word and word not in _QUERIES and not SHOW_TABLES.fullmatch(query):
        allowed = ", ".join(sorted(_QUERIES))
        message = f"{word} ... is no query: nwb_dask answers {allowed} and SHOW TABLES, and never writes to files"
        raise pl.exceptions.SQLInterfaceError(message)
    return names
