"""LINDI: from the HDF5 file in ``cold``, and in ``warm`` from the ``.lindi.json`` that was made of it beforehand."""

from __future__ import annotations

from typing import Any

import lindi  # in its own environment only
import numpy as np

from benchmarks.peers.remote_contest import UNIT_COLUMNS, Columns, Question, Way, listed, serve

KEPT = "session.lindi.json"


def open_file(question: Question) -> Any:  # noqa: ANN401  # LINDI's stand-in for h5py.File
    """Return the file, from the references that were kept if there are any."""
    if question.mode == "warm":
        return lindi.LindiH5pyFile.from_lindi_file(str(question.kept(KEPT)))
    return lindi.LindiH5pyFile.from_hdf5_file(question.urls[0])


def keep(question: Question, _answer: object) -> None:
    """Write the references of the file."""
    open_file(question).write_lindi_file(str(question.kept(KEPT)))


def list_objects(question: Question) -> dict[str, tuple[Any, ...]]:
    """Return shape, dtype, type and column names of every object."""
    found: dict[str, tuple[Any, ...]] = {}

    def visit(group: Any, parent: str) -> None:  # noqa: ANN401  # LINDI's stand-in for h5py.Group
        for name in group:
            item, path = group[name], f"{parent}/{name}"
            attributes = item.attrs
            shape, dtype = (item.shape, item.dtype) if isinstance(item, lindi.LindiH5pyDataset) else (None, None)
            found[path] = (shape, dtype, attributes.get("neurodata_type"), attributes.get("colnames"))
            if shape is None:
                visit(item, path)

    file = open_file(question)
    if question.mode != "warm":
        # All references at once take a tenth of the time of walking over the HDF5 file.
        file = lindi.LindiH5pyFile.from_reference_file_system(file.to_reference_file_system())
    visit(file, "")
    return found


def summarize(found: dict[str, tuple[Any, ...]]) -> Columns:
    """Return tables and series of what `list_objects` found."""
    tables = {
        path: (found[f"{path}/id"][0][0], [str(name) for name in names])
        for path, (_, _, _, names) in found.items()
        if names is not None
    }
    series = {
        path: found[f"{path}/data"][0][0]
        for path in found
        if f"{path}/data" in found and (f"{path}/timestamps" in found or f"{path}/starting_time" in found)
    }
    return listed(tables, series)


def read_trials(question: Question) -> Columns:
    """Return all columns of the trials but ``timeseries``: LINDI cannot read compounds."""
    table = open_file(question)["intervals/trials"]
    columns = {name: table[name][:] for name in table if not name.startswith("timeseries")}
    ends = columns.pop("tags_index")
    tags = [columns["tags"][start:stop] for start, stop in zip((0, *ends[:-1]), ends, strict=True)]
    return columns | {"tags": tags}


def read_units(question: Question) -> Columns:
    """Return columns and spike times of the units that are wanted.

    All spikes are read: unit by unit, LINDI fetches the chunks of each unit anew, 210 to 910 MB.
    """
    units = open_file(question)["units"]
    quality = np.array([text.decode() if isinstance(text, bytes) else text for text in units["quality"][:]])
    wanted = (quality == question.quality) & (units["presence_ratio"][:] > question.presence_ratio)
    columns = {name: units[name][:][wanted] for name in UNIT_COLUMNS if name != "spike_times"}
    ends = units["spike_times_index"][:].astype(np.int64)
    starts = np.append(0, ends[:-1])
    elements = units["spike_times"][:]
    return columns | {"spike_times": [elements[i:j] for i, j in zip(starts[wanted], ends[wanted], strict=True)]}


def read_lfp(question: Question) -> Columns:
    """Return the samples that are wanted."""
    series = open_file(question)[question.series]
    first, rate = float(series["starting_time"][()]), float(series["starting_time"].attrs["rate"])
    start, stop = question.span(first, rate)
    return {"timestamps": np.arange(start, stop) / rate + first, "data": series["data"][start:stop]}


if __name__ == "__main__":
    serve(
        {
            "list": Way(list_objects, summarize, keep),
            "trials": Way(read_trials, lambda columns: columns, keep),
            "units": Way(read_units, lambda columns: columns, keep),
            "lfp": Way(read_lfp, lambda columns: columns, keep),
        },
        ["lindi", "zarr", "h5py"],
        preload=[
            "encodings.ascii",
            "multiprocessing.synchronize",
            "netrc",
            "shlex",
            "lindi.LindiH5pyFile.writers.LindiH5pyDatasetWriter",
            "lindi.LindiH5pyFile.writers.LindiH5pyGroupWriter",
        ],
    )
