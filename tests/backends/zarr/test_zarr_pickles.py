"""Pickles of references: those of hdmf-zarr are read, and nothing that another one names is called."""

from __future__ import annotations

import os
import pickle
import struct
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_dask.backends.zarr.pickles import load_array
from nwb_dask.errors import MalformedFileError, NWBDaskError, UnsupportedLayoutError


class ZarrReference(dict[str, Any]):
    """As in hdmf_zarr.utils, as far as a pickle shows it."""


@pytest.fixture(autouse=True)
def _hdmf_zarr(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("hdmf_zarr.utils")
    module.ZarrReference = ZarrReference  # type: ignore[attr-defined]  # made here
    monkeypatch.setitem(sys.modules, "hdmf_zarr", types.ModuleType("hdmf_zarr"))
    monkeypatch.setitem(sys.modules, "hdmf_zarr.utils", module)
    monkeypatch.setattr(ZarrReference, "__module__", "hdmf_zarr.utils")


def references(n: int) -> Any:
    out = np.empty(n, object)
    for i in range(n):
        out[i] = ZarrReference(source=".", path=f"/x/{i}", object_id=None)
    return out


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_references_are_mappings(protocol: int) -> None:
    found = load_array(pickle.dumps(references(3), protocol), 3)
    assert [one["path"] for one in found] == ["/x/0", "/x/1", "/x/2"]


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_records_with_references_are_records(protocol: int) -> None:
    stored = np.empty(2, [("start", "<i4"), ("which", "O")])
    stored["start"], stored["which"] = [4, 5], references(2)
    found = load_array(pickle.dumps(stored, protocol), 2)
    assert found.dtype == stored.dtype
    assert found["start"].tolist() == [4, 5]
    assert [one["path"] for one in found["which"]] == ["/x/0", "/x/1"]


def test_numbers_of_numpy_in_tuples_are_numbers() -> None:
    stored = np.empty(1, object)
    stored[0] = (np.int32(4), np.float64(0.5), "text")
    assert load_array(pickle.dumps(stored), 1)[0] == (4, 0.5, "text")


class Crafted:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_crafted_pickle_does_not_run(tmp_path: Path, protocol: int, *, wrapped: bool) -> None:
    mark = tmp_path / "it ran"
    crafted: Any = Crafted(os.mkdir, (str(mark),))
    if wrapped:
        stored = np.empty(1, object)
        stored[0] = crafted
        crafted = stored
    with pytest.raises(NWBDaskError):
        load_array(pickle.dumps(crafted, protocol), 1)
    assert not mark.exists()


@pytest.mark.parametrize(
    "name",
    [
        b"builtins\neval",
        b"numpy\nload",
        b"numpy.core.multiarray\nfromfile",
        b"hdmf_zarr.utils\nZarrDataIO",
        b"os\nsystem",
    ],
)
def test_names_that_are_not_on_the_list_are_refused(name: bytes) -> None:
    with pytest.raises(UnsupportedLayoutError, match="not admitted"):
        load_array(b"\x80\x02c" + name + b"\n.", 1)


def test_a_class_that_stands_for_another_is_not_changed() -> None:
    # BUILD on a name of the list would set attributes of the class for the whole process.
    body = b"\x80\x02cnumpy\nndarray\nN}X\x01\x00\x00\x00aK\x01s\x86b."
    with pytest.raises(UnsupportedLayoutError, match="changes an object"):
        load_array(body, 1)


HUGE_ARRAY = (
    b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    b"(K\x01\x8a\x06\x00\x00\x00\x00\x00\x08\x85cnumpy\ndtype\nX\x02\x00\x00\x00O8\x89\x88\x87R\x89]tb."
)
"""An array of 2**43 objects that holds none."""


@pytest.mark.parametrize(
    "body",
    [
        b"\x80\x02r\xff\xff\xff\x7f.",
        b"\x80\x02X\xff\xff\xff\x7fa.",
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 43) + b".",
        b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b".",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"(" * 100_000,
        b"\x80\x02" + b"]" + b"\x85" * 200_000 + b".",
        b"",
        b".",
        HUGE_ARRAY,
    ],
)
def test_what_a_pickle_declares_takes_no_memory(body: bytes) -> None:
    with pytest.raises(NWBDaskError):
        load_array(body, 1)


def test_a_pickle_of_another_number_of_elements_is_damaged() -> None:
    with pytest.raises(MalformedFileError, match="no array of 4 elements"):
        load_array(pickle.dumps(references(3)), 4)


def test_mutated_pickles_end_in_an_error_of_ours_or_an_array() -> None:
    body = pickle.dumps(references(3), 4)
    rng = np.random.default_rng(3)
    for _ in range(600):
        mutated = bytearray(body)
        for at in rng.integers(0, len(body), rng.integers(1, 4)).tolist():
            mutated[at] = int(rng.integers(0, 256))
        try:
            assert load_array(bytes(mutated), 3).size == 3
        except NWBDaskError:
            continue
