"""Kerchunk's references, as JSON and as Parquet: numeric arrays for xarray, fsspec and VirtualiZarr.

References
----------
kerchunk, *References specification*, version 1; fsspec, ``implementations/reference.py``, ``LazyReferenceMapper``.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from math import prod
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nwb_dask.references.addresses import Stated
from nwb_dask.references.arrays import ZarrArray, fill_of, keys_of, zarray
from nwb_dask.references.attributes import Json, as_json
from nwb_dask.references.gather import Contents
from nwb_dask.references.report import LeftOut

_DIMENSIONS = "_ARRAY_DIMENSIONS"
_RECORD_SIZE = 10_000
"""Chunks in a Parquet file; kerchunk's default."""
_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string()),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("raw", pa.binary()),
    ]
)


def kerchunk_json(contents: Contents, top: str, urls: Stated) -> tuple[bytes, tuple[LeftOut, ...]]:
    """Return a document of version 1, and what has no place in it."""
    found, left_out = metadata(contents, top)
    refs: dict[str, Json] = {key: json.dumps(value, separators=(",", ":")) for key, value in found.items()}
    for path, array in contents.arrays.items():
        prefix = below(path, top)
        for number, content in array.inline().items():
            key = keys_of(array, np.array([number]))[0]
            refs[f"{prefix}/{key}"] = "base64:" + b64encode(content).decode("ascii")
        if array.placement is None:
            continue
        manifest = array.placement.manifest
        for key, url, offset, size in zip(
            keys_of(array, manifest.numbers),
            _urls(array, urls),
            manifest.offsets.tolist(),
            manifest.sizes.tolist(),
            strict=True,
        ):
            refs[f"{prefix}/{key}"] = [url, offset, size]
    text = json.dumps({"refs": refs, "version": 1}, sort_keys=True, separators=(",", ":"))
    return text.encode("ascii"), left_out


def write_kerchunk_parquet(folder: Path, contents: Contents, top: str, urls: Stated) -> tuple[LeftOut, ...]:
    """Write a folder with the metadata and a Parquet file for every 10 000 chunks; return what has no place in it."""
    found, left_out = metadata(contents, top)
    folder.mkdir()
    text = json.dumps({"metadata": found, "record_size": _RECORD_SIZE}, sort_keys=True, separators=(",", ":"))
    (folder / ".zmetadata").write_text(text, encoding="ascii")
    for path, array in contents.arrays.items():
        place = folder / below(path, top)
        place.mkdir(parents=True, exist_ok=True)
        for number, table in enumerate(_records(array, urls)):
            # Without statistics fastparquet, with which fsspec reads them, makes floats of integers.
            statistics = ["offset", "size"]
            target = place / f"refs.{number}.parq"
            pq.write_table(table, target, compression="zstd", write_statistics=statistics, store_schema=False)
    return left_out


def metadata(contents: Contents, top: str) -> tuple[dict[str, Json], tuple[LeftOut, ...]]:
    """Return the metadata of groups and arrays by key, and the attributes that have no place in it."""
    found: dict[str, Json] = {".zgroup": {"zarr_format": 2}}
    left_out: list[LeftOut] = []
    for path, group in contents.index.groups.items():
        prefix = below(path, top)
        attributes, failed = as_json(group.attributes, None)
        left_out += [LeftOut(f"{path}@{name}", reason) for name, reason in failed.items()]
        found[f"{prefix}/.zgroup".lstrip("/")] = {"zarr_format": 2}
        if attributes:
            found[f"{prefix}/.zattrs".lstrip("/")] = attributes
    for path, array in contents.arrays.items():
        prefix = below(path, top)
        attributes, failed = as_json(array.entry.attributes, None)
        left_out += [LeftOut(f"{path}@{name}", reason) for name, reason in failed.items()]
        # xarray takes a fill value for a mark of what is missing, even where it is a value like any other.
        is_plain = array.is_complete or array.fill is None
        found[f"{prefix}/.zarray"] = zarray(array, has_compressor=True, fill=None if is_plain else fill_of(array))
        found[f"{prefix}/.zattrs"] = {**attributes, _DIMENSIONS: list[Json](dimensions(array, prefix))}
    return found, tuple(left_out)


def dimensions(array: ZarrArray, prefix: str) -> list[str]:
    """Return names for the dimensions of an array that no other array has: equal names must be of equal length."""
    return [f"{prefix.replace('/', '.')}_dim{axis}" for axis in range(len(array.shape))]


def below(path: str, top: str) -> str:
    """Return the path of an object from the group that is written."""
    return path.removeprefix(top.rstrip("/")).strip("/")


def _urls(array: ZarrArray, urls: Stated) -> list[str]:
    found = array.placement
    if found is None:
        return []
    stated = [urls.of(url) for url in found.urls]
    files = [0] * array.n_chunks if found.files is None else found.files.tolist()
    return [stated[file] for file in files]


def _records(array: ZarrArray, urls: Stated) -> Iterator[pa.Table]:
    """Yield the references of the chunks of an array, those that were never written included, 10 000 at a time."""
    n_chunks, inline = prod(array.counts), array.inline()
    placement = array.placement
    numbers = np.empty(0, np.int64) if placement is None else placement.manifest.numbers
    stated = _urls(array, urls)
    for start in range(0, n_chunks, _RECORD_SIZE):
        n = min(_RECORD_SIZE, n_chunks - start)
        low, high = np.searchsorted(numbers, (start, start + n))
        paths: list[str | None] = [None] * n
        offsets, sizes = np.zeros(n, np.int64), np.zeros(n, np.int64)
        if placement is not None:
            at = numbers[low:high] - start
            offsets[at] = placement.manifest.offsets[low:high]
            sizes[at] = placement.manifest.sizes[low:high]
            for place, url in zip(at.tolist(), stated[low:high], strict=True):
                paths[place] = url
        raw = [inline.get(start + i) for i in range(n)] if inline else [None] * n
        columns = [pa.array(paths, pa.string()), pa.array(offsets), pa.array(sizes), pa.array(raw, pa.binary())]
        yield pa.Table.from_arrays(columns, schema=_SCHEMA)


def is_kerchunk_parquet(path: Path) -> bool:
    """Return whether a folder holds references as Parquet."""
    try:
        return "record_size" in json.loads((path / ".zmetadata").read_bytes())
    except (OSError, ValueError, TypeError):
        return False
