"""What `_xarray` takes of xarray that is not public, and what each of it is needed for."""

from __future__ import annotations

import ast
import asyncio
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from xarray.backends import BackendEntrypoint

from nwb_dask.adapters.xarray_backend import _xarray
from nwb_dask.adapters.xarray_backend._xarray import (
    ExplicitIndexer,
    IndexingSupport,
    IndexSelResult,
    LazilyIndexedArray,
    LazilyVectorizedIndexedArray,
    LazyTime,
    TimeVariable,
    explicit_indexing_adapter,
    lazy_time,
)
from nwb_dask.adapters.xarray_backend.axes import SampledAxis, StoredAxis
from nwb_dask.adapters.xarray_backend.time_index import TimeIndex, time_coordinates
from tests.adapters.xarray_backend.axis_cases import axis_of, log_of
from tests.adapters.xarray_backend.stamps import Labels, Rows, SimulatedStamps

PACKAGE = Path(_xarray.__file__).parent


def regular(rows: Rows) -> Labels:
    return rows / 1000.0


class CountedArray(xr.backends.BackendArray):
    """0, 1, 2 ... that remember how they were indexed."""

    def __init__(self, n: int) -> None:
        self.shape = (n,)
        self.dtype = np.dtype(np.int64)
        self.keys: list[object] = []

    def __getitem__(self, key: ExplicitIndexer) -> Any:
        return explicit_indexing_adapter(key, self.shape, IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        self.keys.append(key)
        return np.arange(self.shape[0])[key]


def imported_from_private_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name for name in names if name.startswith(("xarray.core", "xarray.namedarray", "xarray.structure")))


def test_only_one_module_imports_what_is_private() -> None:
    modules = list(PACKAGE.rglob("*.py"))
    assert len(modules) > 10
    found = {path.name for path in modules if list(imported_from_private_modules(path))}
    assert found == {"_xarray.py"}
    assert set(imported_from_private_modules(PACKAGE / "_xarray.py")) == {"xarray.core.indexing"}


def test_lazily_indexed_array_puts_off_indexing() -> None:
    counted = CountedArray(1000)
    variable = xr.Variable("x", LazilyIndexedArray(counted))
    part = variable[10:100][::2][5]
    assert counted.keys == []
    assert part.values == 20
    assert counted.keys == [(20,)]


def test_explicit_indexing_adapter_and_indexing_support_reduce_keys_to_what_a_source_can() -> None:
    counted = CountedArray(1000)
    variable = xr.Variable("x", LazilyIndexedArray(counted))
    np.testing.assert_array_equal(variable[[5, 3, 900]].values, [5, 3, 900])
    (key,) = counted.keys
    assert isinstance(key, tuple)
    assert isinstance(key[0], slice)


def test_explicit_indexer_carries_one_key_for_each_dimension() -> None:
    class Echo(CountedArray):
        def __getitem__(self, key: ExplicitIndexer) -> Any:
            assert isinstance(key, ExplicitIndexer)
            (one,) = key.tuple
            assert range(10)[one] == range(2, 4)
            return np.arange(2)

    np.testing.assert_array_equal(xr.Variable("x", LazilyIndexedArray(Echo(10)))[2:4].values, [0, 1])


