"""The usual questions about an ephys session, and their answers as h5py has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import h5py
import numpy as np

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.testing.ephys import LFP_PATH, LFP_START, PRESENCE_RATIO, QUALITY, EphysLayout, write_ephys

Question = Literal["list", "trials", "units", "lfp"]

LAYOUTS: tuple[EphysLayout, ...] = ("contiguous", "chunked", "gzip")
TRIALS = "/intervals/trials"
UNIT_COLUMNS = ["id", "firing_rate", "location", "spike_times"]
LFP_COLUMNS = ["timestamps", "data"]
SECONDS = (LFP_START + 100.25, LFP_START + 101.25)
"""The second of LFP that is wanted, half-open."""

Columns: TypeAlias = Mapping[str, Any]
"""Values by column: arrays, or lists of text, of arrays, of dicts."""


def write_small_ephys(path: Path, layout: EphysLayout) -> Path:
    """Write 400 objects in some 20 MB: spikes in two or three chunks where they are chunked, LFP in 48."""
    return write_ephys(
        path,
        layout=layout,
        seconds=240.0,
        n_units=200,
        n_spikes=1_500_000,
        n_trials=300,
        n_presentations=200,
        lfp_shape=(120_000, 32),
        lfp_chunk=(5_000, 16),
    )


def _list(source: object) -> Columns:
    session = nwb_dask.open_nwb(source)
    tables = {path: (table.n_rows, sorted(table.columns)) for path, table in session.contents.items()}
    return {path: found for path, found in tables.items() if session[path].kind in {"dynamic", "series"}}


def _trials(source: object) -> Columns:
    return _columns(nwb_dask.read_table(source, TRIALS, include_path_columns=False))


def _units(source: object) -> Columns:
    filters = [("quality", "==", QUALITY), ("presence_ratio", ">", PRESENCE_RATIO)]
    return _columns(
        nwb_dask.read_table(source, "/units", columns=UNIT_COLUMNS, filters=filters, include_path_columns=False)
    )


def _lfp(source: object) -> Columns:
    filters = [("timestamps", ">=", SECONDS[0]), ("timestamps", "<", SECONDS[1])]
    return _columns(
        nwb_dask.read_table(source, LFP_PATH, columns=LFP_COLUMNS, filters=filters, include_path_columns=False)
    )


QUESTIONS: Mapping[Question, Callable[[Any], Columns]] = {
    "list": _list,
    "trials": _trials,
    "units": _units,
    "lfp": _lfp,
}
"""URL, or list of them -> the answer, asked through the public API; all but ``list`` take many files."""


def planned(question: Question, url: object) -> Any:
    """Return the question as a Dask DataFrame, planned and not computed."""
    if question == "trials":
        return dd.read_nwb(url, TRIALS, include_path_columns=False)
    if question == "units":
        units = dd.read_nwb(url, "/units", include_path_columns=False)
        return units[(units.quality == QUALITY) & (units.presence_ratio > PRESENCE_RATIO)][UNIT_COLUMNS]
    lfp = dd.read_nwb(url, LFP_PATH, include_path_columns=False)
    return lfp[(lfp.timestamps >= SECONDS[0]) & (lfp.timestamps < SECONDS[1])][LFP_COLUMNS]


def computed(frame: Any) -> Columns:
    """Return the values of a frame that is planned."""
    return _columns(frame.compute(scheduler="threads"))


def _columns(frame: Any) -> Columns:
    return {name: [_plain(value) for value in frame[name]] for name in frame.columns}


def _plain(value: Any) -> Any:
    """Return a cell: text and records of a row as a list of them, numbers as an array."""
    return value.tolist() if isinstance(value, np.ndarray) and value.dtype.kind in "OUV" else value


# --- As h5py has it


@cache
def expected(question: Question, path: Path) -> Columns:
    """Return the answer to a question about a local file."""
    with h5py.File(path) as file:
        if question == "list":
            return _listed(file)
        if question == "trials":
            trials = file[TRIALS]
            return {name: _cells(trials, name, range(len(trials["id"]))) for name in ["id", *_names(trials)]}
        if question == "units":
            units, rows = file["units"], wanted_units(file)
            return {name: _cells(units, name, rows) for name in UNIT_COLUMNS}
        series = file[LFP_PATH]
        start = series["starting_time"]
        times = np.arange(len(series["data"])) / start.attrs["rate"] + start[()]
        wanted = np.flatnonzero((times >= SECONDS[0]) & (times < SECONDS[1]))
        return {"timestamps": list(times[wanted]), "data": list(series["data"][wanted[0] : wanted[-1] + 1])}


def wanted_units(file: h5py.File) -> list[int]:
    """Return the rows of the units that the question is about: every tenth."""
    units = file["units"]
    is_wanted = (units["quality"].asstr()[:] == QUALITY) & (units["presence_ratio"][:] > PRESENCE_RATIO)
    rows: list[int] = np.flatnonzero(is_wanted).tolist()
    return rows


def _names(table: h5py.Group) -> list[str]:
    return [name.decode() if isinstance(name, bytes) else str(name) for name in table.attrs["colnames"]]


def _listed(file: h5py.File) -> Columns:
    found: dict[str, tuple[int, list[str]]] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if "colnames" in item.attrs:
            found[f"/{name}"] = (len(item["id"]), sorted(["id", *_names(item)]))
        elif isinstance(item, h5py.Group) and {"timestamps", "starting_time"} & item.keys():
            columns = {"data", "timestamps", "control"} & {*item.keys(), "timestamps"}
            found[f"/{name}"] = (len(item["data"]), sorted(columns))

    file.visititems(visit)
    return found


def _cells(table: h5py.Group, name: str, rows: Iterable[int]) -> list[Any]:
    data = table[name]
    values = data.asstr()[:] if h5py.check_string_dtype(data.dtype) else data[:]
    if values.dtype.names:
        values = [(one["idx_start"], one["count"], table.file[one["timeseries"]].name) for one in values]
    if f"{name}_index" not in table:
        return [values[row] for row in rows]
    ends = np.concatenate(([0], table[f"{name}_index"][:])).astype(np.int64)
    return [_plain(values[ends[row] : ends[row + 1]]) for row in rows]


def assert_equal(got: Columns, wanted: Columns) -> None:
    """Compare values; order of columns does not matter, NaN equals NaN."""
    assert got.keys() == wanted.keys()
    for name, cells in wanted.items():
        assert len(got[name]) == len(cells), name
        if all(isinstance(cell, np.ndarray) for cell in cells):
            for one, other in zip(got[name], cells, strict=True):
                np.testing.assert_array_equal(one, other, err_msg=name)
        elif isinstance(cells[0], np.number | np.bool_):
            np.testing.assert_array_equal(got[name], cells, err_msg=name)
        else:
            assert list(got[name]) == list(cells), name
