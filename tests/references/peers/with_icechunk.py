"""References as an icechunk repository, read by zarr-python."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import icechunk
import zarr

from tests.references.peers.comparing import main, walk


def read(references: str, file: str) -> Iterator[tuple[str, Any]]:
    prefix = f"{Path(file).resolve().parent.as_uri()}/"
    storage = icechunk.local_filesystem_storage(references)
    repository = icechunk.Repository.open(storage, authorize_virtual_chunk_access={prefix: None})
    yield from walk(zarr.open_group(repository.readonly_session("main").store, mode="r"))


if __name__ == "__main__":
    main(read)
