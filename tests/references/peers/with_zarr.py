"""References of kerchunk, read by zarr-python over fsspec."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import zarr

from tests.references.peers.comparing import main


def read(references: str, _file: str) -> Iterator[tuple[str, Any]]:
    path = Path(references)
    options: dict[str, Any] = {"fo": references, "remote_protocol": "file", "lazy": path.is_dir()}
    store = zarr.storage.FsspecStore.from_mapper(fsspec.filesystem("reference", **options).get_mapper(""))
    group = zarr.open_group(store, mode="r", zarr_format=2, use_consolidated=False)
    # By name: zarr 3.1 lists no members of groups in groups over fsspec's references.
    keys = json.loads((path / ".zmetadata" if path.is_dir() else path).read_bytes())
    for key in keys["metadata" if path.is_dir() else "refs"]:
        if key.endswith("/.zarray"):
            name = key.removesuffix("/.zarray")
            yield name, np.asarray(group[name])


if __name__ == "__main__":
    main(read)
