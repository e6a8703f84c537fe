"""A small Zarr store for tests of folders, as zarr-python writes it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import zarr


def write_store(path: Path, *, zarr_format: int = 2, is_consolidated: bool = True) -> Path:
    """Write ``/x`` of two chunks, and ``/units/id``; return `path`."""
    group = zarr.open_group(path, mode="w", zarr_format=2 if zarr_format == 2 else 3)
    group.create_array("x", data=np.arange(6, dtype="<i8"), chunks=(3,))
    group.create_group("units").create_array("id", data=np.arange(4), chunks=(4,))
    if is_consolidated:
        with warnings.catch_warnings():
            # zarr-python says that version 3 has no specification of it.
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(path, zarr_format=2 if zarr_format == 2 else 3)
    return path


def contents(path: Path, key: str) -> bytes:
    return (path / key).read_bytes()
