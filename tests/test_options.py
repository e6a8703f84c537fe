from __future__ import annotations

import dataclasses
import subprocess
import sys
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from nwb_dask.options import Options, chosen_options, current_options, options


@pytest.fixture(autouse=True)
def _no_choices_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in dataclasses.fields(Options):
        monkeypatch.delenv(f"NWB_DASK_{name.name.upper()}", raising=False)


def test_without_any_choice_the_defaults_hold() -> None:
    assert current_options() == Options() == Options(engine="auto", cache="on", requests_per_host=64)


def test_an_argument_wins_over_the_block_which_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NWB_DASK_ENGINE", "obstore")
    monkeypatch.setenv("NWB_DASK_DEADLINE", "7")
    assert current_options().engine == "obstore"
    with options(engine="fsspec"):
        assert current_options().engine == "fsspec"
        assert current_options({"engine": "remfile"}).engine == "remfile"
        assert current_options({"engine": None}).engine == "fsspec"
        assert current_options().deadline == 7.0
    assert current_options().engine == "obstore"


def test_blocks_nest_and_end_after_an_error() -> None:
    with options(engine="http", cache="off") as outer:
        with options(engine="remfile") as inner:
            assert (inner.engine, inner.cache) == ("remfile", "off")
        assert current_options() == outer
    with pytest.raises(RuntimeError), options(engine="http"):
        raise RuntimeError
    assert chosen_options() == {}


def test_a_block_holds_in_threads_that_take_its_context() -> None:
    with options(engine="http"):
        context = copy_context()
    assert context.run(current_options).engine == "http"
    assert current_options().engine == "auto"


def test_the_environment_is_read_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("off", "OFF", " off ", "0", "false", "no"):
        monkeypatch.setenv("NWB_DASK_CACHE", text)
        assert current_options().cache == "off"
    monkeypatch.setenv("NWB_DASK_CACHE", "")
    assert current_options().cache == "on"
    monkeypatch.setenv("NWB_DASK_CACHE_BYTES", "1000")
    monkeypatch.setenv("NWB_DASK_CACHE_DIR", "/somewhere")
    monkeypatch.setenv("NWB_DASK_REQUESTS_PER_HOST", "3")
    found = current_options()
    assert (found.cache_bytes, found.cache_dir, found.requests_per_host) == (1000, "/somewhere", 3)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ENGINE", "curl"),
        ("DEADLINE", "soon"),
        ("DEADLINE", "0"),
        ("REQUESTS_PER_HOST", "1.5"),
        ("CACHE", "maybe"),
        ("CACHE_BYTES", "-1"),
        ("CHUNK_CACHE", "maybe"),
        ("CHUNK_CACHE_MAX_AGE", "-1"),
    ],
)
def test_a_variable_that_is_not_understood_is_named(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(f"NWB_DASK_{name}", text)
    with pytest.raises(ValueError, match=f"NWB_DASK_{name} is not understood: .*{text}"):
        current_options()


def test_a_variable_that_is_overruled_may_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NWB_DASK_ENGINE", "curl")
    assert current_options({"engine": "http"}).engine == "http"


@pytest.mark.parametrize(
    ("choice", "error"),
    [
        ({"engine": "curl"}, ValueError),
        ({"engine": None}, ValueError),
        ({"cache": True}, ValueError),
        ({"deadline": "5"}, TypeError),
        ({"deadline": -1}, ValueError),
        ({"deadline": float("inf")}, ValueError),
        ({"deadline": True}, TypeError),
        ({"requests_per_host": 0}, ValueError),
        ({"requests_per_host": 2.0}, TypeError),
        ({"cache_bytes": -1}, ValueError),
        ({"dandi_api": "https://"}, ValueError),
        ({"dandi_api": "https://me:hush@lab.org/api"}, ValueError),
        ({"dandi_api": "file:///api"}, ValueError),
        ({"dandi_api": 1}, TypeError),
        ({"cache_dir": ""}, TypeError),
        ({"cache_dir": 5}, TypeError),
        ({"chunk_cache": True}, ValueError),
        ({"chunk_cache_dir": 5}, TypeError),
        ({"chunk_cache_bytes": -1}, ValueError),
        ({"chunk_cache_max_age": -1}, ValueError),
        ({"chunk_cache_max_age": float("nan")}, ValueError),
        ({"chunk_cache_max_age": "1 day"}, TypeError),
    ],
)
def test_a_choice_that_cannot_be_is_refused_when_it_is_made(choice: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(choice))), options(**choice):
        pass


def test_a_folder_may_be_a_path(tmp_path: Path) -> None:
    with options(cache_dir=tmp_path) as chosen:
        assert chosen.cache_dir == tmp_path


def test_an_option_that_does_not_exist_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(TypeError, match="no option 'engin'; did you mean 'engine'"), options(engin="http"):
        pass
    with pytest.raises(TypeError, match="no option 'colour'; there are engine"):
        current_options({"colour": "red"})


def test_importing_the_options_reads_no_environment() -> None:
    code = "import os; os.environ['NWB_DASK_ENGINE'] = 'curl'; import nwb_dask, nwb_dask.options, nwb_dask.storage"
    subprocess.run([sys.executable, "-c", code], check=True)
