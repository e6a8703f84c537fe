"""What is known of a file is believed until the file says otherwise, and never beyond."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nwb_dask
from nwb_dask.errors import SkippedFilesWarning, SourceNotFoundError
from nwb_dask.testing import RangeServer
from nwb_dask.testing.files import write_session
from tests.faults.network import GOOD_SPIKES, NAME, QUESTIONS, TRIALS, Question, ask_pandas, write_large

every_question = pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return two sessions of different length."""
    folder = tmp_path_factory.mktemp("known")
    other = write_session(
        folder / "other.nwb", seed=1, n_units=45, spikes_per_unit=4000, n_trials=60, layout="gzip", chunk_rows=8192
    )
    return write_large(folder / NAME), other


@pytest.fixture
def path(versions: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NWB_DASK_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "served" / NAME
    path.parent.mkdir()
    path.write_bytes(versions[0].read_bytes())
    return path


@pytest.fixture
def server(path: Path) -> Iterator[RangeServer]:
    with RangeServer(path.parent) as server:
        yield server


def replace(path: Path, new: Path) -> None:
    """Put another version in place at once, as a server of objects does."""
    aside = path.with_suffix(".new")
    aside.write_bytes(new.read_bytes())
    aside.replace(path)


@every_question
def test_a_known_file_answers_again_with_one_question_or_its_data(
    server: RangeServer, path: Path, question: Question
) -> None:
    url = server.url(NAME)
    first = ask_pandas(url, question)
    server.reset()
    with nwb_dask.trace() as again:
        assert ask_pandas(url, question) == first == question.by_h5py(path)
    assert again.rounds == 1
    assert all("if-match" in request.headers or "if-none-match" in request.headers for request in server.log)


@every_question
def test_a_known_file_that_was_replaced_gives_the_new_answer(
    server: RangeServer, path: Path, versions: tuple[Path, Path], question: Question
) -> None:
    url = server.url(NAME)
    before = ask_pandas(url, question)
    replace(path, versions[1])
    after = ask_pandas(url, question)
    assert after == question.by_h5py(versions[1]) != before


@every_question
def test_a_file_that_another_process_knew_and_that_was_replaced_gives_the_new_answer(
    server: RangeServer, path: Path, versions: tuple[Path, Path], question: Question
) -> None:
    program = (
        "import sys, nwb_dask; frame = nwb_dask.read_table(sys.argv[1], sys.argv[2], columns=sys.argv[3].split(',')); "
        "print(len(frame))"
    )
    command = [sys.executable, "-c", program, server.url(NAME), question.table, ",".join(question.columns)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert json.loads(done.stdout) > 0
    replace(path, versions[1])
    assert ask_pandas(server.url(NAME), question) == question.by_h5py(versions[1])


def test_one_replaced_file_among_known_ones_gives_its_new_answer(
    server: RangeServer, path: Path, versions: tuple[Path, Path]
) -> None:
    names = [f"{i}.nwb" for i in range(3)]
    for name in names:
        path.with_name(name).write_bytes(versions[0].read_bytes())
    urls = [server.url(name) for name in names]
    ask_pandas(urls, TRIALS)
    replace(path.with_name(names[1]), versions[1])
    parts = [TRIALS.by_h5py(one) for one in (versions[0], versions[1], versions[0])]
    expected = {column: [value for part in parts for value in part[column]] for column in TRIALS.columns}
    assert ask_pandas(urls, TRIALS) == expected


@every_question
def test_a_known_file_that_is_gone_is_not_found(server: RangeServer, path: Path, question: Question) -> None:
    ask_pandas(server.url(NAME), question)
    path.unlink()
    with pytest.raises(SourceNotFoundError):
        ask_pandas(server.url(NAME), question)


def test_a_known_file_that_is_gone_is_left_out_if_that_was_asked_for(
    server: RangeServer, path: Path, versions: tuple[Path, Path]
) -> None:
    write_session(path.with_name("there.nwb"))
    urls = [server.url(NAME), server.url("there.nwb")]
    ask_pandas(urls, GOOD_SPIKES)
    path.unlink()
    with pytest.warns(SkippedFilesWarning, match=NAME):
        left = ask_pandas(urls, GOOD_SPIKES, errors="skip")
    assert left == GOOD_SPIKES.by_h5py(path.with_name("there.nwb"))
