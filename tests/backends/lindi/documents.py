"""Documents of references, written by hand as LINDI 0.4.6 and kerchunk write them."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nwb_dask.backends import File, open_file
from nwb_dask.index import Url
from nwb_dask.storage import make_access, open_store

Refs = dict[str, Any]

GROUP = {"zarr_format": 2}
FILE_ID = "file-id"


def array(shape: tuple[int, ...], dtype: str, chunks: tuple[int, ...] | None = None, **more: Any) -> dict[str, Any]:
    """Return the ``.zarray`` of an array without codecs."""
    rest = {"compressor": None, "filters": None, "fill_value": 0, "order": "C", **more}
    return {"shape": list(shape), "chunks": list(chunks or shape), "dtype": dtype, "zarr_format": 2, **rest}


def inline(data: bytes) -> str:
    return "base64:" + base64.b64encode(data).decode()


def numbers(path: str, values: np.ndarray[Any, Any], **attributes: Any) -> Refs:
    """Return the references of an array of numbers, inline."""
    key = ".".join("0" * values.ndim)
    found: Refs = {f"{path}/.zarray": array(values.shape, values.dtype.str), f"{path}/{key}": inline(values.tobytes())}
    return found | ({f"{path}/.zattrs": attributes} if attributes else {})


def objects(path: str, values: list[Any], **attributes: Any) -> Refs:
    """Return the references of an array of JSON values, as numcodecs' json2 writes them."""
    document = array((len(values),), "|O", filters=[{"id": "json2", "encoding": "utf-8"}])
    found: Refs = {f"{path}/.zarray": document, f"{path}/0": json.dumps([*values, "|O", [len(values)]])}
    return found | ({f"{path}/.zattrs": attributes} if attributes else {})


def reference(
    path: str, object_id: str | None = None, source_object_id: str | None = FILE_ID, source: str = "."
) -> Refs:
    found = {"object_id": object_id, "path": path, "source": source, "source_object_id": source_object_id}
    return {"_REFERENCE": found}


def rooted(refs: Mapping[str, Any]) -> Refs:
    """Return references with a root group."""
    return {".zgroup": GROUP, ".zattrs": {"object_id": FILE_ID}, **refs}


def text_of(refs: Mapping[str, Any], **more: Any) -> str:
    return json.dumps({"refs": rooted(refs), "version": 1, **more})


def write(path: Path, refs: Mapping[str, Any], **more: Any) -> Path:
    path.write_text(text_of(refs, **more))
    return path


def write_tar(path: Path, refs: Mapping[str, Any], blobs: Mapping[str, bytes], **more: Any) -> Path:
    """Write a tar file as LINDI does: entry, index, document, blobs; `tarfile` makes the headers."""
    files = {"lindi.json": text_of(refs, **more).encode(), **blobs}
    index: list[dict[str, Any]] = []
    place = 0
    for name, length in [
        (".tar_entry.json", 1024),
        (".tar_index.json", 8192),
        *[(n, len(b)) for n, b in files.items()],
    ]:
        index.append({"n": name, "o": place, "d": place + 512, "s": length})
        place += 512 + -(-length // 512) * 512
    entry = json.dumps({"index": index[1]}).encode().ljust(1024)
    listing = json.dumps({"files": index}).encode().ljust(8192)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in {".tar_entry.json": entry, ".tar_index.json": listing, **files}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def write_folder(path: Path, refs: Mapping[str, Any], blobs: Mapping[str, bytes], **more: Any) -> Path:
    path.mkdir()
    (path / "lindi.json").write_text(text_of(refs, **more))
    for name, data in blobs.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def opened(where: Path | str, **storage_options: Any) -> File:
    """Return an open document; what it comes in closes with the process."""
    return open_file(open_store(Url(str(where)), make_access(storage_options)))


def values(file: File, path: str) -> Any:
    """Return all values of an array."""
    entry = file.index(path).array(path)
    assert entry is not None
    return file.read(entry)
