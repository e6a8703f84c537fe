"""Names of outputs say the path, differ where paths differ, and stand on every file system."""

from __future__ import annotations

from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from nwb_dask.conversion.formats.excel import sheet_names
from nwb_dask.conversion.names import (
    METADATA,
    encode_path,
    partition_key,
    session_folders,
    session_names,
    table_names,
)

PARTS = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda text: text not in {".", ".."}
)
PATHS = st.lists(PARTS, max_size=4).map(lambda parts: "/" + "/".join(parts))


def test_names_are_readable() -> None:
    assert encode_path("/intervals/trials") == "intervals.trials"
    assert encode_path("/processing/behavior/a b.c") == "processing.behavior.a~20b~2Ec"
    assert encode_path("/") == "root"
    assert encode_path(METADATA) == "session"


def test_tables_that_are_called_like_names_of_ours_have_names_of_their_own() -> None:
    assert encode_path("/session") == "~73ession"
    assert encode_path("/root") == "~72oot"


@given(st.lists(PATHS, unique=True, max_size=12))
def test_no_two_paths_have_one_name_even_where_case_is_ignored(paths: list[str]) -> None:
    names = table_names([METADATA, *paths])
    assert len({name.casefold() for name in names.values()}) == len(paths) + 1
    assert names[METADATA] == "session"
    for name in names.values():
        assert len(name.encode()) <= 120
        assert name.isascii()
        assert not name.startswith((".", "_"))
        assert "/" not in name


@given(PATHS.filter(lambda path: path != "/"))
def test_a_name_says_the_path(path: str) -> None:
    assert "/" + "/".join(unquote(part.replace("~", "%")) for part in encode_path(path).split(".")) == path


def test_long_names_end_in_a_digest() -> None:
    one, other = "/" + "a" * 400, "/" + "a" * 401
    names = table_names([one, other])
    assert names[one] != names[other]
    assert all(len(name) <= 120 for name in names.values())


def test_sessions_of_one_name_are_told_apart_by_their_folders() -> None:
    files = ["/data/day1/mouse.nwb", "/data/day2/mouse.nwb", "/data/other.nwb"]
    assert session_names(files) == ("day1/mouse", "day2/mouse", "other")


def test_a_file_that_is_given_twice_is_two_sessions() -> None:
    assert session_names(["/a/x.nwb", "/a/x.nwb"]) == ("x", "x~2")


def test_a_file_that_is_given_twice_takes_no_other_files_name() -> None:
    assert session_names(["/a/x.nwb", "/a/x.nwb", "/a/x~2.nwb", "/a/x.nwb"]) == ("x", "x~3", "x~2", "x~4")
    assert session_names(["/a/x~2.nwb", "/a/x.nwb", "/a/x.nwb"]) == ("x~2", "x", "x~3")


def test_no_session_is_taken_for_a_number_or_a_date_by_readers_of_partitions() -> None:
    assert session_names(["/a/001.nwb", "/a/2024-01-01.nwb", "/a/nan.nwb", "/a/true.nwb", "/a/nancy.nwb"]) == (
        "nwb-001",
        "nwb-2024-01-01",
        "nwb-nan",
        "nwb-true",
        "nancy",
    )


@given(st.lists(PATHS.filter(lambda path: path != "/"), unique=True, min_size=1, max_size=12))
def test_sessions_and_their_folders_differ_even_where_case_is_ignored(files: list[str]) -> None:
    sessions = session_names(files)
    assert len(set(sessions)) == len(files)
    folders = session_folders(sessions)
    assert len({folder.casefold() for folder in folders.values()}) == len(files)
    assert not any(session.endswith((".nwb", ".zarr")) for session in sessions)


def test_the_partition_stands_in_no_columns_way() -> None:
    assert partition_key(["id"]) == "session"
    assert partition_key(["id", "Session"]) == "nwb_session"
    assert partition_key(["session", "nwb_session", "nwb_dask_session"]) == "nwb_dask_session_2"


def test_sheets_have_names_that_excel_takes() -> None:
    paths = ["/units", "/Units", "/History", "/" + "a" * 40, "/" + "a" * 41, "/processing/a/b'[x]"]
    names = sheet_names(paths)
    assert len({name.casefold() for name in names.values()}) == len(paths)
    assert all(len(name) <= 31 and name.casefold() != "history" for name in names.values())
    assert not any(set(name) & set("[]:*?/\\'") for name in names.values())
