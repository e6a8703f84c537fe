"""pynwb through `open_h5`: sessions equal those that it reads from the HDF5 file, whatever the container."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pynwb
import pytest
from hdmf.container import Data

import nwb_dask
from nwb_dask.testing import RangeServer
from tests.h5.facade import open_facade

DATA = Path(__file__).parents[3] / "shared" / "data"
INTEROP, REAL = DATA / "interop", DATA / "real"
RECORDED_AT = "http://127.0.0.1:8765/session.nwb"
"""Where the LINDI document says that the HDF5 file is."""
FORMS = ("session.lindi.json", "amended.lindi.tar", "session_zarr2.nwb.zarr", "session_zarr3.nwb.zarr")
FILES = [path for path in sorted(REAL.rglob("*.nwb")) if path.is_file()]
WIDER: Mapping[type, tuple[type, ...]] = {np.uint64: (np.int64,), np.int32: (np.int64,), np.bytes_: (str,)}
"""Types of attributes that other containers give wider: in JSON neither numbers nor text have a length."""

pytestmark = pytest.mark.filterwarnings("ignore")


@contextmanager
def read(file: Any) -> Iterator[pynwb.NWBFile]:
    with pynwb.NWBHDF5IO(file=file, mode="r") as io:
        yield io.read()


def check_equal(expected: pynwb.NWBFile, found: pynwb.NWBFile, wider: Mapping[type, tuple[type, ...]] = {}) -> int:
    """Compare every object; return how many there were. Types are the same but for those that may be `wider`."""
    for field in ("identifier", "session_description", "session_start_time", "nwb_version"):
        assert getattr(found, field, None) == getattr(expected, field, None)
    for one, other in pairs(expected, found):
        assert (type(other).__name__, other.name) == (type(one).__name__, one.name)
        assert set(other.fields) == set(one.fields)
        for name, value in one.fields.items():
            check_field(value, other.fields[name], wider)
        if isinstance(one, Data):
            check_field(one.data, other.data, wider)
    return len(expected.objects)


def pairs(expected: pynwb.NWBFile, found: pynwb.NWBFile) -> list[tuple[Any, Any]]:
    """Return the same objects of both, by their ids; of files older than ids by their order."""
    ours, theirs = found.objects, expected.objects
    if not set(ours) & set(theirs):
        return list(zip(theirs.values(), ours.values(), strict=True))
    return [(one, ours[key]) for key, one in theirs.items()]


def check_field(expected: Any, found: Any, wider: Mapping[type, tuple[type, ...]]) -> None:
    if isinstance(expected, str | int | float | bool | np.generic):
        assert type(found) in (type(expected), *wider.get(type(expected), ()))
        assert found == expected or (expected != expected and found != found)  # noqa: PLR0124  # NaN
    elif hasattr(expected, "shape") and hasattr(expected, "dtype"):
        assert len(found) == len(expected)
        assert wider or found.dtype == expected.dtype
        for one, other in zip(flat(expected), flat(found), strict=True):
            assert as_compared(other) == as_compared(one)


def flat(values: Any) -> list[Any]:
    array = values[:100] if len(values.shape) else [values[()]]
    return list(np.asarray(array, dtype=None if not isinstance(array, list) else object).ravel()[:400])


def as_compared(value: Any) -> Any:
    if isinstance(value, pynwb.core.Container):
        return type(value).__name__, value.name
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, h5py.Reference):
        # Resolved where pynwb resolves it; other tests follow the others.
        return bool(value)
    if isinstance(value, np.void) and value.dtype.names:
        return [as_compared(value[name]) for name in value.dtype.names]
    if isinstance(value, np.ndarray | tuple):
        return [as_compared(one) for one in value]
    return "nan" if isinstance(value, float) and np.isnan(value) else value


@pytest.fixture(scope="module")
def expected() -> Iterator[pynwb.NWBFile]:
    """Yield the session as pynwb itself reads it from the HDF5 file."""
    if not INTEROP.exists():
        pytest.skip("the session in all forms is not here")
    with pynwb.NWBHDF5IO(INTEROP / "session.nwb", mode="r") as io:
        yield io.read()


@pytest.mark.parametrize("form", FORMS)
def test_a_session_is_the_same_in_every_container(form: str, expected: pynwb.NWBFile) -> None:
    with (
        nwb_dask.options(remap={RECORDED_AT: str(INTEROP / "session.nwb")}),
        read(nwb_dask.open_h5(INTEROP / form)) as found,
    ):
        assert check_equal(expected, found, WIDER) == 97
        columns = found.units.to_dataframe()
        assert list(columns["spike_times"][0]) == list(expected.units.to_dataframe()["spike_times"][0])


def test_a_remote_session_is_the_same(expected: pynwb.NWBFile) -> None:
    with (
        RangeServer(INTEROP) as server,
        read(nwb_dask.open_h5(server.url("session.nwb"))) as found,
    ):
        assert check_equal(expected, found) == 97


def check_remote(server: RangeServer, path: Path) -> bool:
    """Compare what pynwb reads of a remote file; return whether it reads the file at all."""
    try:
        io = pynwb.NWBHDF5IO(path, mode="r")
        expected = io.read()
    except Exception:  # noqa: BLE001  # whatever pynwb has against it
        return False
    with io, read(nwb_dask.open_h5(server.url(str(path.relative_to(REAL))))) as found:
        check_equal(expected, found)
    return True


@pytest.mark.slow
@pytest.mark.skipif(not FILES, reason="the real files are not here")
def test_every_real_file_is_the_same_session_from_a_server() -> None:
    with RangeServer(REAL) as server:
        assert sum(check_remote(server, path) for path in FILES) >= 98


def check_facade(path: Path) -> bool:
    """Compare what pynwb reads through the facade; return whether it reads the file at all."""
    try:
        io = pynwb.NWBHDF5IO(path, mode="r")
        expected = io.read()
    except Exception:  # noqa: BLE001  # whatever pynwb has against it
        return False
    with io, read(open_facade(path)) as found:
        check_equal(expected, found)
    return True


@pytest.mark.skipif(not FILES, reason="the real files are not here")
@pytest.mark.parametrize("path", FILES[3::60], ids=lambda path: path.name)
def test_the_facade_of_a_real_file_gives_pynwb_the_same_session(path: Path) -> None:
    assert check_facade(path)


@pytest.mark.slow
@pytest.mark.skipif(not FILES, reason="the real files are not here")
def test_the_facade_of_every_real_file_gives_pynwb_the_same_session() -> None:
    assert sum(check_facade(path) for path in FILES) >= 98
