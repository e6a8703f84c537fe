"""Hostile containers through every public function: nothing runs, nothing else is opened or asked, nothing is taken."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import xarray as xr

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.cli.program import program
from nwb_dask.errors import NWBDaskError
from nwb_dask.testing import RangeServer
from tests.backends.opens import watched
from tests.faults import hostile
from tests.faults.hostile import SECRET, SERIES

LINK_LOCAL = "http://169.254.169.254/latest/meta-data"

READERS: dict[str, Callable[[str], Any]] = {
    "read_table": lambda url: nwb_dask.read_table(url, "/units", columns=["bad"])["bad"],
    "read_table in polars": lambda url: nwb_dask.read_table(url, "/units", "polars")["bad"],
    "scan_nwb": lambda url: nwb_dask.scan_nwb(url, "/units").filter(pl.col("bad") > 1).collect()["bad"],
    "read_nwb": lambda url: dd.read_nwb(url, "/units")["bad"].compute(),
    "sql": lambda url: nwb_dask.sql('SELECT "bad" FROM units', url, eager=True)["bad"],
    "open_nwb": lambda url: nwb_dask.open_nwb(url).units["bad"].read(),
    "open_h5": lambda url: nwb_dask.open_h5(url)["units/bad"][:],
    "open_timeseries": lambda url: nwb_dask.open_timeseries(url, SERIES).values,
    "xarray": lambda url: xr.open_dataset(url, engine="nwb", group=SERIES)["data"].values,
}
"""Public functions that give the values of a column, or of a series."""
FEW = ("read_table", "open_h5", "open_timeseries")
REFUSALS = (NWBDaskError, KeyError, pl.exceptions.PolarsError)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    return hostile.write_secret(tmp_path / "secret")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[RangeServer]:
    (tmp_path / "served").mkdir()
    with RangeServer(tmp_path / "served") as server:
        yield server


def refuse(url: str, readers: Any = READERS) -> None:
    """Let all readers try; none may have anything."""
    for reader in readers:
        with pytest.raises(REFUSALS):
            pytest.fail(f"{reader} gives {READERS[reader](url)!r}")


def outputs(url: str, folder: Path) -> list[Path]:
    """Return what the functions that write make of a container, and what those that tell of it print."""
    folder.mkdir()
    made: list[Callable[[], Any]] = [
        lambda: nwb_dask.convert(url, folder / "converted", errors="skip"),
        lambda: nwb_dask.write_references(url, folder / "session.lindi.json"),
        lambda: (folder / "metadata").write_text(str(nwb_dask.read_metadata(url).to_dict())),
        lambda: program(["head", url, "/units"]),
        lambda: program(["convert", url, str(folder / "by-cli")]),
        lambda: program(["index", url, str(folder / "by-cli.lindi.json")]),
    ]
    for one in made:
        try:
            one()
        except (NWBDaskError, SystemExit):
            continue
    return [path for path in folder.rglob("*") if path.is_file()]


def holds_secret(data: bytes) -> bool:
    return SECRET.tobytes()[:20] in data


@pytest.mark.parametrize("form", [*hostile.ZARR, *hostile.DOCUMENTS])
def test_a_crafted_pickle_does_not_run(form: str, tmp_path: Path, served: RangeServer) -> None:
    marker = tmp_path / "marker"
    write = (hostile.ZARR | hostile.DOCUMENTS)[form]
    path = write(tmp_path / "served", hostile.crafted_pickle(marker))
    refuse(str(path), READERS if form == "zarr2" else FEW)
    refuse(served.url(path.name), FEW[:1])
    assert not marker.exists()


@pytest.mark.parametrize("form", hostile.DOCUMENTS)
@pytest.mark.parametrize("is_link", [False, True])
def test_a_document_leads_to_no_file_of_this_machine(
    form: str, tmp_path: Path, served: RangeServer, secret: Path, *, is_link: bool
) -> None:
    name = "secret.h5" if is_link else "secret.raw"
    make = hostile.by_link if is_link else hostile.by_reference
    for number, url in enumerate((f"file://{secret}/{name}", f"{secret}/{name}", f"../../secret/{name}")):
        path = hostile.DOCUMENTS[form](tmp_path / "served" / str(number), make(url))
        with watched(secret) as opened:
            refuse(served.url(f"{number}/{path.name}"), FEW)
        assert opened == []
        if is_link and number:
            # A plain path to an HDF5 file, which a local document may name.
            continue
        with watched(secret) as opened:
            refuse(str(path), READERS if form == "json" and not number else FEW)
        # Of a plain path it is found out whether an HDF5 file is there.
        assert opened == [] or number


@pytest.mark.parametrize("form", hostile.DOCUMENTS)
def test_a_document_leads_to_no_address_of_the_own_link(form: str, tmp_path: Path, served: RangeServer) -> None:
    for number, make in enumerate((hostile.by_reference, hostile.by_link)):
        path = hostile.DOCUMENTS[form](tmp_path / "served" / str(number), make(LINK_LOCAL))
        refuse(str(path), READERS if form == "json" and not number else FEW)
        with nwb_dask.options(allow_hosts=["*"]):
            refuse(served.url(f"{number}/{path.name}"), FEW)


@pytest.mark.parametrize("kind", ["link", "external", "virtual"])
def test_a_dataset_behind_a_reference_leads_nowhere_else(
    kind: str, tmp_path: Path, served: RangeServer, secret: Path
) -> None:
    hostile.write_hdf5(tmp_path / "served", kind, secret)
    path = hostile.write_json(tmp_path / "served", hostile.by_link("session.nwb", "units/bad"))
    with watched(secret) as opened:
        refuse(str(path), FEW)
        refuse(served.url(path.name), FEW)
    assert opened == []


@pytest.mark.parametrize("kind", ["link", "external", "virtual"])
def test_data_outside_of_an_hdf5_file_are_refused(kind: str, tmp_path: Path, served: RangeServer, secret: Path) -> None:
    path = hostile.write_hdf5(tmp_path / "served", kind, secret)
    with watched(secret) as opened:
        refuse(str(path), READERS)
        refuse(served.url(path.name), FEW)
        written = outputs(str(path), tmp_path / "out")
    assert opened == []
    assert not any(holds_secret(one.read_bytes()) for one in written)
    with nwb_dask.options(allow_external=[secret]):
        np.testing.assert_array_equal(nwb_dask.read_table(path, "/units")["bad"], SECRET)
        refuse(served.url(path.name), FEW[:1])


def test_a_link_out_of_a_folder_is_not_followed(tmp_path: Path, secret: Path) -> None:
    entries = hostile.session(hostile.array(), None)
    zarr = hostile.write_zarr2(tmp_path / "served", entries)
    lindi = hostile.write_folder(tmp_path / "served", hostile.by_reference("./blob"))
    for place in ("units/bad", SERIES[1:] + "/data"):
        (zarr / place / "0").symlink_to(secret / "secret.raw")
    (lindi / "blob").symlink_to(secret / "secret.raw")
    with watched(secret) as opened:
        for path in (zarr, lindi):
            refuse(str(path), READERS if path is zarr else FEW)
    assert opened == []


def test_what_is_written_of_a_hostile_document_has_nothing_of_this_machine(tmp_path: Path, secret: Path) -> None:
    path = hostile.write_json(tmp_path / "served", hostile.by_reference(f"file://{secret}/secret.raw"))
    with watched(secret) as opened:
        written = outputs(str(path), tmp_path / "out")
    assert opened == []
    assert not any(holds_secret(one.read_bytes()) for one in written)


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
from pathlib import Path
from tests.faults import hostile
from tests.faults.test_hostile_containers import READERS, REFUSALS
for name, entries in hostile.BOMBS.items():
    for form, write in FORMS.items():
        path = write(Path(sys.argv[1]) / f"{name} {form}", entries)
        for reader in READERS if form in ("zarr2",) else sys.argv[2].split():
            try:
                found = READERS[reader](str(path))
            except REFUSALS:
                continue
            raise SystemExit(f"{reader} gives {found!r} of {name} in {form}")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
raise SystemExit(f"{peak} KiB" if peak > 1 << 20 else 0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("forms", ["{'zarr2': hostile.write_zarr2}", "hostile.DOCUMENTS", "{'zip': hostile.write_zip}"])
def test_what_is_only_declared_takes_neither_memory_nor_time(tmp_path: Path, forms: str) -> None:
    code = LIMITED.replace("FORMS", f"({forms})")
    command = [sys.executable, "-c", code, str(tmp_path), "read_table scan_nwb open_h5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("bomb", hostile.BOMBS)
def test_a_table_that_is_only_declared_is_refused(bomb: str, tmp_path: Path) -> None:
    refuse(str(hostile.write_zarr2(tmp_path, hostile.BOMBS[bomb])), ["read_table", "scan_nwb", "open_timeseries"])


@pytest.mark.parametrize("bomb", [name for name in hostile.BOMBS if "8 TiB" in name or "end" in name])
def test_a_table_of_v3_that_is_only_declared_is_refused(bomb: str, tmp_path: Path) -> None:
    refuse(str(hostile.write_zarr3(tmp_path, hostile.BOMBS[bomb])), ["read_table", "scan_nwb", "open_timeseries"])
