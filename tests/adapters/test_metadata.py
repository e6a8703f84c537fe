"""`read_metadata` of real and of written files, as pynwb and h5py have them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import nwb_dask
from nwb_dask.errors import MalformedFileError, NWBDaskError, SkippedFilesWarning, SourceNotFoundError
from nwb_dask.testing.files import write_session
from tests.adapters import metadata_oracle as oracle

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
FILES = sorted(REAL.rglob("*.nwb"))
NAMES = [str(path.relative_to(REAL)) for path in FILES]
N_STORED, N_SHOWN, N_SHOWING = 870, 688, 98
"""Values that h5py reads and pynwb shows of the real files, and how many files it opens."""
N_DEFAULTS = 5
"""Subjects whose age has no reference: pynwb shows the schema's default, and we that there is none."""

Edit = Callable[[h5py.File], None]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("metadata") / "session.nwb"
    return write_session(path, seed=3, n_units=2, n_trials=0, n_samples=0, n_electrodes=0)


@pytest.fixture
def edited(written: Path, tmp_path: Path) -> Callable[..., Path]:
    """Gives a copy of a session after an edit."""

    def edit(change: Edit, name: str = "edited.nwb") -> Path:
        path = tmp_path / name
        path.write_bytes(written.read_bytes())
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    return edit


def row_of(source: object, **options: Any) -> dict[str, Any]:
    """Return the metadata of one file; anything it warns of fails the test."""
    (row,) = nwb_dask.read_metadata(source, "arrow", **options).to_pylist()
    return dict(row)


def quiet(path: Path) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return row_of(path)


def replace(file: h5py.File, path: str, value: object, **options: Any) -> None:
    if path in file:
        del file[path]
    file.create_dataset(path, data=value, **options)


def test_every_value_that_h5py_reads_of_real_files_is_there(record_property: Callable[[str, object], None]) -> None:
    if not FILES:
        pytest.skip(f"NO REAL FILES at {REAL}: nothing is compared with real data")
    n_compared, wrong = 0, []
    for path in FILES:
        row = quiet(path)
        for name, value in oracle.stored(path).items():
            n_compared += 1
            if row[name] != oracle.as_ours(name, value):
                wrong.append((path.name, name, row[name], value))
    assert not wrong
    record_property("metadata values compared with h5py", n_compared)
    assert n_compared == N_STORED


@pytest.mark.slow
def test_every_field_that_pynwb_shows_of_real_files_is_there(record_property: Callable[[str, object], None]) -> None:
    if not FILES:
        pytest.skip(f"NO REAL FILES at {REAL}: nothing is compared with real data")
    n_compared, n_files, defaults, wrong = 0, 0, [], []
    for path in FILES:
        row, fields = quiet(path), oracle.shown(path)
        n_files += fields is not None
        for name, value in (fields or {}).items():
            n_compared += 1
            if name == "subject_age__reference" and row[name] is None and value == "birth":
                defaults.append(path.name)
            elif row[name] != oracle.as_ours(name, value):
                wrong.append((path.name, name, row[name], value))
    assert not wrong
    record_property("metadata fields compared with pynwb", n_compared)
    assert (n_compared, n_files, len(defaults)) == (N_SHOWN, N_SHOWING, N_DEFAULTS)


@pytest.mark.parametrize("path", FILES[::8], ids=NAMES[::8])
def test_fields_that_pynwb_shows_of_a_real_file_are_there(path: Path) -> None:
    row = quiet(path)
    for name, value in (oracle.shown(path) or {}).items():
        is_default = name == "subject_age__reference" and row[name] is None
        assert is_default or row[name] == oracle.as_ours(name, value), name


