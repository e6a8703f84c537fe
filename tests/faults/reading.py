"""The public ways to read a table, and what every error that they raise must satisfy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import pytest
import tblib.pickling_support  # type: ignore[import-untyped]  # no annotations
from distributed.core import collect_causes
from distributed.protocol import pickle

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.errors import NWBDaskError
from nwb_dask.testing.odd_columns import TEXT, Data, add_column, add_index, add_table, new_file

SECRET = "topsecret"
QUERY = f"?X-Amz-Signature={SECRET}"

Read: TypeAlias = Callable[..., Any]


def read_dask(source: object, table: str, **options: Any) -> Any:
    return dd.read_nwb(source, table, **options).compute(scheduler="sync")


def read_pandas(source: object, table: str, **options: Any) -> Any:
    return nwb_dask.read_table(source, table, "pandas", **options)


def read_polars(source: object, table: str, **options: Any) -> Any:
    return nwb_dask.read_table(source, table, "polars", **options)


def read_arrow(source: object, table: str, **options: Any) -> Any:
    return nwb_dask.read_table(source, table, "arrow", **options)


READS: Mapping[str, Read] = {"dask": read_dask, "pandas": read_pandas, "polars": read_polars, "arrow": read_arrow}
every_engine = pytest.mark.parametrize("read", READS.values(), ids=READS.keys())


def open_session(source: object, table: str) -> Any:
    return nwb_dask.open_nwb(source)[table]


every_door = pytest.mark.parametrize("read", [*READS.values(), open_session], ids=[*READS.keys(), "open_nwb"])


def values(frame: Any, column: str) -> list[Any]:
    """Return a column of any of the three frames as Python values; missing ones as None, NaN as NaN."""
    if hasattr(frame, "to_pylist"):
        return list(frame[column].to_pylist())
    if hasattr(frame, "to_pandas"):
        return list(frame[column].to_list())
    return [_plain(value) for value in frame[column]]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if type(value).__name__ == "NAType":
        return None
    return value.item() if isinstance(value, np.generic) else value


def check_error(
    error: BaseException, *, kind: type[NWBDaskError], builtin: type[Exception], names: object = ""
) -> None:
    """Assert that an error is of our tree and of the builtin, names the file, keeps secrets, and survives a worker."""
    assert type(error) is kind
    assert isinstance(error, builtin)
    text = str(error)
    assert str(names) in text
    shown = [text, repr(error), str(error.url), *(str(one) for one in collect_causes(error))]
    assert not any(SECRET in one or "X-Amz-Signature" in one for one in shown)
    copy = sent(error)
    assert (type(copy), str(copy), copy.url, copy.path) == (kind, text, error.url, error.path)


def sent(error: NWBDaskError) -> NWBDaskError:
    """Return the error as it arrives from a worker: distributed pickles it with its causes."""
    tblib.pickling_support.install(error, *collect_causes(error))
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, NWBDaskError)
    return copy


def write_column(path: Path, data: Data | None = None, *, ends: list[int] | None = None, **storage: Any) -> Path:
    """Write a file whose table ``/t`` has two rows, a column ``row`` and, with `data`, a column ``x``."""
    with new_file(path) as file:
        group = add_table(file, "t", {"row": np.arange(2)})
        if data is not None:
            add_column(group, "x", data, **storage)
            group.attrs.create("colnames", ["row", "x"], dtype=TEXT)
        if ends is not None:
            add_index(group, "x", ends)
    return path


def enum_of(*names: str) -> np.dtype[Any]:
    """Return an HDF5 enumeration of these names, numbered from 0."""
    dtype: np.dtype[Any] = h5py.enum_dtype({name: i for i, name in enumerate(names)}, basetype="u1")
    return dtype
