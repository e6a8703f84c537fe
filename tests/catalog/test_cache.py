from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_dask.backends.known import GroupPart, Known
from nwb_dask.catalog import IndexCache, indexfile
from nwb_dask.catalog.cache import ProcessCache, index_cache
from nwb_dask.catalog.indexfile import open_index
from nwb_dask.catalog.parts import unpack_part
from nwb_dask.index import Identity, Source, Url
from nwb_dask.storage.url_keys import url_key
from nwb_dask.storage.urls import make_url
from tests.catalog.exact import contents
from tests.catalog.kept import ONE, TWO, elsewhere, file_of, found, group, manifest, small
from tests.catalog.knowledge import URL

Fresh = Callable[[], Known]


def test_everything_known_of_a_session_is_found_by_another_process(cache: IndexCache, knowledge: Fresh) -> None:
    expected = contents(knowledge())
    cache.keep(knowledge())
    assert contents(found(cache)) == expected
    assert len([name for name in expected if name.startswith("values ")]) > 100
    assert len([name for name in expected if name.startswith("manifests ")]) > 90


def test_the_same_process_finds_what_it_kept(cache: IndexCache, knowledge: Fresh) -> None:
    known = knowledge()
    expected = contents(known)
    cache.keep(known)
    assert cache.find(URL) is known
    assert contents(known) == expected


def test_nothing_is_found_where_nothing_was_kept(cache: IndexCache) -> None:
    assert cache.find(URL) is None
    assert cache.entries() == []
    assert not cache.folder.exists()


def test_only_the_version_that_is_wanted_is_found(cache: IndexCache) -> None:
    cache.keep(small(a=1))
    for one in (cache, elsewhere(cache)):
        assert one.find(URL, TWO) is None
        assert one.find(URL, ONE) is not None
        assert one.find(URL) is not None


def test_a_new_version_replaces_the_old_one_with_nothing_of_it(cache: IndexCache) -> None:
    cache.keep(small(a=1, b=1))
    elsewhere(cache).keep(small(identity=TWO, a=2))
    assert set(found(cache, identity=TWO).parts) == {"/a"}
    assert found(cache).parts["/a"].group.attributes == {"value": 2}
    # The first process remembers the old one, which is still right for whoever wants it.
    assert cache.find(URL, TWO) is not None


def test_what_two_processes_found_out_is_kept_together(cache: IndexCache) -> None:
    one, other = small(a=1), small(b=2)
    for known, name in ((one, "x"), (other, "y")):
        known.values[f"/a/{name}"] = np.arange(3)
        known.manifests[f"/a/{name}"] = manifest(2)
        known.paths[ord(name)] = name
    other.values["/a/x"] = np.arange(3)
    cache.keep(one)
    elsewhere(cache).keep(other)
    both = found(cache)
    assert set(both.parts) == {"/a", "/b"}
    assert set(both.values) == set(both.manifests) == {"/a/x", "/a/y"}
    assert dict(both.paths) == {ord("x"): "x", ord("y"): "y"}


@pytest.mark.parametrize("order", [("links", "members"), ("members", "links")])
def test_of_a_group_the_most_that_is_known_is_kept(cache: IndexCache, order: tuple[Any, Any]) -> None:
    for depth in order:
        known = small()
        known.parts["/a"] = replace(group("/a", **({"full": True} if depth == "members" else {})), depth=depth)
        elsewhere(cache).keep(known)
    assert found(cache).parts["/a"].depth == "members"
    assert found(cache).parts["/a"].group.attributes == {"full": True}


def test_what_is_added_to_a_found_file_is_kept_with_the_rest(cache: IndexCache, knowledge: Fresh) -> None:
    cache.keep(knowledge())
    known = found(cache)
    known.parts["/new"] = group("/new")
    known.values["/units/more"] = np.arange(5)
    known.is_changed = True
    elsewhere(cache).keep(known)
    assert known.is_changed is False
    expected = knowledge()
    expected.parts["/new"] = group("/new")
    expected.values["/units/more"] = np.arange(5)
    assert contents(found(cache)) == contents(expected)
    assert contents(known) == contents(expected)


def test_a_file_is_written_only_when_there_is_news(cache: IndexCache, knowledge: Fresh) -> None:
    cache.keep(knowledge())
    before = file_of(cache).stat().st_ino, file_of(cache).stat().st_mtime_ns
    known = found(cache)
    known.parts["/nothing"] = replace(group("/nothing"))
    cache.keep(known)
    elsewhere(cache).keep(knowledge())
    assert (file_of(cache).stat().st_ino, file_of(cache).stat().st_mtime_ns) == before


