"""What a worker needs at most for partitions with ragged columns; `benchmarks.memory` has the figures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.memory import measure_all, missed


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says and resets the peak of a process")
def test_peak_of_a_worker_follows_the_largest_partition_and_not_their_number(tmp_path: Path) -> None:
    found = measure_all(tmp_path, largest_bytes=20_000_000, counts=(30, 120))
    assert len(found) == 16
    assert not missed(found)
