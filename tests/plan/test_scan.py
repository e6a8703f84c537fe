from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from nwb_dask.errors import PathNotFoundError
from nwb_dask.index import Identity, Url
from nwb_dask.model import Field
from nwb_dask.plan import Piece, Scan
from nwb_dask.plan.predicate import Call, Column, Literal
from nwb_dask.plan.scan import pieces_table


def make_scan(n_files: int = 4, rows: int = 3) -> Scan:
    pieces = []
    for number in range(n_files):
        name = f"/data/session-{number:05}.nwb"
        identity = Identity("mtime", f"{1_700_000_000_000_000_000 + number}:{number}", 1000 + number)
        pieces.append((Piece(Url(name), name, identity, "/units", 0, rows), name.removeprefix("/data/")))
    fields = (Field("id", pa.int64()), Field("quality", pa.string()))
    return Scan("/units", fields, pieces_table(pieces), np.arange(n_files + 1), (("id", 800), ("quality", 80)))


def path_is(*names: str) -> Call:
    return Call("isin", (Column("_nwb_path"), Literal(names)))


def test_a_scan_is_the_same_after_pickling() -> None:
    scan = make_scan()
    again = pickle.loads(pickle.dumps(scan))
    assert again == scan
    assert again.partition(2, fields=scan.fields) == scan.partition(2, fields=scan.fields)


def test_ten_thousand_pairs_pickle_under_a_megabyte() -> None:
    assert len(pickle.dumps(make_scan(10_000))) < 1_000_000


def test_a_partition_pickles_under_three_kilobytes() -> None:
    scan = make_scan()
    assert len(pickle.dumps(scan.partition(0, fields=scan.fields))) < 3_000


def test_the_token_changes_with_the_identity_of_one_file() -> None:
    scan = make_scan()
    values = scan.pieces.column("value").to_pylist()
    changed = scan.pieces.set_column(4, "value", pa.array([*values[:-1], "other"]))
    assert replace(scan, pieces=changed).token != scan.token


def test_taken_partitions_keep_their_order_and_rows() -> None:
    scan = make_scan()
    taken = scan.take([3, 1])
    assert [taken.partition(i, fields=()).pieces[0].name for i in range(2)] == [scan.names()[3], scan.names()[1]]
    assert taken.rows.tolist() == [3, 3]


def test_a_predicate_on_the_path_prunes_all_other_files() -> None:
    scan = make_scan()
    assert scan.may_match(path_is("/data/session-00002.nwb")).tolist() == [False, False, True, False]


def test_a_path_as_typed_is_rewritten_to_the_absolute_one() -> None:
    scan = make_scan()
    assert scan.may_match(scan.canonical(path_is("session-00001.nwb"))).tolist() == [False, True, False, False]


def test_a_predicate_on_other_columns_prunes_nothing() -> None:
    predicate = Call("gt", (Column("id"), Literal(5)))
    assert make_scan().may_match(predicate).all()


def test_an_unknown_column_is_told_with_the_nearest_name() -> None:
    with pytest.raises(PathNotFoundError, match="did you mean 'quality'"):
        make_scan().field("qualty")