def test_groups_are_unpacked_when_they_are_asked_for(cache: IndexCache, knowledge: Fresh, monkeypatch: Any) -> None:
    cache.keep(knowledge())
    unpacked: list[str] = []

    def spy(data: bytes) -> GroupPart:
        part = unpack_part(data)
        unpacked.append(part.group.path)
        return part

    monkeypatch.setattr("nwb_dask.catalog.lazy.unpack_part", spy)
    known = found(cache)
    assert "/nowhere" not in known.parts
    assert unpacked == []
    assert known.parts["/units"].arrays["column_0"].shape == (200,)
    assert known.parts["/units"] is known.parts["/units"]
    assert known.values["/units/column_1"].shape == (200,)
    assert unpacked == ["/units"]


def test_a_url_is_found_under_any_signature_and_keeps_the_one_of_the_caller(cache: IndexCache) -> None:
    signed = make_url(URL + "?X-Amz-Signature=0123&X-Amz-Expires=60")
    again = make_url(URL + "?X-Amz-Signature=4567&X-Amz-Expires=60")
    cache.keep(small(signed, a=1))
    for one in (cache, elsewhere(cache)):
        known = one.find(again)
        assert known is not None
        assert known.source == Source(again, ONE)
        assert "4567" not in repr(known.source)


def test_what_is_added_under_one_signature_is_known_under_another(cache: IndexCache) -> None:
    cache.keep(small(a=1))
    one, other = cache.find(Url(URL + "?token=1")), cache.find(Url(URL + "?token=2"))
    assert one is not None
    assert other is not None
    one.parts["/b"] = group("/b")
    one.is_changed = True
    cache.keep(one)
    assert set(other.parts) == {"/a", "/b"}


def test_no_secret_is_on_disk(cache: IndexCache) -> None:
    secrets = ["hunter2", "0123cafe", "tOkEn", "question"]
    url = "https://me:hunter2@host.org/a.nwb?X-Amz-Signature=0123cafe&access_token=tOkEn&id=question"
    known = small(url, a=1)
    cache.keep(known)
    assert found(cache, url).source.url == url
    on_disk = b"".join(path.read_bytes() + str(path).encode() for path in cache.folder.rglob("*") if path.is_file())
    table = indexfile.open_index(file_of(cache, url), url_key(url))
    assert table is not None
    assert table[1].name == "https://host.org/a.nwb"
    # The table is compressed; what it says is above.
    assert not [one for one in secrets if one.encode() in on_disk or one in repr(table[1])]
    assert [one.url for one in cache.entries()] == ["https://host.org/a.nwb"]


def test_only_the_user_may_read(cache: IndexCache) -> None:
    before = os.umask(0)
    try:
        cache.keep(small(a=1))
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (cache.folder, *cache.folder.rglob("*"))}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


def test_a_file_without_a_mark_of_its_version_is_known_in_this_process_only(cache: IndexCache) -> None:
    unmarked = Identity("size", "", 100)
    cache.keep(small(identity=unmarked, a=1))
    assert cache.find(URL, unmarked) is not None
    # Nothing could tell whether it is still that file.
    assert cache.find(URL) is None
    assert elsewhere(cache).find(URL, unmarked) is None
    assert not cache.folder.exists()


def test_what_is_forgotten_is_not_found(cache: IndexCache) -> None:
    other = URL + "2"
    for url in (URL, other):
        cache.keep(small(url, a=1))
    cache.forget(URL)
    cache.forget(URL)
    for one in (cache, elsewhere(cache)):
        assert one.find(URL) is None
        assert one.find(Url(other)) is not None


def test_clearing_removes_the_files_of_the_cache_and_no_others(cache: IndexCache) -> None:
    for i in range(5):
        cache.keep(small(f"{URL}{i}", a=1))
    foreign = file_of(cache, f"{URL}0").with_name("thesis.txt")
    foreign.write_text("results")
    cache.clear()
    assert cache.find(Url(f"{URL}0")) is None
    assert elsewhere(cache).entries() == []
    assert foreign.read_text() == "results"
    assert list(cache.folder.rglob("*.nwbidx")) == []


def test_what_was_found_stays_usable_when_its_file_goes(cache: IndexCache, knowledge: Fresh) -> None:
    cache.keep(knowledge())
    known = found(cache)
    assert "/units" in known.parts
    cache.clear()
    known.values["/x"] = np.arange(1)
    assert "/units" in known.parts
    assert known.values.get("/intervals/table_7/column_1") is None
    known.is_changed = True
    elsewhere(cache).keep(known)
    assert set(found(cache).parts) >= {"/units"}


