"""Remote HDF5 files open in h5py: the same objects as of a local copy, few requests, and no crash at the end."""

from __future__ import annotations

import gc
import math
import pickle
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import nwb_dask
from nwb_dask.catalog import index_cache
from nwb_dask.errors import SourceUnavailableError
from nwb_dask.h5.guarded import GuardedFile
from nwb_dask.h5.streamed import StreamedFile
from nwb_dask.index import Url
from nwb_dask.testing import RangeServer
from tests.h5.same import differences

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
FILES = [path for path in sorted(REAL.rglob("*.nwb")) if path.is_file()]


@pytest.fixture
def url(server: RangeServer, path: Path) -> str:
    return server.url(path.name)


def test_a_remote_file_is_as_h5py_shows_the_local_one(url: str, path: Path) -> None:
    with h5py.File(path) as expected, nwb_dask.open_h5(url) as found:
        assert isinstance(found, StreamedFile)
        assert list(differences(expected, found)) == []


@pytest.mark.skipif(not FILES, reason="the real files are not here")
def test_real_remote_files_are_as_h5py_shows_local_ones() -> None:
    with RangeServer(REAL) as server:
        for path in FILES[5::40]:
            with h5py.File(path) as expected, nwb_dask.open_h5(server.url(str(path.relative_to(REAL)))) as found:
                assert list(differences(expected, found)) == [], path.name


@pytest.mark.slow
@pytest.mark.skipif(not FILES, reason="the real files are not here")
def test_all_real_remote_files_are_as_h5py_shows_local_ones() -> None:
    with RangeServer(REAL) as server:
        for path in FILES:
            with h5py.File(path) as expected, nwb_dask.open_h5(server.url(str(path.relative_to(REAL)))) as found:
                assert list(differences(expected, found)) == [], path.name


def test_a_local_file_is_opened_by_h5py_alone(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["soft"] = h5py.SoftLink("/absent")
    with nwb_dask.open_h5(tmp_path / "plain.h5") as file:
        assert type(file) is GuardedFile


def test_libhdf5_never_follows_a_link_out_of_a_local_file(path: Path) -> None:
    with nwb_dask.open_h5(path) as file:
        assert type(file) is not GuardedFile
        assert file["soft"].shape == (8000,)
        with pytest.raises(KeyError, match=r"session\.h5"):
            file["elsewhere"]


def look_at_all(url: str) -> None:
    with nwb_dask.open_h5(url) as file:
        file.visititems(lambda _, one: dict(one.attrs))


def test_a_file_that_was_described_before_is_opened_in_few_rounds(url: str) -> None:
    look_at_all(url)
    with nwb_dask.trace() as known:
        look_at_all(url)
    # Whether it is the same version, its structure, the first row of its text.
    assert known.rounds == 3
    index_cache().forget(Url(url))
    with nwb_dask.trace() as unknown:
        look_at_all(url)
    assert known.bytes < unknown.bytes


def test_a_second_run_with_the_chunk_cache_asks_nothing(server: RangeServer, url: str, path: Path) -> None:
    with nwb_dask.options(chunk_cache="on", chunk_cache_max_age=math.inf), h5py.File(path) as expected:
        for is_second in (False, True):
            server.reset()
            look_at_all(url)
            with nwb_dask.open_h5(url) as file:
                np.testing.assert_array_equal(file["series"][100:9000], expected["series"][100:9000])
            assert (server.n_requests == 0) == is_second


@pytest.mark.parametrize("text", ["plain", np.bytes_("fixed"), "", "µm"])
def test_text_attributes_are_of_the_type_that_h5py_gives(text: str | bytes, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "texts.h5", "w") as file:
        file.attrs["one"] = text
        file.create_dataset("a", data=[1.0]).attrs["two"] = text
        file.create_group("g").attrs["three"] = [text, text] if isinstance(text, str) else np.array([text, text])
    with RangeServer(tmp_path) as server, nwb_dask.open_h5(server.url("texts.h5")) as file:
        for one, name in ((file, "one"), (file["a"], "two")):
            assert (type(one.attrs[name]), one.attrs[name]) == (type(text), text)
        assert file["g"].attrs["three"].tolist() == [text, text]


def test_a_slice_over_many_chunks_takes_one_round(url: str) -> None:
    with nwb_dask.open_h5(url) as file, nwb_dask.trace() as trace:
        assert file["series"][0:30_000].shape == (30_000, 16)
    assert trace.rounds == 1


def test_columns_of_a_table_are_read_together(url: str) -> None:
    with nwb_dask.open_h5(url) as file, nwb_dask.trace() as trace:
        for name in ("a", "b", "c", "d"):
            file[f"table/{name}"][:]
    assert trace.rounds <= 1


def test_a_loop_over_rows_reads_ahead(url: str, path: Path) -> None:
    with h5py.File(path) as expected, nwb_dask.open_h5(url) as file, nwb_dask.trace() as trace:
        plain = file["plain"]
        np.testing.assert_array_equal([plain[row] for row in range(9000)], expected["plain"][:9000])
    assert trace.rounds <= 3


def test_rows_of_a_chunk_are_fetched_once(url: str) -> None:
    with nwb_dask.open_h5(url) as file, nwb_dask.trace() as trace:
        for start in range(0, 4000, 100):
            file["series"][start : start + 100]
    assert trace.rounds == 1


def test_items_of_a_group_are_read_in_a_loop(url: str, path: Path) -> None:
    with h5py.File(path) as expected, nwb_dask.open_h5(url) as file:
        for name, dataset in file["table"].items():
            np.testing.assert_array_equal(dataset[()], expected["table"][name][()])
        sizes: list[int] = []
        file["table"].visititems(lambda _, dataset: sizes.append(int(dataset[()].size)))
        assert sizes == [8000] * 5


def test_a_link_into_another_file_is_not_followed(url: str) -> None:
    with nwb_dask.open_h5(url) as file:
        assert file.get("elsewhere") is None
        with pytest.raises(KeyError, match="link into another file"):
            file["elsewhere"]


def test_a_closed_file_says_so(url: str) -> None:
    file = nwb_dask.open_h5(url)
    dataset = file["plain"]
    file.close()
    file.close()
    assert not file
    assert not dataset
    with pytest.raises(ValueError, match="closed"):
        dataset[:3]


def test_a_file_that_nothing_refers_to_is_closed(url: str) -> None:
    dataset = nwb_dask.open_h5(url)["plain"]
    assert dataset[0] == dataset[:1][0]
    identifier = dataset.file.id
    del dataset
    gc.collect()
    assert not identifier.valid


def test_open_files_are_not_pickled(url: str) -> None:
    with nwb_dask.open_h5(url) as file:
        for one in (file, file["table"], file["plain"]):
            with pytest.raises(TypeError, match="open_h5"):
                pickle.dumps(one)


def test_several_files_are_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="one file"):
        nwb_dask.open_h5([path, path])


