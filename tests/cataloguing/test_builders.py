"""Builders that are killed, that come together, that run on a cluster; sources that come, go and change their names."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from distributed import Client

import nwb_dask
from nwb_dask.cataloguing.catalog import Catalog
from nwb_dask.testing.files import write_session
from tests.cataloguing.test_build import opened

DYING = """
import os, signal, sys
import nwb_dask
from nwb_dask.cataloguing import gather
describe = gather.describe_source
def dying(url, name, *rest):
    if name.endswith(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return describe(url, name, *rest)
gather._BATCH, gather.describe_source = 1, dying
print(len(nwb_dask.build_catalog(sys.argv[1], sys.argv[2])))
"""


def builder(sources: Path, out: Path, dies_at: str = "never") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DYING, str(sources), str(out), dies_at]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def names(catalog: Catalog) -> list[str]:
    return [Path(one).name for one in catalog.sessions["_nwb_path"]]


def same_tables(one: Catalog, other: Catalog) -> bool:
    shown = ("sessions", "tables", "columns", "series")
    return all(one.frame(name, "arrow").to_pylist() == other.frame(name, "arrow").to_pylist() for name in shown)


def test_killed_build_is_finished_by_opening_the_rest(
    sessions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "catalog"
    with builder(sessions, out, "s2.nwb") as process:
        assert process.wait() == -signal.SIGKILL
    with pytest.raises(nwb_dask.errors.SourceNotFoundError):
        nwb_dask.open_catalog(out)
    found = opened(monkeypatch)
    made = nwb_dask.build_catalog(sessions, out)
    assert found == ["s2.nwb", "s3.nwb"]
    assert same_tables(made, nwb_dask.build_catalog(sessions, tmp_path / "other"))
    assert not list(out.rglob("*.batch"))


@pytest.mark.slow
def test_of_two_builders_one_writes_and_the_other_is_told_to_wait(sessions: Path, tmp_path: Path) -> None:
    out = tmp_path / "catalog"
    both = [builder(sessions, out) for _ in range(2)]
    said = [process.communicate() for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 0], [0, 1])
    assert all("another process" in said[i][1] for i, process in enumerate(both) if process.returncode)
    assert same_tables(nwb_dask.open_catalog(out), nwb_dask.build_catalog(sessions, tmp_path / "other"))
    assert len(list((out / "sessions").iterdir())) == 1


@pytest.mark.slow
def test_cluster_builds_what_threads_build(sessions: Path, tmp_path: Path, client: Client) -> None:
    (sessions / "bad.nwb").write_bytes(b"no HDF5")
    ours = nwb_dask.build_catalog(sessions, tmp_path / "cluster", client=client)
    theirs = nwb_dask.build_catalog(sessions, tmp_path / "threads")
    assert same_tables(ours, theirs)
    assert ours.failed["error"].tolist() == ["MalformedFileError"]


def test_what_a_catalog_was_built_from_is_listed_again(sessions: Path, tmp_path: Path) -> None:
    out, single = tmp_path / "catalog", write_session(tmp_path / "single.nwb", seed=5, n_units=1)
    made = nwb_dask.build_catalog([f"{sessions}/s[01].nwb", single, sessions], out)
    assert made.built_from == [f"{sessions}/s[01].nwb", str(single), str(sessions)]
    (sessions / "s1.nwb").rename(sessions / "s7.nwb")
    (sessions / "s3.nwb").unlink()
    again = nwb_dask.build_catalog(made.built_from, out)
    assert names(again) == ["s0.nwb", "single.nwb", "s2.nwb", "s7.nwb"]
    assert again.built_from == made.built_from
    assert again.find(min_units=6).built_from == [str(sessions)]
    assert same_tables(again, nwb_dask.build_catalog(made.built_from, tmp_path / "anew"))


def test_renamed_file_is_described_under_its_name_and_no_other_is_opened(
    sessions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nwb_dask.build_catalog(sessions, tmp_path / "catalog")
    (sessions / "s1.nwb").rename(sessions / "s9.nwb")
    found = opened(monkeypatch)
    assert names(nwb_dask.build_catalog(sessions, tmp_path / "catalog")) == ["s0.nwb", "s2.nwb", "s3.nwb", "s9.nwb"]
    assert found == ["s9.nwb"]


def test_same_files_by_another_name_of_their_folder_are_taken_over(
    sessions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "catalog"
    nwb_dask.build_catalog(sessions, out)
    found = opened(monkeypatch)
    made = nwb_dask.build_catalog(f"{sessions}/*.nwb", out)
    assert (found, made.built_from) == ([], [f"{sessions}/*.nwb"])


@pytest.mark.slow
def test_duckdb_reads_the_tables(catalog: Catalog, tmp_path: Path) -> None:
    environment = tmp_path / "duckdb"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "duckdb==1.4.1"], check=True)
    query = f"""
    SELECT s._nwb_path, t.n_rows, list_contains(c.values, 'good')
    FROM '{catalog.name}/sessions/*.parquet' s JOIN '{catalog.name}/tables/*.parquet' t USING (source)
    JOIN '{catalog.name}/columns/*.parquet' c ON c.source = t.source AND c.path = t.path
    WHERE t.path = '/units' AND c."column" = 'quality' AND t.n_rows > 6 ORDER BY 1
    """
    script = f"import duckdb; print(duckdb.sql({query!r}).fetchall())"
    answer = subprocess.run([python, "-c", script], check=True, capture_output=True, text=True).stdout
    assert ast.literal_eval(answer) == [(catalog.files[number].name, 5 + number, True) for number in (2, 3)]


def test_every_part_is_plain_parquet(catalog: Catalog) -> None:
    for part in Path(catalog.name).rglob("*.parquet"):
        assert pq.read_table(part).num_rows >= 0
