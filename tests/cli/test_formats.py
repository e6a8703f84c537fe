"""Answers in every format, read back by others."""

from __future__ import annotations

import io
import json
import math
import stat
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pytest

from nwb_dask.testing.odd_columns import add_column, add_index, add_table, new_file
from tests.cli.conftest import Run

RATES = np.array([1.5, math.nan, math.inf, -math.inf])
SPIKES = [[0.1, math.nan], [], [2.0, 3.0, 4.0, 5.0, 6.0], [7.0]]
NOTES = ["plain", "", 'quo"te,\nline', "\x1b[31mred\x07 \u202eback \u0085é"]
BIG = [2**53 + 1, -(2**63), 0, 7]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with what formats trip over."""
    path = tmp_path_factory.mktemp("formats") / "odd.nwb"
    with new_file(path) as file:
        group = add_table(file, "units", {}, n_rows=4)
        add_column(group, "rate", RATES)
        add_column(group, "note", NOTES)
        add_column(group, "big", np.array(BIG))
        add_column(group, "flag", np.array([True, False, True, True]))
        add_column(group, "single", np.array([0.1, 0.2, 0.3, 0.4], "f4"))
        add_column(group, "wave", np.arange(8.0).reshape(4, 2))
        add_column(group, "z", np.array([1 + 2j, 0, 0, 0]))
        add_column(group, "spikes", np.array([one for row in SPIKES for one in row]))
        add_index(group, "spikes", np.cumsum([len(row) for row in SPIKES]).tolist())
        names = ["rate", "note", "big", "flag", "single", "wave", "z", "spikes"]
        group.attrs.create("colnames", names, dtype=h5py.string_dtype())
    return path


def head(run: Run, path: Path, *arguments: object) -> Any:
    result = run("head", path, "/units", "--no-paths", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return result


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_json_is_strict_and_has_every_value(run: Run, odd: Path, kind: str) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    out = head(run, odd, "--format", kind).stdout
    lines = out.splitlines()
    rows = json.loads(out, parse_constant=refuse) if kind == "json" else [json.loads(line) for line in lines]
    assert len(rows) == 4
    assert [row["rate"] for row in rows] == [1.5, "NaN", "Infinity", "-Infinity"]
    np.testing.assert_array_equal([float(row["rate"]) for row in rows], RATES)
    assert [row["note"] for row in rows] == NOTES
    assert [row["big"] for row in rows] == BIG
    assert [row["spikes"] for row in rows] == [[0.1, "NaN"], *SPIKES[1:]]
    assert [row["wave"] for row in rows] == np.arange(8.0).reshape(4, 2).tolist()
    assert rows[0]["z"] == {"real": 1.0, "imag": 2.0}
    if kind == "jsonl":
        assert pl.read_ndjson(io.StringIO(out))["big"].to_list() == BIG


def test_csv_reads_back_with_pandas_and_polars(run: Run, odd: Path) -> None:
    out = head(run, odd, "--format", "csv").stdout
    frame = pd.read_csv(io.StringIO(out), keep_default_na=False, na_values={"rate": ["nan"]})
    np.testing.assert_array_equal(frame["rate"], RATES)
    assert frame["note"].tolist() == NOTES
    assert frame["big"].tolist() == BIG
    assert [json.loads(one) for one in frame["spikes"]] == [[0.1, "NaN"], *SPIKES[1:]]
    same = pl.read_csv(io.StringIO(out))
    assert same["note"].to_list() == NOTES
    assert same["flag"].to_list() == [True, False, True, True]


def test_parquet_reads_back_with_pandas_and_polars(run: Run, odd: Path, tmp_path: Path) -> None:
    out = tmp_path / "units.parquet"
    assert head(run, odd, "-o", out).stdout == ""
    for spikes in (pl.read_parquet(out)["spikes"].to_list(), [list(x) for x in pd.read_parquet(out)["spikes"]]):
        for found, expected in zip(spikes, SPIKES, strict=True):
            np.testing.assert_array_equal(found, expected)
    assert pl.read_parquet(out)["note"].to_list() == NOTES
    assert pl.read_parquet(out).schema["single"] == pl.Float32


def test_parquet_goes_through_a_pipe(run: Run, odd: Path) -> None:
    result = head(run, odd, "--format", "parquet")
    assert pl.read_parquet(io.BytesIO(result.stdout_bytes))["big"].to_list() == BIG


def test_a_table_shows_lists_shortened_with_their_lengths_and_no_control_characters(run: Run, odd: Path) -> None:
    out = head(run, odd).stdout
    assert "[2.0, 3.0, … 5]" in out
    assert "[0.1, NaN]" in out
    assert r"\x1b[31mred\x07 \u202eback \x85é" in out
    assert r'quo"te,\nline' in out
    assert "0.1  " in out
    assert not set(out) & {"\x1b", "\x07", "\u202e", "\u0085"}
    assert len(out.splitlines()) == 6


def test_a_file_is_named_by_its_suffix_unless_told_otherwise(run: Run, odd: Path, tmp_path: Path) -> None:
    for suffix in ("json", "jsonl", "csv"):
        out = tmp_path / f"rows.{suffix}"
        head(run, odd, "-o", out)
        assert out.read_text() == head(run, odd, "--format", suffix).stdout
    head(run, odd, "-o", tmp_path / "rows.txt", "--format", "json")
    assert json.loads((tmp_path / "rows.txt").read_text())


def test_a_file_is_replaced_only_when_told_and_never_left_half_written(run: Run, odd: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    out.write_text("mine")
    result = run("head", odd, "/units", "-o", out)
    assert (result.exit_code, json.loads(result.stderr)["code"] if "{" in result.stderr else None) == (3, None)
    assert "--force" in result.stderr
    assert out.read_text() == "mine"
    assert run("head", odd, "/units", "-o", out, "--force", "--max-rows", 1).exit_code == 3
    assert out.read_text() == "mine"
    head(run, odd, "-o", out, "--force")
    assert len(json.loads(out.read_text())) == 4
    assert stat.S_IMODE(out.stat().st_mode) == stat.S_IMODE(odd.stat().st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.json"]


def test_too_many_rows_are_an_error_and_not_a_cut(run: Run, odd: Path) -> None:
    assert run("head", odd, "/units", "--max-rows", 4).exit_code == 0
    result = run("head", odd, "/units", "--max-rows", 3, "--format", "json")
    assert (result.exit_code, result.stdout) == (3, "")
    assert json.loads(result.stderr)["code"] == "too_many_rows"


def test_parquet_is_not_written_to_a_terminal(run: Run, odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda stream: True, raising=False)
    result = run("head", odd, "/units", "--format", "parquet")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "-o FILE" in result.stderr


@pytest.mark.parametrize("kind", ["table", "json", "jsonl", "csv"])
def test_text_of_a_file_does_not_drive_a_terminal(
    run: Run, odd: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda stream: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    out = head(run, odd, "--format", kind).stdout
    assert not set(out) & {"\x1b", "\x07", "\u202e", "\u0085"}
    assert "é" in out
    if kind == "table":
        assert max(map(len, out.splitlines())) <= 40
    elif kind == "json":
        assert [row["note"] for row in json.loads(out)] == NOTES
