"""What an amended file holds, found as LINDI 0.4.6 does: entry, index, lindi.json, blobs; none of our code in it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
import zarr.storage


def read_tar(data: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the document of a ``.lindi.tar`` and its blobs by name."""
    entry = json.loads(data[512:1536])["index"]
    index = json.loads(data[entry["d"] : entry["d"] + entry["s"]])
    files = {one["n"]: one for one in index["files"]}
    assert files[".tar_index.json"] == entry
    assert files[".tar_entry.json"] == {"n": ".tar_entry.json", "o": 0, "d": 512, "s": 1024}
    for one in files.values():
        assert data[one["o"] : one["o"] + 100].rstrip(b"\0").decode() == one["n"]
        assert data[one["o"] + 257 : one["o"] + 263] == b"ustar\0"
    found = {name: data[one["d"] : one["d"] + one["s"]] for name, one in files.items()}
    return json.loads(found.pop("lindi.json")), {name: one for name, one in found.items() if name.startswith("blobs/")}


def read_directory(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the document of a ``.lindi.d`` and its blobs by name."""
    paths = [path for path in (folder / "blobs").rglob("*") if path.is_file()]
    blobs = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return json.loads((folder / "lindi.json").read_bytes()), blobs


def read_output(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the document and the blobs of either."""
    return read_directory(path) if path.is_dir() else read_tar(path.read_bytes())


def keys(document: dict[str, Any], blobs: dict[str, bytes]) -> dict[str, bytes]:
    """Return the bytes of every key that is not in another file."""
    out = {}
    for key, value in document["refs"].items():
        if isinstance(value, dict):
            out[key] = json.dumps(value).encode()
        elif isinstance(value, str):
            out[key] = base64.b64decode(value[7:]) if value.startswith("base64:") else value.encode()
        elif value[0].startswith("./"):
            name, start, size = value
            out[key] = blobs[name[2:]][start : start + size]
            assert len(out[key]) == size
    return out


def read_numbers(path: Path, array: str) -> npt.NDArray[Any]:
    """Return a numeric array of an output, decoded by zarr-python."""
    found = keys(*read_output(path))
    folder = path.parent / f"{path.name}.zarr"
    for key, data in found.items():
        target = folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    opened = zarr.open_array(zarr.storage.LocalStore(folder), path=array.strip("/"), mode="r", zarr_format=2)
    return np.asarray(opened[...])


def read_objects(path: Path, array: str) -> list[Any]:
    """Return the values of an array of one chunk that is stored as JSON."""
    found = keys(*read_output(path))
    name = array.strip("/")
    meta = json.loads(found[f"{name}/.zarray"])
    assert meta["filters"][0]["id"] == "json2"
    assert meta["compressor"] is None
    items: list[Any] = json.loads(found[f"{name}/" + ".".join("0" * len(meta["shape"]))])
    return items[:-2]
