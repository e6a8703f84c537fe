"""A process whose query was answered ends as it should, while polars still reads ahead."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nwb_dask.adapters.polars_frame import ending
from nwb_dask.adapters.polars_frame.ending import until_exit
from tests.adapters.polars_frame.tables import TABLE

SCRIPT = """
import sys, time
import polars as pl
import nwb_dask
from nwb_dask.read import batches

read = batches.read_partition
def slow(*arguments):
    time.sleep(0.3)
    return read(*arguments)
batches.read_partition = slow
batches.N_TOGETHER = 1
frame = nwb_dask.scan_nwb(sys.argv[1:], "{table}").filter(pl.col("count") < 100)
print(frame.head(2).collect(engine="streaming").height)
"""


def test_process_ends_well_after_a_query_that_needed_the_first_rows_only(files: list[Path]) -> None:
    command = [sys.executable, "-c", SCRIPT.format(table=TABLE), *map(str, files * 4)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, b"2", b"")


def test_items_come_one_by_one() -> None:
    made: list[int] = []

    def make() -> Iterator[int]:
        for number in range(3):
            made.append(number)
            yield number

    items = until_exit(make())
    assert made == []
    assert next(items) == 0
    assert made == [0]
    assert list(items) == [1, 2]


def test_end_waits_for_what_is_being_made_and_stops_what_would_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    began, go, log = threading.Event(), threading.Event(), list[str]()
    monkeypatch.setattr(ending._Reads, "is_ending", False)

    def make() -> Iterator[int]:
        began.set()
        go.wait(10)
        log.append("made")
        yield 1
        log.append("made another")

    reader = threading.Thread(target=lambda: list(until_exit(make())))
    reader.start()
    assert began.wait(10)
    threading.Timer(0.1, go.set).start()
    ending._end()
    assert log == ["made"]
    reader.join()
    assert log == ["made"]
    assert ending._Reads.counts == {"held": 0, "running": 0}


def test_iterator_that_someone_holds_does_not_keep_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending._Reads, "is_ending", False)
    items = until_exit(iter([1, 2]))
    next(items)
    ending._end()
    assert list(items) == []


def test_failed_read_is_not_waited_for() -> None:
    with pytest.raises(ValueError, match="gone"):
        next(until_exit(map(int, ["gone"])))
    assert ending._Reads.counts == {"held": 0, "running": 0}
