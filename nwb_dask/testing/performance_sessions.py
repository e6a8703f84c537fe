"""Hundreds of small sessions of a task that switches its rule from block to block.

`write_performance_sessions` writes them, a few milliseconds each: pynwb writes one, and the others are copies of it in
which h5py replaced the values. Mice see stripes and hear tones. In each block one of the two is rewarded; a mouse that
knows the task answers only that one. `session_values` gives what is in a session without writing it.
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from hdmf.common import DynamicTableRegion, VectorData, VectorIndex
from pynwb import NWBHDF5IO, NWBFile
from pynwb.epoch import TimeIntervals
from pynwb.file import Subject
from pynwb.misc import Units

from nwb_dask.testing.performance_values import N_ELECTRODES, Values, session_values

__all__ = ["session_values", "write_performance_sessions"]

PERFORMANCE = "/intervals/performance"
"""One row per block: `block_index`, `rewarded_modality`, `same_modal_dprime`, `cross_modal_dprime`, `n_trials` ..."""
TRIALS = "/intervals/trials"
UNITS = "/units"

_ID_CHARACTERS = 36
_RAGGED = {"spike_times", "obs_intervals", "electrodes"}


def write_performance_sessions(
    folder: str | Path, n: int = 252, *, n_units: int = 60, spikes_per_unit: int = 1000, seed: int = 0
) -> list[Path]:
    """Write `n` sessions of the same size into `folder` and return their paths, in order.

    Tables: ``/intervals/performance`` (6 blocks), ``/intervals/trials`` (120), ``/units``,
    ``/general/extracellular_ephys/electrodes``; ``/general/subject``; keywords of ``/general`` that say which sessions
    are to be used ("production") and which had problems ("issues"). The columns of a table are contiguous, as pynwb
    wrote them before version 4. The same arguments write the same bytes but for the version of pynwb.

    Parameters
    ----------
    folder : str or Path
        Where to write; made if it is not there. Files of the same names are replaced.
    n : int
        Number of sessions.
    n_units : int
        Rows of ``/units`` in each session.
    spikes_per_unit : int
        Mean number of spikes of a unit; each session has ``n_units * spikes_per_unit``.
    seed : int
        All values follow from it and the number of the session: session 3 of 5 is session 3 of 252.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"session_{number:03}.nwb" for number in range(n)]
    if not paths:
        return paths
    first = session_values(0, n_units=n_units, spikes_per_unit=spikes_per_unit, seed=seed)
    _write_template(paths[0], first)
    template = bytearray(paths[0].read_bytes())
    object_ids, places = _places_of_object_ids(paths[0]), _places_of_numbers(paths[0], first)
    for number, path in enumerate(paths):
        values = session_values(number, n_units=n_units, spikes_per_unit=spikes_per_unit, seed=seed)
        for count, place in enumerate(object_ids):
            template[place : place + _ID_CHARACTERS] = str(
                uuid.uuid5(uuid.NAMESPACE_OID, f"{seed}/{number}/{count}")
            ).encode()
        for (group, name), (place, dtype) in places.items():
            column = np.asarray(values[group][name], dtype=dtype).tobytes()
            template[place : place + len(column)] = column
        path.write_bytes(template)
        with h5py.File(path, "r+") as file:
            _replace_text(file, values, places)
    return paths


def _write_template(path: Path, values: Values) -> None:
    root = values["/"]
    file = NWBFile(
        session_description=root["session_description"],
        identifier=root["identifier"],
        session_start_time=datetime.fromisoformat(root["session_start_time"]),
        file_create_date=datetime(2026, 1, 1, tzinfo=UTC),
        timestamps_reference_time=datetime.fromisoformat(root["session_start_time"]),
        institution="University of Tests",
        lab="a laboratory",
        experimenter=["Doe, Jane"],
        session_id=values["/general"]["session_id"],
        keywords=list(values["/general"]["keywords"]),
    )
    with warnings.catch_warnings():
        # pynwb's hints about best practice do not concern files that tests write.
        warnings.simplefilter("ignore", UserWarning)
        file.subject = Subject(**values["/general/subject"])
        _add_electrodes(file)
        file.units = Units(name="units", description="sorted units", columns=_columns(values[UNITS], file))
        for path_inside, description in ((TRIALS, "trials of the task"), (PERFORMANCE, "performance in each block")):
            name = path_inside.rpartition("/")[2]
            table = TimeIntervals(name=name, description=description, columns=_columns(values[path_inside], file))
            if name == "trials":
                file.trials = table
            else:
                file.add_time_intervals(table)
        with NWBHDF5IO(str(path), "w") as io:
            # Expandable columns would be chunked.
            io.write(file, expandable=())


def _add_electrodes(file: NWBFile) -> None:
    device = file.create_device("probeA", description="a probe")
    group = file.create_electrode_group("probeA", description="its shank", location="HPF", device=device)
    for number in range(N_ELECTRODES):
        file.add_electrode(
            x=float(number % 2) * 20, y=number * 10.0, z=0.0, location="CA1" if number % 2 else "DG", group=group
        )


def _columns(table: Mapping[str, Any], file: NWBFile) -> list[VectorData | VectorIndex]:
    """Return the columns of a table; of a ragged one the index and the target."""
    columns: list[VectorData | VectorIndex] = []
    for name, values in table.items():
        if name.removesuffix("_index") in _RAGGED and name.endswith("_index"):
            continue
        described = {"name": name, "description": f"the {name} of each row", "data": values}
        is_region = name == "electrodes"
        column = DynamicTableRegion(table=file.electrodes, **described) if is_region else VectorData(**described)
        columns.append(column)
        if name in _RAGGED:
            columns.append(VectorIndex(name=f"{name}_index", data=table[f"{name}_index"], target=column))
    return columns


def _replace_text(file: h5py.File, values: Values, but: Collection[tuple[str, str]]) -> None:
    for group, members in values.items():
        for name, value in members.items():
            place = f"{group.rstrip('/')}/{name}"
            if name == "keywords":
                # The one dataset whose length differs; it has no attributes that would be lost.
                del file[place]
                file.create_dataset(place, data=list(value), dtype=h5py.string_dtype())
            elif (group, name) not in but:
                file[place][...] = value
    file["/timestamps_reference_time"][...] = values["/"]["session_start_time"]


def _places_of_numbers(path: Path, values: Values) -> dict[tuple[str, str], tuple[int, np.dtype[Any]]]:
    """Return where in the file the numbers of each contiguous dataset are, and their type there."""
    with h5py.File(path) as file:
        found = {(group, name): file[group][name] for group, members in values.items() for name in members}
        return {
            key: (dataset.id.get_offset(), dataset.dtype)
            for key, dataset in found.items()
            if h5py.check_string_dtype(dataset.dtype) is None
        }


def _places_of_object_ids(path: Path) -> list[int]:
    """Return where in the file the ids of its objects are: in a heap without checksums, as text of 36 characters."""
    content = path.read_bytes()
    with h5py.File(path) as file:
        names = ["/"]
        file.visit(names.append)
        members = [file[name].attrs for name in names]
        return [content.index(member["object_id"].encode()) for member in members if "object_id" in member]
