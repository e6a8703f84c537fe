"""Documents that LINDI 0.4.6 wrote hold what h5py reads from the files that they were made from."""

from __future__ import annotations

import json
import socket
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import nwb_dask
from benchmarks.environments import ensure_environment
from nwb_dask.backends import File
from nwb_dask.index import ArrayEntry, GroupEntry
from nwb_dask.testing import RangeServer
from tests.backends.lindi.documents import opened
from tests.backends.oracle import assert_attribute, assert_same, every_dataset, what_h5py_says

DATA = Path(__file__).parents[4] / "shared" / "data"
INTEROP, REAL = DATA / "interop", DATA / "real"
SERVED = "http://127.0.0.1:8765"

# What LINDI 0.4.6 cannot describe, and why.
NOT_WRITTEN = {
    "AllenInstitute__bmtk/stim_12_pulses.nwb": "an attribute of references in a list (DIMENSION_LIST)",
    "NeurodataWithoutBorders__matnwb/20080606_R1.nwb": "an external link to a file that is not there",
    "NeurodataWithoutBorders__matnwb/20080606_R2.nwb": "an external link to a file that is not there",
    "NeurodataWithoutBorders__matnwb/example.h5": "a reference to a region in a scalar",
    "NeurodataWithoutBorders__matnwb/link_test.nwb": "a link that leads nowhere",
    "zekearneodo__pipefinch/cache_spec_example.nwb": "a reference to a region in a scalar",
}
# JSON has no widths: LINDI writes numbers of attributes without their types.
WIDTHS = {"float32", "float16", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8"}


@pytest.fixture(scope="module")
def interop() -> Path:
    if not INTEROP.is_dir():
        pytest.skip(f"NO INTEROP FILES at {INTEROP}: LINDI's documents are not compared")
    return INTEROP


def compare(ours: File, theirs: h5py.File, *, added: frozenset[str] = frozenset()) -> Counter[str]:
    """Compare all objects; return what was compared, and what LINDI has lost."""
    counts: Counter[str] = Counter()
    index = ours.index("/", recursive=True)
    assert dict(index.problems) == {}
    names = {"/"}
    theirs.visit(lambda name: names.add(f"/{name}"))
    assert {*index.groups, *index.arrays} - names == added | links_of(theirs, index.groups.values()) - names
    for name in names:
        entry = index.arrays.get(name) or index.groups.get(name)
        assert entry is not None, name
        compare_attributes(entry, theirs[name], theirs, counts)
    for dataset in every_dataset(theirs):
        compare_values(ours, index.arrays[dataset.name], dataset, counts)
    return counts


def links_of(theirs: h5py.File, groups: Any) -> set[str]:
    """Return what stands under links, which h5py does not visit."""
    return {
        path
        for group in groups
        for name in group.links
        if isinstance(theirs.get(path := f"{group.path.rstrip('/')}/{name}"), h5py.Dataset)
    }


def compare_attributes(
    entry: ArrayEntry | GroupEntry, item: h5py.Group | h5py.Dataset, file: h5py.File, counts: Counter[str]
) -> None:
    assert set(entry.attributes) == set(item.attrs), entry.path
    for name, value in entry.attributes.items():
        expected = item.attrs[name]
        counts["attributes"] += 1
        if str(getattr(expected, "dtype", "")) in WIDTHS:
            counts["attributes without their width"] += 1
            np.testing.assert_array_equal(value, expected)
        else:
            assert_attribute(value, expected, file)


def compare_values(ours: File, entry: ArrayEntry, dataset: h5py.Dataset, counts: Counter[str]) -> None:
    found = ours.read(entry)
    if h5py.check_ref_dtype(dataset.dtype) is h5py.RegionReference:
        # LINDI writes them as references to the whole object.
        counts["regions that are lost"] += 1
        assert [*found.reshape(-1)] == [dataset.file[one].name for one in dataset[()].reshape(-1)]
        return
    counts["datasets"] += 1
    assert_same(found, what_h5py_says(dataset))


def test_the_session_is_equal_to_its_hdf5_file(interop: Path) -> None:
    remap = {SERVED: str(interop)}
    with h5py.File(interop / "session.nwb") as theirs:
        with opened(interop / "session.lindi.json", remap=remap) as ours:
            assert compare(ours, theirs)["datasets"] > 100
        added = {f"/processing/behavior/amended{rest}" for rest in ("", "/data", "/starting_time")}
        with opened(interop / "amended.lindi.tar", remap=remap) as ours:
            index = ours.index("/processing/behavior/amended")
            assert ours.read(index.arrays["/processing/behavior/amended/data"]).size
            members = set(ours.index("/processing/behavior").groups["/processing/behavior"].members)
            assert added & {f"/processing/behavior/{name}" for name in members}


def test_the_session_opens_where_its_file_is_served(interop: Path) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 8765))
        except OSError:
            pytest.skip("PORT 8765 IS TAKEN: the document is not read from where it says its file is")
    with RangeServer(interop, port=8765):
        frame = nwb_dask.read_table(str(interop / "session.lindi.json"), "/units", "pandas")
    expected = nwb_dask.read_table(str(interop / "session.nwb"), "/units", "pandas")
    columns = [name for name in expected if name != "_nwb_path"]
    assert frame[columns].equals(expected[columns])


@pytest.mark.parametrize("name", ["session.lindi.json", "amended.lindi.tar"])
def test_a_remote_table_takes_few_requests(interop: Path, name: str) -> None:
    with RangeServer(interop) as server, nwb_dask.options(remap={SERVED: server.base_url}):
        with server.budget(requests=5, bytes=3_200_000):
            first = nwb_dask.read_table(server.url(name), "/units", "pandas")
        # The document is still there, and so is the file that it refers to: a question, and the spikes.
        with server.budget(requests=2, bytes=530_000):
            again = nwb_dask.read_table(server.url(name), "/units", "pandas")
    assert first.equals(again)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Documents that LINDI makes of the real files, and what it says of those of which it makes none."""
    if not REAL.is_dir():
        pytest.skip(f"NO REAL FILES at {REAL}: LINDI's documents are not compared")
    out = tmp_path_factory.mktemp("documents")
    script = Path(__file__).with_name("lindi_documents.py")
    command: list[str | Path] = [ensure_environment("remote_lindi"), script, REAL, out, SERVED]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return out, json.loads(done.stdout[done.stdout.rindex("{") :])


@pytest.mark.slow
def test_documents_of_real_files_are_equal_to_them(
    made: tuple[Path, dict[str, str]], record_property: Callable[[str, object], None]
) -> None:
    out, failed = made
    assert set(failed) == set(NOT_WRITTEN)
    counts: Counter[str] = Counter()
    for path in sorted(path for path in REAL.rglob("*") if path.suffix in {".nwb", ".h5"} and path.is_file()):
        name = str(path.relative_to(REAL))
        if name in failed:
            continue
        document = out / (name.replace("/", "__") + ".lindi.json")
        with h5py.File(path) as theirs, opened(document, remap={SERVED: str(REAL)}) as ours:
            counts += compare(ours, theirs)
            counts["files"] += 1
    record_property("compared", dict(counts))
    assert counts["files"] > 80
    assert counts["datasets"] > 4000
