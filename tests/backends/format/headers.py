"""Files whose object headers are read, and what h5py says of the objects in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5d, h5f, h5o, h5p, h5s, h5t

from nwb_dask.backends.hdf5.format.object_header import Message, read_messages
from nwb_dask.backends.hdf5.format.space import AddressSpace
from nwb_dask.index import ElementType
from tests.backends.format.reading import space_of
from tests.left import one_of_each_folder

WRITTEN: dict[str, dict[str, Any]] = {
    "earliest": {"libver": "earliest"},
    "v108": {"libver": ("v108", "v108")},
    "v110": {"libver": ("v110", "v110")},
    "v112": {"libver": ("v112", "v112")},
    "v114": {"libver": ("v114", "v114")},
    "latest": {"libver": "latest"},
    "behind_a_user_block": {"userblock_size": 512},
    "latest_behind_a_user_block": {"libver": "latest", "userblock_size": 2048},
    "in_pages": {"libver": "latest", "fs_strategy": "page", "fs_page_size": 4096},
    "in_order": {"track_order": True},
}
"""How a file can be written, as options of `h5py.File`."""

every_way = pytest.mark.parametrize("way", WRITTEN)

REAL = Path(__file__).parents[4] / "shared" / "data" / "real"
REAL_FILES = sorted(p for p in REAL.rglob("*") if p.is_file() and p.suffix in {".nwb", ".h5", ".hdf5"})
# What is parsed of all of them is compared in `tests/backends/test_parser_equals_h5py.py`.
each_real_file = pytest.mark.parametrize(
    "path", one_of_each_folder(REAL_FILES, ids=[str(path.relative_to(REAL)) for path in REAL_FILES])
)


def create_with_sizes(path: Path, n_bytes: int, version: int = h5f.LIBVER_EARLIEST) -> h5py.File:
    """Return a file whose addresses and lengths have so many bytes, in the format of one version of libhdf5."""
    properties, access = h5p.create(h5p.FILE_CREATE), h5p.create(h5p.FILE_ACCESS)
    properties.set_sizes(n_bytes, n_bytes)
    access.set_libver_bounds(version, h5f.LIBVER_LATEST)
    return h5py.File(h5f.create(str(path).encode(), h5f.ACC_TRUNC, properties, access))


def create(group: h5py.Group, name: str, tid: h5t.TypeID, shape: tuple[int, ...] = (3,), **set_up: Any) -> None:
    """Create a dataset of an HDF5 type; options are methods of the creation properties and their arguments."""
    properties = h5p.create(h5p.DATASET_CREATE)
    for method, argument in set_up.items():
        getattr(properties, method)(*(argument if isinstance(argument, tuple) else (argument,)))
    h5d.create(group.id, name.encode(), tid, h5s.create_simple(shape), dcpl=properties)


def every_object(file: h5py.File) -> Iterator[tuple[str, h5py.Group | h5py.Dataset | h5py.Datatype]]:
    """Yield the objects of a file, each under its first path."""
    found: dict[str, h5py.Group | h5py.Dataset | h5py.Datatype] = {"/": file["/"]}
    file.visititems(lambda name, item: found.setdefault(f"/{name}", item) and None)
    yield from found.items()


def address_of(item: h5py.HLObject) -> int:
    address: int = h5o.get_info(item.id).addr
    return address


def messages_of(space: AddressSpace, item: h5py.HLObject) -> tuple[Message, ...]:
    return read_messages(space, address_of(item))


def body_of(path: Path, name: str, kind: int) -> memoryview:
    """Return the first message of a type of one object."""
    with h5py.File(path) as file:
        found = messages_of(space_of(path.read_bytes()), file[name])
    return next(message.body for message in found if message.type == kind)


def described(element: ElementType) -> tuple[object, ...]:
    """Return what h5py can tell of a type: nothing of where it is in the file."""
    fields = tuple((name, described(field)) for name, field in element.fields)
    base = None if element.base is None else described(element.base)
    return element.kind, element.dtype, element.members, fields, base, element.shape


def mutated(body: bytes, seed: int, n: int = 4) -> bytes:
    """Return bytes some of which are other ones, or that are cut off."""
    rng = np.random.default_rng(seed)
    if seed % 5 == 0:
        return body[: int(rng.integers(0, len(body)))]
    out = bytearray(body)
    for _ in range(n):
        out[int(rng.integers(0, len(out)))] = (0, 1, 127, 255, int(rng.integers(0, 256)))[int(rng.integers(0, 5))]
    return bytes(out)
