"""References of kerchunk, read by zarr-python over fsspec."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import zarr

from tests.references.peers.comparing import main, walk


def read(references: str, _file: str) -> Iterator[tuple[str, Any]]:
    options: dict[str, Any] = {"fo": references, "remote_protocol": "file", "lazy": Path(references).is_dir()}
    store = zarr.storage.FsspecStore.from_mapper(fsspec.filesystem("reference", **options).get_mapper(""))
    yield from walk(zarr.open_group(store, mode="r", zarr_format=2, use_consolidated=False))


if __name__ == "__main__":
    main(read)
