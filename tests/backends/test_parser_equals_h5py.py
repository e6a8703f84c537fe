"""The parser says of every object what h5py says: of real files, and of a zoo with every structure of HDF5.

Compared are the members of groups and their order, soft and external links, attributes, types, shapes, layouts,
chunks, filters, where each chunk is, all values, and some rows; of a local file, of a remote one, and group by group.
The oracle walks through the file by the low level of h5py. Where a chunk is in the shape h5py cannot always be asked
(`answers_of_h5py.misnumbers`): there only the values tell.
"""

from __future__ import annotations

import ctypes
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  # registers its filters
import numpy as np
import pytest
from h5py import h5d, h5o, h5p, h5s, h5t

from nwb_dask.backends import open_file
from nwb_dask.backends.hdf5.format.object_header import LAYOUT, get_body, read_messages
from nwb_dask.backends.hdf5.format.superblock import read_superblock
from nwb_dask.index import FileIndex
from tests.backends.answers import Answers, Difference, Refusal, counts, differences, groups_in
from tests.backends.answers_of_h5py import ask_h5py
from tests.backends.answers_of_ours import ask_ours, fallbacks
from tests.backends.format.chunked import KINDS
from tests.backends.format.reading import pages_of
from tests.backends.stores import RemoteStore, open_local
from tests.backends.summary import COMPARED
from tests.backends.zoo_hdf5 import QUICK, WAYS, ZOO, write
from tests.backends.zoo_members import write_low_level_attribute
from tests.backends.zoo_storage import library

DATA = Path(__file__).parents[3] / "shared" / "data"
REAL = sorted(path for path in (DATA / "real").rglob("*") if path.suffix in {".nwb", ".h5", ".hdf5"} and path.is_file())
INTEROP = [path for path in [DATA / "interop" / "session.nwb"] if path.exists()]
MAX_BYTES = 32 << 20
"""Of larger datasets only some rows are compared."""
N_SELECTIONS = 4
WAYS_OF_READING = ("local", "remote", "by group")
"""At once from a local and from a remote file; and group by group from a local one, as tables are."""

REFUSED_IN_REAL_FILES = {
    # Dimension scales.
    r".*@DIMENSION_LIST": r"sequences of reference",
    r".*@REFERENCE_LIST": r"attributes of type compound are not read",
}
REFUSED_IN_ZOO = REFUSED_IN_REAL_FILES | {
    r".*#chunks": r"described by h5py",
    r".*@(record|records|committed|record \d+)": r"attributes of type compound are not read",
    r".*@array": r"attributes of type array are not read",
    r".*@opaque": r"attributes of type bytes are not read",
    r".*@region": r"attributes of type region are not read",
    r".*@sequences": r"attributes of type sequence are not read",
    r".*@long double": r"floating point of 128 bits in an extended format",
    r".*@odd precision": r".*is a number in an odd format, which is not read",
    r".*@.*": r"it has a message in the heap of shared messages, which is not read",
    r".*@latin": r"damaged: its text is no UTF-8.*",
    r".*/long double": r"floating point of 128 bits in an extended format",
    r".*/arrays of records": r"arrays of compound in each element",
    r".*/of texts": r"sequences of string",
    r".*/of references": r"sequences of reference",
    r"/(number|record|colour|text|committed|types/committed)|.*/to a type": r"it is a named datatype, .*",
    r"/regions#(values|rows)": r"a region reference into an array of several dimensions is not read.*",
    r"/external#(values|rows)": r".* has its data in other files .*, which are not read.*",
    r"/external": r"/external has its data in other files .*, which are not read.*",
}
"""What is not read, by us nor through h5py: keys, and why."""