def test_real_files_of_all_kinds_are_read_together_in_source_order() -> None:
    if not FILES:
        pytest.skip(f"NO REAL FILES at {REAL}: nothing is compared with real data")
    backwards = FILES[::-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        table = nwb_dask.read_metadata(backwards, "arrow")
    assert [Path(name).name for name in table["_nwb_path"].to_pylist()] == [path.name for path in backwards]
    for row, path in zip(table.to_pylist(), backwards, strict=True):
        alone = quiet(path)
        assert {name: row[name] for name in alone} == alone


def test_fields_of_a_written_session_are_those_that_pynwb_shows(written: Path) -> None:
    row, shown = row_of(written), oracle.shown(written)
    assert shown is not None
    assert len(shown) == 15
    assert {name: row[name] for name in shown} == {name: oracle.as_ours(name, value) for name, value in shown.items()}
    assert row["nwb_version"] == h5py.File(written).attrs["nwb_version"]


def test_engines_give_the_same_values_and_types_of_their_own(written: Path) -> None:
    arrow = nwb_dask.read_metadata([written, written], "arrow")
    polars = nwb_dask.read_metadata([written, written], "polars")
    pandas = nwb_dask.read_metadata([written, written])
    assert arrow.column_names == polars.columns == pandas.columns.tolist()
    assert arrow.column_names[0] == "_nwb_path"
    assert polars.to_dicts() == arrow.to_pylist()
    assert polars.schema["session_start_time"] == pl.Datetime("us", "UTC")
    assert arrow.schema.field("session_start_time").type == pa.timestamp("us", "UTC")
    assert pandas["session_start_time"].dt.year.tolist() == [2024, 2024]
    assert pandas["experimenter"].iloc[1].tolist() == ["Doe, Jane", "Müller, Jörg"]
    assert pandas["subject_age"].tolist() == ["P90D", "P90D"]
    assert pandas["subject_weight"].isna().all()


def test_an_unknown_engine_is_refused(written: Path) -> None:
    with pytest.raises(ValueError, match="engine='dask' is none of"):
        nwb_dask.read_metadata(written, "dask")  # type: ignore[call-overload]  # the wrong one is the point


def test_a_file_without_a_subject_has_nulls_there(edited: Callable[..., Path], written: Path) -> None:
    def drop(file: h5py.File) -> None:
        del file["general/subject"]

    path = edited(drop)
    alone, both = row_of(path), nwb_dask.read_metadata([path, written], "arrow")
    assert {value for name, value in alone.items() if name.startswith("subject_")} == {None}
    assert both["subject_id"].to_pylist() == [None, row_of(written)["subject_id"]]
    assert list(alone) == both.column_names


def test_dates_keep_their_moment_whatever_their_offset(edited: Callable[..., Path]) -> None:
    texts = ["2020-06-01T10:00:00.123456+02:00", "2020-06-01T10:00:00Z", "2020-06-01T10:00:00.1234567-0800"]
    expected = [
        datetime(2020, 6, 1, 10, 0, 0, 123456, timezone(timedelta(hours=2))),
        datetime(2020, 6, 1, 10, tzinfo=UTC),
        datetime(2020, 6, 1, 10, 0, 0, 123456, timezone(-timedelta(hours=8))),
    ]
    paths = [
        edited(lambda file, text=text: replace(file, "session_start_time", text), f"{number}.nwb")
        for number, text in enumerate(texts)
    ]
    assert nwb_dask.read_metadata(paths, "arrow")["session_start_time"].to_pylist() == expected


def test_one_date_that_is_none_is_null_with_a_warning_and_loses_no_other(
    edited: Callable[..., Path], written: Path
) -> None:
    path = edited(lambda file: replace(file, "session_start_time", "Sat Jul 04 2015 15:42:02"))
    with pytest.warns(UserWarning, match="session_start_time is no ISO 8601 date and is null") as caught:
        table = nwb_dask.read_metadata([written, path, written], "arrow")
    dates = table["session_start_time"].to_pylist()
    assert dates[0] == dates[2] == datetime(2024, 1, 4, 12, tzinfo=UTC)
    assert dates[1] is None
    assert f"'Sat Jul 04 2015 15:42:02' in {path}" in str(caught[0].message)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    text = nwb_dask.read_metadata([written, path], "arrow", parse_dates=False)["session_start_time"].to_pylist()
    assert text == ["2024-01-04T12:00:00+00:00", "Sat Jul 04 2015 15:42:02"]


def test_a_time_without_offset_is_taken_as_utc_with_a_warning_and_a_day_without(edited: Callable[..., Path]) -> None:
    def change(file: h5py.File) -> None:
        replace(file, "session_start_time", "2020-06-01 10:00:00")
        replace(file, "general/subject/date_of_birth", "2020-01-01")

    with pytest.warns(UserWarning, match="session_start_time has no offset") as caught:
        row = row_of(edited(change))
    assert row["session_start_time"] == datetime(2020, 6, 1, 10, tzinfo=UTC)
    assert row["subject_date_of_birth"] == datetime(2020, 1, 1, tzinfo=UTC)
    assert "date_of_birth" not in str(caught[0].message)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("place cells", ["place cells"]),
        (["one", "zwei ✓", ""], ["one", "zwei ✓", ""]),
        (np.array([b"a", b"bc"]), ["a", "bc"]),
        (np.bytes_(b"fixed"), ["fixed"]),
        (np.empty(0, h5py.string_dtype()), []),
        (h5py.Empty(h5py.string_dtype()), None),
    ],
    ids=["scalar", "array", "bytes", "fixed length", "no keyword", "null"],
)
def test_keywords_are_a_list_however_they_are_stored(
    edited: Callable[..., Path], written: Path, value: object, expected: object
) -> None:
    path = edited(lambda file: replace(file, "general/keywords", value))
    table = nwb_dask.read_metadata([written, path], "arrow")
    assert table["keywords"].to_pylist() == [None, expected]
    assert table.schema.field("keywords").type == pa.large_list(pa.string())


