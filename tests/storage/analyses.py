"""An analysis that a process of its own runs: the entry points of the package, one after the other."""

from __future__ import annotations

import nwb_dask
import nwb_dask.dataframe as dd


def analyse(url: str, **options: object) -> list[object]:
    """Return what a frame, a table, a series and the records of a whole session say."""
    with nwb_dask.options(**options):
        units = dd.read_nwb(url, "/units")
        good = units[units.quality == "good"].compute(scheduler="threads")
        trials = nwb_dask.read_table(url, "/intervals/trials", "arrow")
        series = nwb_dask.open_timeseries(url, "/acquisition/lfp")
        session = nwb_dask.open_nwb(url)
        return [
            [[float(spike) for spike in one] for one in good.spike_times],
            trials["start_time"].to_pylist(),
            series["lfp"].values.sum().item() if hasattr(series, "data_vars") else series.values.sum().item(),
            str(session.subject.age),
            str(session),
        ]
