"""Ten thousand files cost little to plan, to send and to schedule, and are called the same everywhere."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from dask.dataframe.extensions import make_array_nonempty
from dask.sizeof import sizeof
from dask.tokenize import tokenize
from dask.utils import key_split

from nwb_dask.adapters.dask_frame import frame_of_scan
from nwb_dask.adapters.ragged_dtype import NWBArray
from nwb_dask.index import Identity, Url
from nwb_dask.plan.partition import Piece
from nwb_dask.plan.scan import Scan, pieces_table
from tests.adapters.dask_frame.memory import ALL_FIELDS, TABLE, Memory, make_scan

N_FILES = 10_000

QUERIES: dict[str, Callable[[Any], Any]] = {
    "all columns": lambda d: d[d.rate > 1],
    "one column of filtered rows": lambda d: d[(d.quality == "good") & (d.rate > 1) & d.x.between(1, 3)].spike_times,
    "sum": lambda d: d.id.sum(),
    "one file": lambda d: d[d._nwb_path.str.endswith("-77.nwb")],
}


@pytest.fixture(scope="module")
def many() -> dd.DataFrame:
    """A frame of ten thousand files that do not exist."""
    pieces = []
    for i in range(N_FILES):
        name = f"/data/dandi/000{i % 97:03}/sub-{i:06}/sub-{i:06}_ses-{i * 7919 % 10**8}_ecephys-{i}.nwb"
        identity = Identity("mtime", f"{1_700_000_000_000_000_000 + i * 7919}:{i}", 10**7 + i)
        pieces.append((Piece(Url(name), name, identity, TABLE, 0, 300), name))
    scan = Scan(TABLE, ALL_FIELDS, pieces_table(pieces), np.arange(N_FILES + 1, dtype=np.int64))
    return frame_of_scan(scan)


def seconds(do: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = do()
    return time.process_time() - start, result


@pytest.mark.parametrize("query", QUERIES)
def test_ten_thousand_files_are_cheap(many: dd.DataFrame, query: str) -> None:
    optimizing, optimized = seconds(lambda: QUERIES[query](many).optimize())
    sent = pickle.dumps(optimized.expr)
    building, graph = seconds(lambda: pickle.loads(sent).__dask_graph__())
    reading = [task for task in graph.values() if not getattr(task, "dependencies", True)]
    largest = max(len(pickle.dumps(task)) for task in reading[:: max(1, len(reading) // 50)])
    assert optimizing < 1
    assert len(sent) < 1_000_000
    assert building < 1
    assert largest < 3_000


def test_filter_on_one_file_sends_that_file_only(many: dd.DataFrame) -> None:
    optimized = QUERIES["one file"](many).optimize()
    assert optimized.npartitions == 1
    assert len(pickle.dumps(optimized.expr)) < 10_000


def test_building_is_quick(many: dd.DataFrame) -> None:
    taken, _ = seconds(lambda: many[many.rate > 1][["id", "spike_times"]].head(5, compute=False).optimize())
    assert taken < 0.5


def test_keys_name_the_table(many: dd.DataFrame) -> None:
    assert key_split(many._name) == "read-nwb-units"


NAMES = """
import dask
from nwb_dask.adapters.dask_frame import frame_of_scan
from tests.adapters.dask_frame.memory import Memory, make_scan
d = frame_of_scan(make_scan(Memory(), [3, 2, 4]))
kept = d[d.quality.isin({"good", "mua", "a", "b", "c"}) & (d.rate > 0.1)].spike_times
print(kept.optimize()._name, d.query("name in ['a', 'b']").optimize()._name)