def test_what_is_absent_is_named(server: RangeServer) -> None:
    with pytest.raises(SourceUnavailableError, match=r"absent\.h5"):
        nwb_dask.open_h5(server.url("absent.h5"))


ENDS = {
    "open at the end": "kept = file",
    "only a dataset at the end": "kept = file['plain']; del file; kept[:10]",
    "in a cycle at the end": "kept = [file]; kept.append(kept); del file",
    "read by threads at the end": (
        "import concurrent.futures as f; pool = f.ThreadPoolExecutor(4); d = file['series'];"
        "list(pool.map(lambda i: d[i * 1000 : i * 1000 + 3000].sum(), range(50)))"
    ),
    "collected while others read": (
        "import gc, threading; d = file['series']; stop = []\n"
        "def churn():\n"
        "    while not stop:\n"
        "        a = [nwb_dask.open_h5(url)['plain']]; a.append(a); del a; gc.collect()\n"
        "thread = threading.Thread(target=churn); thread.start()\n"
        "for i in range(20):\n"
        "    for name, one in file['table'].items():\n"
        "        one[i:]\n"
        "    file.visititems(lambda n, o: o[i : i + 9000] if n == 'series' else None)\n"
        "stop.append(1); thread.join()"
    ),
    "forked": (
        "import os\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    try:\n"
        "        file['series'][:]\n"
        "    except OSError as exc:\n"
        "        os._exit(0 if 'forked' in str(exc) else 3)\n"
        "    os._exit(4)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0\n"
        "assert file['series'][:].shape == (60000, 16)"
    ),
}


def check_end(ending: str, url: str) -> None:
    code = f"import nwb_dask\nurl = {url!r}\nfile = nwb_dask.open_h5(url)\n{ending}\nprint('done')"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"done\n"), done.stderr.decode()


def test_a_process_that_forks_collects_and_leaves_a_file_open_ends_well(url: str) -> None:
    few = ENDS["collected while others read"].replace("range(20)", "range(4)")
    check_end("\n".join([ENDS["forked"], few, ENDS["open at the end"]]), url)


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
def test_a_process_ends_well_with_a_file(end: str, url: str) -> None:
    check_end(ENDS[end], url)
