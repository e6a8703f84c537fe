"""Real stores by several versions of hdmf-zarr: every array as numcodecs decodes its chunks, by the JSON by hand."""

from __future__ import annotations

import itertools
import json
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest

from tests.backends.summary import STORES as STORES_COMPARED
from tests.backends.zarr.stores import INTEROP, REAL, opened

FOUND = [*REAL.glob("*/*.zarr"), *REAL.glob("*/*.nwb"), INTEROP / "session_zarr2.nwb.zarr"]
STORES = sorted(path for path in FOUND if (path / ".zgroup").exists())


class ZarrReference(dict[str, Any]):
    """Stands for that of hdmf_zarr, which is not installed."""


def test_the_real_stores_are_there() -> None:
    if not STORES:
        pytest.skip(f"NO REAL STORES at {REAL}: nothing is compared with real data")
    assert len(STORES) >= 5


def by_hand(folder: Path, document: dict[str, Any]) -> Any:
    """Return all elements of an array: its chunks through numcodecs, one after the other."""
    shape, chunks = document["shape"], document["chunks"]
    dtype = np.dtype(document["dtype"])
    out = np.empty(shape, dtype)
    out[...] = document["fill_value"]
    steps = [*(document["filters"] or []), *([document["compressor"]] if document["compressor"] else [])]
    for place in itertools.product(*(range(-(-n // c)) for n, c in zip(shape, chunks, strict=True))):
        path = folder / ".".join(map(str, place))
        if not path.exists():
            continue
        data: Any = path.read_bytes()
        for step in reversed(steps):
            # numcodecs refuses pickles; these are of this test's own data.
            data = pickle.loads(data) if step["id"] == "pickle" else numcodecs.get_codec(step).decode(data)
        part = data if dtype.hasobject else np.frombuffer(data, dtype)
        part = part.reshape(chunks, order=document["order"])
        where = tuple(slice(p * c, (p + 1) * c) for p, c in zip(place, chunks, strict=True))
        out[where] = part[tuple(slice(0, n) for n in out[where].shape)]
    return out


def comparable(value: object) -> object:
    if isinstance(value, dict):
        return value["path"]
    return value.encode() if isinstance(value, str) else value


@pytest.mark.parametrize("path", STORES, ids=[path.name for path in STORES])
def test_every_array_of_a_real_store_has_the_values_in_its_chunks(
    path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    module = types.ModuleType("hdmf_zarr.utils")
    module.ZarrReference = ZarrReference  # type: ignore[attr-defined]  # made here
    monkeypatch.setitem(sys.modules, "hdmf_zarr", types.ModuleType("hdmf_zarr"))
    monkeypatch.setitem(sys.modules, "hdmf_zarr.utils", module)
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