from dataclasses import replace
from datetime import UTC, datetime
import pyarrow as pa
from nwb_dask.model.field import Field
scan = make_scan(Memory(), [3, 2, 4])
days = pa.array([datetime(2024, 1, 1, tzinfo=UTC), None, datetime(2024, 1, 3, tzinfo=UTC)], pa.timestamp("us", "UTC"))
constants = pa.table({"day": days, "who": pa.array([["a"], None, []], pa.large_list(pa.string()))})
fields = tuple(Field(one.name, one.type, nullable=True, is_constant=True) for one in constants.schema)
d = frame_of_scan(replace(scan, fields=(*scan.fields, *fields), constants=constants))
print(d._name, d[d.day > datetime(2024, 1, 2, tzinfo=UTC)].optimize()._name)
"""


def test_names_do_not_depend_on_the_process() -> None:
    seen = {
        subprocess.run(
            [sys.executable, "-c", NAMES],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


@pytest.mark.parametrize("query", QUERIES)
def test_expressions_survive_pickling(memory: Memory, query: str) -> None:
    result = QUERIES[query](frame_of_scan(make_scan(memory, [5, 4, 0])))
    for one in (result, result.optimize()):
        copy = pickle.loads(pickle.dumps(one))
        assert copy._name == one._name
        assert copy.npartitions == one.npartitions
        assert str(copy.compute()) == str(one.compute())


def test_tokens_of_scans_tell_them_apart(memory: Memory) -> None:
    scan, other = make_scan(memory, [5, 4]), make_scan(memory, [5, 3])
    assert tokenize(scan) == tokenize(pickle.loads(pickle.dumps(scan)))
    assert tokenize(scan) != tokenize(other)


def test_tree_is_short_to_look_at(many: dd.DataFrame) -> None:
    text = "\n".join(many[many.rate > 1].optimize(fuse=False).expr._tree_repr_lines())
    assert "partitions=10000" in text
    assert len(text) < 1_000


def test_dask_knows_sizes_and_samples_of_ragged_columns(memory: Memory) -> None:
    column = frame_of_scan(make_scan(memory, [50])).spike_times.compute()
    assert isinstance(column.array, NWBArray)
    assert sizeof(column.array) >= column.array.nbytes > 0
    assert len(make_array_nonempty(column.dtype)) == 2


def test_size_of_ragged_columns_is_right_within_a_tenth() -> None:
    for n_rows, length in ((1000, 1), (1000, 50), (20, 5000)):
        values = [np.arange(length, dtype=float)] * n_rows
        frame = pd.DataFrame({"spike_times": NWBArray(pa.array(values, pa.large_list(pa.float64())))})
        for part in (frame, frame.iloc[: n_rows // 2], frame[frame.index % 2 == 0]):
            n_bytes = len(part) * (length + 1) * 8
            assert sizeof(part.spike_times.array) == pytest.approx(n_bytes, rel=0.1)
            # dask adds a thousand bytes for the frame itself.
            assert sizeof(part) == pytest.approx(n_bytes + sizeof(part.index), rel=0.1, abs=2_000)


def test_tasks_are_told_by_key(memory: Memory) -> None:
    scan = make_scan(memory, [5, 4, 3])
    frame = frame_of_scan(scan)
    kept = frame[frame._nwb_path != scan.names()[1]]
    told = kept.nwb.tasks()
    assert told.file.tolist() == [scan.names()[0], scan.names()[2]]
    assert set(told.key) <= {str(key) for key in kept.optimize(fuse=False).dask}
    assert told.key.str.startswith("('read-nwb-").all()
    assert frame.partitions[[2, 0]].nwb.tasks().file.tolist() == [scan.names()[2], scan.names()[0]]
    pd.testing.assert_frame_equal(told.drop(columns="key"), kept.nwb.partitions.drop(columns="partition"))


def test_fused_partitions_are_one_task_each(memory: Memory) -> None:
    frame = frame_of_scan(make_scan(memory, [5, 4, 3]))
    assert len((frame[frame.x > 1].id + 1).optimize().dask) == 3
    with dask.config.set(scheduler="synchronous"):
        assert len((frame[frame.x > -9].id + 1).optimize().compute()) == 12
