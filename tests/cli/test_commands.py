"""Every command, beside what h5py, pandas and polars say of the same files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dask
import h5py
import numpy as np
import polars as pl
import pytest
from distributed import Client

import nwb_dask
from nwb_dask.options import options
from nwb_dask.testing import RangeServer
from nwb_dask.testing.dandi import DandiServer
from nwb_dask.testing.odd_columns import add_table, new_file
from tests.cli.conftest import Run

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
FILES = sorted(REAL.rglob("*.nwb"))[::12]


def read(run: Run, *arguments: object) -> Any:  # whatever JSON says
    result = run(*arguments, "--format", "json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def text(value: object) -> str | None:
    return value.decode() if isinstance(value, bytes) else None if value is None else str(value)


def test_ls_lists_the_files_of_a_folder_in_order(run: Run, sessions: list[Path]) -> None:
    result = run("ls", sessions[0].parent)
    assert result.stdout.splitlines() == [str(path) for path in sessions]
    assert read(run, "ls", *reversed(sessions)) == [{"file": str(path)} for path in reversed(sessions)]


def test_ls_long_says_the_size_and_what_tells_versions_apart(run: Run, sessions: list[Path]) -> None:
    found = read(run, "ls", "--long", sessions[0].parent / "*.nwb")
    assert [one["size_bytes"] for one in found] == [path.stat().st_size for path in sessions]
    assert {one["version_kind"] for one in found} == {"mtime"}


def test_ls_asks_no_server_for_a_file_that_is_named_unless_told_to(run: Run, sessions: list[Path]) -> None:
    with RangeServer(sessions[0].parent) as server:
        url = server.url("a.nwb")
        assert read(run, "ls", url) == [{"file": url}]
        assert server.n_requests == 0
        assert read(run, "ls", "-l", url)[0]["size_bytes"] == sessions[0].stat().st_size


def test_an_archive_is_a_source_and_its_signed_links_stay_hidden(
    run: Run, sessions: list[Path], tmp_path: Path
) -> None:
    with DandiServer(tmp_path, page_size=3) as archive, options(cache="off"):
        for path in sessions:
            archive.add("000363", f"sub-1/{path.name}", path)
        reach = ("dandi://lab/000363@draft", "--storage-option", f"dandi_api={archive.api_url}")
        listed = run("ls", *reach)
        assert [line.partition("?")[0].rpartition("/")[2] for line in listed.stdout.splitlines()] == ["a.nwb", "b.nwb"]
        units = next(one for one in read(run, "tables", *reach) if one["path"] == "/units")
        assert (units["n_files"], units["n_rows"]) == (2, 9)
        assert "ignature" not in run("head", *reach, "/unit", "--json-errors").stderr


def test_info_says_session_subject_and_how_many_tables_and_series(run: Run, sessions: list[Path]) -> None:
    found = read(run, "info", *sessions)
    assert [one["_nwb_path"] for one in found] == [str(path) for path in sessions]
    for one, path in zip(found, sessions, strict=True):
        with h5py.File(path) as file:
            assert one["identifier"] == text(file["identifier"][()])
            assert one["subject_id"] == text(file["general/subject/subject_id"][()])
            assert one["nwb_version"] == file.attrs["nwb_version"]
    assert [(one["n_tables"], one["n_series"]) for one in found] == [(3, 2), (1, 0)]


def test_tables_counts_files_rows_and_columns(run: Run, sessions: list[Path]) -> None:
    found = {one["path"]: one for one in read(run, "tables", *sessions)}
    n_rows, columns = 0, {"id"}
    for path in sessions:
        with h5py.File(path) as file:
            n_rows += len(file["units/id"])
            columns |= set(file["units"].attrs["colnames"])
    units = found["/units"]
    assert units == {
        "path": "/units", "kind": "table", "type": "Units", "n_files": 2, "n_rows": n_rows, "n_columns": len(columns),
    }  # fmt: skip
    assert found["/acquisition/lfp"]["kind"] == "series"
    assert found["/acquisition/lfp"]["n_rows"] == 10
    assert {one["kind"] for one in read(run, "tables", *sessions, "--kind", "series")} == {"series"}


def test_schema_names_columns_and_types(run: Run, sessions: list[Path]) -> None:
    with h5py.File(sessions[0]) as file:
        columns = ["id", *file["units"].attrs["colnames"], "_nwb_path", "_table_path", "_table_index"]
    found = {one["column"]: one["type"] for one in read(run, "schema", *sessions, "/units")}
    assert list(found) == columns
    assert found["spike_times"] == "large_list<item: double>"
    assert read(run, "schema", *sessions, "/units", "--columns", "depth,id")[0]["column"] == "depth"


def test_head_shows_the_first_rows_over_files(run: Run, sessions: list[Path]) -> None:
    ids: list[int] = []
    for path in sessions:
        with h5py.File(path) as file:
            ids += file["units/id"][()].tolist()
    found = read(run, "head", *sessions, "/units", "-n", 8, "--columns", "id", "--no-paths")
    assert found == [{"id": one} for one in ids[:8]]
    assert read(run, "head", *sessions, "/units", "-n", 0) == []


def test_head_filters_as_told(run: Run, sessions: list[Path]) -> None:
    with h5py.File(sessions[0]) as file:
        depth, ids = file["units/depth"][()], file["units/id"][()]
    limit = float(np.median(depth))
    found = read(run, "head", sessions[0], "/units", "-n", 2, "-c", "id", "--no-paths", "--where", f"depth > {limit}")
    assert [one["id"] for one in found] == ids[depth > limit][:2].tolist()


def test_head_stops_reading_once_it_has_the_rows(run: Run, sessions: list[Path], tmp_path: Path) -> None:
    gone = tmp_path / "c.nwb"
    gone.write_bytes(sessions[0].read_bytes())
    with h5py.File(gone, "r+") as file:
        del file["units/depth"]
        file["units/depth"] = np.zeros(99)
    result = run("head", sessions[0], gone, "/units", "-n", 3, "-c", "id")
    assert result.exit_code == 0


def test_explain_tells_what_is_read(run: Run, sessions: list[Path]) -> None:
    arguments = ("explain", *sessions, "/units", "-c", "spike_times", "--filter", "depth > 5")
    frame = nwb_dask.read_nwb(list(map(str, sessions)), "/units", columns=["spike_times"], filters="depth > 5")
    assert run(*arguments).stdout == f"{frame.nwb.explain()}\n"
    (plan,) = read(run, *arguments)
    assert plan["predicate_columns"] == ["depth"]
    with h5py.File(sessions[0]) as one, h5py.File(sessions[1]) as other:
        assert plan["expected_bytes"] >= one["units/spike_times"].nbytes + other["units/spike_times"].nbytes


def test_query_answers_as_polars_does_in_memory(run: Run, sessions: list[Path]) -> None:
    frames = []
    for path in sessions:
        with h5py.File(path) as file:
            subject = text(file["general/subject/subject_id"][()])
            frames.append(pl.DataFrame({"depth": file["units/depth"][()], "subject_id": subject}))
    units = pl.concat(frames)
    query = "SELECT subject_id, COUNT(*) AS n, MAX(depth) AS deepest FROM units {} GROUP BY subject_id ORDER BY n DESC"
    expected = pl.SQLContext(units=units).execute(query.format(""), eager=True).to_dicts()
    joined = query.format("JOIN session USING (_nwb_path)")
    assert read(run, "query", *sessions, joined) == expected
    from_stdin = run("query", *sessions, "-", "-f", "json", input=joined)
    assert json.loads(from_stdin.stdout) == expected


def test_query_keeps_ragged_columns_and_categories_in_parquet(run: Run, sessions: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "units.parquet"
    assert run("query", *sessions, "SELECT id, spike_times FROM units", "-o", out).exit_code == 0
    spikes = pl.read_parquet(out)["spike_times"]
    with h5py.File(sessions[0]) as file:
        ends, values = file["units/spike_times_index"][()], file["units/spike_times"][()]
    np.testing.assert_array_equal(spikes[0].to_numpy(), values[: ends[0]])
    assert len(spikes) == 9


def test_query_reads_no_more_than_tells_that_there_are_too_many_rows(run: Run, sessions: list[Path]) -> None:
    result = run("query", *sessions, "SELECT id FROM units", "--max-rows", 8)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "at least 9 rows" in result.stderr
    assert len(run("query", *sessions, "SELECT id FROM units", "--max-rows", 9).stdout.splitlines()) == 11


def test_query_as_a_table_is_bounded_unless_told_otherwise(run: Run, sessions: list[Path]) -> None:
    many = "SELECT a.id FROM units a, units b, units c, units d"
    assert run("query", *sessions, many).exit_code == 3
    assert len(run("query", *sessions, many, "--max-rows", 0).stdout.splitlines()) == 9**4 + 2
    assert len(read(run, "query", *sessions, many)) == 9**4


def test_explain_of_a_query_tells_what_each_table_gives(run: Run, sessions: list[Path]) -> None:
    query = (
        "SELECT units.spike_times FROM units JOIN trials ON units._nwb_path = trials._nwb_path "
        f"WHERE units.depth > 5 AND units._nwb_path = '{sessions[0]}'"
    )
    plans = {one["table"]: one for one in read(run, "explain", *sessions, query)}
    assert set(plans) == {"/units", "/intervals/trials"}
    assert set(plans["/units"]["columns"]) == {"spike_times", "depth", "_nwb_path"}
    assert (plans["/units"]["n_files"], plans["/units"]["n_files_total"]) == (1, 2)
    assert plans["/units"]["predicate_columns"] == ["_nwb_path", "depth"]
    assert not plans["/units"]["residual"]
    with h5py.File(sessions[0]) as file:
        # Of some files it is their share of the rows.
        assert plans["/units"]["expected_bytes"] >= file["units/spike_times"].nbytes * 0.8
    assert run("explain", *sessions, query).stdout.startswith("read /")
    limited = read(run, "explain", *sessions, "SELECT id FROM units LIMIT 2")
    assert [(one["columns"], one["n_rows"]) for one in limited] == [(["id"], 2)]


def test_files_that_disagree_are_read_with_a_type_that_is_told(run: Run, tmp_path: Path) -> None:
    for name, data in (("a", np.arange(2)), ("b", ["x", "y"])):
        with new_file(tmp_path / f"{name}.nwb") as file:
            add_table(file, "processing/x/table", {"value": data})
    path, table = "/processing/x/table/value", "/processing/x/table"
    refused = run("head", tmp_path, table, "--json-errors")
    assert json.loads(refused.stderr)["hint"] == "`--type` says the type of a column: see --help"
    for name in ("value", path):
        answer = json.loads(run("head", tmp_path, table, "--type", f"{name}=string", "-f", "json").stdout)
        assert [row["value"] for row in answer] == ["0", "1", "x", "y"]
    query = f'SELECT value FROM "{table}" ORDER BY 1 DESC'
    told = json.loads(run("query", tmp_path, query, "--type", f"{path}=string", "-f", "json").stdout)
    assert [row["value"] for row in told] == ["y", "x", "1", "0"]
    schema = json.loads(run("schema", tmp_path, table, "--type", "value=string", "-f", "json").stdout)
    assert schema[1]["type"] == "string"
    for target in (table, query):
        assert run("explain", tmp_path, target, "--type", f"{path}=string").exit_code == 0


def test_metadata_has_every_field(run: Run, sessions: list[Path]) -> None:
    expected = nwb_dask.read_metadata(list(map(str, sessions)), engine="polars")
    found = read(run, "metadata", *sessions)
    assert list(found[0]) == expected.columns
    assert [one["session_start_time"] for one in found] == [
        one.isoformat() for one in expected["session_start_time"].to_list()
    ]
    assert read(run, "metadata", *sessions, "--columns", "subject_id,identifier") == json.loads(
        expected.select("subject_id", "identifier").write_json()
    )


def test_metadata_as_a_table_says_how_many_empty_fields_it_leaves_out(run: Run, sessions: list[Path]) -> None:
    result = run("metadata", *sessions)
    expected = nwb_dask.read_metadata(list(map(str, sessions)), engine="polars")
    n_empty = sum(column.null_count() == len(column) for column in expected)
    assert f"{n_empty} fields" in result.stderr
    assert len(result.stdout.splitlines()[0].split()) == expected.width - n_empty


def test_index_makes_later_looks_cheap_and_says_what_it_did(run: Run, sessions: list[Path], tmp_path: Path) -> None:
    with RangeServer(sessions[0].parent) as server, options(cache_dir=str(tmp_path / "cache")):
        urls = [server.url(path.name) for path in sessions]
        built = read(run, "index", *urls, sessions[0])
        assert [one["state"] for one in built] == ["built", "built", "local"]
        assert all(one["kept_bytes"] for one in built[:2])
        assert [one["state"] for one in read(run, "index", *urls)] == ["known", "known"]
        with nwb_dask.trace() as trace:
            assert read(run, "schema", *urls, "/units")
        assert trace.requests == len(urls)
        assert len(read(run, "cache", "info", "--indexes", "--files")) == len(urls)


def test_a_cache_that_is_off_is_an_error_with_the_way_out(run: Run, sessions: list[Path]) -> None:
    with options(cache="off"):
        for arguments in (("cache", "info"), ("index", sessions[0])):
            result = run(*arguments)
            assert (result.exit_code, result.stdout) == (3, "")
            assert "NWB_DASK_CACHE=on" in result.stderr


def test_doctor_reports_libraries_options_and_a_source(
    run: Run, sessions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NWB_DASK_DEADLINE", "77")
    monkeypatch.setenv("NWB_DASK_ENGNE", "http-typo")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    result = run("doctor", sessions[0], "--format", "json")
    assert result.exit_code == 0, result.stderr
    checks = {one["check"]: (one["state"], one["detail"]) for one in json.loads(result.stdout)}
    assert checks["polars"][1] == pl.__version__
    assert h5py.version.hdf5_version in checks["h5py"][1]
    assert checks["option deadline"][1] == "77.0 (NWB_DASK_DEADLINE is set)"
    assert checks["NWB_DASK_ENGNE"][0] == "warn"
    assert checks["AWS_SECRET_ACCESS_KEY"] == ("info", "is set")
    assert checks["reach"][1].startswith(f"{sessions[0].stat().st_size:,} bytes")
    assert "hush" not in result.stdout + result.stderr
    assert "http-typo" not in result.stdout + result.stderr


def test_doctor_compares_the_versions_of_a_cluster(run: Run, client: Client) -> None:
    address = client.scheduler_info()["address"]
    result = run("doctor", "--scheduler", address, "--format", "json")
    assert result.exit_code == 0, result.stderr
    found = {one["check"]: (one["state"], one["detail"]) for one in json.loads(result.stdout)}
    assert found["scheduler"][0] == "ok"
    assert f"dask {dask.__version__}" in found["scheduler"][1]
    assert [state for name, (state, _) in found.items() if name.startswith("tcp://")] == ["ok", "ok"]


def test_doctor_says_which_cluster_cannot_be_reached(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwb_dask.cli.cluster._SECONDS", 0.2)
    result = run("doctor", "--scheduler", "tcp://127.0.0.1:9", "--format", "json")
    assert result.exit_code == 3
    last = json.loads(result.stdout)[-1]
    assert (last["check"], last["state"]) == ("scheduler", "fail")
    assert "tcp://127.0.0.1:9" in last["detail"]


def test_doctor_fails_for_a_source_that_cannot_be_reached(run: Run, tmp_path: Path) -> None:
    result = run("doctor", tmp_path / "absent.nwb", "--format", "jsonl")
    assert result.exit_code == 3
    last = json.loads(result.stdout.splitlines()[-1])
    assert (last["check"], last["state"]) == ("source", "fail")


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_a_real_file_is_described_as_h5py_has_it(run: Run, path: Path) -> None:
    result = run("tables", path, "--format", "json")
    assert result.exit_code == 0, result.stderr
    with h5py.File(path) as file:
        for one in json.loads(result.stdout):
            group = file[one["path"]]
            if isinstance(group, h5py.Group) and isinstance(group.get("id"), h5py.Dataset) and one["kind"] == "table":
                assert one["n_rows"] == len(group["id"])
                head = read(run, "head", path, one["path"], "-n", 3, "-c", "id", "--no-paths")
                assert [row["id"] for row in head] == group["id"][:3].tolist()


def test_real_files_are_there_to_be_compared() -> None:
    if not FILES:
        pytest.skip("REAL FILES ARE ABSENT: nothing was compared with them")
    assert len(FILES) >= 5


def test_index_writes_references_that_say_where_the_data_are(run: Run, sessions: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "one.lindi.json"
    done = run("index", sessions[0], "-o", out, "--report", "json")
    assert done.exit_code == 0, done.stderr
    (row,) = json.loads(done.stdout)
    refs = json.loads(out.read_text())["refs"]
    assert refs["units/.zgroup"] == {"zarr_format": 2}
    assert (row["file"], row["arrays"]) == (str(sessions[0]), sum(key.endswith(".zarray") for key in refs))
    assert run("index", sessions[0], "-o", out).exit_code == 3
    assert run("index", sessions[0], "-o", out, "--force").exit_code == 0
    assert run("index", sessions[0], "--format", "lindi").exit_code == 2
    assert run("index", sessions[0], "--format", "lindi", "-o", "-").exit_code == 2
    assert run("index", sessions[0], "--url", "https://example.org/a.nwb").exit_code == 2
