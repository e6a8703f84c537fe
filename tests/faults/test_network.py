"""What goes wrong on the way and passes leaves the answer exact; what stays is an error; nothing takes for ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nwb_dask.errors import NWBDaskError, SourceAccessError, SourceNotFoundError, SourceUnavailableError
from nwb_dask.options import options
from nwb_dask.testing import TRANSIENT, Fault, RangeServer
from tests.faults.network import (
    GOOD_SPIKES,
    NAME,
    QUESTIONS,
    SPIKES,
    Ask,
    Question,
    both_doors,
    check_exact,
    compute,
    fails_as,
    plan,
    write_large,
)
from tests.faults.reading import QUERY

ENGINES = ("http", "obstore", "fsspec", "remfile")
WRONG_ONCE: tuple[Fault | int, ...] = (*TRANSIENT, 408)
ANOTHER_PART: tuple[Fault, ...] = ("short-range", "wrong-start", "no-content-range")
HARMLESS: tuple[Fault, ...] = ("ignore-range", "no-suffix", "chunked", "gzip")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_large(tmp_path_factory.mktemp("network") / NAME)


@pytest.fixture
def path(written: Path, tmp_path: Path) -> Path:
    """The file, in a folder of its own."""
    path = tmp_path / "served" / NAME
    path.parent.mkdir()
    path.write_bytes(written.read_bytes())
    return path


@pytest.fixture
def server(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RangeServer]:
    # Nothing that an earlier run has left on disk may answer.
    monkeypatch.setenv("NWB_DASK_CACHE", "off")
    with RangeServer(path.parent) as server:
        yield server


def inject(server: RangeServer, kind: Fault | int, *, after: int = 0, times: int | None = None) -> None:
    """Inject a fault, or an error status."""
    if isinstance(kind, int):
        server.inject(NAME, "status", status=kind, after=after, times=times)
    else:
        server.inject(NAME, kind, after=after, times=times)


# --- What passes


@both_doors
@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("kind", WRONG_ONCE)
def test_what_goes_wrong_once_leaves_the_answer_exact(
    server: RangeServer, path: Path, ask: Ask, kind: Fault | int, after: int
) -> None:
    inject(server, kind, after=after, times=1)
    check_exact(server, path, ask)
    assert server.n_faults == 1


@pytest.mark.parametrize("kind", WRONG_ONCE)
def test_what_goes_wrong_once_when_data_is_read_leaves_it_exact(
    server: RangeServer, path: Path, kind: Fault | int
) -> None:
    frame = plan(server.url(NAME))
    inject(server, kind, times=1)
    assert compute(frame) == SPIKES.by_h5py(path)
    assert server.n_faults == 1


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", [503, "reset", "reset-body", "truncate"])
def test_whoever_fetches_the_bytes_tries_again(
    server: RangeServer, path: Path, monkeypatch: pytest.MonkeyPatch, kind: Fault | int, engine: str
) -> None:
    monkeypatch.setenv("NWB_DASK_ENGINE", engine)
    inject(server, kind, times=2)
    frame = plan(server.url(NAME))
    inject(server, kind, times=2)
    assert compute(frame) == SPIKES.by_h5py(path)
    assert server.n_faults == 4


@both_doors
@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
@pytest.mark.parametrize("kind", HARMLESS)
def test_unusual_servers_leave_the_answer_exact(
    server: RangeServer, path: Path, ask: Ask, question: Question, kind: Fault
) -> None:
    inject(server, kind)
    check_exact(server, path, ask, question)
    assert server.n_faults > 0


@both_doors
def test_a_server_without_ranges_is_asked_for_the_file_once_or_twice(server: RangeServer, path: Path, ask: Ask) -> None:
    inject(server, "ignore-range")
    check_exact(server, path, ask, GOOD_SPIKES)
    whole = [request for request in server.log if "range" not in request.headers]
    # Once for the plan, and once for the data.
    assert len(whole) <= 2


@both_doors
def test_compressed_answers_are_not_asked_for(server: RangeServer, path: Path, ask: Ask) -> None:
    # A part of a compressed file is no part of the file.
    check_exact(server, path, ask)
    assert {request.headers.get("accept-encoding", "identity") for request in server.log} == {"identity"}


def test_a_pause_that_the_server_asks_for_is_kept(server: RangeServer, path: Path) -> None:
    frame = plan(server.url(NAME))
    server.reset()
    server.inject(NAME, "status", status=429, retry_after=1, times=1)
    assert compute(frame) == SPIKES.by_h5py(path)
    refused, *later = server.log
    again = next(one for one in later if one.headers["range"] == refused.headers["range"])
    assert again.arrived - refused.arrived >= 0.95


@both_doors
@pytest.mark.parametrize("after", [0, 2])
def test_a_slow_server_is_waited_for(server: RangeServer, path: Path, ask: Ask, after: int) -> None:
    server.inject(NAME, "stall", seconds=0.3, after=after, times=1)
    check_exact(server, path, ask)
    assert server.n_faults == 1


@both_doors
def test_a_slow_line_is_waited_for(server: RangeServer, path: Path, ask: Ask) -> None:
    server.inject(NAME, "drip", bytes_per_second=3e6)
    check_exact(server, path, ask)
    assert server.n_faults > 0


# --- What stays

PERMANENT: dict[Fault | int, type[NWBDaskError]] = {
    400: SourceUnavailableError,
    401: SourceAccessError,
    403: SourceAccessError,
    404: SourceNotFoundError,
    410: SourceNotFoundError,
    429: SourceUnavailableError,
    500: SourceUnavailableError,
    503: SourceUnavailableError,
    "expired": SourceAccessError,
    "close": SourceUnavailableError,
    "reset": SourceUnavailableError,
    "reset-body": SourceUnavailableError,
    "truncate": SourceUnavailableError,
    **dict.fromkeys(ANOTHER_PART, SourceUnavailableError),
}


@pytest.mark.parametrize(("kind", "error"), PERMANENT.items(), ids=map(str, PERMANENT))
def test_what_stays_wrong_is_an_error_when_a_file_is_opened(
    server: RangeServer, kind: Fault | int, error: type[NWBDaskError]
) -> None:
    inject(server, kind)
    url = server.url(NAME)
    with options(deadline=0.5), fails_as(error, url):
        plan(url + QUERY)
    assert server.n_faults > 0


@pytest.mark.parametrize(("kind", "error"), PERMANENT.items(), ids=map(str, PERMANENT))
def test_what_stays_wrong_is_an_error_when_data_is_read(
    server: RangeServer, kind: Fault | int, error: type[NWBDaskError]
) -> None:
    url = server.url(NAME)
    with options(deadline=0.5):
        frame = plan(url + QUERY)
        inject(server, kind)
        with fails_as(error, url):
            compute(frame)
    assert server.n_faults > 0


@pytest.mark.parametrize("kind", ANOTHER_PART)
def test_another_part_of_the_file_than_was_asked_for_is_never_taken_for_it(server: RangeServer, kind: Fault) -> None:
    frame = plan(server.url(NAME) + QUERY)
    inject(server, kind, times=1)
    with fails_as(SourceUnavailableError, server.url(NAME)):
        compute(frame)


@pytest.mark.parametrize("kind", [401, 403, 404, 410, "expired"])
def test_what_is_refused_is_not_asked_for_again(server: RangeServer, kind: Fault | int) -> None:
    frame = plan(server.url(NAME))
    inject(server, kind)
    server.reset()
    with pytest.raises(SourceUnavailableError):
        compute(frame)
    ranges = [request.headers["range"] for request in server.log]
    assert len(ranges) == len(set(ranges))


SLOW: dict[Fault, dict[str, float]] = {"stall": {"seconds": 6}, "drip": {"bytes_per_second": 40_000}}
slow = pytest.mark.parametrize(("fault", "how"), SLOW.items(), ids=SLOW.keys())


@both_doors
@slow
def test_a_server_that_is_too_slow_is_left_at_the_deadline(
    server: RangeServer, ask: Ask, fault: Fault, how: dict[str, Any]
) -> None:
    server.inject(NAME, fault, **how)
    with options(deadline=0.5), fails_as(SourceUnavailableError, server.url(NAME), match="in time", seconds=3):
        ask(server.url(NAME) + QUERY, SPIKES)


@slow
def test_a_server_that_becomes_too_slow_is_left_at_the_deadline(
    server: RangeServer, fault: Fault, how: dict[str, Any]
) -> None:
    with options(deadline=0.5):
        frame = plan(server.url(NAME) + QUERY)
        server.inject(NAME, fault, **how)
        with fails_as(SourceUnavailableError, server.url(NAME), match="in time", seconds=3):
            compute(frame)


def test_a_pause_beyond_the_deadline_is_not_waited_for(server: RangeServer) -> None:
    server.inject(NAME, "status", status=503, retry_after=3600)
    with options(deadline=0.5), fails_as(SourceUnavailableError, server.url(NAME), match="503", seconds=4):
        plan(server.url(NAME) + QUERY)


def test_one_of_many_files_that_stays_wrong_is_named(server: RangeServer, path: Path) -> None:
    urls = []
    for i in range(5):
        path.with_name(f"{i}.nwb").hardlink_to(path)
        urls.append(server.url(f"{i}.nwb"))
    with options(deadline=0.5):
        frame = plan([url + QUERY for url in urls])
        server.inject("3.nwb", "status", status=500)
        with fails_as(SourceUnavailableError, urls[3]):
            compute(frame)
