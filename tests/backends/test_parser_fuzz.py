"""Damaged files: never a hang, a crash, unbounded memory or a wrong value, but an error of ours or the exact data.

Thousands of copies of small files are damaged: bytes flipped, numbers out of range written, cut off at every 64th; in
what the parser looks at above all, with checksums that do not fit, or made to fit so that the damage is looked at.
Each copy is described and read completely, as a local file and as a remote one, and by h5py, each in processes of
their own with limits of time and memory.

What is a wrong value? Of each object, attribute, map of chunks and array of values, ours is

* *confirmed* if h5py says the same of the damaged file; a flip in data changes them for everyone,
* fine if it is exactly what the undamaged file holds, whatever h5py says: we take other ways to it than libhdf5,
* *wrong* if h5py says something else, and *missing* if h5py has it, we have what it is in, and say nothing of it,
* fine if it is an error of `nwb_dask.errors`, or a problem in the index, whatever h5py says,
* *unconfirmed* if h5py refuses and ours is something else. Each kind of these was looked at, and is in `LOOKED_AT`.
"""

from __future__ import annotations

import json
import re
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from shutil import copyfile
from unittest import mock

import h5py
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwb_dask.backends import open_file
from nwb_dask.backends.hdf5.h5py_file import H5pyFile
from nwb_dask.errors import UnsupportedLayoutError
from tests.backends.answers import Answers
from tests.backends.answers_of_ours import ask_ours
from tests.backends.fuzz_files import FILES
from tests.backends.fuzz_found import CASES
from tests.backends.fuzz_mutations import Anatomy, Mutation, cuts, dissect, random_mutations, some_rows
from tests.backends.fuzz_worker import MAX_BYTES
from tests.backends.fuzzing import Report, fuzz
from tests.backends.stores import RemoteStore, open_local
from tests.backends.summary import DAMAGED

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
MAX_REAL_BYTES = 200 << 10
N_REAL = 6
N_QUICK, N_SLOW = 3, 30
SLOW_SEEDS = range(1, 13)
CUT_QUICKLY = ("mixture, earliest", "mixture, latest", "indexes, v110", "dense, v108")

LOOKED_AT = {
    r"name doesn't exist|can't locate attribute": "a name does not fit its hash: we go by addresses",
    r"out of bounds|overlap|can't be zero|is zero|mantissa|exponent": "a type that h5py would convert, and cannot",
    r"addr overflow|temporary file space": "the superblock has the end of the file too early: we go by the file",
    r"bad coordinate offset": "chunks of another shape than their index has: reading them is an error",
    r"didn't find unlimited dimension": "an index for a shape without bound, which has one: its chunks are found",
    r"iterating over attributes": "one attribute is damaged, for which h5py lists none",
    r"free block size is zero|bad heap free list": "free space in a heap of names, which only writers use",
    r"[Cc]an't get deprecated info|bad version number for message": "it asks for more of an object than reading takes",
    r"takes this for complex": "h5py converts a compound without looking where its fields are",
}
"""Why h5py refuses what we say, and why we may say it."""

MAX_TRACED_BYTES = 200 << 20
NUMBERS = st.sampled_from((0, 1, 1 << 31, (1 << 63) - 1, (1 << 64) - 1)) | st.integers(0, 255)

Record = Callable[[str, object], None]


@cache
def _originals() -> tuple[dict[str, Anatomy], dict[str, Answers]]:
    return {}, {}


def prepare(folder: Path, name: str, write: Callable[[Path], object]) -> tuple[Anatomy, Answers]:
    """Return a file and what we say of it, made once for all tests of this process."""
    anatomies, originals = _originals()
    if name not in anatomies:
        path = folder / "original.h5"
        write(path)
        anatomies[name] = dissect(path)
        with open_local(path) as store:
            originals[name] = ask_ours(store, max_bytes=MAX_BYTES, rows=some_rows)
        path.unlink()
    return anatomies[name], originals[name]


def prepare_all(folder: Path) -> tuple[dict[str, Anatomy], dict[str, Answers]]:
    for name, write in FILES.items():
        prepare(folder, name, write)
    return {name: _originals()[0][name] for name in FILES}, {name: _originals()[1][name] for name in FILES}


def check(report: Report, record: Record, what: str) -> None:
    unseen = [one for one in report.unconfirmed if not any(re.search(known, one.reason) for known in LOOKED_AT)]
    found = Counter(one.kind for one in report.findings)
    text = f"{what}: " + "; ".join([*report.lines(), ", ".join(f"{n} {kind}" for kind, n in found.items())])
    record(DAMAGED, json.dumps({"text": text}))
    assert not report.faults + unseen, "\n".join(map(str, [*report.faults, *unseen][:40]))


