"""Frames whose rows are labelled by what describes their session: known divisions, and joins inside partitions."""

from __future__ import annotations

import pickle
import shutil
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.adapters.dask_frame import frame_of_scan
from nwb_dask.errors import NWBDaskError, PathNotFoundError, PredicateError
from nwb_dask.index import Identity, Url
from nwb_dask.model.field import Field
from nwb_dask.plan.partition import Piece
from nwb_dask.plan.scan import Scan, pieces_table
from nwb_dask.testing.odd_columns import add_column, add_table
from tests.adapters.described_sessions import N_TRIALS, pandas_trials, pandas_units, write_described

ORDER = [2, 0, 3, 1, 4]
"""Files by session_id."""
LABELS = ("ses-0", "ses-1", "ses-2", "ses-3", "ses-4")
UNITS = ["id", "rate", "quality", "subject_id"]
TRIALS = ["id", "start_time"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_described(tmp_path_factory.mktemp("described"))


def read(files: list[Path], table: str, **options: Any) -> Any:
    names = ["session_id", "subject_id"]
    asked: dict[str, Any] = {"index": "session_id", "divisions": True} | options
    frame = dd.read_nwb(files, table, session_columns=names, include_path_columns=False, **asked)
    return frame[UNITS if table == "/units" else TRIALS]


def labelled(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return the rows in the order of their sessions, labelled by them."""
    labels = pd.Index(frame["session_id"].array, name="session_id")
    return frame[columns].set_axis(labels, axis="index").sort_index(kind="stable")


def units_in_memory(files: list[Path]) -> pd.DataFrame:
    return labelled(pandas_units(files), UNITS)


def trials_in_memory(files: list[Path]) -> pd.DataFrame:
    return labelled(pandas_trials(files), TRIALS)


def copies_of(files: list[Path], folder: Path) -> list[Path]:
    return [Path(shutil.copy(path, folder)) for path in files]


def test_files_are_read_in_the_order_of_their_labels_and_divided_by_them(files: list[Path]) -> None:
    frame = read(files, "/units")
    assert frame.divisions == (*LABELS, "ses-4\0")
    pd.testing.assert_frame_equal(frame.compute(), units_in_memory(files))


def test_divisions_are_known_unasked_where_files_come_in_the_order_of_their_labels(files: list[Path]) -> None:
    assert read([files[number] for number in ORDER], "/units", divisions=False).known_divisions
    assert not read(files, "/units", divisions=False).known_divisions
    assert not read([files[number] for number in ORDER], "/units", divisions=False, blocksize=100).known_divisions


def test_sessions_that_share_a_partition_have_a_division_together(files: list[Path]) -> None:
    frame = read(files, "/units", aggregate_files=300)
    assert 1 < frame.npartitions < len(files)
    assert frame.known_divisions
    pd.testing.assert_frame_equal(frame.compute(), units_in_memory(files))
    pd.testing.assert_frame_equal(frame.loc["ses-3"].compute(), units_in_memory(files).loc[["ses-3"]])


def test_tables_of_one_session_share_a_partition(files: list[Path]) -> None:
    frame = dd.read_nwb(
        files, ["/intervals/*"], session_columns=["rig", "session_id"], index="session_id", divisions=True
    )
    twice = dd.read_nwb([*files, *files], "/units", session_columns=["session_id"], index="session_id", divisions=True)
    assert frame.divisions == twice.divisions == (*LABELS, "ses-4\0")
    assert twice.get_partition(1).compute().shape[0] == 2 * frame.nwb.partitions.shape[0] - 2


def test_a_label_that_no_table_has_is_that_of_the_session(files: list[Path]) -> None:
    chosen = [files[number] for number in ORDER]
    frame = dd.read_nwb(chosen, "/units", index="session_id", include_path_columns=False)
    assert frame.divisions == (*LABELS, "ses-4\0")
    assert list(frame.columns) == ["id", "rate", "quality", "spike_times"]
    eager = nwb_dask.read_table(chosen, "/units", columns=["id"], index="session_id", include_path_columns=False)
    pd.testing.assert_frame_equal(eager, units_in_memory(files)[["id"]])


def test_numbers_divide_too(files: list[Path]) -> None:
    chosen = [files[number] for number in (0, 2, 3)]
    frame = dd.read_nwb(chosen, "/units", session_columns=["rig"], index="rig", divisions=True)
    assert frame.divisions == (-1, 3, 7, 8)
    assert frame.loc[3].compute().shape[0] == 4


def test_the_path_of_the_file_divides_too(files: list[Path]) -> None:
    frame = dd.read_nwb(files, "/units", index="_nwb_path")
    assert frame.divisions[:-1] == tuple(map(str, files))
    assert frame.loc[str(files[1])].compute().shape[0] == 3


@pytest.mark.parametrize("labels", ["ses-3", slice("ses-2", "ses-3"), ["ses-0", "ses-3"]], ids=str)
def test_loc_opens_the_files_of_its_labels_only(files: list[Path], tmp_path: Path, labels: Any) -> None:
    copies = copies_of(files, tmp_path)
    frame, expected = read(copies, "/units"), units_in_memory(files)
    wanted = [labels] if isinstance(labels, str) else labels
    chosen = expected.loc[wanted]
    names = set(chosen.index)
    for number, label in zip(ORDER, LABELS, strict=True):
        if label not in names:
            copies[number].unlink()
    pd.testing.assert_frame_equal(frame.loc[labels].compute(), chosen)
    assert frame.loc[labels].nwb.explain().reads[0].n_files == len(names)


def names_of(expr: Any) -> set[str]:
    return {type(node).__name__ for node in expr.walk()}


JOINS: dict[str, Any] = {
    "merge": lambda units, trials: units.merge(trials, left_index=True, right_index=True, suffixes=("", "_of_trial")),
    "left merge": lambda units, trials: units.merge(
        trials, left_index=True, right_index=True, how="left", suffixes=("", "_of_trial")
    ),
    "join": lambda units, trials: units.join(trials.rename(columns={"id": "id_of_trial"})),
    "of some sessions": lambda units, trials: units[units.subject_id == "ann"].merge(
        trials, left_index=True, right_index=True, suffixes=("", "_of_trial")
    ),
}


@pytest.mark.parametrize("name", JOINS)
def test_tables_of_one_session_join_inside_the_partition(files: list[Path], name: str) -> None:
    joined = JOINS[name](read(files, "/units"), read(files, "/intervals/trials"))
    expected = JOINS[name](units_in_memory(files), trials_in_memory(files))
    order = ["session_id", "id", "id_of_trial"]
    got = joined.compute().reset_index().sort_values(order, ignore_index=True)
    wanted = expected.reset_index().sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(got, wanted, check_dtype=False)
    tasks = {str(key) for key in joined.optimize().__dask_graph__()}
    assert not [key for key in tasks if "shuffle" in key or "p2p" in key or "hash-join" in key]


def test_a_join_of_all_sessions_is_one_read_of_each_table_and_no_more(files: list[Path]) -> None:
    joined = JOINS["merge"](read(files, "/units"), read(files, "/intervals/trials"))
    lowered = joined.expr.optimize(fuse=False)
    assert names_of(lowered) <= {"BlockwiseMerge", "ReadNWB", "Projection", "NWBProjection"}
    assert lowered.npartitions == len(files)


def test_a_join_with_sessions_that_lack_the_other_table_needs_no_shuffle(files: list[Path]) -> None:
    units, trials = read(files[1:], "/units"), read(files[:4], "/intervals/trials")
    joined = JOINS["merge"](units, trials)
    expected = JOINS["merge"](units_in_memory(files), trials_in_memory(files))
    expected = expected[expected.index.isin(["ses-3", "ses-0", "ses-2"])]
    assert joined.compute().shape == expected.shape
    assert not [name for name in names_of(joined.expr.optimize(fuse=False)) if "Shuffle" in name or "P2P" in name]


def test_the_last_two_sessions_stay_apart_when_frames_are_aligned(files: list[Path]) -> None:
    """The last division belongs to the partition before it: without one more they would be one partition."""
    counts = read(files, "/intervals/trials").map_partitions(len).compute()
    assert counts.tolist() == [N_TRIALS[number] for number in ORDER]
    joined = JOINS["merge"](read(files, "/units"), read(files, "/intervals/trials"))
    assert joined.optimize().npartitions == len(files)


def test_a_filter_keeps_divisions_known(files: list[Path]) -> None:
    frame = read(files, "/units")
    chosen = frame[frame.subject_id == "ann"].optimize()
    assert chosen.divisions == ("ses-1", "ses-2", "ses-2\0")
    later = frame.partitions[2:]
    assert later.divisions == ("ses-2", "ses-3", "ses-4", "ses-4\0")
    pd.testing.assert_frame_equal(later.compute(), units_in_memory(files).loc[["ses-2", "ses-3"]])
    assert not frame.partitions[[3, 1]].optimize().known_divisions


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"index": None}, ValueError, "divisions=True needs the labels"),
        ({"blocksize": 100}, ValueError, "which blocksize= splits"),
        ({"index": "subject_id"}, PredicateError, "divisions of 'subject_id': it is absent"),
        ({"index": "id"}, PredicateError, "divisions of 'id': that column of /units is not the same in all rows"),
        ({"index": "session_ids"}, PathNotFoundError, "no column 'session_ids'"),
    ],
)
def test_divisions_that_cannot_be_known_are_an_error(
    files: list[Path], options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as found:
        read(files, "/units", **options)
    if isinstance(found.value, NWBDaskError):
        assert "/units" in str(found.value)


def test_tasks_stay_small_and_carry_the_columns_that_they_need(files: list[Path]) -> None:
    names = [name for name in nwb_dask.read_metadata(files[:1]).columns if name != "_nwb_path"]
    frame = dd.read_nwb(files, "/units", session_columns=names)
    largest = max(len(pickle.dumps(task)) for task in frame.optimize().__dask_graph__().values())
    assert largest < 10_000
    of_one = frame[["id", "lab"]].optimize().__dask_graph__()
    assert not [task for task in of_one.values() if b"ses-1" in pickle.dumps(task)]


def _write_waveforms(path: Path, *, chunk_rows: int) -> None:
    with h5py.File(path, "w") as file:
        file.attrs.update({"neurodata_type": "NWBFile", "namespace": "core", "nwb_version": "2.8.0", "object_id": "0"})
        file["general/session_id"] = path.stem
        table = add_table(file, "units", {"rate": np.arange(100.0)}, kind="Units")
        waves = np.arange(100.0 * 64, dtype="f4").reshape(100, 64)
        add_column(table, "waveform_mean", waves, chunks=(chunk_rows, 64), compression="gzip")
        table.attrs.create("colnames", ["rate", "waveform_mean"], dtype=h5py.string_dtype())


def test_blocks_begin_at_borders_of_the_chunks_of_the_largest_column(tmp_path: Path) -> None:
    paths = [tmp_path / f"{chunk_rows}.nwb" for chunk_rows in (7, 16)]
    for path in paths:
        _write_waveforms(path, chunk_rows=int(path.stem))
    # 272 bytes a row: 36 rows are less than 10,000 bytes.
    frame = dd.read_nwb(paths, "/units", blocksize=10_000, session_columns=["session_id", "n_rows"])
    pieces = frame.nwb.partitions
    assert pieces[["session_id", "start"]].to_numpy().tolist() == [
        ["7", 0], ["7", 35], ["7", 70], ["16", 0], ["16", 32], ["16", 64], ["16", 96],
    ]  # fmt: skip
    got = frame.compute()
    assert got["n_rows"].eq(100).all()
    for path in paths:
        with h5py.File(path) as file:
            rows = got[got["session_id"] == path.stem]
            np.testing.assert_array_equal(np.stack(rows["waveform_mean"]), file["units/waveform_mean"][:])
    together = dd.read_nwb(paths, "/units", blocksize=10_000, aggregate_files=20_000, session_columns=["session_id"])
    assert together.npartitions < frame.npartitions
    assert together.session_id.compute().tolist() == got["session_id"].tolist()


def test_ten_thousand_sessions_are_planned_pickled_and_pruned_in_no_time() -> None:
    count = 10_000
    identity = Identity("size", "", 1)
    names = [f"/data/sub-{number:05}.nwb" for number in range(count)]
    pieces = pieces_table((Piece(Url(name), name, identity, "/units", 0, 100), name) for name in names)
    constants = pa.table(
        {
            "session_id": [f"ses-{number:05}" for number in range(count)],
            "subject_id": [f"mouse-{number // 10}" for number in range(count)],
        }
    )
    fields = (
        Field("id", pa.int64()),
        *(Field(name, pa.string(), nullable=True, is_constant=True) for name in constants.column_names),
    )
    scan = Scan("/units", fields, pieces, np.arange(count + 1), constants=constants)
    frame = frame_of_scan(scan)
    start = time.process_time()
    one = frame[frame.session_id == "ses-00042"].optimize()
    some = frame[(frame.subject_id == "mouse-7") & (frame.id > 5)].optimize()
    assert time.process_time() - start < 2
    assert (one.npartitions, some.npartitions, len(frame[frame.subject_id == "mouse-7"])) == (1, 10, 1000)
    packed = pickle.dumps(scan)
    assert len(packed) < 400_000
    copy = pickle.loads(packed)
    assert (copy.token, copy.constants.equals(constants)) == (scan.token, True)
    assert Scan("/units", fields, copy.pieces, copy.bounds, constants=constants.slice(0)).token == scan.token
    other = constants.set_column(1, "subject_id", pa.array(["x"] * count))
    assert Scan("/units", fields, pieces, scan.bounds, constants=other).token != scan.token
    assert frame_of_scan(scan, index="session_id").divisions[-2:] == ("ses-09999", "ses-09999\0")
