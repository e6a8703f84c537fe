"""Series of images and of optical physiology, for `nwb_dask.testing.series`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from hdmf.common import DynamicTableRegion
from pynwb import H5DataIO, NWBFile
from pynwb.base import ImageReferences, Images
from pynwb.image import GrayscaleImage, ImageMaskSeries, ImageSeries, IndexSeries, OpticalSeries
from pynwb.ophys import (
    DfOverF,
    Fluorescence,
    ImageSegmentation,
    ImagingPlane,
    OnePhotonSeries,
    OpticalChannel,
    PlaneSegmentation,
    RoiResponseSeries,
    TwoPhotonSeries,
)

T = TypeVar("T")

N_FRAMES = 12
"""Frames of each series whose images are in the file."""
N_EXTERNAL = 17
"""Frames of each series whose images are in other files."""
RATE = 15.0
"""Hz, of the series with a rate."""
GRID_SPACING = (2e-6, 3e-6, 5e-6)
"""Metres between pixels of the imaging plane ``volume``; ``plane`` has the first two."""
ORIGIN = (1e-3, -2e-3, 5e-4)
"""Metres, of the first pixel."""

SERIES: Mapping[str, str] = MappingProxyType(
    {
        "/acquisition/movie": "ImageSeries of three dimensions, uint8",
        "/acquisition/stack": "ImageSeries of four dimensions, in chunks of one frame, timestamps",
        "/acquisition/external_stamps": "ImageSeries in two files that are not there, starting_frame, timestamps",
        "/acquisition/external_rate": "ImageSeries in one file that is not there, rate and num_samples",
        "/acquisition/mask": "ImageMaskSeries of `movie`",
        "/stimulus/presentation/colours": "OpticalSeries of four dimensions, the last of red, green and blue",
        "/stimulus/presentation/grey": "OpticalSeries of three dimensions",
        "/stimulus/presentation/shown_images": "IndexSeries into an ordered set of images",
        "/stimulus/presentation/shown_frames": "IndexSeries into frames of `colours`",
        "/acquisition/one_photon": "OnePhotonSeries with its scalars, of a plane with grid_spacing and origin",
        "/acquisition/two_photon": "TwoPhotonSeries of three dimensions, in chunks of one frame, compressed",
        "/acquisition/two_photon_volume": "TwoPhotonSeries of four dimensions",
        "/acquisition/two_photon_external": "TwoPhotonSeries in a file that is not there, of a plane without a grid",
        "/processing/ophys/Fluorescence/raw_traces": "RoiResponseSeries of all regions",
        "/processing/ophys/Fluorescence/one_region": "RoiResponseSeries of one dimension and one region",
        "/processing/ophys/Fluorescence/some_regions": "RoiResponseSeries of some regions, not in the table's order",
        "/processing/ophys/DfOverF/dff": "RoiResponseSeries in a DfOverF, timestamps",
        "/processing/ophys/transposed": "RoiResponseSeries stored as (roi, time), with as many timestamps as times",
    }
)
"""Path of each series that `add_series` adds -> what is special about it."""


def add_series(file: NWBFile, random: np.random.Generator) -> None:
    """Add all series of `SERIES` to a session."""
    _add_images(file, random)
    _add_stimuli(file, random)
    planes = _add_planes(file)
    _add_photons(file, random, planes)
    _add_regions(file, random, planes["plane"])


def stored(values: npt.NDArray[Any], **storage: object) -> H5DataIO:
    """Return values as pynwb must be given them to be stored in chunks; `storage` is as `h5py` has it."""
    return H5DataIO(values, **storage)


def construct(kind: type[T], **fields: Any) -> T:  # noqa: ANN401  # whatever the type takes
    """Return an object of a type, or with a field, that pynwb reads and does not let users make any more."""
    made: T = kind.__new__(kind, in_construct_mode=True)  # type: ignore[call-arg]  # hdmf's containers take it
    kind.__init__(made, **fields)
    return made


def _frames(random: np.random.Generator, *shape: int, dtype: str = "u1") -> npt.NDArray[Any]:
    return random.integers(0, np.iinfo(dtype).max, (N_FRAMES, *shape)).astype(dtype)


def _add_images(file: NWBFile, random: np.random.Generator) -> None:
    camera = file.create_device("camera", description="a camera")
    stamps = 1.0 + np.cumsum(random.uniform(0.05, 0.08, N_EXTERNAL))
    movie = ImageSeries(name="movie", data=_frames(random, 6, 4), unit="n.a.", rate=RATE, format="raw", device=camera)
    stack = stored(_frames(random, 6, 4, 3, dtype="u2"), chunks=(1, 6, 4, 3))
    for series in (
        movie,
        ImageSeries(name="stack", data=stack, unit="n.a.", timestamps=stamps[:N_FRAMES], format="raw"),
        ImageSeries(
            name="external_stamps", external_file=["first.avi", "second.avi"], starting_frame=[0, 10],
            timestamps=stamps, format="external", dimension=[640, 480],
        ),
        ImageSeries(
            name="external_rate", external_file=["only.avi"], starting_frame=[0], num_samples=N_EXTERNAL, rate=RATE,
            starting_time=3.0, format="external",
        ),
        construct(
            ImageMaskSeries, name="mask", data=_frames(random, 6, 4) % 2, unit="n.a.", rate=RATE,
            masked_imageseries=movie, format="raw",
        ),
    ):  # fmt: skip
        file.add_acquisition(series)


def _add_stimuli(file: NWBFile, random: np.random.Generator) -> None:
    screen = {"distance": 0.2, "field_of_view": np.array([0.3, 0.2]), "orientation": "lower left", "format": "raw"}
    colours = OpticalSeries(name="colours", data=_frames(random, 5, 4, 3), unit="n.a.", rate=RATE, **screen)
    grey = OpticalSeries(name="grey", data=_frames(random, 5, 4), unit="n.a.", rate=RATE, **screen)
    images = [GrayscaleImage(name=f"image{i}", data=random.uniform(size=(4, 3))) for i in range(3)]
    order = ImageReferences(name="order_of_images", data=images)
    templates = Images(name="templates", images=images, order_of_images=order)
    file.add_stimulus_template(templates)
    stamps = np.cumsum(random.uniform(0.4, 0.6, 8))
    shown = IndexSeries(
        name="shown_images", data=np.array([2, 0, 1, 1, 0, 2, 2, 0], "u4"), unit="N/A", timestamps=stamps,
        indexed_images=templates,
    )  # fmt: skip
    frames = construct(
        IndexSeries, name="shown_frames", data=np.array([11, 0, 5], "u2"), unit="N/A", rate=2.0,
        indexed_timeseries=colours,
    )  # fmt: skip
    for series in (colours, grey, shown, frames):
        file.add_stimulus(series)


def _add_planes(file: NWBFile) -> dict[str, ImagingPlane]:
    device = file.create_device("microscope", description="a microscope")
    grids: dict[str, dict[str, Any]] = {
        "plane": {"grid_spacing": list(GRID_SPACING[:2]), "origin_coords": list(ORIGIN[:2])},
        "volume": {"grid_spacing": list(GRID_SPACING), "origin_coords": list(ORIGIN)},
        "no_grid": {},
    }
    return {
        name: file.create_imaging_plane(
            name=name, optical_channel=OpticalChannel(name="green", description="GFP", emission_lambda=520.0),
            description="layer 2/3", device=device, excitation_lambda=920.0, indicator="GCaMP6f", location="VISp",
            imaging_rate=RATE, **grid,
        )
        for name, grid in grids.items()
    }  # fmt: skip


def _add_photons(file: NWBFile, random: np.random.Generator, planes: dict[str, ImagingPlane]) -> None:
    chunked = stored(_frames(random, 8, 6, dtype="i2"), chunks=(1, 8, 6), compression="gzip")
    for series in (
        OnePhotonSeries(
            name="one_photon", data=_frames(random, 8, 6, dtype="u2"), unit="n.a.", rate=RATE, binning=2, power=0.05,
            exposure_time=0.02, intensity=1.5, pmt_gain=3.0, scan_line_rate=1000.0, imaging_plane=planes["plane"],
        ),
        TwoPhotonSeries(
            name="two_photon", data=chunked, unit="n.a.", rate=RATE, starting_time=0.5, pmt_gain=1.5,
            scan_line_rate=8000.0, field_of_view=[16e-6, 18e-6], imaging_plane=planes["plane"],
        ),
        TwoPhotonSeries(
            name="two_photon_volume", data=_frames(random, 8, 6, 3, dtype="i2"), unit="n.a.", conversion=0.5,
            timestamps=np.cumsum(random.uniform(0.05, 0.08, N_FRAMES)), imaging_plane=planes["volume"],
        ),
        TwoPhotonSeries(
            name="two_photon_external", external_file=["planes.tif"], starting_frame=[0], num_samples=N_EXTERNAL,
            rate=RATE, format="external", imaging_plane=planes["no_grid"],
        ),
    ):  # fmt: skip
        file.add_acquisition(series)


def _add_regions(file: NWBFile, random: np.random.Generator, plane: ImagingPlane) -> None:
    segmentation = ImageSegmentation()
    table = segmentation.create_plane_segmentation("regions of interest", plane, name="PlaneSegmentation")
    table.add_column("is_cell", "judged by a person")
    table.add_column("depth", "micrometres")
    for i in range(4):
        table.add_roi(id=100 + i, image_mask=np.eye(8, 6, dtype="f4") * i, is_cell=i != 1, depth=150.0 + i)
    ophys = file.create_processing_module("ophys", "optical physiology")
    ophys.add(segmentation)
    traces = [
        _response(random, table, name, rows, {"rate": RATE, "starting_time": 0.5})
        for name, rows in (("raw_traces", [0, 1, 2, 3]), ("one_region", [2]), ("some_regions", [3, 1]))
    ]
    stamps = np.cumsum(random.uniform(0.05, 0.08, N_FRAMES))
    ophys.add(Fluorescence(roi_response_series=traces))
    ophys.add(DfOverF(roi_response_series=_response(random, table, "dff", [0, 1, 2, 3], {"timestamps": stamps})))
    ophys.add(_response(random, table, "transposed", [0, 1, 2, 3], {"timestamps": stamps}, is_transposed=True))


def _response(
    random: np.random.Generator,
    table: PlaneSegmentation,
    name: str,
    rows: list[int],
    timing: dict[str, Any],
    *,
    is_transposed: bool = False,
) -> RoiResponseSeries:
    region = DynamicTableRegion(name="rois", data=rows, description="regions of the series", table=table)
    values = random.gamma(2.0, 50.0, (N_FRAMES, len(rows)) if len(rows) > 1 else N_FRAMES).astype("f4")
    fields = {"name": name, "data": values.T if is_transposed else values, "unit": "lumens", "rois": region, **timing}
    return construct(RoiResponseSeries, **fields) if is_transposed else RoiResponseSeries(**fields)
