"""Images: frames in files elsewhere, and where pixels are in space."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from nwb_dask.index import ArrayEntry, join
from nwb_dask.model.kinds import text_attribute
from nwb_dask.model.series.members import Members, counted
from nwb_dask.model.series.texts import as_attribute, label_values, listed, text_of, texts
from nwb_dask.model.series.types import is_a
from nwb_dask.model.series.units import in_metres, known_unit
from nwb_dask.model.series.values import Attribute, Label

PLANE = "imaging_plane"
PLANE_VALUES = ("grid_spacing", "origin_coords", "indicator", "location", "excitation_lambda", "imaging_rate")
"""Datasets of an ImagingPlane that describe its series."""

MAX_PLACES = 1 << 20
"""Pixels along a dimension that get coordinates; a file may declare any length."""
MAX_FRAMES = 1 << 22
"""Frames that are labelled with their files."""


def is_external(members: Members) -> bool:
    """Tell whether a series says that its images are in other files."""
    if not is_a(members.core, "ImageSeries"):
        return False
    entry = members.array("format")
    stored = None if entry is None else members.values.get(entry.path)
    stated = None if stored is None or stored.size != 1 else text_of(stored.reshape(-1).tolist()[0])
    return "external_file" in members.group.members or stated == "external"


def external_files(members: Members) -> list[str] | None:
    """Return the names of the files that the images are in; None if they are in this file or nowhere."""
    entry = members.array("external_file")
    if entry is None or entry.element.kind not in {"string", "bytes"}:
        return None
    stored = members.value(entry, "the names of the files with the images are left out")
    return None if stored is None else [text_of(item) for item in stored.reshape(-1).tolist()]


def frame_labels(members: Members, files: list[str], n_frames: int) -> list[Label]:
    """Return for each frame the file that it is in and its number there (``file``, ``frame_in_file``).

    Parameters
    ----------
    files : list of str
        ``external_file``, in order.
    n_frames : int
        Of the whole series.

    Returns
    -------
    list of Label
        Empty, and a warning, where ``starting_frame`` does not tell them.
    """
    starts = starting_frames(members)
    if starts is None and len(files) == 1:
        starts = np.zeros(1, np.int64)
    unknown = "which file a frame is in is not labelled"
    if starts is None or len(starts) != len(files):
        stated = counted(0 if starts is None else len(starts), "number")
        members.warn(f"starting_frame has {stated} for {counted(len(files), 'external file')}: {unknown}.")
        return []
    if not len(starts) or starts[0] != 0 or (np.diff(starts) < 0).any():
        stated = starts[:8].tolist()
        members.warn(f"starting_frame is {stated}, and should start at 0 and not decrease: {unknown}.")
        return []
    if n_frames > MAX_FRAMES:
        members.warn(f"{n_frames} frames are more than {MAX_FRAMES}: {unknown}.")
        return []
    frames = np.arange(n_frames, dtype=np.int64)
    number = np.searchsorted(starts, frames, side="right") - 1
    names = np.empty(len(files), object)
    names[:] = files
    return [Label("file", ("time",), names[number]), Label("frame_in_file", ("time",), frames - starts[number])]


def starting_frames(members: Members) -> npt.NDArray[np.int64] | None:
    """Return ``starting_frame`` of the external files; None if there is none."""
    entry = members.array("external_file")
    stored = None if entry is None else entry.attributes.get("starting_frame")
    if isinstance(stored, int) and not isinstance(stored, bool):
        return np.array([stored], np.int64)
    if isinstance(stored, np.ndarray) and stored.dtype.kind in "iu" and stored.ndim == 1:
        return stored.astype(np.int64)
    return None


def file_attrs(members: Members, files: list[str]) -> dict[str, Attribute]:
    """Return the names of the external files and the frames that they start with, as attributes."""
    names = listed(texts(files))
    attrs: dict[str, Attribute] = {} if names is None else {"external_file": [names] if len(files) == 1 else names}  # type: ignore[dict-item]  # one name or a list of them
    starts = starting_frames(members)
    if starts is not None and len(starts) == len(files) > 1:
        attrs["starting_frame"] = starts.tolist()
    return attrs


def plane_path(members: Members) -> str | None:
    """Return the path by which the imaging plane of a series is reached; None if it has none in this file."""
    link = members.group.links.get(PLANE)
    if PLANE not in members.group.members or (link is not None and link.filename is not None):
        return None
    path = join(members.path, PLANE)
    return path if members.index.array(path) is None else None


def plane_attrs(members: Members) -> dict[str, Attribute]:
    """Return what the imaging plane says of a series: indicator, location, wavelength, rate."""
    attrs: dict[str, Attribute] = {}
    for name, entry in _plane_arrays(members).items():
        stored = members.values.get(entry.path)
        if name in {"grid_spacing", "origin_coords"} or stored is None or stored.size != 1:
            continue
        found = listed(label_values(entry, stored.reshape(1)))
        if found is not None and found != "":
            attrs[name] = found
    return attrs


def pixel_labels(members: Members, dims: tuple[str, ...], shape: tuple[int, ...]) -> list[Label]:
    """Return where pixels are, in metres: ``origin_coords + grid_spacing * number`` along x, y and z.

    Only for a series whose imaging plane has ``grid_spacing`` (NWB core schema, *ImagingPlane*, from 2.2 on).
    """
    arrays = _plane_arrays(members)
    spacing = _lengths(members, arrays, "grid_spacing")
    if spacing is None:
        return []
    origin = _lengths(members, arrays, "origin_coords")
    out = []
    for place, name in enumerate(("x", "y", "z")):
        if name not in dims or place >= len(spacing):
            continue
        length = shape[dims.index(name)]
        if length > MAX_PLACES:
            members.warn(f"{length} pixels along {name} are more than {MAX_PLACES}: {name} is not labelled.")
            continue
        start = origin[place] if origin is not None and place < len(origin) else 0.0
        out.append(Label(name, (name,), start + spacing[place] * np.arange(length), {"units": "m"}))
    return out


def _lengths(members: Members, arrays: Mapping[str, ArrayEntry], name: str) -> npt.NDArray[np.float64] | None:
    """Return a vector in space, in metres; None if it is absent or of an unknown unit."""
    entry = arrays.get(name)
    stored = None if entry is None else members.value(entry, "pixels have no places")
    if entry is None or stored is None or stored.dtype.kind not in "iuf" or stored.ndim > 1:
        return None
    stated = as_attribute(entry.attributes.get("unit")) or "meters"
    factor = in_metres(known_unit(text_attribute(entry.attributes, "unit") or "meters"))
    if factor is None:
        members.warn(f"{entry.path} is in {stated!r}, which is no known length: pixels have no places.")
        return None
    return np.atleast_1d(stored).astype(np.float64) * factor


def _plane_arrays(members: Members) -> dict[str, ArrayEntry]:
    path = plane_path(members)
    index = None if path is None else members.linked.get(path)
    if path is None or index is None:
        return {}
    found = {name: index.array(join(path, name)) for name in PLANE_VALUES}
    return {name: entry for name, entry in found.items() if entry is not None}
