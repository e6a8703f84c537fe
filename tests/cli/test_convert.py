"""`nwb-dask convert`: what is written, read back by pandas and polars."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pytest

from nwb_dask.cli.commands import convert as answering
from nwb_dask.cli.usage import convert as usage
from nwb_dask.conversion import planning
from tests.cli.conftest import Run


def ids(paths: list[Path]) -> list[int]:
    found: list[int] = []
    for path in paths:
        with h5py.File(path) as file:
            found += file["units/id"][()].tolist()
    return found


def test_the_choices_are_those_of_the_function() -> None:
    assert get_args(planning.Format) == usage.FORMATS
    assert get_args(planning.Layout) == usage.LAYOUTS
    assert get_args(answering.Report) == usage.REPORTS


def test_every_table_is_written_and_reported(run: Run, sessions: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("convert", *sessions, out, "--report", "json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    written = {path.relative_to(out).as_posix() for path in out.rglob("*.parquet")}
    assert {one["path"] for one in report} == written
    units = pl.read_parquet(out / "units" / "**" / "*.parquet")
    assert sorted(units["id"]) == sorted(ids(sessions))
    assert sum(one["rows"] for one in report if one["tables"] == ["/units"]) == len(units)
    assert [json.loads(line)["level"] for line in result.stderr.splitlines()] == ["note"]


def test_options_reach_the_conversion(run: Run, sessions: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--layout", "one", "--tables", "/units", "--exclude", "/units/spike_times", "--type", "/units/id=string")
    result = run("convert", *sessions, out, "--format", "csv", *options)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("note: 2 sessions as csv")
    frame = pd.read_csv(out / "units.csv", dtype={"id": "str"})
    assert frame["id"].tolist() == [str(one) for one in ids(sessions)]
    assert "spike_times" not in frame.columns
    np.testing.assert_array_equal([path.name for path in out.glob("*.csv")], ["units.csv"])


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_an_output_is_replaced_only_when_told(run: Run, sessions: list[Path], tmp_path: Path, kind: str) -> None:
    arguments = ("convert", sessions[0], tmp_path / "out", "--format", kind)
    assert run(*arguments).exit_code == 0
    refused = run(*arguments, "--tables", "/units")
    assert refused.exit_code == 3
    assert "--overwrite" in refused.stderr
    assert run(*arguments, "--tables", "/units", "--overwrite").exit_code == 0


def test_the_format_of_files_is_not_that_of_messages(run: Run, bad: Path, tmp_path: Path) -> None:
    assert run("convert", bad, tmp_path / "out", "--format", "jsonl").stderr.startswith("error: ")
    assert json.loads(run("convert", bad, tmp_path / "out", "--report=json").stderr)["code"] == "malformed_file"


def test_a_column_that_cannot_be_read_makes_the_answer_partial(run: Run, sessions: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.nwb"
    broken.write_bytes(sessions[0].read_bytes())
    with h5py.File(broken, "r+") as file:
        del file["units/depth"]
        file["units/depth"] = np.zeros(99)
    assert run("convert", broken, tmp_path / "none").exit_code == 3
    result = run("convert", broken, tmp_path / "out", "--errors", "skip", "--tables", "/units")
    assert result.exit_code == 4
    assert "/units/depth" in result.stderr
