"""Series with something wrong, missing or unusual: written with pynwb, then changed with h5py.

`write_odd_series` writes them all into one file; `ODD_SERIES` says what each has. Its parts are in
`nwb_dask.testing.series_odd_times`, `series_odd_values`, `series_odd_labels` and `series_extension`.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

import h5py
import numpy as np
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.ecephys import ElectricalSeries
from pynwb.image import ImageSeries, IndexSeries
from pynwb.misc import AbstractFeatureSeries, DecompositionSeries

from nwb_dask.testing import series_extension, series_odd_labels, series_odd_times, series_odd_values
from nwb_dask.testing.series import SEED, new_session
from nwb_dask.testing.series_images import construct
from nwb_dask.testing.series_odd_times import N_SAMPLES, STAMPS

_SOUND = {
    "/acquisition/stamped": "nothing: float64 samples and timestamps, of which others are made",
    "/acquisition/sampled": "nothing: int16 samples, a conversion and a rate, of which others are made",
    "/acquisition/voltage": "nothing: an ElectricalSeries",
    "/acquisition/bands": "nothing: a DecompositionSeries",
    "/acquisition/features": "nothing: an AbstractFeatureSeries",
    "/acquisition/external": "nothing: an ImageSeries in a file that is not there",
    "/acquisition/index": "nothing: an IndexSeries into `movie`",
    "/acquisition/movie": "nothing: an ImageSeries",
}

ODD_SERIES: Mapping[str, str] = MappingProxyType(
    {
        **_SOUND,
        **series_odd_times.SERIES,
        **series_odd_values.SERIES,
        **series_odd_labels.SERIES,
        **series_extension.SERIES,
    }
)
"""Path of each series of the file that `write_odd_series` writes -> what is special about it."""

PYNWB_REFUSES = frozenset(
    {
        *(
            f"/acquisition/{name}"
            for name in (
                "bands_none", "conversion_array", "conversion_integer", "conversion_pair", "conversion_text",
                "data_group", "electrodes_dangling", "electrodes_none", "electrodes_null", "electrodes_other",
                "index_broken", "index_unlinked", "no_rate", "null", "rate_array", "rate_integer", "rate_text",
                "ring_type", "scalar", "series_external", "series_loop", "stamps_broken", "stamps_column",
                "stamps_group", "stamps_null", "stamps_pairs", "stamps_scalar", "start_pair", "torn_type",
                "unit_array", "unit_number", "unknown_type", "untimed",
            )
        ),
        "/processing/behavior/excursion",
        "/processing/ecephys/EventWaveform/in_waveform",
    }
)  # fmt: skip
"""Those of which each one alone makes pynwb 4.2 refuse the file as a whole."""


def write_odd_series(path: str | Path, *, without: Collection[str] = ()) -> Path:
    """Write the series of `ODD_SERIES` into one file and return its path; an existing file is replaced.

    Next to it are written ``<stem>-elsewhere.nwb``, a file that links go to, and ``<stem>.raw`` with the samples of one
    series, which the file names by its absolute path. Everything but the object ids of what pynwb writes is the same
    each time.

    Parameters
    ----------
    path : str or Path
        Where to write.
    without : collection of str, optional
        Paths of series to leave out, with the specifications that only they need; such as `PYNWB_REFUSES`.
    """
    path = Path(path)
    elsewhere = path.with_name(f"{path.stem}-elsewhere.nwb")
    types = series_extension.load_types()
    with warnings.catch_warnings():
        # pynwb's hints about best practice do not concern files that tests write.
        warnings.simplefilter("ignore", UserWarning)
        file = _sound_session(path.stem)
        series_extension.add_series(file, types, np.random.default_rng(SEED))
        with NWBHDF5IO(str(path), "w", manager=series_extension.make_manager(types)) as io:
            io.write(file, expandable=())
    with h5py.File(path, "r+") as written:
        del written["specifications"][series_extension.LOST]
        with h5py.File(elsewhere, "w") as other:
            written.copy("/acquisition/stamped", other.create_group("acquisition"))
        series_odd_times.add_series(written, elsewhere.name)
        series_odd_values.add_series(written, elsewhere.name)
        series_odd_labels.add_series(written)
        for unwanted in without:
            del written[unwanted]
            if unwanted in series_odd_labels.COMPANIONS:
                del written[series_odd_labels.COMPANIONS[unwanted]]
    if series_odd_labels.DANGLING not in without:
        with h5py.File(path, "r+") as written:
            series_odd_labels.add_dangling_reference(written)
    return path


def _sound_session(name: str) -> NWBFile:
    random = np.random.default_rng(SEED)
    file = new_session(name)
    for module in ("behavior", "ecephys"):
        file.create_processing_module(module, module)
    device = file.create_device("probe", description="a probe")
    group = file.create_electrode_group("shank", description="a shank", location="CA1", device=device)
    for i in range(4):
        file.add_electrode(id=i + 7, x=0.0, y=20.0 * i, z=0.0, location="CA1", group=group)
    frames = random.integers(0, 255, (N_SAMPLES, 4, 3)).astype("u1")
    movie = ImageSeries(name="movie", data=frames, unit="n.a.", rate=15.0, format="raw")
    counts = np.arange(N_SAMPLES, dtype="i2")
    bands = DecompositionSeries(
        name="bands", data=random.normal(size=(N_SAMPLES, 3, 2)), metric="power", rate=10.0,
        source_channels=file.create_electrode_table_region([0, 1, 3], "channels", name="source_channels"),
    )  # fmt: skip
    bands.add_band(band_name="theta", band_limits=(4.0, 8.0), band_mean=6.0, band_stdev=1.0)
    bands.add_band(band_name="gamma", band_limits=(30.0, 80.0), band_mean=55.0, band_stdev=12.5)
    for series in (
        TimeSeries(name="stamped", data=random.normal(size=N_SAMPLES), unit="V", timestamps=STAMPS),
        TimeSeries(name="sampled", data=counts, unit="V", conversion=0.5, rate=10.0, starting_time=1.0),
        ElectricalSeries(
            name="voltage", data=random.integers(-99, 99, (N_SAMPLES, 3)).astype("i2"), conversion=1e-6, rate=10.0,
            electrodes=file.create_electrode_table_region([0, 1, 3], "electrodes of the series"),
        ),
        bands,
        AbstractFeatureSeries(
            name="features", data=random.normal(size=(N_SAMPLES, 2)), features=["contrast", "phase"],
            feature_units=["%", "rad"], rate=10.0,
        ),
        ImageSeries(
            name="external", external_file=["only.avi"], starting_frame=[0], num_samples=N_SAMPLES, rate=15.0,
            format="external",
        ),
        movie,
        construct(
            IndexSeries, name="index", data=counts[:4].astype("u1"), unit="N/A", rate=2.0, indexed_timeseries=movie
        ),
    ):  # fmt: skip
        file.add_acquisition(series)
    return file
