"""Functions over sessions, in threads."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import pandas as pd
import polars as pl
import pytest

import nwb_dask
from nwb_dask.adapters.browse import Session
from nwb_dask.errors import FunctionError, MalformedFileError, OutputError, SchemaConflictError, SkippedFilesWarning
from nwb_dask.sessions import failures, pools, task
from tests.sessions.functions import count, last_spike, noted, units_of

# dask 2026.8 on pandas 3.1 warns of itself.
READS_BY_DASK = pytest.mark.filterwarnings("ignore:The inplace keyword")


def mapped(func: Any, source: object, *args: object, **kwargs: Any) -> Any:
    return nwb_dask.map_sessions(func, source, *args, client="threads", **kwargs)


def expected(sessions: Path) -> list[int]:
    return [units_of(path) for path in sorted(sessions.glob("*.nwb"))]


def calls(folder: Path) -> int:
    return sum(len(path.read_text()) for path in folder.iterdir())


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


def test_rows_of_all_sessions_come_in_source_order(sessions: Path) -> None:
    frame = mapped(count, sessions, 2, session_columns=["session_id"]).compute()
    assert frame["n"].tolist() == [2 * n for n in expected(sessions)]
    assert frame["_nwb_path"].tolist() == [str(path) for path in sorted(sessions.iterdir())]
    assert list(frame.columns) == ["n", "session_id", "_nwb_path"]
    assert frame["session_id"].tolist() == ["session-0", "session-1", "session-2"]


def test_nothing_is_opened_before_rows_are_asked_for(sessions: Path) -> None:
    assert len(mapped(count, [sessions / "s0.nwb", sessions / "absent.nwb"])) == 2


@READS_BY_DASK
def test_the_folder_is_read_by_pandas_dask_and_polars(sessions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = mapped(last_spike, sessions).to_parquet(out)
    assert (len(report.done), len(report.quarantined), report.rows) == (3, 0, 3)
    spikes = mapped(last_spike, sessions).compute()["last"].tolist()
    for frame in (pd.read_parquet(out), dd.read_parquet(out).compute(), pl.read_parquet(out).to_pandas()):
        assert frame["last"].tolist() == spikes


def test_a_second_run_computes_nothing(sessions: Path, tmp_path: Path, notes: Path) -> None:
    first = mapped(noted, sessions, str(notes)).to_parquet(tmp_path / "out")
    again = mapped(noted, sessions, str(notes)).to_parquet(tmp_path / "out")
    assert (len(first.done), len(again.done), len(again.skipped), calls(notes)) == (3, 0, 3, 3)
    assert again.rows == first.rows == 3


def test_only_what_is_missing_or_changed_is_computed_again(sessions: Path, tmp_path: Path, notes: Path) -> None:
    out = tmp_path / "out"
    mapped(noted, sessions, str(notes)).to_parquet(out)
    next(out.glob("part-00000-*")).unlink()
    changed = sessions / "s1.nwb"
    changed.write_bytes((sessions / "s2.nwb").read_bytes())
    report = mapped(noted, sessions, str(notes)).to_parquet(out)
    assert [Path(one.source).name for one in report.done] == ["s0.nwb", "s1.nwb"]
    assert pd.read_parquet(out)["n"].tolist() == [3, 5, 5]


def test_other_arguments_and_other_code_compute_all_again(sessions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    mapped(count, sessions).to_parquet(out)
    assert len(mapped(count, sessions, 2).to_parquet(out).done) == 3
    report = mapped(lambda session: {"n": -len(session.units)}, sessions).to_parquet(out)
    assert len(report.done) == 3
    assert pd.read_parquet(out)["n"].tolist() == [-n for n in expected(sessions)]


def test_a_stated_version_stands_for_the_code(sessions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    mapped(count, sessions, code_version=1).to_parquet(out)
    other = mapped(lambda _: {"n": 0}, sessions, code_version=1)
    assert len(other.to_parquet(out).skipped) == 3


def test_failures_are_listed_and_the_others_are_done(sessions: Path, tmp_path: Path) -> None:
    (sessions / "bad.nwb").write_text("text")

    def func(session: Session) -> dict[str, int]:
        if session.name.endswith("s1.nwb"):
            raise KeyError("no such thing at https://user:word@host/x?token=hush")
        return count(session)

    with pytest.warns(SkippedFilesWarning, match="2 of 4 sessions"):
        report = mapped(func, sessions).to_parquet(tmp_path / "out")
    table = report.quarantine
    assert table["error"].tolist() == ["MalformedFileError", "KeyError"]
    assert [Path(one).name for one in table["source"]] == ["bad.nwb", "s1.nwb"]
    said = table["message"][1] + repr(report) + report._repr_html_()
    assert "hush" not in said
    assert "word@" not in said
    assert "raise KeyError" in table["traceback"][1]
    assert "nwb_dask/sessions" not in table["traceback"][1]
    kept = pd.read_parquet(f"{tmp_path / 'out'}.nwb_dask/quarantine.parquet")
    assert kept["source"].tolist() == table["source"].tolist()
    found = nwb_dask.read_report(tmp_path / "out")
    assert ([one.source for one in found.done], found.quarantined) == (
        [str(sessions / "s0.nwb"), str(sessions / "s2.nwb")],
        report.quarantined,
    )


def test_what_failed_alone_is_run_again(sessions: Path, tmp_path: Path) -> None:
    bad = sessions / "bad.nwb"
    bad.write_text("text")
    with pytest.warns(SkippedFilesWarning):
        mapped(count, sessions).to_parquet(tmp_path / "out")
    bad.write_bytes((sessions / "s2.nwb").read_bytes())
    report = mapped(count, sessions, 2).to_parquet(tmp_path / "out", resume="quarantine")
    assert [one.source for one in report.done] == [str(bad)]
    assert sorted(pd.read_parquet(tmp_path / "out")["n"]) == [3, 4, 5, 10]
    assert not nwb_dask.read_report(tmp_path / "out").quarantined


def test_an_error_is_raised_if_that_is_wanted(sessions: Path, tmp_path: Path) -> None:
    def func(session: Session) -> float:
        return 1 / (len(session.units) - 4)

    with pytest.raises(FunctionError, match=r"s1\.nwb: ZeroDivisionError") as caught:
        mapped(func, sessions).to_parquet(tmp_path / "out", errors="raise")
    assert "1 / (len" in "".join(caught.value.__notes__)
    with pytest.raises(FunctionError):
        mapped(func, sessions).compute()
    (sessions / "s1.nwb").write_text("text")
    with pytest.raises(MalformedFileError):
        mapped(func, sessions).compute()


def test_sessions_without_rows_are_done(sessions: Path, tmp_path: Path) -> None:
    func = lambda session: count(session) if session.name.endswith("s1.nwb") else None  # noqa: E731  # as users write it
    report = mapped(func, sessions).to_parquet(tmp_path / "out")
    assert [one.rows for one in report.done] == [0, 1, 0]
    assert len(mapped(func, sessions).to_parquet(tmp_path / "out").skipped) == 3


@READS_BY_DASK
def test_parts_get_one_schema(sessions: Path, tmp_path: Path) -> None:
    def func(session: Session) -> dict[str, object]:
        n = len(session.units)
        return {"n": n if n < 5 else n + 0.5} | ({"more": [n]} if n == 4 else {})

    mapped(func, sessions).to_parquet(tmp_path / "out")
    found = dd.read_parquet(tmp_path / "out").compute()
    assert found["n"].tolist() == [3.0, 4.0, 5.5]
    assert [None if one is None else list(one) for one in found["more"]] == [None, [4], None]
    assert len(mapped(func, sessions).to_parquet(tmp_path / "out").skipped) == 3


def test_sessions_that_disagree_are_named_and_kept(sessions: Path, tmp_path: Path) -> None:
    def func(session: Session) -> dict[str, object]:
        n = len(session.units)
        return {"n": n if n < 5 else "many"}

    with pytest.raises(SchemaConflictError, match=r"s0\.nwb.*s2\.nwb"):
        mapped(func, sessions).to_parquet(tmp_path / "out")
    report = mapped(func, sessions).to_parquet(tmp_path / "out", schema_overrides={"n": "string"})
    assert len(report.skipped) == 3
    assert pd.read_parquet(tmp_path / "out")["n"].tolist() == ["3", "4", "many"]


def test_a_file_that_changes_while_it_is_read_is_listed(sessions: Path, tmp_path: Path) -> None:
    def func(session: Session) -> dict[str, int]:
        if session.name.endswith("s1.nwb"):
            os.utime(session.name, (1, 1))
        return count(session)

    with pytest.warns(SkippedFilesWarning):
        report = mapped(func, sessions).to_parquet(tmp_path / "out")
    assert [(Path(one.source).name, one.error) for one in report.quarantined] == [("s1.nwb", "SourceChangedError")]
    assert pd.read_parquet(tmp_path / "out")["n"].tolist() == [3, 5]


def test_what_may_pass_is_tried_again(sessions: Path, tmp_path: Path, notes: Path) -> None:
    def func(session: Session) -> dict[str, int]:
        if calls(notes) < 2:
            noted(session, str(notes))
            raise ConnectionError("down")
        return count(session)

    one = [sessions / "s0.nwb"]
    report = mapped(func, one).to_parquet(tmp_path / "out")
    assert [record.attempts for record in report.done] == [3]
    assert json.loads(next(Path(f"{tmp_path / 'out'}.nwb_dask/records").iterdir()).read_text())["attempts"] == 3
    (notes / "s0.nwb").unlink()
    with pytest.warns(SkippedFilesWarning):
        assert mapped(func, one).to_parquet(tmp_path / "two", retries=1).quarantined[0].attempts == 2


def test_an_interrupt_leaves_what_is_finished(
    sessions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notes: Path
) -> None:
    wait, waited = pools.ThreadPool.wait, []

    def interrupted(pool: pools.ThreadPool) -> Any:
        waited.append(1)
        if len(waited) > 1:
            raise KeyboardInterrupt
        return wait(pool)

    monkeypatch.setattr(pools.ThreadPool, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        mapped(noted, sessions, str(notes)).to_parquet(tmp_path / "out")
    monkeypatch.undo()
    time.sleep(0.3)
    report = mapped(noted, sessions, str(notes)).to_parquet(tmp_path / "out")
    assert report.skipped
    assert len(report.skipped) + len(report.done) == 3
    assert pd.read_parquet(tmp_path / "out")["n"].tolist() == expected(sessions)


def test_nothing_of_others_is_removed(sessions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.parquet").write_text("mine")
    for resume in (True, False):
        with pytest.raises(OutputError, match=r"notes\.parquet"):
            mapped(count, sessions).to_parquet(out, resume=resume)
    assert (out / "notes.parquet").read_text() == "mine"


def test_results_of_sessions_that_are_not_asked_for_are_not_mixed_in(sessions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    mapped(count, sessions).to_parquet(out)
    with pytest.raises(OutputError, match="not among the sources"):
        mapped(count, sessions / "s0.nwb").to_parquet(out)
    mapped(count, sessions / "s0.nwb").to_parquet(out, resume=False)
    assert pd.read_parquet(out)["n"].tolist() == [3]


def test_what_dask_computes_in_the_function_is_computed_right_there(sessions: Path) -> None:
    def func(session: Session) -> dict[str, object]:
        import threading  # noqa: PLC0415  # a function of a user

        import dask  # noqa: PLC0415  # the same

        there = dask.delayed(threading.get_ident)().compute()
        return {"is_here": there == threading.get_ident(), "n": len(session.units)}

    assert mapped(func, sessions).compute()["is_here"].all()


def test_delayed_and_dask_frames_give_the_same(sessions: Path) -> None:
    results = mapped(count, sessions)
    frame = results.to_dask_dataframe()
    assert frame.npartitions == 3
    assert frame.compute(scheduler="synchronous")["n"].tolist() == expected(sessions)
    delayed = results.to_delayed()
    assert [one.key for one in delayed] == [one.key for one in mapped(count, sessions).to_delayed()]
    assert delayed[1].compute(scheduler="synchronous")["n"].tolist() == [4]


def test_a_call_that_does_not_fit_fails_at_once(sessions: Path) -> None:
    with pytest.raises(TypeError, match="cannot be called"):
        mapped(count, sessions, wrong=1)
    with pytest.raises(TypeError, match="no function"):
        mapped("count", sessions)
    with pytest.raises(ValueError, match="threads"):
        nwb_dask.map_sessions(count, sessions, client="cluster").compute()


def test_tracebacks_begin_where_the_function_is_called() -> None:
    assert callable(getattr(task, failures.CALL))
