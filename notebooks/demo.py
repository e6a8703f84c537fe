# %% [markdown]
# # Which brain areas fire, in the good units of many sessions?
#
# A few sessions stand on a server, as they would in an archive. One question is asked of all of them: of the
# well isolated units that were there for the whole session, what is the rate, area by area, and whose brain was
# it? The answer needs a few columns of every unit, and the spike times of a few units.
#
# Run it with `make demo`, or as a notebook (`jupytext --to ipynb notebooks/demo.py`).

# %%
from __future__ import annotations

import argparse
import datetime as dt
import time
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pynwb
from dask.distributed import Client, LocalCluster, progress
from hdmf.common import VectorData, VectorIndex
from matplotlib.figure import Figure

import nwb_dask.dataframe as dd
from nwb_dask.testing import RangeServer

AREAS = {"VISp": 6.0, "VISl": 5.0, "LGd": 11.0, "CA1": 3.0, "DG": 1.5, "LP": 8.0}
"""Brain area -> mean rate of its units in Hz."""
SECONDS = 1_500.0
"""Length of every session."""

# %% [markdown]
# ## The sessions
#
# Each is one mouse and two areas: 100 units over 25 minutes, most of them noise or incomplete, as always.


# %%
def write_session(path: Path, number: int, *, n_units: int = 100) -> None:
    """Write one session to `path` with pynwb."""
    rng = np.random.default_rng(number)
    start = dt.datetime(2026, 3, 1 + number, 10, 0, tzinfo=dt.UTC)
    session = pynwb.NWBFile(f"Session {number}", str(uuid.UUID(int=number)), start, session_id=f"ses-{number:02}")
    session.subject = pynwb.file.Subject(
        subject_id=f"mouse-{number:02}", species="Mus musculus", sex="FM"[number % 2], age=f"P{80 + 7 * number}D"
    )
    names = list(AREAS)
    areas = [names[(number + int(second)) % len(names)] for second in rng.integers(2, size=n_units)]
    spikes = [
        np.sort(rng.uniform(0, SECONDS, rng.poisson(AREAS[area] * rng.gamma(8.0, 1 / 8) * SECONDS))) for area in areas
    ]
    # Whole columns at once: pynwb takes a second for each million spikes that come unit by unit.
    times = VectorData(name="spike_times", description="seconds", data=np.concatenate(spikes))
    ends = VectorIndex(name="spike_times_index", target=times, data=np.cumsum([len(unit) for unit in spikes]))
    quality = rng.choice(["good", "mua", "noise"], p=[0.3, 0.4, 0.3], size=n_units).tolist()
    columns = [
        VectorData(name="quality", description="good, mua or noise", data=quality),
        VectorData(name="presence_ratio", description="part of the session with spikes", data=rng.beta(8, 1, n_units)),
        VectorData(name="brain_area", description="Allen acronym", data=areas),
        ends,
        times,
    ]
    session.units = pynwb.misc.Units(name="units", description="sorted units", columns=columns)
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(session, expandable=[])