def some_rows(path: str, n: int) -> Sequence[tuple[int, int]]:
    """Return the rows of four random selections, one in each quarter where there are as many."""
    rng = np.random.default_rng([n, len(path)])
    spans = []
    for i in range(N_SELECTIONS):
        low, high = n * i // N_SELECTIONS, n * (i + 1) // N_SELECTIONS
        if low < high:
            start = int(rng.integers(low, high))
            spans.append((start, int(rng.integers(start, min(high, start + 10_000))) + 1))
    return spans


def compare(
    path: Path,
    *,
    kind: str,
    refused: dict[str, str],
    record: Callable[[str, object], None],
    ways: Sequence[str] = WAYS_OF_READING,
) -> Answers:
    """Assert that all ways of reading a file give what h5py says; return what it says."""
    theirs = ask_h5py(path, max_bytes=MAX_BYTES, rows=some_rows)
    wrong: list[Difference] = []
    through: list[tuple[str, str]] = []
    refusals: list[tuple[str, str]] = []
    for way in ways:
        with fallbacks() as noted, open_local(path) as store:
            source = RemoteStore(store) if way == "remote" else store
            ours = ask_ours(
                source, max_bytes=MAX_BYTES, rows=some_rows, groups=groups_in(theirs) if way == "by group" else None
            )
        different = list(differences(ours, theirs))
        if way == "by group":
            # A group that several links lead to is met under each path.
            different = [one for one in different if one.key in theirs.found]
        wrong += [one for one in different if not _is_listed(one, refused)]
        if way == "remote":
            through = sorted(set(noted.found))
            refusals = [(one.key, one.ours.reason) for one in different if _is_listed(one, refused)]
    entry = {
        "kind": kind,
        "file": path.name,
        "counts": counts(theirs.found),
        "through h5py": through,
        "refused": refusals,
    }
    record(COMPARED, json.dumps(entry))
    assert not wrong, "\n".join(map(str, wrong))
    return theirs


def _is_listed(one: Difference, refused: dict[str, str]) -> bool:
    return isinstance(one.ours, Refusal) and any(
        re.fullmatch(key, one.key) and re.fullmatch(reason, one.ours.reason, re.DOTALL)
        for key, reason in refused.items()
    )


def test_the_real_files_are_there() -> None:
    if not REAL:
        pytest.skip(f"NO REAL FILES at {DATA}: nothing is compared with real data")
    assert len(REAL) > 50
    assert INTEROP


@pytest.mark.parametrize("path", [*REAL, *INTEROP], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_real_file_is_what_h5py_says(path: Path, record_property: Callable[[str, object], None]) -> None:
    noted: dict[str, object] = {}
    theirs = compare(path, kind="real files", refused=REFUSED_IN_REAL_FILES, record=noted.__setitem__)
    record_property(COMPARED, noted[COMPARED])
    through = json.loads(str(noted[COMPARED]))["through h5py"]
    # Region references are the only thing in real files that h5py reads.
    assert [one for one, _ in through if theirs.found[one][1] != ("region",)] == []


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ZOO]
)
def test_a_file_of_the_zoo_is_what_h5py_says(
    tmp_path: Path, name: str, record_property: Callable[[str, object], None]
) -> None:
    path = tmp_path / f"{name.replace(': ', ', ')}.h5"
    ZOO[name](path)
    # h5py takes references of other sizes than 8 bytes for what they are not.
    ways: tuple[str, ...] = WAYS_OF_READING[:2] if "sizes of 4" in name else WAYS_OF_READING
    if name.endswith("many links"):
        # Seconds for each way; the parser meets the same bytes in all of them.
        ways = ("remote",)
    compare(path, kind="generated files", refused=REFUSED_IN_ZOO, record=record_property, ways=ways)


