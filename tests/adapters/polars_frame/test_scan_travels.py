"""A lazy frame goes to other processes and into files, without secrets."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import nwb_dask
from nwb_dask.adapters.polars_frame.scan import ScanSource
from nwb_dask.errors import SourceChangedError
from nwb_dask.read import scan_sources
from nwb_dask.testing import RangeServer
from nwb_dask.testing.files import write_session
from tests.adapters.polars_frame.tables import TABLE

SECRETS = ("AKIAVERYHIDDEN", "hush-hush-secret", "hush-hush-token")
OPTIONS = dict(zip(("key", "secret", "token"), SECRETS, strict=True))

_COLLECT = """
import pickle, sys
sent = sys.stdin.buffer.read()
frame = pickle.loads(sent)
sys.stdout.buffer.write(pickle.dumps(frame.collect(engine="streaming")))
"""
_DESERIALIZE = """
import io, pickle, sys
import polars as pl
frame = pl.LazyFrame.deserialize(io.BytesIO(sys.stdin.buffer.read()))
sys.stdout.buffer.write(pickle.dumps(frame.collect()))
"""

FORMS: dict[str, tuple[Callable[[pl.LazyFrame], bytes], str]] = {
    "pickle": (pickle.dumps, _COLLECT),
    "serialize": (lambda frame: frame.serialize(), _DESERIALIZE),
}


@pytest.mark.parametrize("form", FORMS)
def test_query_is_collected_in_another_process(lazy: pl.LazyFrame, form: str) -> None:
    query = lazy.filter(pl.col("rate") > 1).select("id", "kind", "spike_times")
    dumps, script = FORMS[form]
    done = subprocess.run([sys.executable, "-c", script], input=dumps(query), capture_output=True, check=True)
    assert_frame_equal(pickle.loads(done.stdout), query.collect())


@pytest.mark.parametrize("form", FORMS)
def test_no_secret_is_in_the_bytes(files: list[Path], form: str) -> None:
    frame = nwb_dask.scan_nwb(files, TABLE, storage_options=OPTIONS)
    sent = FORMS[form][0](frame.filter(pl.col("rate") > 1)) + frame.explain().encode() + repr(frame).encode()
    for secret in SECRETS:
        assert secret.encode() not in sent
        assert ", ".join(map(str, secret.encode())).encode() not in sent


def test_no_secret_is_in_what_is_compressed_either(files: list[Path]) -> None:
    source = pickle.loads(pickle.dumps(ScanSource(scan_sources(files, TABLE, storage_options=OPTIONS))))
    carried = repr((source, source.scan.access, source.scan.pieces.to_pylist()))
    assert source.scan.access.handle in carried
    assert not any(secret in carried for secret in SECRETS)


def test_a_frame_of_many_files_is_small(lazy: pl.LazyFrame) -> None:
    assert len(pickle.dumps(lazy)) < 12_000


def write_large(path: Path, seed: int) -> Path:
    """Write a session whose spikes and waveforms are too large to be kept with the plan."""
    return write_session(path, seed=seed, n_units=30, spikes_per_unit=4000, waveform_samples=4000)


@pytest.fixture
def sessions(tmp_path: Path) -> list[Path]:
    return [write_large(tmp_path / f"{seed}.nwb", seed) for seed in range(3)]


@pytest.fixture
def served(sessions: list[Path]) -> Iterator[RangeServer]:
    with RangeServer(sessions[0].parent, delay_seconds=0.05) as server:
        yield server


def signed(server: RangeServer, paths: list[Path]) -> list[str]:
    return [f"{server.url(path.name)}?signature=hush" for path in paths]


def test_remote_files_are_read_at_once_and_their_signatures_are_not_shown(
    served: RangeServer, sessions: list[Path]
) -> None:
    frame = nwb_dask.scan_nwb(signed(served, sessions), "/units", include_path_columns=False)
    expected = nwb_dask.read_table(sessions, "/units", engine="polars", include_path_columns=False)
    with nwb_dask.trace() as trace:
        got = frame.filter(pl.col("quality") == "good").collect(engine="streaming")
    assert_frame_equal(got, expected.filter(pl.col("quality") == "good"))
    assert trace.max_in_flight >= len(sessions)
    paths = nwb_dask.scan_nwb(signed(served, sessions), "/units").select("_nwb_path").collect()
    assert "hush" not in f"{paths.rows()} {frame.explain()} {frame!r}"


def test_remote_file_that_changed_is_an_error_that_shows_no_signature(
    served: RangeServer, sessions: list[Path]
) -> None:
    frame = nwb_dask.scan_nwb(signed(served, sessions), "/units")
    write_large(sessions[1], 9)
    with pytest.raises(SourceChangedError, match=sessions[1].name) as caught:
        frame.select("waveform_mean").collect()
    assert "hush" not in str(caught.value)
