"""All elements of an array of a Zarr v2 store: its chunks through numcodecs, by the JSON by hand."""

from __future__ import annotations

import io
import itertools
import pickle
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np


class _Unpickler(pickle.Unpickler):
    """Reads references of hdmf_zarr, which is not installed, as mappings."""

    def find_class(self, module: str, name: str) -> Any:
        return dict if name == "ZarrReference" else super().find_class(module, name)


def by_hand(folder: Path, document: dict[str, Any]) -> Any:
    """Return all elements of an array: its chunks through numcodecs, one after the other."""
    shape, chunks = document["shape"], document["chunks"]
    dtype = np.dtype(document["dtype"])
    out = np.empty(shape, dtype)
    out[...] = document["fill_value"]
    steps = [*(document["filters"] or []), *([document["compressor"]] if document["compressor"] else [])]
    for place in itertools.product(*(range(-(-n // c)) for n, c in zip(shape, chunks, strict=True))):
        path = folder / ".".join(map(str, place))
        if not path.exists():
            continue
        data: Any = path.read_bytes()
        for step in reversed(steps):
            # numcodecs refuses pickles; these are of this test's own data.
            data = (
                _Unpickler(io.BytesIO(data)).load()
                if step["id"] == "pickle"
                else numcodecs.get_codec(step).decode(data)
            )
        part = data if dtype.hasobject else np.frombuffer(data, dtype)
        part = part.reshape(chunks, order=document["order"])
        where = tuple(slice(p * c, (p + 1) * c) for p, c in zip(place, chunks, strict=True))
        out[where] = part[tuple(slice(0, n) for n in out[where].shape)]
    return out


def comparable(value: object) -> object:
    if isinstance(value, dict):
        return value["path"]
    return value.encode() if isinstance(value, str) else value
