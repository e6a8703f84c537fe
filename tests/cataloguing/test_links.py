from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import pytest

import nwb_dask
from nwb_dask.errors import NWBDaskError

OTHER = "s1.nwb"
TABLES = ("/general/subject", "/general", "/units", "/intervals/trials", "/")


def put(path: str, link: object) -> Callable[[h5py.File], None]:
    """Return what puts a link in the place of an object; a soft one leads to where that object is then."""

    def change(file: h5py.File) -> None:
        if isinstance(link, h5py.SoftLink):
            file[link.path] = file[path]
        del file[path]
        file[path] = link

    return change


CHANGES: Mapping[str, Callable[[h5py.File], None]] = {
    "table elsewhere": put("/units", h5py.ExternalLink(OTHER, "/units")),
    "record elsewhere": put("/general/subject", h5py.ExternalLink(OTHER, "/general/subject")),
    "group of tables elsewhere": put("/intervals", h5py.ExternalLink(OTHER, "/intervals")),
    "column elsewhere": put("/units/quality", h5py.ExternalLink(OTHER, "/units/quality")),
    "field elsewhere": put("/general/subject/age", h5py.ExternalLink(OTHER, "/general/subject/age")),
    "record by another name": put("/general/subject", h5py.SoftLink("/general/animal")),
    "table by another name": put("/units", h5py.SoftLink("/analysis/sorted")),
    "nothing there": put("/intervals/trials", h5py.ExternalLink("none.nwb", "/trials")),
}


def outcome(source: object, table: str) -> object:
    try:
        # As text: two NaN are equal.
        return str(nwb_dask.read_table(source, table, engine="arrow").to_pylist())
    except NWBDaskError as error:
        return type(error), str(error)


@pytest.mark.filterwarnings("ignore:metadata that does not come")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_behind_a_link_is_as_the_file_has_it(
    sessions: Path, tmp_path: Path, change: Callable[[h5py.File], None]
) -> None:
    path = sessions / "s0.nwb"
    with h5py.File(path, "r+") as file:
        change(file)
    made = nwb_dask.build_catalog(path, tmp_path / "catalog")
    for table in TABLES:
        assert outcome(made, table) == outcome(str(path), table)
    assert nwb_dask.list_paths(made) == nwb_dask.list_paths(path)
