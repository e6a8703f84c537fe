"""Real stores by several versions of hdmf-zarr: every array as numcodecs decodes its chunks, by the JSON by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.backends.summary import STORES as STORES_COMPARED
from tests.backends.zarr.by_hand import by_hand, comparable
from tests.backends.zarr.stores import INTEROP, REAL, opened

FOUND = [*REAL.glob("*/*.zarr"), *REAL.glob("*/*.nwb"), INTEROP / "session_zarr2.nwb.zarr"]
STORES = sorted(path for path in FOUND if (path / ".zgroup").exists())


def test_the_real_stores_are_there() -> None:
    if not STORES:
        pytest.skip(f"NO REAL STORES at {REAL}: nothing is compared with real data")
    assert len(STORES) >= 5


@pytest.mark.parametrize("path", STORES, ids=[path.name for path in STORES])
def test_every_array_of_a_real_store_has_the_values_in_its_chunks(
    path: Path, record_property: Callable[[str, object], None]
) -> None:
    n_values = 0
    with opened(path) as file:
        index = file.index("/", recursive=True)
        assert not index.problems
        described = {one: entry for one, entry in index.arrays.items() if (path / one[1:] / ".zarray").exists()}
        for name, entry in described.items():
            document = json.loads((path / name[1:] / ".zarray").read_text())
            expected = by_hand(path / name[1:], document)
            if not entry.shape:
                expected = expected.reshape(())
            found = file.read(entry)
            assert found.shape == entry.shape == expected.shape
            if expected.dtype.hasobject:
                assert found.reshape(-1).tolist() == [comparable(one) for one in expected.reshape(-1).tolist()]
            else:
                assert found.dtype == expected.dtype
                np.testing.assert_array_equal(found, expected)
            n_values += found.size
    links = len(index.arrays) - len(described)
    text = f"{path.name}: {len(described)} arrays, {links} behind links, {n_values:,} values equal those in its chunks"
    record_property(STORES_COMPARED, json.dumps({"text": text}))
