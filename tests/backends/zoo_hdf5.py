"""Files of every structure of HDF5: what can be in a file, times how a file can be written, and patched ones."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5f, h5o, h5p, h5t

from tests.backends import zoo_members, zoo_storage, zoo_types
from tests.backends.zoo import numbers, write_low_level, write_zoo

WAYS: dict[str, Mapping[str, Any]] = {
    "earliest": {"libver": "earliest"},
    "v108": {"libver": ("v108", "v108")},
    "v110": {"libver": ("v110", "v110")},
    "v112": {"libver": ("v112", "v112")},
    "v114": {"libver": ("v114", "v114")},
    "latest": {"libver": "latest"},
    "user block": {"libver": "earliest", "userblock_size": 512},
    "latest user block": {"libver": "latest", "userblock_size": 4096},
    "paged": {"libver": "earliest", "fs_strategy": "page", "fs_persist": True, "fs_page_size": 4096},
    "latest paged": {"libver": "latest", "fs_strategy": "page", "fs_persist": True, "fs_page_size": 512},
    "in order": {"libver": "earliest", "track_order": True},
    "latest in order": {"libver": "latest", "track_order": True},
    "sizes of 4": {"sizes": (4, 4)},
    "latest sizes of 4": {"sizes": (4, 4), "libver": "latest"},
    "sizes of 4 and 8": {"sizes": (4, 8)},
    "latest sizes of 8 and 4": {"sizes": (8, 4), "libver": "latest"},
    "small trees": {"symbols": (2, 1), "chunks": 2},
    "large trees": {"symbols": (100, 50), "chunks": 300},
    "shared messages": {"libver": "v110", "shared": True},
}
"""Options of `h5py.File`; and what only the library itself can be told, see `_properties`."""
NEWER = ("v108", "v110", "v112", "v114", "latest", "latest user block", "latest paged", "latest in order")
CONTENTS: dict[str, Callable[[h5py.File], None]] = {
    "groups": zoo_members.write_groups,
    "attributes": zoo_members.write_attributes,
    "history": zoo_members.write_history,
    "types": zoo_types.write_types,
    "references": zoo_types.write_references,
    "committed": zoo_types.write_committed,
    "sparse": zoo_storage.write_sparse,
    "unwritten": zoo_storage.write_unwritten,
    "elsewhere": zoo_storage.write_elsewhere,
}
GROWING = {"history", "sparse", "unwritten", "many chunks"}
"""Contents with datasets without bound. Where lengths have four bytes, libhdf5 2.0 fails to open those it has made."""
SOME: dict[str, tuple[Callable[[h5py.File], None], tuple[str, ...]]] = {
    "grids": (zoo_storage.write_grids, ("earliest", "v110", "latest", "latest user block", "sizes of 4")),
    "many links": (
        zoo_members.write_many_links,
        ("earliest", "v108", "latest", "in order", "latest in order", "small trees"),
    ),
    "many chunks": (zoo_storage.write_many_chunks, ("earliest", "v110", "latest", "small trees")),
    "large attributes": (
        zoo_members.write_large_attributes,
        ("v108", "latest", "latest in order", "latest sizes of 4"),
    ),
    "edges": (zoo_storage.write_edges, ("v110", "latest", "latest user block")),
}
"""What takes long to write, or needs one of the newer formats, and the ways in which it is written."""


def write(path: Path, way: str, content: Callable[[h5py.File], None]) -> None:
    """Write a file of some contents in some way."""
    with _created(path, **WAYS[way]) as file:
        content(file)


@contextmanager
def _created(
    path: Path,
    *,
    sizes: tuple[int, int] | None = None,
    symbols: tuple[int, int] | None = None,
    chunks: int = 32,
    shared: bool = False,
    libver: str = "earliest",
    **options: Any,
) -> Iterator[h5py.File]:
    """Yield a file to write to; what h5py cannot ask for, libhdf5 is asked for."""
    if sizes is None and symbols is None and not shared:
        with h5py.File(path, "w", libver=libver, **options) as file:
            yield file
        return
    properties, access = h5p.create(h5p.FILE_CREATE), h5p.create(h5p.FILE_ACCESS)
    library = zoo_storage.library()
    identifier = ctypes.c_int64(properties.id)
    if sizes is not None:
        properties.set_sizes(*sizes)
    if symbols is not None:
        assert library.H5Pset_sym_k(identifier, ctypes.c_uint(symbols[0]), ctypes.c_uint(symbols[1])) >= 0
        assert library.H5Pset_istore_k(identifier, ctypes.c_uint(chunks)) >= 0
    if shared:
        assert library.H5Pset_shared_mesg_nindexes(identifier, ctypes.c_uint(1)) >= 0
        every, least = ctypes.c_uint(0x1F), ctypes.c_uint(40)
        assert library.H5Pset_shared_mesg_index(identifier, ctypes.c_uint(0), every, least) >= 0
    bounds = {"earliest": h5f.LIBVER_EARLIEST, "latest": h5f.LIBVER_LATEST, "v110": h5f.LIBVER_V110}
    access.set_libver_bounds(bounds[libver], h5f.LIBVER_LATEST)
    with h5py.File(h5f.create(str(path).encode(), h5f.ACC_TRUNC, properties, access)) as file:
        yield file


def write_old_layouts(path: Path, version: int) -> None:
    """Write datasets with layouts of version 1 or 2, which libhdf5 has not written since 1.6: they are patched in."""
    with h5py.File(path, "w") as file:
        file["contiguous"] = np.arange(9, dtype="<i4")
        file.create_dataset("never written", (9,), "<i4")
        file.create_dataset("chunked", data=np.arange(50, dtype=">i2"), chunks=(7,))
        file.create_dataset("gzip", data=np.arange(50, dtype="<f8"), chunks=(7,), compression="gzip")
        write_low_level(file, "compact", h5t.STD_I32LE, numbers("<i4", (7,)), layout=h5d.COMPACT)
        at = {name: h5o.get_info(file[name].id).addr for name in file}
    body = bytearray(path.read_bytes())
    for address in at.values():
        _make_layout_old(body, address, version)
    path.write_bytes(body)


def _make_layout_old(body: bytearray, header: int, version: int) -> None:
    """Replace the layout message of version 3 in an object header of version 1 (*Data Layout Message*)."""
    messages = dict(_messages(body, header))
    at, n_bytes = messages[0x08]
    kind = body[at + 1]
    if kind == 0:
        # Compact: the dimensions take room, so that the shape of seven elements becomes one of three.
        data = bytes(body[at + 4 : at + 16])
        made = struct.pack("<BBB5xIII", version, 2, 0, 3, 4, 12) + data
        space, _ = messages[0x01]
        for place in range(space + 8, space + 8 + 8 * (2 if body[space + 2] & 1 else 1), 8):
            body[place : place + 8] = struct.pack("<Q", 3)
    elif kind == 1:
        made = struct.pack("<BBB5x8sII", version, 2, 1, bytes(body[at + 2 : at + 10]), 9, 4)
    else:
        made = struct.pack("<BBB5x", version, 2, 2) + bytes(body[at + 3 : at + 11 + 4 * 2])
    assert len(made) <= n_bytes
    body[at : at + n_bytes] = made.ljust(n_bytes, b"\0")


def _messages(body: bytearray, header: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield type, position and length of the messages in the first block of an object header of version 1."""
    at = header + 16
    end = at + int.from_bytes(body[header + 8 : header + 12], "little")
    while at < end:
        kind, n_bytes = struct.unpack_from("<HH", body, at)
        yield kind, (at + 8, n_bytes)
        at += 8 + n_bytes