def write_sessions(folder: Path, n_sessions: int) -> list[Path]:
    """Write the sessions anew and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"session-{number:02}.nwb" for number in range(n_sessions)]
    for number, path in enumerate(paths):
        write_session(path, number)
    return paths


# %% [markdown]
# ## The question
#
# Nothing is read here but what the files say of themselves: columns, types and numbers of rows. The filter names
# two light columns, so only these are read for every unit; `spike_times` follow for the survivors.


# %%
def with_rate(units: pd.DataFrame) -> pd.DataFrame:
    """Replace the spike times of each unit by its rate in Hz."""
    rate = np.array([len(spikes) / SECONDS for spikes in units.spike_times], dtype=np.float64)
    return units.drop(columns="spike_times").assign(rate=rate)


def rates_of_good_units(urls: list[str]) -> dd.DataFrame:
    """Rate of each good and present unit, with its mouse and its session; lazy."""
    units = dd.read_nwb(urls, "/units")
    good = units[(units.quality == "good") & (units.presence_ratio > 0.95)]
    rates = good[["_nwb_path", "brain_area", "spike_times"]].map_partitions(with_rate)
    subjects = dd.read_nwb(urls, "/general/subject")[["_nwb_path", "subject_id", "sex", "age"]]
    sessions = dd.read_nwb(urls, "/")[["_nwb_path", "session_start_time"]]
    # One row for each session: in one partition they are joined to every partition of units without a shuffle.
    context = subjects.repartition(npartitions=1).merge(sessions.repartition(npartitions=1), on="_nwb_path")
    joined: dd.DataFrame = rates.merge(context, on="_nwb_path")
    return joined


# %% [markdown]
# ## The picture


# %%
def draw(rates: pd.DataFrame, path: Path) -> None:
    """Draw each unit as a dot in the row of its area, areas in the order of their mean rates."""
    means = rates.groupby("brain_area").rate.mean().sort_values()
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    jitter = np.random.default_rng(0)
    for row, (area, mean) in enumerate(means.items()):
        rate = rates.rate[rates.brain_area == area]
        axes.plot(rate, row + jitter.uniform(-0.2, 0.2, len(rate)), "o", ms=4, alpha=0.5, color="tab:blue", mec="none")
        axes.plot([mean, mean], [row - 0.35, row + 0.35], color="black", lw=2)
    axes.set_yticks(range(len(means)), [f"{area} ({(rates.brain_area == area).sum()})" for area in means.index])
    axes.set_xlim(left=0)
    axes.set_xlabel("rate of a good unit (Hz); the bar is the mean of its area")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=150)


# %% [markdown]
# ## All of it


# %%
def main(output: Path, n_sessions: int) -> None:
    """Write the sessions, serve them, ask, print and draw."""
    print(f"Writing {n_sessions} sessions with pynwb {pynwb.__version__} ...", flush=True)
    paths = write_sessions(output / "sessions", n_sessions)
    held = sum(path.stat().st_size for path in paths)
    with (
        RangeServer(output / "sessions") as server,
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster),
    ):
        began = time.perf_counter()
        print(f"Planning on {server.base_url} ...", flush=True)
        query = rates_of_good_units([server.url(path.name) for path in paths])
        planned, plan_requests = server.n_bytes, server.n_requests
        print("Asking, with 2 worker processes:", flush=True)
        running = query.persist()
        progress(running)
        rates = running.compute().sort_values(["session_start_time", "brain_area"], ignore_index=True)
        seconds = time.perf_counter() - began
        read, requests = server.n_bytes, server.n_requests
    print("\n\n", rates.drop(columns="_nwb_path").head(8).to_string(), sep="")
    print(f"... {len(rates)} units\n")
    summary = rates.groupby("brain_area").agg(
        units=("rate", "size"), mice=("subject_id", "nunique"), mean_rate_hz=("rate", "mean")
    )
    print(summary.round(2).sort_values("mean_rate_hz", ascending=False).to_string())
    print(
        f"\nRead {read / 1e6:.1f} MB of the {held / 1e6:.1f} MB that the {n_sessions} files hold ({read / held:.0%}), "
        f"in {requests} requests and {seconds:.1f} s:\n"
        f"  {planned / 1e6:5.1f} MB in {plan_requests:3} requests to learn what the three tables of each file are\n"
        f"  {(read - planned) / 1e6:5.1f} MB in {requests - plan_requests:3} requests for the answer"
    )
    picture = output / "rate_by_area.png"
    draw(rates, picture)
    print(f"Picture: {picture.resolve()}")


# The worker processes import this file: only the process that was started may run it.
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The main job of nwb_dask, end to end.")
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parents[1] / "demo-output")
    parser.add_argument("--sessions", type=int, default=6)
    # Jupyter passes arguments of its own.
    arguments, _ = parser.parse_known_args()
    main(arguments.output, arguments.sessions)
