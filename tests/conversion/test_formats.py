"""Every value of every table comes back from every format, read by other libraries; h5py says what is in the files."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deltalake
import h5py
import numpy as np
import polars as pl
import pytest
import xarray as xr

from nwb_dask import FormatError, PathNotFoundError
from nwb_dask.conversion import Conversion, convert
from nwb_dask.conversion.formats.excel import sheet_names
from nwb_dask.conversion.names import table_names
from nwb_dask.testing.oddities import ODDITIES
from tests.conversion import reading
from tests.conversion.reading import Columns, expected, matches, text
from tests.parity import oracle
from tests.parity.oracle import Table

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
FEW = (
    "dandi__dandi-cli/sub-anm369963_ses-20170228.nwb",
    "MetaCell__nwb-explorer/test_PlaneSegmentation.nwb",
    "NeurodataWithoutBorders__matnwb/ecephys_tutorial.nwb",
    "NeurodataWithoutBorders__pynwb/1.0.2_nwbfile.nwb",
)
ODD = ("compounds", "references", "ragged", "numbers", "categories", "shapes", "text", "zero_width", "names")
DAMAGED = ("bad_text", "broken_tables", "corrupt")
"""Those with values that cannot be read, which leaves the whole file out."""
ALL_REAL = sorted(path.relative_to(REAL).as_posix() for path in REAL.glob("**/*.nwb") if path.is_file())

READERS: dict[str, tuple[str, Callable[[Path, str], Columns]]] = {
    "parquet": ("parquet", reading.parquet),
    "polars": ("parquet", reading.parquet_by_polars),
    "pandas": ("parquet", reading.parquet_by_pandas),
    "ipc": ("ipc", reading.ipc),
    "jsonl": ("jsonl", reading.jsonl),
    "csv": ("csv", reading.csv_text),
    "delta": ("delta", reading.delta),
    "excel": ("excel", reading.excel),
}


def source(name: str, folder: Path) -> Path:
    if name in ODDITIES:
        path = folder / f"{name}.nwb"
        ODDITIES[name](path)
        return path
    if not REAL.is_dir():
        pytest.skip(f"NO REAL FILE WAS CONVERTED: {REAL} is absent")
    return REAL / name


def converted(path: Path, out: Path, format_: str) -> Conversion:
    """Convert what the format can hold: columns that it refuses are excluded, as its errors say."""
    exclude: list[str] = []
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                return convert(path, out, format=format_, errors="skip", exclude=exclude, resume=False)  # type: ignore[arg-type]  # a literal
        except FormatError as error:
            exclude.append(way_out(error))


def way_out(error: FormatError) -> str:
    """Return what an error says should be excluded."""
    assert error.path
    assert repr(error.path) in str(error)
    return error.path


def differences(found: Columns, table: Table, report: Conversion, reader: str) -> list[str]:
    left_out = {one.path for one in report.left_out}
    wrong = []
    for column in table.columns:
        here = f"{table.path.rstrip('/')}/{column.name}"
        if column.values is None or (column.may_refuse and here in left_out):
            continue
        wanted = expected(column.values)
        if column.name not in found:
            is_too_long = reader == "excel" and max(len(text(one)) for one in wanted) > 32_767
            wrong += [] if is_too_long or not wanted else [f"{here} is absent"]
            continue
        if len(found[column.name]) != len(wanted):
            wrong.append(f"{here}: {len(found[column.name])} rows, expected {len(wanted)}")
            continue
        dtype = column.values.dtype if isinstance(column.values, np.ndarray) else None
        wrong += [
            f"{here} row {row}: {str(one)[:80]}, expected {text(two)[:80]}"
            for row, (one, two) in enumerate(zip(found[column.name], wanted, strict=True))
            if not same(one, two, dtype, reader)
        ][:1]
    return wrong


def same(found: Any, wanted: Any, dtype: np.dtype[Any] | None, reader: str) -> bool:
    if reader in ("csv", "excel"):
        return matches(found, wanted, dtype)
    if reader == "delta" and isinstance(wanted, int) and not isinstance(wanted, bool):
        # 64-bit unsigned integers are decimals there.
        return int(found) == wanted
    if reader == "pandas" and wanted is None:
        return found is None or found != found  # noqa: PLR0124  # NaN
    return text(found) == text(wanted)


def check_tables(name: str, folder: Path) -> None:
    path = source(name, folder)
    tables = [table for table in oracle.read_file(path) if table.kind != "series" and not table.left_out]
    names = table_names([table.path for table in tables])
    sheets = sheet_names([table.path for table in tables])
    wrong = []
    reports: dict[str, Conversion] = {}
    for reader, (format_, read) in READERS.items():
        out = folder / f"{Path(name).stem}-{format_}"
        if format_ not in reports:
            reports[format_] = converted(path, out, format_)
        for table in tables:
            if table.path not in reports[format_].tables:
                wrong.append(f"{reader}: {table.path} is absent")
                continue
            found = read(out, sheets[table.path] if reader == "excel" else names[table.path])
            wrong += [f"{reader}: {one}" for one in differences(found, table, reports[format_], reader)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", [*ODD, *FEW])
def test_every_value_comes_back(name: str, tmp_path: Path) -> None:
    check_tables(name, tmp_path)


def test_sessions_of_a_delta_table_are_its_partitions(tmp_path: Path, sessions: list[Path]) -> None:
    convert(sessions, tmp_path / "out", format="delta", tables="/intervals/trials")
    found = deltalake.DeltaTable(tmp_path / "out" / "intervals.trials").to_pandas()
    assert found["session"].value_counts().to_dict() == {"day1/mouse": 5, "day2/mouse": 7}
    assert pl.read_delta(str(tmp_path / "out" / "intervals.trials")).height == 12


@pytest.mark.slow
@pytest.mark.parametrize("name", [*(one for one in ODDITIES if one not in DAMAGED), *ALL_REAL])
def test_every_value_of_every_file_comes_back(name: str, tmp_path: Path) -> None:
    check_tables(name, tmp_path)


def check_series(name: str, folder: Path) -> int:
    path = source(name, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            report = convert(path, folder / "out", format="zarr", errors="skip")
        except PathNotFoundError as error:
            # NWB 1 has series that `open_timeseries` does not know.
            return 0 if "nothing to convert" in error.message else -1
    compared = 0
    with h5py.File(path) as file:
        for one in report.files:
            group = file[one.tables[0]]
            with xr.open_zarr(folder / "out" / one.path, mask_and_scale=False, chunks=None) as found:
                if "channel_conversion" in found.coords or not isinstance(group.get("data"), h5py.Dataset):
                    continue
                stored = group["data"][()]
                if stored.dtype.kind in "iuf" and stored.size:
                    assert found["data"].dtype == stored.dtype.newbyteorder("="), one.path
                    np.testing.assert_array_equal(found["data"].to_numpy().reshape(-1), np.ravel(stored))
                    compared += 1
                if "timestamps" in group and "time" in found.coords:
                    np.testing.assert_array_equal(found["time"].to_numpy(), group["timestamps"][()])
    return compared


def test_samples_come_back_from_zarr(tmp_path: Path, sessions: list[Path]) -> None:
    out = tmp_path / "out"
    report = convert(sessions, out, format="zarr")
    assert {one.path for one in report.left_out} >= {"/units", "/intervals/trials"}
    for path, session in zip(sessions, report.sessions, strict=True):
        with h5py.File(path) as file:
            (lfp,) = (one for one in report.files if one.tables == ("/acquisition/lfp",) and one.session == session)
            with xr.open_zarr(out / lfp.path, mask_and_scale=False, chunks=None) as found:
                stored = file["/acquisition/lfp/data"]
                np.testing.assert_array_equal(found["data"], stored[()])
                assert found["data"].dtype == stored.dtype
            with xr.open_zarr(out / lfp.path, chunks=None) as physical:
                np.testing.assert_allclose(physical["data"], stored[()] * stored.attrs["conversion"], rtol=1e-6)
            (speed,) = (one for one in report.files if one.tables[0].endswith("speed") and one.session == session)
            with xr.open_zarr(out / speed.path, chunks=None) as found:
                np.testing.assert_array_equal(found["time"], file["/processing/behavior/running_speed/timestamps"][()])
                np.testing.assert_array_equal(found["data"], file["/processing/behavior/running_speed/data"][()])


@pytest.mark.parametrize("name", FEW)
def test_series_of_real_files_come_back_from_zarr(name: str, tmp_path: Path) -> None:
    with h5py.File(source(name, tmp_path)) as file:
        has_series = any(table.kind == "series" for table in oracle.read_file(Path(file.filename)))
    if has_series:
        assert check_series(name, tmp_path) >= 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL_REAL)
def test_series_of_every_real_file_come_back_from_zarr(name: str, tmp_path: Path) -> None:
    if any(table.kind == "series" for table in oracle.read_file(source(name, tmp_path))):
        assert check_series(name, tmp_path) >= 0