def test_a_file_that_is_replaced_while_it_is_read_goes_on_if_it_is_the_same_version(
    cache: IndexCache, knowledge: Fresh
) -> None:
    cache.keep(knowledge())
    expected = contents(found(cache))
    known = found(cache)
    more = found(cache)
    more.parts["/aaa"] = group("/aaa", filler=np.random.default_rng(0).bytes(5000))
    more.is_changed = True
    elsewhere(cache).keep(more)
    now = contents(known)
    assert expected.items() <= now.items()


def test_a_file_that_is_replaced_whenever_it_is_opened_still_answers(cache: IndexCache, knowledge: Fresh) -> None:
    cache.keep(knowledge())
    opened = open_index(file_of(cache), url_key(URL))
    assert opened is not None
    n_opened = 0

    class Replaced(type(Path())):  # type: ignore[misc]  # the class of paths of this system
        def open(self, *args: Any, **options: Any) -> Any:
            nonlocal n_opened
            n_opened += 1
            more = found(cache)
            more.parts[f"/new_{n_opened}"] = group(f"/new_{n_opened}")
            more.is_changed = True
            elsewhere(cache).keep(more)
            return super().open(*args, **options)

    file = opened[0]
    file.path = Replaced(file.path)
    stored = {place: file.read(*place) for place in file.places()}
    assert n_opened > 4
    assert [place for place, block in stored.items() if block is None] == []


def test_a_file_that_is_replaced_by_another_version_ends_there(cache: IndexCache, knowledge: Fresh) -> None:
    cache.keep(knowledge())
    known = found(cache)
    other = replace(knowledge(), source=Source(URL, TWO))
    other.values.update({path: np.zeros(3) for path in other.values})
    elsewhere(cache).keep(other)
    path = "/intervals/table_11/column_1"
    assert found(cache, identity=TWO).values[path].shape == (3,)
    assert known.values.get(path) is None
    assert "/intervals" not in known.parts


def test_what_cannot_be_packed_is_left_out_and_the_rest_is_kept(cache: IndexCache) -> None:
    known = small(a=1, b=object())
    known.values["/a/x"] = np.zeros(2, "M8[ns]")
    known.values["/a/y"] = np.zeros(2)
    known.manifests["/a/y"] = replace(manifest(2), masks=np.zeros(1, np.uint32))
    cache.keep(known)
    kept = found(cache)
    assert set(kept.parts) == {"/a"}
    assert set(kept.values) == {"/a/y"}
    assert set(kept.manifests) == set()


def test_values_that_are_too_much_for_one_group_are_left_out(cache: IndexCache, monkeypatch: Any) -> None:
    monkeypatch.setattr("nwb_dask.catalog.merge.MAX_BLOCK_BYTES", 100_000)
    known = small(a=1)
    known.values.update({f"/a/{i}": np.random.default_rng(i).normal(size=2000) for i in range(6)})
    cache.keep(known)
    assert set(found(cache).values) == {"/a/0", "/a/1", "/a/2"}
    assert set(known.values) == {f"/a/{i}" for i in range(6)}


def test_contents_are_left_out_of_a_file_that_would_be_too_large(cache: IndexCache, monkeypatch: Any) -> None:
    monkeypatch.setattr(indexfile, "MAX_FILE_BYTES", 20_000)
    known = small(a=1)
    known.values["/a/x"] = np.random.default_rng(0).normal(size=5000)
    cache.keep(known)
    assert set(found(cache).parts) == {"/a"}
    assert set(found(cache).values) == set()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.setenv("NWB_DASK_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("NWB_DASK_CACHE", raising=False)
    return monkeypatch


@pytest.mark.parametrize("value", ["off", "OFF", "0", "false", "no"])
def test_the_cache_can_be_switched_off(environment: pytest.MonkeyPatch, value: str) -> None:
    environment.setenv("NWB_DASK_CACHE", value)
    assert isinstance(index_cache(), ProcessCache)
    assert not (Path(os.environ["NWB_DASK_CACHE_DIR"]) / "index").exists()


@pytest.mark.parametrize("value", ["", "on", "1"])
def test_the_cache_is_in_the_folder_that_is_named(environment: pytest.MonkeyPatch, tmp_path: Path, value: str) -> None:
    environment.setenv("NWB_DASK_CACHE", value)
    cache = index_cache()
    assert isinstance(cache, IndexCache)
    assert cache.folder == tmp_path / "index"
    assert index_cache() is cache


def test_the_cache_is_in_the_users_cache_folder_by_default(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.delenv("NWB_DASK_CACHE_DIR")
    environment.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    environment.setattr("sys.platform", "linux")
    cache = index_cache()
    assert isinstance(cache, IndexCache)
    assert cache.folder.parts[-2:] == ("nwb_dask", "index")
    assert not cache.folder.exists()
