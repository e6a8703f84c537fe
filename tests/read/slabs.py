"""Files with arrays in every layout, and what numpy makes of parts of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
import numpy.typing as npt

from nwb_dask.index import Url
from nwb_dask.model.series.values import Scale
from nwb_dask.plan.slab import Slab
from nwb_dask.read.opening import open_source
from nwb_dask.storage import make_access

Array = npt.NDArray[Any]

SHAPE = (61, 12, 5)
LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "rows": {"chunks": (10, 12, 5)},
    "tiles": {"chunks": (7, 5, 2), "compression": "gzip", "shuffle": True},
    "columns": {"chunks": (61, 1, 5), "maxshape": (None, 12, 5)},
    "lzf": {"chunks": (16, 4, 4), "compression": "lzf"},
}
DTYPES = ("<i2", ">u2", "<i4", "i1", ">f4", "<f8", "<c8")
SCALES = {
    "stored": Scale(),
    "volts": Scale(1.95e-7),
    "shifted": Scale(-0.3, 12.7),
    "channels": Scale(2e-6, -1e-3, np.random.default_rng(0).normal(size=SHAPE[1])),
    "rows": Scale(3.0, 0.0, np.random.default_rng(1).normal(size=SHAPE[0]), axis=0),
}


def made(path: Path | str, name: str, scale: Scale | None = None, dtype: str | None = None) -> Slab:
    """Return the address of a dataset, as whoever plans makes it."""
    url, access = Url(str(path)), make_access(None)
    with open_source(url, access) as file:
        entry = file.index(name).array(name)
        assert entry is not None
        wanted = None if dtype is None else np.dtype(dtype)
        return Slab.of(
            entry, url=url, name=str(path), identity=file.source.identity, access=access, scale=scale, dtype=wanted
        )


def outer(values: Array, key: Any) -> Array:
    """Return what is picked along one axis after the other, last axis first."""
    keys = key if isinstance(key, tuple) else (key,)
    for axis in reversed(range(len(keys))):
        values = values[(slice(None),) * axis + (keys[axis],)]
    return values


def physical(values: Array, scale: Scale) -> Array:
    """Return what pynwb computes: ``np.asarray(data) * scale_factor + offset``."""
    factor: Any = scale.factor
    if scale.per_channel is not None:
        factor = (factor * scale.per_channel).reshape([-1 if axis == scale.axis else 1 for axis in range(values.ndim)])
    exact = values.astype(np.result_type(values, np.float64))
    return cast("Array", exact * factor + scale.offset)


def write_slabs(path: Path) -> Path:
    """Write a file with numbers of every dtype in every layout; return its path."""
    rng = np.random.default_rng(5)
    with h5py.File(path, "w") as file:
        for dtype in DTYPES:
            known = np.dtype(dtype)
            data = rng.integers(-100, 100, SHAPE).astype(known) if known.kind != "u" else rng.integers(0, 60000, SHAPE)
            if known.kind in "fc":
                data = (data * 1.1).astype(known)
            for layout, options in LAYOUTS.items():
                file.create_dataset(f"{layout}{dtype}", data=data, dtype=known, **options)
    return path
