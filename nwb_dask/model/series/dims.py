"""Names of the dimensions of a series' data, by its type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nwb_dask.model.series.types import is_a

TIME = "time"

_INNER: Mapping[str, tuple[str, ...]] = {
    "SpikeEventSeries": ("channel", "sample"),
    "ElectricalSeries": ("channel", "sample"),
    "SpatialSeries": ("space",),
    "ImageSeries": ("x", "y", "z"),
    "RoiResponseSeries": ("roi",),
    "DecompositionSeries": ("channel", "band"),
    "AbstractFeatureSeries": ("feature",),
    "OptogeneticSeries": ("site",),
}
"""Dimensions after time (NWB core schema, ``dims`` of each type's data), singular. Subtypes come first."""

_COLORS = ("r", "g", "b", "a")
_RGB = (3, 4)
_VOLUME = 4
_WAVEFORM = 2


@dataclass(frozen=True, slots=True)
class Clues:
    """What else in the file tells which dimension of two is which."""

    n_stamps: int | None = None
    """Number of timestamps, if any are stored."""
    n_places: int | None = None
    """Number of rows that the region names: electrodes, rois."""


def data_dims(core: str, shape: tuple[int, ...], clues: Clues) -> tuple[tuple[str, ...], str]:
    """Return the names of the dimensions of data, and a warning where they are not in the order of the schema.

    Nothing is transposed: ``("roi", "time")`` where the file has it so.

    Parameters
    ----------
    core : str
        Type of the core schema.
    shape : tuple of int
        Of the data.
    clues : Clues
        Data whose second dimension does not fit, while the first fits the region and, if stored, the second fits
        the timestamps, have their dimensions the other way round.

    Returns
    -------
    dims : tuple of str
        As many as `shape` has; () for a scalar.
    warning : str
        ``""`` if all is well.
    """
    if not shape:
        return (), ""
    inner = next((names for name, names in _INNER.items() if is_a(core, name)), ())
    if core == "OpticalSeries" and len(shape) == _VOLUME and shape[-1] in _RGB:
        inner = ("x", "y", "color")
    if core == "SpikeEventSeries" and len(shape) == _WAVEFORM:
        inner = ("channel",) if clues.n_places == shape[1] != 1 else ("sample",)
    names = [TIME, *inner][: len(shape)]
    dims = (*names, *(f"dim_{axis}" for axis in range(len(names), len(shape))))
    if inner[:1] in (("channel",), ("roi",)) and _is_transposed(shape, clues):
        dims = (dims[1], TIME)
        return dims, f"the data are stored as ({', '.join(dims)}), and the schema has time first: left so, and labelled"
    return dims, ""


def _is_transposed(shape: tuple[int, ...], clues: Clues) -> bool:
    if len(shape) != 2 or clues.n_places is None:  # noqa: PLR2004  # rows and columns
        return False
    if shape[0] != clues.n_places or shape[1] == clues.n_places:
        return False
    return clues.n_stamps is None or (clues.n_stamps == shape[1] != shape[0])


def color_names(length: int) -> tuple[str, ...]:
    """Return the names of color channels."""
    return _COLORS[:length]
