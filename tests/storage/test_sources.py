from __future__ import annotations

import os
import pickle
import re
import sys
from pathlib import Path

import pytest

from nwb_dask.errors import SourceNotFoundError, UnsupportedLayoutError
from nwb_dask.storage import Named, expand_sources, make_access
from nwb_dask.storage.globs import translate

ACCESS = make_access()
SIGNED = "https://user:pass@host.org/a%20b+c.nwb?X-Amz-Signature=hush&x=1%2F2"


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def names(source: object) -> list[str]:
    return [one.name for one in expand_sources(source, ACCESS)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    touch(tmp_path, "b.nwb", "a.nwb", "sub/c.nwb", "sub/deep/d.nwb", "notes.txt", ".git/x.nwb", "._a.nwb", "sub/e.h5")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_relative_path_is_named_absolute_and_remembered_as_typed(folder: Path) -> None:
    path = str(folder / "a.nwb")
    assert expand_sources("./a.nwb", ACCESS) == (Named(path, path, "./a.nwb"),)  # type: ignore[arg-type]  # plain text


def test_path_object_and_home_are_understood(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert names(Path("a.nwb")) == names("~/a.nwb") == [str(folder / "a.nwb")]


def test_list_keeps_order_and_repetitions(folder: Path) -> None:
    assert names(["b.nwb", "a.nwb", "b.nwb"]) == [str(folder / name) for name in ("b.nwb", "a.nwb", "b.nwb")]


def test_files_that_were_found_are_themselves_however_the_folder_changes(folder: Path) -> None:
    found = expand_sources(".", ACCESS)
    touch(folder, "new.nwb")
    assert expand_sources(found, ACCESS) == found
    assert expand_sources([found[0], "new.nwb"], ACCESS) == (found[0], *expand_sources("new.nwb", ACCESS))


def test_missing_file_is_left_to_its_opening(folder: Path) -> None:
    assert names("none.nwb") == [str(folder / "none.nwb")]


def test_folder_is_every_nwb_below_it_sorted_without_hidden_ones(folder: Path) -> None:
    expected = ["a.nwb", "b.nwb", "sub/c.nwb", "sub/deep/d.nwb"]
    assert names(folder) == names(".") == [str(folder / name) for name in expected]


def test_files_of_a_folder_are_typed_as_the_folder_was(folder: Path) -> None:
    assert [one.typed for one in expand_sources("sub", ACCESS)] == ["sub/c.nwb", "sub/deep/d.nwb"]


def test_matches_of_a_glob_are_typed_as_the_glob_was(folder: Path) -> None:
    assert [one.typed for one in expand_sources("sub/../*.nwb", ACCESS)] == ["sub/../a.nwb", "sub/../b.nwb"]
    assert [one.typed for one in expand_sources("*.nwb", ACCESS)] == ["a.nwb", "b.nwb"]
    path = str(folder / "*.nwb")
    assert [one.typed for one in expand_sources(path, ACCESS)] == [one.name for one in expand_sources(path, ACCESS)]


def test_folder_without_nwb_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=str(tmp_path)):
        names(tmp_path)


def test_zarr_store_is_one_source_and_is_not_searched(tmp_path: Path) -> None:
    touch(tmp_path, "x.nwb.zarr/inner.nwb", "y.nwb/inner.nwb", "z.nwb")
    assert names(tmp_path / "x.nwb.zarr") == [str(tmp_path / "x.nwb.zarr")]
    assert names(tmp_path) == [str(tmp_path / "y.nwb"), str(tmp_path / "z.nwb")]


def test_linked_folder_is_searched_and_a_loop_of_links_ends(folder: Path) -> None:
    (folder / "sub" / "up").symlink_to(folder, target_is_directory=True)
    (folder / "link").symlink_to(folder / "sub" / "deep", target_is_directory=True)
    assert str(folder / "link" / "d.nwb") in names(folder)


def test_dangling_link_is_left_to_its_opening(tmp_path: Path) -> None:
    (tmp_path / "annexed.nwb").symlink_to(tmp_path / "absent")
    assert names(tmp_path) == [str(tmp_path / "annexed.nwb")]


def test_glob_is_sorted_and_recursive_with_two_stars(folder: Path) -> None:
    assert names("*.nwb") == [str(folder / name) for name in ("a.nwb", "b.nwb")]
    assert names("**/[cd].nwb") == [str(folder / name) for name in ("sub/c.nwb", "sub/deep/d.nwb")]


def test_glob_without_match_says_what_was_looked_for(folder: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"no file matches .*\*\.h4"):
        names("*.h4")


def test_glob_that_matches_folders_only_says_the_way_out(folder: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"end it with '/\*\.nwb'"):
        names("su*")


def test_existing_name_wins_over_its_meaning_as_a_glob(tmp_path: Path) -> None:
    touch(tmp_path, "a[1].nwb", "a1.nwb")
    assert names(tmp_path / "a[1].nwb") == [str(tmp_path / "a[1].nwb")]


@pytest.mark.parametrize("name", ["a b.nwb", "a%20b.nwb", "a+b.nwb", "größe.nwb", "a#b.nwb", "a?b.nwb"])
def test_unusual_names_are_kept(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name)
    path = str(tmp_path / name)
    assert names(path) == names(tmp_path) == [path]


def test_file_url_keeps_its_name_and_gives_the_path(tmp_path: Path) -> None:
    touch(tmp_path, "a b#c.nwb")
    url = (tmp_path / "a b#c.nwb").as_uri()
    assert expand_sources(url, ACCESS) == (Named(url, str(tmp_path / "a b#c.nwb"), url),)  # type: ignore[arg-type]  # plain text


def test_file_url_of_a_folder_is_its_files(folder: Path) -> None:
    assert names((folder / "sub").as_uri()) == names(folder / "sub")


def test_file_url_of_another_host_is_refused() -> None:
    with pytest.raises(SourceNotFoundError, match="host"):
        names("file://server/a.nwb")


def test_url_is_kept_to_the_letter_and_named_without_secrets() -> None:
    (one,) = expand_sources(SIGNED, ACCESS)
    assert one.url == SIGNED
    assert one.name == one.typed == "https://host.org/a%20b+c.nwb"
    assert "hush" not in repr(one)
    assert "pass" not in repr(one)


def test_signed_url_hides_its_query_after_pickling_too() -> None:
    (one,) = pickle.loads(pickle.dumps(expand_sources(SIGNED, ACCESS)))
    assert one.url == SIGNED
    assert "hush" not in repr((one, [one.url]))


def test_http_has_no_globs_and_says_so() -> None:
    with pytest.raises(SourceNotFoundError, match="no listing") as caught:
        names("https://host/*.nwb?sig=hush")
    assert "hush" not in str(caught.value)


def test_download_link_that_ends_in_a_slash_is_a_file() -> None:
    assert names("https://host/api/assets/5/download/") == ["https://host/api/assets/5/download/"]


@pytest.mark.parametrize("source", [[], (), ""])
def test_nothing_is_not_found(source: object) -> None:
    with pytest.raises(SourceNotFoundError, match="no sources"):
        names(source)


@pytest.mark.parametrize("source", [5, None, [None], b"a.nwb", {"a": "b"}])
def test_other_types_are_refused(source: object) -> None:
    with pytest.raises(TypeError, match="a source is"):
        names(source)


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("a/*.nwb", "a/x.nwb", True),
        ("a/*.nwb", "a/b/x.nwb", False),
        ("a/**/*.nwb", "a/x.nwb", True),
        ("a/**/*.nwb", "a/b/c/x.nwb", True),
        ("**/*.nwb", "x.nwb", True),
        ("a/?.nwb", "a/xy.nwb", False),
        ("a/[!x].nwb", "a/y.nwb", True),
        ("a/[!x].nwb", "a/x.nwb", False),
        ("a/*.nwb", "a/.x.nwb", False),
        ("a/*.nwb", "aa/x.nwb", False),
        ("*/b/*.nwb", "a/b/x.nwb", True),
        ("a.b/*.nwb", "aXb/x.nwb", False),
        ("a/*b*.nwb", "a/xby.nwb", True),
    ],
)
def test_globs_of_keys_match_as_those_of_paths(pattern: str, key: str, *, matches: bool) -> None:
    assert bool(re.fullmatch(translate(pattern), key)) is matches


def test_relative_names_do_not_depend_on_links_in_the_working_directory(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.nwb")
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert names(os.fspath(tmp_path / "link" / "a.nwb")) == [str(tmp_path / "link" / "a.nwb")]


def test_urls_that_differ_in_the_query_only_are_told_of() -> None:
    with pytest.warns(UserWarning, match="share the name https://host/download"):
        expand_sources(["https://host/download?file=1", "https://host/download?file=2"], make_access(None))


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems hold no such names")
def test_a_name_that_is_no_text_is_an_error_that_shows_it(tmp_path: Path) -> None:
    name = tmp_path / os.fsdecode(b"a\xff.nwb")
    name.touch()
    for source in (name, tmp_path, str(tmp_path / "*.nwb")):
        with pytest.raises(UnsupportedLayoutError, match=r"a\\udcff\.nwb is not UTF-8"):
            expand_sources(source, ACCESS)
