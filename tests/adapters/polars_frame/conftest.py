from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import nwb_dask
from tests.adapters.polars_frame.tables import TABLE, write_tables


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four files, one of them without rows, that differ in columns and categories."""
    return write_tables(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="session")
def eager(files: list[Path]) -> pl.DataFrame:
    """All their rows in memory."""
    return nwb_dask.read_table(files, TABLE, engine="polars")


@pytest.fixture
def lazy(files: list[Path]) -> pl.LazyFrame:
    return nwb_dask.scan_nwb(files, TABLE)
