"""What is kept of remote files, as the command line shows and clears it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nwb_dask.options import options
from nwb_dask.testing import RangeServer
from tests.cli.conftest import Run


def read(run: Run, *arguments: object) -> list[dict[str, Any]]:
    result = run(*arguments, "--format", "json")
    assert result.exit_code == 0, result.stderr
    return list(json.loads(result.stdout))


@pytest.fixture
def url(sessions: list[Path], tmp_path: Path) -> Iterator[str]:
    """A file on a server, in caches that are empty."""
    with (
        RangeServer(sessions[0].parent) as server,
        options(cache_dir=str(tmp_path / "known"), chunk_cache_dir=str(tmp_path / "bytes")),
    ):
        yield server.url("a.nwb")


def files(folder: str) -> list[Path]:
    return [path for path in Path(folder).rglob("*") if path.suffix in {".nwbidx", ".nwbchunk"}]


def test_both_caches_are_shown_and_cleared(run: Run, url: str) -> None:
    assert [(one["kept"], one["n_files"]) for one in read(run, "cache", "info")] == [("indexes", 0), ("chunks", 0)]
    with options(chunk_cache="on"):
        read(run, "index", url)
    for one in read(run, "cache", "info"):
        assert one["n_files"] == 1
        assert one["size_bytes"] == sum(path.stat().st_size for path in files(one["folder"])) > 0
        assert run("cache", "path", f"--{one['kept']}").stdout.strip() == one["folder"]
    assert {(one["kept"], one["file"]) for one in read(run, "cache", "info", "--files")} == {
        ("indexes", url),
        ("chunks", url),
    }
    result = run("cache", "clear")
    assert (result.exit_code, result.stdout, result.stderr.count("of 1 files")) == (0, "", 2)
    assert not any(files(one["folder"]) for one in read(run, "cache", "info"))


@pytest.mark.parametrize("kept", ["indexes", "chunks"])
def test_one_of_the_caches_is_shown_and_cleared(run: Run, url: str, kept: str) -> None:
    with options(chunk_cache="on"):
        read(run, "index", url)
    (one,) = read(run, "cache", "info", f"--{kept}")
    assert (one["kept"], one["n_files"]) == (kept, 1)
    assert run("cache", "clear", f"--{kept}").exit_code == 0
    assert {one["kept"]: one["n_files"] for one in read(run, "cache", "info")} == {"indexes": 1, "chunks": 1, kept: 0}


def test_the_bytes_are_shown_where_the_indexes_are_switched_off(run: Run, url: str) -> None:
    with options(cache="off"):
        (one,) = read(run, "cache", "info", "--chunks")
        assert one["max_bytes"] == 10 * 1024**3
        result = run("cache", "clear")
        assert (result.exit_code, "--chunks" in result.stderr) == (3, True)


def test_doctor_tells_of_both_caches(run: Run, url: str) -> None:
    checks = {one["check"]: one for one in read(run, "doctor")}
    assert (checks["cache"]["state"], checks["chunk cache"]["detail"]) == ("ok", "switched off")
    with options(chunk_cache="on"):
        read(run, "index", url)
        checks = {one["check"]: one for one in read(run, "doctor")}
    assert checks["chunk cache"]["state"] == "ok"
    assert "bytes/chunks: 1 files, " in checks["chunk cache"]["detail"]
