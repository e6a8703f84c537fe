"""Every TimeSeries of real files by many writers, as pynwb has it, or h5py where pynwb refuses the file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO, TimeSeries

from nwb_dask.errors import UnsupportedLayoutError
from nwb_dask.model.series import SampledTiming, Series, StoredTiming
from nwb_dask.model.series.types import SERIES_PARENTS
from nwb_dask.read.series import describe_series, find_series
from tests.left import one_of_each_folder
from tests.read.series_files import column, opened, text, values

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
FILES = sorted(path for path in REAL.rglob("*") if path.is_file() and path.suffix in {".nwb", ".h5", ".hdf5"})
NAMES = [str(path.relative_to(REAL)) for path in FILES]

REFUSED: Mapping[str, int] = MappingProxyType(
    {
        "20080606_R1.nwb": 3, "20080606_R2.nwb": 3, "496908818s.nwb": 16, "cache_spec_example.nwb": 1,
        "ecephys_example.nwb": 1, "ecephys_tutorial.nwb": 1, "example.h5": 6, "test_epochs.nwb": 2,
    }
)  # fmt: skip
"""Files that pynwb refuses as a whole, and how many series each has: NWB 1.x and 2.0b, and early MatNWB."""
N_SERIES = 165
N_ELSEWHERE = 6
"""Series whose data are in another file."""

WARNINGS: Mapping[str, int] = MappingProxyType(
    {
        # Fewer or more electrodes than columns: pynwb warns of the same, or shows them all the same.
        "channel is not labelled": 7,
        # Frames of files that start at 1, or three starts for one file.
        "which file a frame is in is not labelled": 5,
        "how many samples there are": 4,
        "no data are stored": 3,
        "the samples have no times": 2,
    }
)
"""What is wrong with series of these files, and how often."""


# `tests/parity/test_series.py` compares what is read of all of them with pynwb.
@pytest.mark.parametrize("path", one_of_each_folder(FILES, ids=NAMES))
def test_every_series_of_a_real_file_is_described_as_pynwb_shows_it(path: Path) -> None:
    with opened(path) as file, h5py.File(path) as raw, series_of_pynwb(path) as theirs:
        found = {place: describe_series(file, place) for place in find_series(file) if not is_elsewhere(raw, place)}
        for series in found.values():
            compare_with_h5py(series, raw, file.read)
        if theirs is None:
            assert set(find_series(file)) == set(series_of_h5py(raw))
            assert len(find_series(file)) == REFUSED.get(path.name, 0)
            return
        assert path.name not in REFUSED
        assert set(found) == set(theirs)
        for place, series in found.items():
            compare_with_pynwb(series, theirs[place])


def test_as_many_real_series_are_described_and_warned_of_as_there_are() -> None:
    if not FILES:
        pytest.skip(f"NO REAL FILES at {REAL}: nothing is compared with real data")
    n_series, n_elsewhere = 0, 0
    warned: list[str] = []
    for path in FILES:
        with opened(path) as file, h5py.File(path) as raw:
            for place in find_series(file):
                n_series += 1
                if is_elsewhere(raw, place):
                    n_elsewhere += 1
                    with pytest.raises(UnsupportedLayoutError, match="open the series in that file"):
                        describe_series(file, place)
                else:
                    warned.extend(describe_series(file, place).warnings)
    assert (n_series, n_elsewhere) == (N_SERIES, N_ELSEWHERE)
    assert {part: sum(part in one for one in warned) for part in WARNINGS} == dict(WARNINGS)
    assert len(warned) == sum(WARNINGS.values())


def is_elsewhere(raw: h5py.File, place: str) -> bool:
    """Tell whether the data of a series are behind a link to another file."""
    return isinstance(raw[place].get("data", getlink=True), h5py.ExternalLink)


def compare_with_h5py(series: Series, raw: h5py.File, read: Any) -> None:
    """Compare shape, times and labels with what h5py reads."""
    group = raw[series.path]
    data = group.get("data")
    if series.content == "data":
        assert series.shape == data.shape
        assert series.attrs.get("nwb_unit", "") == attribute(data, "unit", "")
    n_samples = series.shape[series.dims.index("time")]
    if "timestamps" in group:
        assert isinstance(series.timing, StoredTiming)
        np.testing.assert_array_equal(read(series.timing.stamps), group["timestamps"][()])
        assert len(group["timestamps"]) == n_samples
    elif "starting_time" in group:
        start = group["starting_time"]
        assert series.timing == SampledTiming(float(start[()]), float(start.attrs["rate"]))
    else:
        assert series.timing is None
    for name, dim in (("electrodes", "channel"), ("rois", "roi")):
        if name in group and dim in {one.name for one in series.labels}:
            compare_labels(series, raw, group[name], dim)


def compare_labels(series: Series, raw: h5py.File, region: h5py.Dataset, dim: str) -> None:
    """Compare labels with the rows of a table as h5py reads them."""
    if h5py.check_ref_dtype(region.dtype) is h5py.RegionReference:
        # NWB 2.0b.
        chosen = raw[region[()]][region[()]]
        for name in chosen.dtype.names:
            if name != "group":
                label = {"id": dim}.get(name, name)
                expected = [text(one) if isinstance(one, bytes) else one for one in chosen[name].tolist()]
                assert values(series, label).tolist() == expected
        return
    table = raw[region.attrs["table"]]
    rows = region[()]
    np.testing.assert_array_equal(values(series, dim), table["id"][()][rows])
    for label in series.labels:
        if label.name not in {dim, f"{dim}_row", "channel_conversion", "control", "feature"}:
            source = label.name.removeprefix("electrode_") if label.name not in table else label.name
            np.testing.assert_array_equal(values(series, label.name), column(raw, f"{table.name}/{source}", rows))


def compare_with_pynwb(series: Series, theirs: TimeSeries) -> None:
    """Compare shape, conversion, times and ids with what pynwb has."""
    assert series.neurodata_type == theirs.neurodata_type
    assert series.core_type in {one.__name__ for one in type(theirs).__mro__}
    if series.content == "data":
        assert series.shape == np.shape(theirs.data)
        assert series.core_type in {"IndexSeries", "IntervalSeries", "AnnotationSeries"} or (
            (series.scale.factor, series.scale.offset) == (theirs.conversion, theirs.offset)
        )
    if isinstance(series.timing, StoredTiming):
        assert series.timing.stamps.shape == (len(theirs.timestamps),)
    else:
        assert series.timing == SampledTiming(theirs.starting_time, theirs.rate)
    regions = [(dim, getattr(theirs, name, None)) for name, dim in (("electrodes", "channel"), ("rois", "roi"))]
    for dim, region in regions:
        if region is not None and dim in {one.name for one in series.labels}:
            np.testing.assert_array_equal(values(series, dim), np.asarray(region.table.id[:])[region.data[:]])
            assert len(region.data) == series.shape[series.dims.index(dim)]


def attribute(item: h5py.Dataset, name: str, default: object) -> object:
    """Return an attribute as text or a number, the only element of an array as itself."""
    found = item.attrs.get(name, default)
    if isinstance(found, np.ndarray):
        found = found.item()
    return text(found) if isinstance(found, bytes) else found


@contextmanager
def series_of_pynwb(path: Path) -> Iterator[dict[str, TimeSeries] | None]:
    """Return the series of a file by path, open for the length of the block; None if pynwb refuses the file."""
    with warnings.catch_warnings(), ExitStack() as stack:
        warnings.simplefilter("ignore")
        try:
            io = stack.enter_context(NWBHDF5IO(str(path), "r", load_namespaces=True))
            file = io.read()
        except Exception:  # noqa: BLE001  # it raises many kinds
            yield None
            return
        yield {
            "/" + str(io.manager.get_builder(item).path).partition("/")[2]: item
            for item in file.objects.values()
            if isinstance(item, TimeSeries)
        }


def series_of_h5py(raw: h5py.File) -> Iterator[str]:
    """Give the paths of groups whose type or ancestry is that of a series, or of an extension that calls itself so."""
    known = {"TimeSeries", *SERIES_PARENTS, "MeisterImageSeries", "TetrodeSeries", "TimeSeriesWithID"}
    places: list[str] = []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Group):
            ancestry = [text(one) for one in item.attrs.get("ancestry", ())]
            stated = np.ravel(item.attrs.get("neurodata_type", ""))[0]
            if text(stated) in known or "TimeSeries" in ancestry:
                places.append(f"/{name}")

    raw.visititems(visit)
    return iter(places)
