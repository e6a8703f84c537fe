from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import nwb_dask
from nwb_dask.cataloguing.catalog import Catalog
from nwb_dask.cataloguing.statistics import column_rows
from nwb_dask.read import scan_sources
from nwb_dask.read.catalogued import scan_statistics


@pytest.fixture(scope="module", params=[2, 1 << 16])
def ranged(written: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Catalog:
    """A catalog with statistics of ranges of so many rows."""
    return nwb_dask.build_catalog(written, tmp_path_factory.mktemp("ranged") / "catalog", range_rows=request.param)


def values_of_pieces(rows: pa.Table, name: str, n_rows: list[int]) -> list[list[Any]]:
    values, ends = rows.column(name).to_pylist(), np.cumsum([0, *n_rows]).tolist()
    return [values[start:stop] for start, stop in pairwise(ends)]


@pytest.mark.parametrize("table", ["/units", "/intervals/trials", "/general/extracellular_ephys/electrodes"])
@pytest.mark.parametrize("blocksize", [None, 200])
def test_what_is_known_of_pieces_holds_of_the_values_that_are_read(
    written: Path, ranged: Catalog, table: str, blocksize: int | None
) -> None:
    scan = scan_sources(ranged, table, blocksize=blocksize)
    known = scan_statistics(ranged, scan)
    assert known is not None
    rows = nwb_dask.read_table(written, table, engine="arrow")
    n_rows = (scan.pieces.column("stop").to_numpy() - scan.pieces.column("start").to_numpy()).tolist()
    n_known = 0
    for name in set(known) & set(rows.column_names):
        found = known[name]
        for piece, values in enumerate(values_of_pieces(rows, name, n_rows)):
            numbers = [one for one in values if one is not None and one == one]  # noqa: PLR0124  # NaN
            low, high = found.minimum[piece].as_py(), found.maximum[piece].as_py()
            assert found.n_null[piece] in {-1, values.count(None)}
            assert found.n_nan[piece] in {-1, sum(one != one for one in values)}  # noqa: PLR0124  # NaN
            if found.is_known[piece] and numbers:
                n_known += 1
                assert low <= min(numbers)
                assert high >= max(numbers)
                if blocksize is None:
                    assert (low, high) == (min(numbers), max(numbers))
            if found.values is not None and found.values[piece].is_valid:
                assert set(found.values[piece].as_py()) >= set(numbers)
    assert n_known >= 8


def test_ranges_of_rows_that_cannot_match_are_not_read(written: Path, tmp_path: Path) -> None:
    made = nwb_dask.build_catalog(written, tmp_path / "catalog", range_rows=2)
    scan = scan_sources(made, "/units")
    assert scan.n_partitions == 4
    assert scan.partition(0, fields=scan.fields).pieces[0].stop == 5
    ids = nwb_dask.read_table(written, "/units", engine="arrow").column("id").to_pylist()
    wanted = [("id", "==", ids[4])]
    predicate = scan.predicate(wanted)
    assert predicate is not None
    left = scan.without_pieces(predicate)
    assert [(one.start, one.stop) for one in left.partition(0, fields=scan.fields).pieces] == [(4, 5)]
    ours, theirs = (nwb_dask.read_table(one, "/units", filters=wanted) for one in (made, written))
    assert ours.equals(theirs)
    assert len(ours) == ids.count(ids[4])


def test_column_that_a_file_lacks_is_null_in_all_its_rows(catalog: Catalog) -> None:
    scan = scan_sources(catalog, ["/units", "/intervals/trials"])
    known = scan_statistics(catalog, scan)
    assert known is not None
    paths = scan.pieces.column("table").to_pylist()
    counts = known["quality"].n_null.tolist()
    stops = scan.pieces.column("stop").to_pylist()
    assert counts == [0 if path == "/units" else stop for path, stop in zip(paths, stops, strict=True)]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (pa.array([0.1, None, float("nan")], pa.float32()), (1, 1, None, None, 0.1, 0.1, None, None, None)),
        (pa.array([float("nan")] * 2), (0, 2, None, None, None, None, None, None, None)),
        (pa.array([3, None, 2], pa.uint8()), (1, 0, 2, 3, None, None, None, None, None)),
        (pa.array([2**63], pa.uint64()), (0, 0, None, None, None, None, None, None, None)),
        (pa.array([True, False]), (0, 0, 0, 1, None, None, None, None, None)),
        (pa.array(["b", "a", None]), (1, 0, None, None, None, None, "a", "b", ("a", "b"))),
        (pa.array(["x" * 300, "a"]), (0, 0, None, None, None, None, None, None, ("a", "x" * 300))),
        (pa.array([str(i) for i in range(65)]), (0, 0, None, None, None, None, "0", "9", None)),
        (pa.array(["b", "a"]).dictionary_encode(), (0, 0, None, None, None, None, "a", "b", ("a", "b"))),
    ],
    ids=["float32", "only NaN", "integers", "too large", "booleans", "text", "long text", "much text", "categories"],
)
def test_bounds_counts_and_distinct_values(values: pa.Array, told: tuple[object, ...]) -> None:
    ((start, stop, *found),) = column_rows(values, range_rows=1000)
    assert (start, stop) == (0, len(values))
    exact = tuple(pa.scalar(0.1, pa.float32()).as_py() if one == 0.1 else one for one in told)
    assert tuple(found) == exact


def test_ranges_of_rows_follow_each_other() -> None:
    found = list(column_rows(pa.array(range(10)), range_rows=4))
    assert [one[:2] for one in found] == [(0, 4), (4, 8), (8, 10)]
    assert [one[4:6] for one in found] == [(0, 3), (4, 7), (8, 9)]
    assert not list(column_rows(pa.array([[1]]), range_rows=4))
