"""Containers whose author wants something of whoever opens them, in every form that is read."""

from __future__ import annotations

import base64
import json
import pickle
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from nwb_dask.testing.odd_columns import add_table, new_file
from tests.backends.lindi.documents import write_tar

Entries = dict[str, Any]
"""Values of the keys of a Zarr v2 hierarchy: JSON, bytes, or references to ranges of files."""

SECRET = np.frombuffer(b"what nobody asked for" + bytes(3), "<f8")
TEBIBYTES = 1 << 40
"""Elements of eight bytes: 8 TiB."""
N_ROWS = len(SECRET)
SERIES = "/acquisition/s"
_DEPTH = 2000


def array(dtype: str = "<f8", n_rows: int = N_ROWS, **more: Any) -> Entries:
    rest = {"compressor": None, "filters": None, "fill_value": 0, "order": "C", "zarr_format": 2}
    return {"shape": [n_rows], "chunks": [n_rows], "dtype": dtype, **rest, **more}


def session(document: Entries, chunk: Any, attributes: Mapping[str, Any] | None = None) -> Entries:
    """Return a file with an array as a column of a table and as the data of a series."""
    n_rows = max(document["shape"][0], 0) or N_ROWS
    ids = {"units/id/0": np.arange(n_rows).tobytes()} if n_rows == N_ROWS else {}
    found: Entries = {
        ".zgroup": {"zarr_format": 2},
        ".zattrs": _typed("NWBFile", "core", nwb_version="2.7.0"),
        "units/.zgroup": {"zarr_format": 2},
        "units/.zattrs": _typed("Units", "core", colnames=["bad"], description="units"),
        "units/id/.zarray": array("<i8", n_rows),
        "units/id/.zattrs": _typed("ElementIdentifiers", "hdmf-common"),
        **ids,
        "acquisition/.zgroup": {"zarr_format": 2},
        f"{SERIES[1:]}/.zgroup": {"zarr_format": 2},
        f"{SERIES[1:]}/.zattrs": _typed("TimeSeries", "core"),
        f"{SERIES[1:]}/starting_time/.zarray": array("<f8", 1),
        f"{SERIES[1:]}/starting_time/.zattrs": {"rate": 10.0, "unit": "seconds", "_SCALAR": True},
        f"{SERIES[1:]}/starting_time/0": bytes(8),
    }
    for path, typed in (
        ("units/bad", _typed("VectorData", "hdmf-common", description="d")),
        (f"{SERIES[1:]}/data", {}),
    ):
        found[f"{path}/.zarray"] = document
        found[f"{path}/.zattrs"] = {"unit": "V", **typed, **(attributes or {})}
        if chunk is not None:
            found[f"{path}/0"] = chunk
    return found


def _typed(name: str, namespace: str, **more: Any) -> Entries:
    return {"neurodata_type": name, "namespace": namespace, "object_id": name, **more}


class _Crafted:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.marker,)


def crafted_pickle(marker: Path) -> Entries:
    """Return a session with objects in a pickle that makes a folder when it is loaded."""
    values = np.array([_Crafted(marker)] * N_ROWS, object)
    return session(array("|O", filters=[{"id": "pickle", "protocol": 5}]), pickle.dumps(values))


def by_reference(url: str) -> Entries:
    """Return a session with its values in another file."""
    return session(array(), [url, 0, SECRET.nbytes])


def by_link(url: str, name: str = "x") -> Entries:
    """Return a session with its values in a dataset of another file."""
    return session(array(), None, {"_EXTERNAL_ARRAY_LINK": {"link_type": "hdf5_dataset", "url": url, "name": name}})