def test_an_array_of_one_text_is_that_text_where_the_schema_has_a_single_one(
    edited: Callable[..., Path], written: Path
) -> None:
    path = edited(lambda file: replace(file, "general/session_id", np.array([b"session"])))
    assert nwb_dask.read_metadata([path, written], "arrow")["session_id"].to_pylist() == ["session", "session-3"]


def test_text_that_is_no_utf8_is_null_with_a_warning_and_loses_nothing_else(
    edited: Callable[..., Path], written: Path
) -> None:
    path = edited(lambda file: replace(file, "general/lab", np.bytes_(b"\xff\xfe")))
    with pytest.warns(UserWarning, match="lab cannot be read and is null"):
        table = nwb_dask.read_metadata([written, path], "arrow")
    assert table["lab"].to_pylist() == ["Généralités", None]
    assert table["session_id"].null_count == 0


def test_a_field_in_another_file_is_null_with_a_warning_and_an_error_where_it_is_asked_for(
    edited: Callable[..., Path],
) -> None:
    def link(file: h5py.File) -> None:
        for name in ("general/lab", "general/subject/sex"):
            del file[name]
            file[name] = h5py.ExternalLink("absent.nwb", f"/{name}")

    path = edited(link)
    with pytest.warns(UserWarning, match="lab, subject_sex cannot be read and is null.*absent.nwb"):
        row = row_of(path)
    assert row["lab"] is row["subject_sex"] is None
    assert row["session_id"] == "session-3"
    session = nwb_dask.open_nwb(path)
    with pytest.raises(MalformedFileError, match="lab cannot be read: it is in another file"):
        session.lab  # noqa: B018  # the error is wanted
    with pytest.raises(MalformedFileError, match="sex cannot be read: it is in another file"):
        session.subject.sex  # noqa: B018  # the error is wanted


def test_what_has_no_common_type_is_text_with_a_warning(edited: Callable[..., Path]) -> None:
    paths = [
        edited(lambda file, value=value: replace(file, "general/subject/weight", value), f"{number}.nwb")
        for number, value in enumerate([0.025, "25 g", np.float32(0.5)])
    ]
    with pytest.warns(UserWarning, match="subject_weight differs in type between files"):
        table = nwb_dask.read_metadata(paths, "arrow")
    assert table["subject_weight"].to_pylist() == ["0.025", "25 g", "0.5"]
    assert row_of(paths[0])["subject_weight"] == 0.025


def test_names_that_two_groups_have_give_way_to_the_path(edited: Callable[..., Path]) -> None:
    def change(file: h5py.File) -> None:
        replace(file, "general/identifier", "another")
        replace(file, "general/subject/session_id", "of the subject")
        replace(file, "general/subject_id", "of the session")
        replace(file, "general/_nwb_path", "elsewhere")

    path = edited(change)
    row = row_of(path)
    assert row["_nwb_path"] == str(path)
    assert row["/general/_nwb_path"] == "elsewhere"
    assert row["identifier"] == "session-3-3"
    assert row["/general/identifier"] == "another"
    assert row["subject_session_id"] == "of the subject"
    assert (row["subject_id"], row["/general/subject_id"]) == ("mouse-1", "of the session")


def test_attributes_that_are_fields_are_columns(edited: Callable[..., Path]) -> None:
    def change(file: h5py.File) -> None:
        file["general/subject/age"].attrs["reference"] = "gestational"
        replace(file, "general/source_script", "print()")
        file["general/source_script"].attrs["file_name"] = "convert.py"
        file["general/subject"].attrs["handedness"] = "left"
        file["general/subject"].attrs["scores"] = [1.5, 2.5]

    row = row_of(edited(change))
    assert (row["subject_age__reference"], row["source_script_file_name"]) == ("gestational", "convert.py")
    assert (row["subject_handedness"], row["subject_scores"]) == ("left", [1.5, 2.5])


def test_a_large_dataset_is_left_out_with_a_warning(edited: Callable[..., Path]) -> None:
    path = edited(lambda file: replace(file, "general/movie", np.zeros((1 << 18, 8))))
    with nwb_dask.trace() as trace, pytest.warns(UserWarning, match="movie cannot be read and is null"):
        row = row_of(path)
    assert row["movie"] is None
    assert trace.bytes < 1 << 20


def test_one_file_that_is_corrupt_is_an_error_or_skipped(written: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.nwb"
    bad.write_text("text")
    absent = tmp_path / "absent.nwb"
    with pytest.raises(MalformedFileError, match="not an HDF5 file"):
        nwb_dask.read_metadata([written, bad])
    with pytest.raises(SourceNotFoundError):
        nwb_dask.read_metadata([absent, written])
    with pytest.warns(SkippedFilesWarning, match="2 of 4 files are left out"):
        table = nwb_dask.read_metadata([bad, written, absent, written], "arrow", errors="skip")
    assert table["_nwb_path"].to_pylist() == [str(written), str(written)]
    with pytest.raises(NWBDaskError, match="none of 2 files"):
        nwb_dask.read_metadata([bad, absent], errors="skip")
