"""References of kerchunk, read by xarray."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import xarray as xr

from tests.references.peers.comparing import main


def read(references: str, _file: str) -> Iterator[tuple[str, Any]]:
    with xr.open_dataset(references, engine="kerchunk", decode_times=False) as found:
        for name in found.variables:
            yield str(name), found[name].values


if __name__ == "__main__":
    main(read)