def only_declared(n_chunks: int = 1, chunk: bytes | None = None) -> Entries:
    """Return a session that declares 8 TiB and has a chunk of a few bytes, or none."""
    return session(array(n_rows=TEBIBYTES, chunks=[TEBIBYTES // n_chunks]), chunk)


BOMBS: dict[str, Entries] = {
    "8 TiB in one chunk": only_declared(),
    "8 TiB in as many chunks": only_declared(TEBIBYTES),
    "8 TiB in a chunk that is there": only_declared(chunk=bytes(10)),
    "rows without number": session(array(n_rows=1 << 60, chunks=[1]), None),
    "rows without end": session(array(shape=[N_ROWS, TEBIBYTES], chunks=[1, 1]), None),
    "chunks without end": session(array(shape=[N_ROWS, 1 << 20, 1 << 20], chunks=[1, 1, 1]), None),
    "a chunk for a few rows": session(
        array(chunks=[TEBIBYTES], compressor={"id": "zlib", "level": 1}), bytes.fromhex("789c0300000000 01")
    ),
    "blosc that declares": session(
        array(compressor={"id": "blosc"}), b"\x02\x01\x21\x08" + b"\xff\xff\xff\x7f" * 2 + b"\x20\0\0\0"
    ),
    "lz4 that declares": session(array(compressor={"id": "lz4"}), b"\xff\xff\xff\x7f" + bytes(12)),
    "zstd that declares": session(
        array(compressor={"id": "zstd"}), b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 6 + b"\0\0\x01\0\0"
    ),
    "text that declares": session(
        array("|O", filters=[{"id": "vlen-utf8"}]), N_ROWS.to_bytes(4, "little") + b"\xff\xff\xff\x7f"
    ),
    "nested JSON": session(array("|O", filters=[{"id": "json2"}]), b"[" * _DEPTH + b"]" * _DEPTH),
    "a number of many digits": session(array("|O", filters=[{"id": "json2"}]), b'[1,2,%s,"|O",[3]]' % (b"7" * 9999)),
    "a negative length": session(array(shape=[-N_ROWS]), None),
    "elements of a gigabyte": session(array("<U250000000"), None),
}
"""Sessions that would take all memory or all time."""


def write_zarr2(path: Path, entries: Entries) -> Path:
    folder = path / "session.nwb.zarr"
    for key, value in entries.items():
        _put(folder / key, value)
    metadata = {key: one for key, one in entries.items() if "/." in f"/{key}"}
    _put(folder / ".zmetadata", {"zarr_consolidated_format": 1, "metadata": metadata})
    return folder


def write_zip(path: Path, entries: Entries) -> Path:
    folder = write_zarr2(path / "unpacked", entries)
    with zipfile.ZipFile(path / "session.nwb.zarr.zip", "w") as file:
        for one in sorted(folder.rglob("*")):
            if one.is_file():
                file.write(one, one.relative_to(folder))
    shutil.rmtree(path / "unpacked")
    return path / "session.nwb.zarr.zip"


def write_zarr3(path: Path, entries: Entries) -> Path:
    """Write numbers without codecs; objects and compressors are those of v2."""
    folder = path / "session.nwb.zarr"
    nodes = {key.rpartition("/")[0]: value for key, value in entries.items() if key.endswith((".zgroup", ".zarray"))}
    documents = {}
    for at, node in nodes.items():
        prefix = f"{at}/" if at else ""
        found: Entries = {"zarr_format": 3, "node_type": "group", "attributes": entries.get(f"{prefix}.zattrs", {})}
        if "shape" in node:
            found |= {
                "node_type": "array",
                "shape": node["shape"],
                "data_type": np.dtype(node["dtype"]).name,
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": node["chunks"]}},
                "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
                "fill_value": 0,
                "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            }
        documents[at] = found
        chunk = entries.get(f"{prefix}0")
        if chunk is not None:
            _put(folder / prefix / "c" / "0", chunk)
    below = {at: document for at, document in documents.items() if at}
    for at, document in documents.items():
        more = {} if at else {"consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": below}}
        _put(folder / at / "zarr.json", {**document, **more})
    return folder


def _put(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())


def _as_references(entries: Entries) -> Entries:
    return {
        key: f"base64:{base64.b64encode(value).decode()}" if isinstance(value, bytes) else value
        for key, value in entries.items()
    }


def write_json(path: Path, entries: Entries) -> Path:
    _put(path / "session.lindi.json", {"refs": _as_references(entries), "version": 1})
    return path / "session.lindi.json"


def write_kerchunk(path: Path, entries: Entries) -> Path:
    refs = {key: json.dumps(one) if isinstance(one, dict) else one for key, one in _as_references(entries).items()}
    _put(path / "session.json", refs)
    return path / "session.json"


def write_in_tar(path: Path, entries: Entries) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return write_tar(path / "session.lindi.tar", _as_references(entries), {})


def write_folder(path: Path, entries: Entries) -> Path:
    _put(path / "session.lindi.d" / "lindi.json", {"refs": _as_references(entries), "version": 1})
    return path / "session.lindi.d"


ZARR = {"zarr2": write_zarr2, "zip": write_zip}
DOCUMENTS = {"json": write_json, "kerchunk": write_kerchunk, "tar": write_in_tar, "folder": write_folder}


def write_hdf5(path: Path, kind: str, secret: Path) -> Path:
    """Write a session whose values are elsewhere: `kind` says how. `secret` is a folder."""
    path.mkdir(parents=True, exist_ok=True)
    with new_file(path / "session.nwb") as file:
        table = add_table(file, "units", {"bad": np.zeros(N_ROWS)})
        attributes = dict(table["bad"].attrs)
        series = file.require_group(SERIES)
        series.attrs.update(_typed("TimeSeries", "core"))
        series["starting_time"] = 0.0
        series["starting_time"].attrs.update({"rate": 10.0, "unit": "seconds"})
        del table["bad"]
        for group, name in ((table, "bad"), (series, "data")):
            _add_elsewhere(group, name, kind, secret)
            if kind != "link":
                group[name].attrs.update({"unit": "V", **attributes})
    return path / "session.nwb"


def _add_elsewhere(group: h5py.Group, name: str, kind: str, secret: Path) -> None:
    if kind == "link":
        group[name] = h5py.ExternalLink(str(secret / "secret.h5"), "/x")
    elif kind == "external":
        group.create_dataset(name, (N_ROWS,), "<f8", external=[(str(secret / "secret.raw"), 0, SECRET.nbytes)])
    else:
        layout = h5py.VirtualLayout((N_ROWS,), "<f8")
        layout[...] = h5py.VirtualSource(str(secret / "secret.h5"), "x", (N_ROWS,))
        group.create_virtual_dataset(name, layout)


def write_secret(folder: Path) -> Path:
    """Write what nobody may read: a raw file and an HDF5 file."""
    folder.mkdir()
    (folder / "secret.raw").write_bytes(SECRET.tobytes())
    with h5py.File(folder / "secret.h5", "w") as file:
        file["x"] = SECRET
    return folder