def test_the_zoo_has_every_structure(tmp_path: Path) -> None:
    superblocks, headers, layouts, indexes, signatures = set(), set(), set(), set(), set()
    for number, name in enumerate(QUICK):
        path = tmp_path / f"{number}.h5"
        ZOO[name](path)
        body = path.read_bytes()
        found = read_superblock(pages_of(body))
        superblocks.add(body[found.space.base + 8])
        signatures |= set(re.findall(rb"TREE|SNOD|HEAP|GCOL|OHDR|OCHK|FRHP|FHDB|FHIB|BTHD|BTIN|BTLF|FAHD|FADB|EAHD|EAIB|EASB|EADB|SMTB", body))  # fmt: skip  # noqa: E501  # one list
        for address in _addresses(path):
            headers.add(2 if body[found.space.base + address :][:4] == b"OHDR" else 1)
            layout = get_body(read_messages(found.space, address), LAYOUT)
            if layout is not None:
                layouts.add(layout[0])
                if layout[0] >= 4 and layout[1] == 2:
                    indexes.add(KINDS[layout[5 + layout[3] * layout[4]]])
    assert superblocks == {0, 1, 2, 3}
    assert headers == {1, 2}
    assert layouts >= {1, 2, 3, 4}
    assert indexes == {"single", "implicit", "fixed", "extensible", "btree2"}
    assert len(signatures) == 19
    assert {name.partition(":")[0] for name in ZOO} >= set(WAYS)


def _addresses(path: Path) -> set[int]:
    """Return the object headers of a file that do not share messages, which the parser does not read."""
    if "shared" in path.name:
        return set()
    found: set[int] = set()
    with h5py.File(path) as file:
        found.add(h5o.get_info(file.id).addr)
        file.visititems(lambda _name, item: found.add(h5o.get_info(item.id).addr))
    return found


def _attributes_of(path: Path) -> dict[str, object]:
    with open_local(path) as store, open_file(store) as file:
        return dict(file.index("/", recursive=True).groups["/"].attributes)


def test_an_attribute_of_odd_precision_is_read(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    odd = h5t.STD_I32LE.copy()
    odd.set_precision(17)
    with h5py.File(path, "w") as file:
        write_low_level_attribute(file, "odd", odd, np.arange(-2, 2, dtype="<i4"))
        file.attrs["plain"] = 1
    found = _attributes_of(path)
    assert found.keys() == {"odd", "plain"}
    np.testing.assert_array_equal(np.asarray(found["odd"]), np.arange(-2, 2))


def test_an_attribute_whose_type_is_shared_by_several_objects_is_read(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"

    def write_shared(file: h5py.File) -> None:
        for name in ("x", "y"):
            file.create_group(name)
            file.attrs[name] = np.array([1 + 2j])

    write(path, "shared messages", write_shared)
    assert _attributes_of(path).keys() == {"x", "y"}


def _table(path: Path) -> FileIndex:
    """Return the root group of a local file, as tables are described: without the groups below."""
    with open_local(path) as store, open_file(store) as file:
        return file.index("/")


def _rows(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    with open_local(path) as store, open_file(store) as file:
        return file.read(file.index("/").arrays["/x"])


def test_a_column_that_was_never_allocated_has_its_fill_value(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (4,), "<i4", fillvalue=7)
    assert _rows(path).tolist() == [7, 7, 7, 7]


def test_a_column_whose_last_chunk_is_not_filtered_is_read(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    set_options = library().H5Pset_chunk_opts
    set_options.argtypes = [ctypes.c_int64, ctypes.c_uint]
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_chunk((4,))
    properties.set_shuffle()
    assert set_options(properties.id, 2) >= 0
    with h5py.File(path, "w", libver="latest") as file:
        made = h5d.create(file.id, b"x", h5t.STD_I32LE, h5s.create_simple((6,)), dcpl=properties)
        h5py.Dataset(made)[...] = np.arange(6)
    assert _rows(path).tolist() == [0, 1, 2, 3, 4, 5]


def test_an_attribute_of_utf_8_of_fixed_length_is_read(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file.attrs.create("fixed", "ü".encode(), dtype=h5py.string_dtype("utf-8", 4))
    assert _table(path).groups["/"].attributes == {"fixed": "ü"}
