"""Zarr stores for tests: those of zarr-python, documents by hand, and where their bytes come from."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zarr

from nwb_dask.backends.zarr import ZarrFile
from nwb_dask.index import Identity, Source, Url
from nwb_dask.storage import Access, Buffer, Folder, KeyRange, open_store

INTEROP = Path(__file__).parents[4] / "shared/data/interop"
REAL = Path(__file__).parents[4] / "shared/data/real"


@contextmanager
def opened(path: Path) -> Iterator[ZarrFile]:
    with open_store(Url(str(path)), Access()) as folder:
        assert isinstance(folder, Folder)
        with ZarrFile(folder) as file:
            yield file


class Keys:
    """Bytes by key in memory, as a server has them: each call is a round."""

    local_path: str | None = None

    def __init__(self, values: Mapping[str, bytes], *, is_listed: bool = True, name: str = "memory") -> None:
        self.values = dict(values)
        self.is_listed = is_listed
        self.source = Source(Url(f"https://host/{name}"), Identity("size", "", 0))
        self.rounds: list[list[KeyRange]] = []

    def read_keys(self, wanted: Sequence[KeyRange]) -> list[Buffer | None]:
        self.rounds.append(list(wanted))
        out: list[Buffer | None] = []
        for key, part in wanted:
            value = self.values.get(key)
            if value is None or part is None:
                out.append(value)
            elif isinstance(part, int):
                out.append(value[-part:])
            else:
                out.append(value[part[0] : part[1]])
        return out

    def locate_keys(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self.values.get(key) for key in keys]

    def list_keys(self, prefix: str = "") -> list[str] | None:
        return sorted(key for key in self.values if key.startswith(prefix)) if self.is_listed else None


def keys_of(path: Path, **options: Any) -> Keys:
    """Return the values of a folder, in memory."""
    files = [one for one in path.rglob("*") if one.is_file()]
    return Keys({str(one.relative_to(path)): one.read_bytes() for one in files}, **options)


def documents(**nodes: Any) -> dict[str, bytes]:
    """Return documents as values: ``documents(**{".zgroup": {...}})``."""
    return {key: json.dumps(value).encode() for key, value in nodes.items()}


def array_v2(shape: Sequence[int], dtype: Any, **options: Any) -> dict[str, Any]:
    """Return a ``.zarray`` without compression, in one chunk."""
    found = {"shape": list(shape), "chunks": list(shape), "dtype": dtype, "compressor": None, "filters": None}
    return {**found, "fill_value": 0, "order": "C", "zarr_format": 2, **options}


def array_v3(shape: Sequence[int], dtype: Any, **options: Any) -> dict[str, Any]:
    """Return the ``zarr.json`` of an array without compression, in one chunk."""
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shape)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "attributes": {},
        **options,
    }


GROUP_V2 = {"zarr_format": 2}
GROUP_V3 = {"zarr_format": 3, "node_type": "group", "attributes": {}}


@contextmanager
def without_warnings() -> Iterator[None]:
    """Let zarr-python write what it says has no specification in v3."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def new_group(path: Path, version: int) -> Any:
    return zarr.create_group(str(path), zarr_format=version)  # type: ignore[arg-type]  # 2 or 3