def test_lazily_vectorized_indexed_array_keeps_labels_of_two_dimensions_lazy() -> None:
    stamps = SimulatedStamps("vectorized", 100_000_000, 8192, regular)
    variable = TimeIndex(StoredAxis(stamps)).create_variables()["time"]
    tracemalloc.start()
    try:
        chosen = variable.isel(time=xr.Variable(("event", "offset"), [[1, 99_999_999], [-1, 5]]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
    assert stamps.log.reads == []
    assert isinstance(chosen._data, LazilyVectorizedIndexedArray)
    np.testing.assert_array_equal(chosen.values, regular(np.array([[1, 99_999_999], [99_999_999, 5]])))


def test_index_sel_result_is_what_xarray_expects_of_sel() -> None:
    result = TimeIndex(SampledAxis(0.0, 10.0, 100)).sel({"time": slice(1, 2)})
    assert isinstance(result, IndexSelResult)
    assert result.dim_indexers == {"time": slice(10, 21, None)}


def test_data_held_by_a_variable_is_the_lazy_array_itself() -> None:
    axis = SampledAxis(0.0, 10.0, 100)
    array = xr.DataArray(np.zeros(100), dims="time", coords=time_coordinates(axis))
    assert array.time.variable._data is lazy_time(axis)
    assert array.isel(time=slice(5, 9)).time.variable._data is lazy_time(axis.take(slice(5, 9)))
    assert array.isel(time=5).time.variable._data.ndim == 0


@pytest.mark.parametrize("key", [slice(3, 9), [5, 2], 4])
def test_lazy_time_is_indexed_as_an_array(key: Any) -> None:
    axis = SampledAxis(1.0, 10.0, 100)
    variable = xr.Variable("time", lazy_time(axis))
    chosen = variable[key]
    assert isinstance(chosen._data, LazyTime)
    np.testing.assert_array_equal(chosen.values, axis.labels()[key])
    assert chosen.dtype == np.float64


def test_time_variable_is_kept_by_what_xarray_does_to_coordinates() -> None:
    array = xr.DataArray(da.zeros(100), dims="time", coords=time_coordinates(SampledAxis(0.0, 10.0, 100)))
    for one in (
        array,
        array.copy(deep=True),
        array.isel(time=slice(5, 50)),
        array.to_dataset(name="a"),
        array + 1,
        array.rename(time="t").rename(t="time"),
        array.assign_attrs(a=1),
        xr.concat([array, array], "session"),
        array.chunk(time=10),
    ):
        assert type(one.coords["time"].variable) is TimeVariable


def test_time_variable_says_itself_what_it_is_for_tokens_and_equality() -> None:
    stamps = SimulatedStamps("variable", 100_000_000, 8192, regular)
    one: Any
    other: Any
    one, other = (TimeIndex(StoredAxis(stamps)).create_variables()["time"] for _ in range(2))
    assert one is not other
    assert one.equals(other)
    assert one.identical(other)
    assert not one.equals(one.isel(time=slice(1, None)))
    assert one.__dask_tokenize__() == other.__dask_tokenize__()
    assert one.isel(time=slice(1, None)).__dask_tokenize__() != other.__dask_tokenize__()
    assert stamps.log.reads == []


class Engine(BackendEntrypoint):
    """Opens a dataset of lazy times, whatever it is given."""

    def open_dataset(self, filename_or_obj: Any, *, drop_variables: Any = None) -> xr.Dataset:
        axis = StoredAxis(SimulatedStamps("engine", 1_000_000, 8192, regular))
        values = xr.Variable("time", LazilyIndexedArray(CountedArray(1_000_000)))
        return xr.Dataset({"data": values}, coords=time_coordinates(axis))


@pytest.mark.parametrize("chunks", [None, {}, {"time": 1000}, "auto"])
def test_times_stay_lazy_in_datasets_that_xarray_opens(chunks: Any, tmp_path: Path) -> None:
    (tmp_path / "any").touch()
    opened = xr.open_dataset(tmp_path / "any", engine=Engine, chunks=chunks)
    assert opened.sel(time=slice(500.0, 501.0)).sizes["time"] == 1001
    assert type(opened["time"].variable) is TimeVariable
    assert opened["time"].chunks is None
    assert log_of(axis_of(opened)).n_bytes < 800_000
    assert (opened["data"].chunks is None) == (chunks is None)


def test_times_can_be_awaited() -> None:
    array = xr.DataArray(np.zeros(100), dims="time", coords=time_coordinates(SampledAxis(0.0, 10.0, 100)))
    if not hasattr(array, "load_async"):
        pytest.skip("this xarray cannot load asynchronously")
    loaded = asyncio.run(array.isel(time=5).load_async())
    assert loaded.time.values == 0.5
    assert type(asyncio.run(array.load_async()).time.variable) is TimeVariable