def _content(way: str, content: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    return lambda path: write(path, way, content)


ZOO: dict[str, Callable[[Path], None]] = {
    **{
        f"{way}: {name}": _content(way, content)
        for way in WAYS
        for name, content in CONTENTS.items()
        # libhdf5 2.0 fails to resize datasets that share messages; virtual datasets came with 1.10.
        if (way, name) not in {("shared messages", "sparse"), ("v108", "elsewhere")}
        and not ("latest sizes" in way and name in GROWING)
        # h5py writes and reads references of 8 bytes.
        and not ("sizes of 4" in way and name == "references")
    },
    **{f"{way}: {name}": _content(way, content) for name, (content, ways) in SOME.items() for way in ways},
    **{f"layouts of version {version}": partial(write_old_layouts, version=version) for version in (1, 2)},
    **{f"all kinds of values, {libver}": partial(write_zoo, libver=libver) for libver in ("earliest", "latest")},
}
"""Every file of the zoo: what writes it, by name."""

QUICK = [
    *[name for name in ZOO if name.partition(": ")[0] in {"earliest", "latest"} or ": " not in name],
    "small trees: groups",
    "v108: groups",
    "v110: grids",
    "user block: history",
    "latest user block: references",
    "sizes of 4: sparse",
    "sizes of 4 and 8: history",
    "latest sizes of 4: large attributes",
    "in order: groups",
    "latest in order: attributes",
    "latest paged: history",
    "shared messages: attributes",
]
"""Those that are always compared; the others take minutes."""