def test_damaged_files_give_errors_of_ours_or_the_exact_data(tmp_path: Path, record_property: Record) -> None:
    anatomies, originals = prepare_all(tmp_path)
    mutations = [one for name, found in anatomies.items() for one in random_mutations(name, found, 0, N_QUICK)]
    check(fuzz(tmp_path, anatomies, mutations, originals), record_property, "some")


def test_files_that_are_cut_off_give_errors_of_ours_or_the_exact_data(tmp_path: Path, record_property: Record) -> None:
    anatomies, originals = prepare_all(tmp_path)
    mutations = [one for name in CUT_QUICKLY for one in cuts(name, anatomies[name])]
    check(fuzz(tmp_path, anatomies, mutations, originals), record_property, "cut off")


@pytest.mark.slow
def test_every_file_may_be_cut_off(tmp_path: Path, record_property: Record) -> None:
    anatomies, originals = prepare_all(tmp_path)
    mutations = [one for name, found in anatomies.items() for one in cuts(name, found)]
    check(fuzz(tmp_path, anatomies, mutations, originals), record_property, "all cut off")


@pytest.mark.slow
@pytest.mark.parametrize("seed", SLOW_SEEDS)
def test_many_damaged_files_give_errors_of_ours_or_the_exact_data(
    tmp_path: Path, seed: int, record_property: Record
) -> None:
    anatomies, originals = prepare_all(tmp_path)
    mutations = [one for name, found in anatomies.items() for one in random_mutations(name, found, seed, N_SLOW)]
    check(fuzz(tmp_path, anatomies, mutations, originals), record_property, f"seed {seed}")


@pytest.mark.slow
def test_damaged_real_files_give_errors_of_ours_or_the_exact_data(tmp_path: Path, record_property: Record) -> None:
    files = [path for path in sorted(REAL.rglob("*.nwb")) if path.is_file() and path.stat().st_size < MAX_REAL_BYTES]
    if not files:
        pytest.skip(f"NO REAL FILES at {REAL}: none is damaged")
    chosen = {path.name: path for path in files[:: max(len(files) // N_REAL, 1)]}
    mutations: list[Mutation] = []
    anatomies: dict[str, Anatomy] = {}
    originals: dict[str, Answers] = {}
    for name, path in chosen.items():
        anatomies[name], originals[name] = prepare(tmp_path, name, partial(copyfile, path))
        mutations += [*cuts(name, anatomies[name]), *random_mutations(name, anatomies[name], 1, N_SLOW)]
    check(fuzz(tmp_path, anatomies, mutations, originals), record_property, "real files")


def test_damage_that_fuzzing_has_found_gives_errors_of_ours_or_the_exact_data(tmp_path: Path) -> None:
    anatomies: dict[str, Anatomy] = {}
    originals: dict[str, Answers] = {}
    mutations = []
    for name, case in CASES.items():
        anatomies[name], originals[name] = prepare(tmp_path, name, case.write)
        mutations.append(Mutation(name, case.edits(anatomies[name].body), sealed=True))
    # All together: the processes that read them take seconds to start.
    findings = fuzz(tmp_path, anatomies, mutations, originals).findings
    assert not findings, "\n".join(f"{one.mutation.name}: {one}" for one in findings)


@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(
    name=st.sampled_from(sorted(FILES)),
    edits=st.lists(st.tuples(st.integers(0, 1 << 20), st.sampled_from((1, 2, 4, 8)), NUMBERS), min_size=1, max_size=4),
    sealed=st.booleans(),
    is_remote=st.booleans(),
)
def test_without_h5py_damage_gives_nothing_but_errors_of_ours_and_takes_little_memory(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    edits: list[tuple[int, int, int]],
    *,
    sealed: bool,
    is_remote: bool,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    anatomy, _ = prepare(folder, name, FILES[name])
    changed = tuple(
        (anatomy.looked_at[where % len(anatomy.looked_at)], (number & (1 << 8 * width) - 1).to_bytes(width, "little"))
        for where, width, number in edits
    )
    path = folder / "damaged.h5"
    path.write_bytes(anatomy.damaged(Mutation(name, changed, sealed=sealed)))
    refused = UnsupportedLayoutError("h5py is not asked")
    tracemalloc.start()
    try:
        # What libhdf5 makes of damage is seen in processes of their own.
        with mock.patch.object(H5pyFile, "_open", side_effect=refused), open_local(path) as store:
            ask_ours(RemoteStore(store) if is_remote else store, max_bytes=MAX_BYTES, rows=some_rows)
        assert tracemalloc.get_traced_memory()[1] < MAX_TRACED_BYTES
    finally:
        tracemalloc.stop()


def test_a_table_with_many_chunks_that_were_never_written_is_read_soon(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("x", (10_000,), "u1", chunks=(1,), maxshape=(None,))[9_000] = 1
    with open_local(path) as store, open_file(store) as ours:
        entry = ours.index("/").arrays["/x"]
        began = time.process_time()
        assert ours.read(entry).sum() == 1
        assert time.process_time() - began < 1
