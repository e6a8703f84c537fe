"""Dims of each type, and data stored the other way round."""

from __future__ import annotations

import pytest

from nwb_dask.model.series.dims import Clues, data_dims

PLAIN = Clues()


@pytest.mark.parametrize(
    ("core", "shape", "dims"),
    [
        ("TimeSeries", (5,), "time"),
        ("TimeSeries", (5, 2), "time dim_1"),
        ("TimeSeries", (5, 2, 3, 4), "time dim_1 dim_2 dim_3"),
        ("TimeSeries", (5, 2, 3, 4, 6), "time dim_1 dim_2 dim_3 dim_4"),
        ("ElectricalSeries", (5,), "time"),
        ("ElectricalSeries", (5, 2), "time channel"),
        ("ElectricalSeries", (5, 2, 3), "time channel sample"),
        ("SpikeEventSeries", (5, 2, 3), "time channel sample"),
        ("SpikeEventSeries", (5, 3), "time sample"),
        ("SpatialSeries", (5,), "time"),
        ("SpatialSeries", (5, 2), "time space"),
        ("SpatialSeries", (5, 2, 2), "time space dim_2"),
        ("ImageSeries", (5, 4, 3), "time x y"),
        ("ImageSeries", (5, 4, 3, 2), "time x y z"),
        ("ImageMaskSeries", (5, 4, 3), "time x y"),
        ("OnePhotonSeries", (5, 4, 3), "time x y"),
        ("TwoPhotonSeries", (5, 4, 3, 3), "time x y z"),
        ("OpticalSeries", (5, 4, 3), "time x y"),
        ("OpticalSeries", (5, 4, 3, 3), "time x y color"),
        ("OpticalSeries", (5, 4, 3, 4), "time x y color"),
        ("OpticalSeries", (5, 4, 3, 2), "time x y z"),
        ("RoiResponseSeries", (5, 2), "time roi"),
        ("RoiResponseSeries", (5,), "time"),
        ("DecompositionSeries", (5, 2, 3), "time channel band"),
        ("AbstractFeatureSeries", (5, 2), "time feature"),
        ("AbstractFeatureSeries", (5,), "time"),
        ("OptogeneticSeries", (5, 2), "time site"),
        ("OptogeneticSeries", (5,), "time"),
        ("IntervalSeries", (5,), "time"),
        ("IndexSeries", (5,), "time"),
        ("AnnotationSeries", (5,), "time"),
        ("CurrentClampSeries", (5,), "time"),
        ("IZeroClampSeries", (5,), "time"),
        ("VoltageClampStimulusSeries", (5,), "time"),
        ("TimeSeries", (), ""),
    ],
)
def test_dims_are_those_of_the_type(core: str, shape: tuple[int, ...], dims: str) -> None:
    assert data_dims(core, shape, PLAIN) == (tuple(dims.split()), "")


@pytest.mark.parametrize(
    ("core", "shape", "clues", "dims"),
    [
        ("RoiResponseSeries", (3, 9), Clues(9, 3), "roi time"),
        ("RoiResponseSeries", (3, 9), Clues(None, 3), "roi time"),
        ("ElectricalSeries", (3, 9), Clues(9, 3), "channel time"),
        ("RoiResponseSeries", (3, 9), Clues(3, 3), "time roi"),
        ("RoiResponseSeries", (3, 9), Clues(9, 9), "time roi"),
        ("RoiResponseSeries", (3, 9), Clues(9, None), "time roi"),
        ("RoiResponseSeries", (3, 9), Clues(9, 4), "time roi"),
        ("RoiResponseSeries", (3, 3), Clues(3, 3), "time roi"),
        ("SpatialSeries", (3, 9), Clues(9, 3), "time space"),
        ("DecompositionSeries", (3, 9, 2), Clues(9, 3), "time channel band"),
        ("SpikeEventSeries", (5, 4), Clues(5, 4), "time channel"),
        ("SpikeEventSeries", (5, 4), Clues(5, 1), "time sample"),
        ("SpikeEventSeries", (5, 1), Clues(5, 1), "time sample"),
    ],
)
def test_only_clues_that_agree_tell_that_time_is_not_first(
    core: str, shape: tuple[int, ...], clues: Clues, dims: str
) -> None:
    found, warning = data_dims(core, shape, clues)
    assert found == tuple(dims.split())
    assert bool(warning) == (found[0] != "time")
