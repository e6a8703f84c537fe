"""Series of extracellular and intracellular electrophysiology and of optogenetics, for `nwb_dask.testing.series`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from hdmf.common import DynamicTableRegion
from pynwb import NWBFile
from pynwb.ecephys import LFP, ElectricalSeries, FilteredEphys, SpikeEventSeries
from pynwb.icephys import (
    CurrentClampSeries,
    CurrentClampStimulusSeries,
    IZeroClampSeries,
    PatchClampSeries,
    VoltageClampSeries,
    VoltageClampStimulusSeries,
)
from pynwb.ogen import OptogeneticSeries

from nwb_dask.testing.series_images import stored

N_SAMPLES = 1000
"""Samples of each extracellular series."""
N_CHANNELS = 6
"""Rows of the electrodes table, whose ids are 10, 20, ... 60."""
RATE = 1250.0
"""Hz, of each extracellular series with a rate."""
N_EVENTS = 12
EVENT_CONVERSION = (0.5, 2.0, 3.0)
"""``channel_conversion`` of the SpikeEventSeries that has one."""

SERIES: Mapping[str, str] = MappingProxyType(
    {
        "/acquisition/raw": "ElectricalSeries, contiguous int16, one column for each electrode",
        "/acquisition/chunked": "ElectricalSeries in chunks of some times and some channels, not compressed",
        "/acquisition/gzip": "ElectricalSeries in compressed chunks",
        "/acquisition/gzip_shuffle": "ElectricalSeries in shuffled and compressed chunks",
        "/acquisition/one_channel": "ElectricalSeries of one dimension and one electrode",
        "/acquisition/one_column": "ElectricalSeries of two dimensions, the second of length 1",
        "/acquisition/channel_conversion": "ElectricalSeries with channel_conversion, conversion and offset",
        "/acquisition/some_channels": "ElectricalSeries of some electrodes, not in the order of the table",
        "/acquisition/floats": "ElectricalSeries of float32, timestamps, filtering",
        "/processing/ecephys/LFP/lfp": "ElectricalSeries in an LFP",
        "/processing/ecephys/LFP/lfp_again": "a second one, whose timestamps are linked to those of `floats`",
        "/processing/ecephys/FilteredEphys/ripples": "ElectricalSeries in a FilteredEphys",
        "/processing/ecephys/spikes": "SpikeEventSeries of events, channels and samples",
        "/processing/ecephys/spikes_one_channel": "SpikeEventSeries of one channel: events and samples",
        "/processing/ecephys/spikes_conversion": "SpikeEventSeries with channel_conversion",
        "/acquisition/patch": "PatchClampSeries itself",
        "/acquisition/current_clamp": "CurrentClampSeries with its scalars",
        "/acquisition/current_clamp_bare": "CurrentClampSeries without scalars, timestamps",
        "/acquisition/izero_clamp": "IZeroClampSeries",
        "/acquisition/voltage_clamp": "VoltageClampSeries with its scalars",
        "/stimulus/presentation/current_stimulus": "CurrentClampStimulusSeries",
        "/stimulus/presentation/voltage_stimulus": "VoltageClampStimulusSeries",
        "/stimulus/presentation/laser": "OptogeneticSeries of one dimension",
        "/stimulus/presentation/lasers": "OptogeneticSeries of several targets",
    }
)
"""Path of each series that `add_series` adds -> what is special about it."""


def add_series(file: NWBFile, random: np.random.Generator) -> None:
    """Add the electrodes and all series of `SERIES` to a session with a module ``ecephys``."""
    _add_electrodes(file, random)
    _add_extracellular(file, random)
    _add_containers(file, random)
    _add_events(file, random)
    _add_intracellular(file, random)
    _add_optogenetics(file, random)


def add_event_conversion(file: h5py.File) -> None:
    """Give a SpikeEventSeries the ``channel_conversion`` that its pynwb class does not take.

    It runs along axis 1, the channels (NWB core schema, *ElectricalSeries*).
    """
    series = file["/processing/ecephys/spikes_conversion"]
    factors = series.create_dataset("channel_conversion", data=np.array(EVENT_CONVERSION))
    factors.attrs["axis"] = np.int32(1)


def _add_electrodes(file: NWBFile, random: np.random.Generator) -> None:
    device = file.create_device("probe", description="a probe")
    groups = [
        file.create_electrode_group(f"shank{i}", description="a shank", location=area, device=device)
        for i, area in enumerate(("CA1", "VISp"))
    ]
    file.add_electrode_column("is_good", "judged by a person")
    file.add_electrode_column("label", "name of the channel")
    file.add_electrode_column("gains", "of the two stages of the amplifier")
    for i in range(N_CHANNELS):
        group = groups[i % 2]
        file.add_electrode(
            id=10 * (i + 1), x=float(i % 2) * 20, y=i * 10.0, z=float("nan"), imp=float(random.normal(1e5, 1e4)),
            location=group.location, filtering="none", group=group, rel_x=float(i), rel_y=2.0 * i, rel_z=0.5,
            reference="skull", is_good=i != 2, label=f"kanal ü{i}", gains=[1.0, float(i)],  # noqa: PLR2004  # one is bad
        )  # fmt: skip


def _region(file: NWBFile, rows: list[int]) -> DynamicTableRegion:
    return file.create_electrode_table_region(rows, "electrodes of the series")


def _voltages(random: np.random.Generator, *shape: int) -> npt.NDArray[np.int16]:
    return random.integers(-3000, 3000, shape).astype("i2")


def _add_extracellular(file: NWBFile, random: np.random.Generator) -> None:
    def add(name: str, data: object, rows: list[int], **options: Any) -> None:  # noqa: ANN401  # as the type takes
        timing = {} if "timestamps" in options else {"starting_time": 0.25, "rate": RATE}
        region = _region(file, rows)
        file.add_acquisition(ElectricalSeries(name=name, data=data, electrodes=region, **timing, **options))

    every = list(range(N_CHANNELS))
    shape = (N_SAMPLES, N_CHANNELS)
    gzip = {"compression": "gzip", "compression_opts": 4}
    add("raw", _voltages(random, *shape), every, conversion=1.95e-7)
    add("chunked", stored(_voltages(random, *shape), chunks=(128, 4)), every, conversion=1.95e-7)
    add("gzip", stored(_voltages(random, *shape), chunks=(256, N_CHANNELS), **gzip), every, conversion=1e-6)
    add("gzip_shuffle", stored(_voltages(random, *shape), chunks=(100, 2), shuffle=True, **gzip), every)
    add("one_channel", _voltages(random, N_SAMPLES), [4], conversion=1e-6)
    add("one_column", _voltages(random, N_SAMPLES, 1), [4], conversion=1e-6)
    factors = random.uniform(0.5, 2.0, N_CHANNELS)
    add(
        "channel_conversion", _voltages(random, *shape), every, conversion=1e-6, offset=2e-4, channel_conversion=factors
    )
    add("some_channels", _voltages(random, N_SAMPLES, 3), [5, 0, 2], conversion=1e-6)
    times = 0.5 + np.cumsum(random.uniform(0.9, 1.1, N_SAMPLES)) / RATE
    volts = random.normal(scale=1e-4, size=shape).astype("f4")
    add("floats", volts, every, timestamps=times, filtering="low-pass at 300 Hz")


def _add_containers(file: NWBFile, random: np.random.Generator) -> None:
    every = list(range(N_CHANNELS))
    lfp, again, ripples = (
        ElectricalSeries(
            name=name, data=_voltages(random, N_SAMPLES, N_CHANNELS), electrodes=_region(file, every),
            conversion=4.69e-6, **timing,
        )
        for name, timing in (
            ("lfp", {"rate": RATE}),
            ("lfp_again", {"timestamps": file.acquisition["floats"]}),
            ("ripples", {"rate": RATE, "starting_time": 1.0}),
        )
    )  # fmt: skip
    file.processing["ecephys"].add(LFP(electrical_series=[lfp, again]))
    file.processing["ecephys"].add(FilteredEphys(electrical_series=ripples))


def _add_events(file: NWBFile, random: np.random.Generator) -> None:
    series = [
        SpikeEventSeries(
            name=name, data=_voltages(random, N_EVENTS, *shape), timestamps=np.sort(random.uniform(0, 5, N_EVENTS)),
            electrodes=_region(file, rows), conversion=1e-6,
        )
        for name, shape, rows in (
            ("spikes", (3, 8), [0, 1, 2]),
            ("spikes_one_channel", (8,), [3]),
            ("spikes_conversion", (len(EVENT_CONVERSION), 5), [5, 4, 3]),
        )
    ]  # fmt: skip
    file.processing["ecephys"].add(series)


def _add_intracellular(file: NWBFile, random: np.random.Generator) -> None:
    device = file.create_device("amplifier", description="an amplifier")
    electrode = file.create_icephys_electrode("pipette", description="a pipette", device=device)

    def fields(name: str, sweep: int) -> dict[str, Any]:
        data = random.normal(size=200).astype("f4")
        return {"name": name, "data": data, "electrode": electrode, "gain": 0.02, "sweep_number": np.uint32(sweep)}

    regular = {"rate": 10_000.0, "starting_time": 5.0}
    bare = {"name": "current_clamp_bare", "data": random.normal(size=200), "electrode": electrode}
    for series in (
        PatchClampSeries(**fields("patch", 0), **regular, unit="volts"),
        CurrentClampSeries(
            **fields("current_clamp", 1), **regular, conversion=1e-3, bias_current=1e-12, bridge_balance=7e7,
            capacitance_compensation=4e-12,
        ),
        CurrentClampSeries(**bare, timestamps=5.0 + np.cumsum(random.uniform(9e-5, 1.1e-4, 200))),
        IZeroClampSeries(**fields("izero_clamp", 2), **regular),
        VoltageClampSeries(
            **fields("voltage_clamp", 3), **regular, conversion=1e-12, capacitance_fast=1e-12, capacitance_slow=2e-12,
            resistance_comp_bandwidth=70.0, resistance_comp_correction=60.0, resistance_comp_prediction=50.0,
            whole_cell_capacitance_comp=3e-12, whole_cell_series_resistance_comp=1e7,
        ),
    ):  # fmt: skip
        file.add_acquisition(series)
    file.add_stimulus(CurrentClampStimulusSeries(**fields("current_stimulus", 1), **regular, conversion=1e-12))
    file.add_stimulus(VoltageClampStimulusSeries(**fields("voltage_stimulus", 3), **regular, conversion=1e-3))


def _add_optogenetics(file: NWBFile, random: np.random.Generator) -> None:
    device = file.create_device("laser", description="a laser")
    site = file.create_ogen_site(
        name="site", device=device, description="over CA1", excitation_lambda=473.0, location="CA1"
    )
    for name, shape in (("laser", (50,)), ("lasers", (50, 3))):
        power = random.uniform(0, 0.01, shape)
        file.add_stimulus(OptogeneticSeries(name=name, data=power, site=site, rate=100.0, starting_time=2.0))
