"""Files that give a column different types, and columns that are broken next to good ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.adapters.ragged_dtype import NWBDtype
from nwb_dask.errors import MalformedFileError, SchemaConflictError
from nwb_dask.testing import odd_columns, oddities
from nwb_dask.testing.odd_columns import TEXT, add_column, add_table, new_file
from tests.faults.reading import Read, check_error, enum_of, every_engine, read_arrow, sent, values, write_column

NAN = float("nan")
LISTS, PAIRS, RECORD = pa.large_list(pa.float64()), pa.list_(pa.float64(), 2), pa.struct([("a", pa.int16())])


def column(data: Any, **options: Any) -> Callable[[Path], Path]:
    return lambda path: write_column(path, data, **options)


def of(code: str, *items: float) -> Callable[[Path], Path]:
    return column(np.array(items, code))


def enum(codes: list[int], *names: str) -> Callable[[Path], Path]:
    return column(np.array(codes, "u1"), dtype=enum_of(*names))


def written(folder: Path, *writers: Callable[[Path], Path]) -> list[Path]:
    return [write(folder / f"{number}.nwb") for number, write in enumerate(writers)]


AGREEING: dict[str, tuple[Callable[[Path], Path], Callable[[Path], Path], pa.DataType, list[Any]]] = {
    "int and float": (of("i4", 1, 2), of("f4", 1.5, -2), pa.float64(), [1, 2, 1.5, -2]),
    "narrow and wide ints": (of("i1", -1, 2), of("i8", 2**60, 3), pa.int64(), [-1, 2, 2**60, 3]),
    "signed and unsigned": (of("u1", 255, 0), of("i1", -128, 0), pa.int16(), [255, 0, -128, 0]),
    "uint64 and int64": (of("u8", 1, 2), of("i8", -1, 2), pa.int64(), [1, 2, -1, 2]),
    "float16 and float64": (of("f2", 0.5, 2), of("f8", 0.1, 2), pa.float64(), [0.5, 2, 0.1, 2]),
    "byte orders": (of(">i2", 1, 2), of("<i2", 3, 4), pa.int16(), [1, 2, 3, 4]),
    "bool and int": (of("?", 1, 0), of("i4", 5, 6), pa.int32(), [1, 0, 5, 6]),
    "fixed and variable text": (column(np.array([b"a", b"bc"])), column(["é", ""]), pa.string(), ["a", "bc", "é", ""]),
    "enum and text": (enum([0, 1], "red", "green"), column(["x", ""]), pa.string(), ["red", "green", "x", ""]),
    "fixed shapes": (
        column(np.ones((2, 1))), column(np.zeros((2, 2))), pa.large_list(pa.float64()), [[1], [1], [0, 0], [0, 0]],
    ),
    "the same shape of other numbers": (
        column(np.ones((2, 2), "i2")), column(np.zeros((2, 2))), pa.list_(pa.float64(), 2), [[1, 1]] * 2 + [[0, 0]] * 2,
    ),
    "ragged and scalar": (
        column(np.array([1.0, 2, 3]), ends=[1, 3]), of("f8", 4, 5), LISTS, [[1], [2, 3], [4], [5]],
    ),
    "ragged and fixed": (
        column(np.array([1, 2, 3], "i4"), ends=[0, 3]), column(np.ones((2, 2), "i4")), pa.large_list(pa.int32()),
        [[], [1, 2, 3], [1, 1], [1, 1]],
    ),
    "fields of compounds": (
        column(np.array([(1, 2.5)] * 2, [("a", "i2"), ("b", "f4")])), column(np.array([(3,)] * 2, [("a", "i4")])),
        pa.struct([("a", pa.int32()), ("b", pa.float32())]), [{"a": 1, "b": 2.5}] * 2 + [{"a": 3, "b": None}] * 2,
    ),
}  # fmt: skip


@every_engine
@pytest.mark.parametrize("reverse", [False, True], ids=["", "reversed"])
@pytest.mark.parametrize("case", AGREEING)
def test_types_that_differ_are_unified_without_loss(read: Read, case: str, reverse: bool, tmp_path: Path) -> None:  # noqa: FBT001  # a case
    left, right, data_type, expected = AGREEING[case]
    paths = written(tmp_path, left, right)
    if reverse:
        paths, expected = paths[::-1], expected[2:] + expected[:2]
    assert values(read(paths, "/t"), "x") == expected
    found = read_arrow(paths, "/t").schema.field("x").type
    assert {part.name for part in found} == {"a", "b"} if case.startswith("fields") else found == data_type


@every_engine
def test_enumerations_of_other_categories_are_joined_by_name(read: Read, tmp_path: Path) -> None:
    paths = written(tmp_path, enum([0, 1], "red", "green"), enum([0, 1], "green", "blue"))
    frame = read(paths, "/t")
    assert values(frame, "x") == ["red", "green", "green", "blue"]
    if hasattr(frame, "loc"):
        assert set(frame["x"].cat.categories) == {"red", "green", "blue"}


@every_engine
def test_uint64_ids_too_large_for_int64_are_an_error_and_never_wrong(read: Read, tmp_path: Path) -> None:
    paths = written(tmp_path, of("u8", 2**64 - 1, 1), of("i8", -1, 2))
    with pytest.raises(SchemaConflictError, match="does not fit int64") as caught:
        read(paths, "/t")
    check_error(caught.value, kind=SchemaConflictError, builtin=TypeError, names=paths[0])
    assert "schema_overrides={'x': ...}" in str(caught.value)
    assert values(read(paths[:1], "/t"), "x") == [2**64 - 1, 1]


@every_engine
def test_an_integer_too_large_for_a_float_is_an_error_and_never_rounded(read: Read, tmp_path: Path) -> None:
    paths = written(tmp_path, of("i8", 2**60 + 1, 1), of("f8", 0.5, 2))
    with pytest.raises(SchemaConflictError, match="does not fit double"):
        read(paths, "/t")
    assert values(read(paths, "/t", schema_overrides={"x": "string"}), "x")[0] == str(2**60 + 1)


CONFLICTS = {
    "text and number": (column(["a", "b"]), of("i4", 1, 2)),
    "text and bool": (column(["a", "b"]), of("?", 1, 0)),
    "enum and number": (enum([0, 1], "red", "green"), of("i4", 1, 2)),
    "compound and number": (column(np.array([(1,)] * 2, [("a", "i2")])), of("i4", 1, 2)),
    "lists of text and of numbers": (column(["a", "b"], ends=[1, 2]), column(np.arange(2.0), ends=[1, 2])),
}


@every_engine
@pytest.mark.parametrize("case", CONFLICTS)
def test_types_without_a_common_one_are_an_error_that_names_both_files(read: Read, case: str, tmp_path: Path) -> None:
    paths = written(tmp_path, *CONFLICTS[case])
    with pytest.raises(SchemaConflictError, match="schema_overrides") as caught:
        read(paths, "/t")
    check_error(caught.value, kind=SchemaConflictError, builtin=TypeError, names=f"/t of {paths[0]}")
    assert f"/t of {paths[1]}" in str(caught.value)
    assert "column 'x'" in str(caught.value)


@every_engine
@pytest.mark.parametrize("case", CONFLICTS)
def test_a_conflict_harms_nobody_who_does_not_read_the_column(read: Read, case: str, tmp_path: Path) -> None:
    assert values(read(written(tmp_path, *CONFLICTS[case]), "/t", columns=["row"]), "row") == [0, 1, 0, 1]


@every_engine
@pytest.mark.parametrize("wanted", ["string", str, pa.string()])
def test_an_override_is_the_way_out_of_text_and_number(read: Read, wanted: object, tmp_path: Path) -> None:
    paths = written(tmp_path, *CONFLICTS["text and number"])
    assert values(read(paths, "/t", schema_overrides={"x": wanted}), "x") == ["a", "b", "1", "2"]


@every_engine
def test_an_override_that_values_do_not_fit_names_file_and_column(read: Read, tmp_path: Path) -> None:
    paths = written(tmp_path, of("i4", 1, 2), of("i4", 300, 2))
    with pytest.raises(SchemaConflictError, match="column 'x' of type int32 does not fit int8") as caught:
        read(paths, "/t", schema_overrides={"x": "int8"})
    check_error(caught.value, kind=SchemaConflictError, builtin=TypeError, names=paths[1])


MISSING: dict[str, tuple[Callable[[Path], Path], list[Any], object, Any, pa.DataType]] = {
    "int8": (of("i1", 1, 2), [1, 2], "Int8", pl.Int8, pa.int8()),
    "uint64": (of("u8", 1, 2**64 - 1), [1, 2**64 - 1], "UInt64", pl.UInt64, pa.uint64()),
    "big-endian int": (of(">i4", 1, 2), [1, 2], "Int32", pl.Int32, pa.int32()),
    "bool": (of("?", 1, 0), [True, False], "boolean", pl.Boolean, pa.bool_()),
    "text": (column(["a", ""]), ["a", ""], pd.StringDtype("pyarrow"), pl.String, pa.string()),
    "ragged": (
        column(np.arange(3.0), ends=[0, 3]), [[], [0, 1, 2]], NWBDtype(LISTS), pl.List(pl.Float64), LISTS,
    ),
    "array": (column(np.ones((2, 2))), [[1, 1], [1, 1]], NWBDtype(PAIRS), pl.Array(pl.Float64, 2), PAIRS),
    "compound": (
        column(np.array([(1,), (2,)], [("a", "i2")])), [{"a": 1}, {"a": 2}], NWBDtype(RECORD),
        pl.Struct({"a": pl.Int16}), RECORD,
    ),
}  # fmt: skip


@every_engine
@pytest.mark.parametrize("case", MISSING)
def test_a_column_missing_in_a_file_is_null_there_whatever_its_type(read: Read, case: str, tmp_path: Path) -> None:
    write, expected, pandas_type, polars_type, arrow_type = MISSING[case]
    frame = read(written(tmp_path, write, column(None)), "/t")
    assert values(frame, "x") == [*expected, None, None]
    if isinstance(frame, pl.DataFrame):
        assert frame.schema["x"] == polars_type
    elif isinstance(frame, pa.Table):
        assert frame.schema.field("x").type == arrow_type
    else:
        assert frame["x"].dtype == pandas_type


@pytest.mark.parametrize("case", MISSING)
def test_dask_knows_the_type_of_a_column_with_missing_values_before_it_computes(case: str, tmp_path: Path) -> None:
    write, _, pandas_type, _, _ = MISSING[case]
    frame: Any = dd.read_nwb(written(tmp_path, write, column(None)), "/t")
    assert frame.dtypes["x"] == pandas_type
    assert frame.partitions[1].compute(scheduler="sync").dtypes["x"] == pandas_type


@every_engine
def test_a_missing_category_is_null_and_the_others_stay(read: Read, tmp_path: Path) -> None:
    found = values(read(written(tmp_path, enum([1, 0], "red", "green"), column(None)), "/t"), "x")
    assert found[:2] == ["green", "red"]
    assert all(value is None or math.isnan(value) for value in found[2:])


@pytest.mark.parametrize("code", ["f2", "f4", "f8"])
def test_nan_is_a_value_and_a_missing_float_is_null_where_the_engine_tells_them_apart(
    code: str, tmp_path: Path
) -> None:
    paths = written(tmp_path, of(code, NAN, 1), column(None))
    arrow = nwb_dask.read_table(paths, "/t", "arrow")["x"]
    polars = nwb_dask.read_table(paths, "/t", "polars")["x"]
    pandas = nwb_dask.read_table(paths, "/t")["x"]
    assert arrow.is_null().to_pylist() == polars.is_null().to_list() == [False, False, True, True]
    assert math.isnan(arrow[0].as_py())
    assert polars.is_nan().to_list() == [True, False, None, None]
    assert pandas.dtype == np.dtype(code)
    assert pandas.isna().tolist() == [True, False, True, True]


@every_engine
def test_columns_in_another_order_are_matched_by_name(read: Read, tmp_path: Path) -> None:
    paths = [tmp_path / "0.nwb", tmp_path / "1.nwb"]
    for path, names in zip(paths, (["a", "b"], ["c", "b", "a"]), strict=True):
        with new_file(path) as file:
            add_table(file, "t", {name: [f"{name}{path.stem}"] for name in names})
    frame = read(paths, "/t", include_path_columns=False)
    names = frame.column_names if isinstance(frame, pa.Table) else list(frame.columns)
    assert names == ["id", "a", "b", "c"]
    assert [values(frame, name) for name in "abc"] == [["a0", "a1"], ["b0", "b1"], [None, "c1"]]


LATIN = [b"M\xfcller", b"ok"]


@every_engine
@pytest.mark.parametrize("data", [np.array(LATIN), LATIN], ids=["fixed", "variable"])
@pytest.mark.parametrize("storage", [{}, {"chunks": (1,), "compression": "gzip"}], ids=["contiguous", "gzip"])
def test_text_that_is_not_utf8_is_an_error_with_the_way_out_that_works(
    read: Read, data: Any, storage: dict[str, Any], tmp_path: Path
) -> None:
    options = storage if isinstance(data, np.ndarray) else {**storage, "dtype": TEXT}
    path = write_column(tmp_path / "latin.nwb", data, **options)
    with pytest.raises(MalformedFileError, match="not UTF-8") as caught:
        read(path, "/t")
    check_error(caught.value, kind=MalformedFileError, builtin=ValueError, names=path)
    assert caught.value.path == "/t/x"
    assert values(read(path, "/t", columns=["row"]), "row") == [0, 1]
    assert values(read(path, "/t", schema_overrides={"x": "binary"}), "x") == LATIN


@every_engine
def test_ragged_text_that_is_not_utf8_can_be_read_as_bytes(read: Read, tmp_path: Path) -> None:
    path = write_column(tmp_path / "latin.nwb", LATIN, ends=[0, 2], dtype=TEXT)
    with pytest.raises(MalformedFileError, match="not UTF-8"):
        read(path, "/t")
    assert values(read(path, "/t", schema_overrides={"x": pa.large_list(pa.binary())}), "x") == [[], LATIN]


@pytest.fixture
def corrupt(tmp_path: Path) -> Path:
    path = tmp_path / "corrupt.nwb"
    odd_columns.write_corrupt(path)
    return path


@every_engine
def test_a_corrupt_chunk_harms_nobody_who_does_not_read_it(read: Read, corrupt: Path) -> None:
    frame = read(corrupt, "/processing/corrupt/table", columns=["good", "text"])
    assert values(frame, "good") == np.arange(100.0).tolist()
    assert values(frame, "text") == [str(i) for i in range(100)]


@every_engine
def test_a_corrupt_chunk_harms_nobody_whose_rows_are_in_other_chunks(read: Read, corrupt: Path) -> None:
    frame = read(corrupt, "/processing/corrupt/table", columns=["broken"], filters=[("good", "<", 50)])
    assert values(frame, "broken") == np.arange(50.0).tolist()


@every_engine
def test_a_corrupt_chunk_raises_naming_file_and_column(read: Read, corrupt: Path) -> None:
    with pytest.raises(MalformedFileError, match="does not decompress") as caught:
        read(corrupt, "/processing/corrupt/table")
    assert caught.value.url == str(corrupt)
    assert caught.value.path == "/processing/corrupt/table/broken"
    assert str(corrupt) in str(caught.value)
    assert "/processing/corrupt/table/broken" in str(caught.value)


def test_the_error_of_a_corrupt_chunk_arrives_from_a_worker_as_it_is(corrupt: Path) -> None:
    with pytest.raises(MalformedFileError) as caught:
        nwb_dask.read_table(corrupt, "/processing/corrupt/table")
    assert str(sent(caught.value)) == str(caught.value)


def test_a_file_with_a_corrupt_chunk_can_be_looked_at(corrupt: Path) -> None:
    assert nwb_dask.open_nwb(corrupt)["/processing/corrupt/table"].names == ("id", "good", "broken", "text")


BROKEN = [
    (oddities.write_broken_tables, f"/processing/broken/{name}", "good", name if name != "absent" else "missing")
    for name in ("absent", "beyond", "decreasing", "null", "short")
]
BROKEN += [
    (oddities.write_broken_links, "/processing/links/broken", "own", "dangling"),
    (oddities.write_broken_links, "/processing/links/broken", "own", "external"),
    (oddities.write_broken_links, "/acquisition/elsewhere", "timestamps", "data"),
    (odd_columns.write_bad_text, "/processing/text/table", "good", "latin"),
    (odd_columns.write_broken_series, "/acquisition/too_short", "data", "timestamps"),
]


@every_engine
@pytest.mark.parametrize("case", BROKEN, ids=[f"{case[1]}.{case[3]}" for case in BROKEN])
def test_a_broken_column_raises_and_harms_no_other(
    read: Read, case: tuple[Callable[[Path], None], str, str, str], tmp_path: Path
) -> None:
    write, table, good, broken = case
    path = tmp_path / "broken.nwb"
    write(path)
    assert broken in repr(nwb_dask.open_nwb(path))
    assert len(values(read(path, table, columns=[good]), good)) >= 2
    with pytest.raises(MalformedFileError):
        read(path, table)
    with pytest.raises(MalformedFileError, match=broken) as caught:
        read(path, table, columns=[broken])
    check_error(caught.value, kind=MalformedFileError, builtin=ValueError, names=path)


def test_a_column_in_another_file_is_said_to_be_there(tmp_path: Path) -> None:
    path = tmp_path / "links.nwb"
    oddities.write_broken_links(path)
    with pytest.raises(MalformedFileError, match="column 'external' cannot be read: it is in another file"):
        nwb_dask.read_table(path, "/processing/links/broken", columns=["external"])


@every_engine
def test_a_column_that_is_broken_in_one_file_raises_for_that_file_only(read: Read, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.nwb", tmp_path / "bad.nwb"
    write_column(good, np.array([1.0, 2.0]))
    with new_file(bad) as file:
        group = add_table(file, "t", {"row": np.arange(2)})
        add_column(group, "x", np.arange(7.0))
        group.attrs.create("colnames", ["row", "x"], dtype=TEXT)
    assert values(read([good, bad], "/t", columns=["row"]), "row") == [0, 1, 0, 1]
    with pytest.raises(MalformedFileError, match="it has 7 rows, the table has 2") as caught:
        read([good, bad], "/t", columns=["x"])
    check_error(caught.value, kind=MalformedFileError, builtin=ValueError, names=bad)
    filtered = read([good, bad], "/t", columns=["x"], filters=[("_nwb_path", "==", str(good))])
    assert values(filtered, "x") == [1.0, 2.0]
