"""Writes sessions that link to one another, as hdmf-zarr does it, and what it reads of them; runs without nwb_dask."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from hdmf_zarr.nwb import NWBZarrIO  # in its own environment only
from pynwb import NWBFile, TimeSeries


def new_session(identifier: str) -> NWBFile:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    return NWBFile(session_description="x", identifier=identifier, session_start_time=start)


def write_first(path: str) -> None:
    session = new_session("first")
    rng = np.random.default_rng(0)
    session.add_unit_column("snr", "x")
    for number in range(6):
        session.add_unit(spike_times=np.sort(rng.random(number + 1)), snr=float(number))
    session.add_acquisition(TimeSeries(name="raw", data=rng.random((100, 3)), unit="V", rate=10.0))
    with NWBZarrIO(path, "w") as io:
        io.write(session)


def write_linked(path: str, first: str) -> None:
    """Write a session that has the data of a series, and another series as a whole, in the first."""
    with NWBZarrIO(first, "r") as io:
        raw = io.read().acquisition["raw"]
        session = new_session("second")
        session.add_acquisition(TimeSeries(name="same_data", data=raw.data, unit="V", rate=20.0))
        session.add_stimulus(raw)
        with NWBZarrIO(path, "w", manager=io.manager) as out:
            out.write(session, link_data=True)


def export(source: str, path: str) -> None:
    with NWBZarrIO(source, "r") as io:
        session = io.read()
        session.add_acquisition(TimeSeries(name="more", data=np.arange(5.0), unit="V", rate=1.0))
        with NWBZarrIO(path, "w") as out:
            out.export(src_io=io, nwbfile=session, write_args={"link_data": True})


def values(path: str) -> dict[str, Any]:
    with NWBZarrIO(path, "r") as io:
        session = io.read()
        series = {f"/acquisition/{name}": one for name, one in session.acquisition.items()}
        series |= {f"/stimulus/presentation/{name}": one for name, one in session.stimulus.items()}
        return {name: [np.asarray(one.data[:]).tolist(), one.rate] for name, one in series.items()}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    first, linked, exported = (str(folder / f"{name}.nwb.zarr") for name in ("first", "linked", "exported"))
    write_first(first)
    write_linked(linked, first)
    export(first, exported)
    (folder / "values.json").write_text(json.dumps({path: values(path) for path in (first, linked, exported)}))
