"""References of kerchunk, read by VirtualiZarr."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import xarray as xr
from obstore.store import LocalStore
from virtualizarr import open_virtual_dataset  # type: ignore[import-not-found]  # in its own environment only
from virtualizarr.parsers import (  # type: ignore[import-not-found]  # in its own environment only
    KerchunkJSONParser,
    KerchunkParquetParser,
)
from virtualizarr.registry import ObjectStoreRegistry  # type: ignore[import-not-found]  # in its own environment only

from tests.references.peers.comparing import main


def read(references: str, _file: str) -> Iterator[tuple[str, Any]]:
    url, registry = f"file://{references}", ObjectStoreRegistry({"file://": LocalStore()})
    parser = KerchunkParquetParser() if Path(references).is_dir() else KerchunkJSONParser()
    with open_virtual_dataset(url, registry, parser, decode_times=False) as virtual:
        names = set(virtual.variables)
    store = parser(url=url, registry=registry)
    with xr.open_zarr(store, consolidated=False, zarr_format=3, decode_times=False) as found:
        assert names == set(found.variables)
        for name in found.variables:
            yield str(name), found[name].values


if __name__ == "__main__":
    main(read)
