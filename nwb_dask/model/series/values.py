"""What a TimeSeries is, without its samples: dims, times, units, labels. Frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nwb_dask.index import ArrayEntry

_DOUBLE = np.dtype(np.float64)

Attribute: TypeAlias = "str | int | float | list[str] | list[int] | list[float]"
"""What netCDF and Zarr can store as an attribute."""


@dataclass(frozen=True, slots=True)
class SampledTiming:
    """Times of a series with a rate: sample i is at ``i / rate + start`` (NWB core schema, *TimeSeries*)."""

    start: float
    """Seconds from the session's reference time."""
    rate: float
    """Hz. 0 only where there is at most one sample, which is at `start`."""


@dataclass(frozen=True, slots=True)
class StoredTiming:
    """Times of a series with a timestamp for each sample."""

    stamps: ArrayEntry
    """1-d numbers: seconds from the session's reference time."""


Timing: TypeAlias = SampledTiming | StoredTiming | None
"""None: the file gives no times, or none that fit the samples."""


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """From stored numbers to those in `Series.attrs` ``units``: ``stored * factor + offset``, as pynwb computes it."""

    factor: float = 1.0
    """``conversion`` of the data."""
    offset: float = 0.0
    """``offset`` of the data, in units."""
    per_channel: npt.NDArray[np.float64] | None = None
    """Factors on top of `factor`, one for each place of `axis` (``channel_conversion``)."""
    axis: int = 1
    """Axis of the data that `per_channel` runs along."""
    precision: np.dtype[Any] = _DOUBLE
    """In which it is computed: single, as numpy and pynwb do, where samples and factors are stored so."""

    @property
    def is_identity(self) -> bool:
        """Whether nothing changes."""
        return self.factor == 1.0 and self.offset == 0.0 and self.per_channel is None


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """A coordinate of a series beside its times."""

    name: str
    dims: tuple[str, ...]
    """() for a scalar."""
    values: npt.NDArray[np.generic] | ArrayEntry
    """Values in memory, text as ``<U`` or objects; a dataset where they are as many as the samples (``control``)."""
    attrs: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One TimeSeries of any type."""

    name: str
    path: str
    """Inside the file, as it was asked for."""
    neurodata_type: str
    """As the file has it; may be of an extension."""
    core_type: str
    """The type of the core schema that it is, or descends from."""
    dims: tuple[str, ...]
    """``("time", ...)`` as a rule; ``("roi", "time")`` or ``("channel", "time")`` where the file has them the other way
    round; () for a single value, whose time, if it is known, is the scalar label ``time``."""
    shape: tuple[int, ...]
    """Lengths of `dims`."""
    data: ArrayEntry | None
    """The dataset with the samples. None: there are none in the file, see `content`."""
    content: str
    """``"data"``: `data` holds the samples. ``"frames"``: images are in other files, and the values are the numbers
    of the frames, 0 to ``shape[0] - 1``. ``"missing"``: nothing is stored, and the values are NaN."""
    timing: Timing
    scale: Scale = field(default_factory=Scale)
    """Identity for what is never scaled: indexes, intervals, text, frame numbers."""
    labels: tuple[Label, ...] = ()
    """Of `dims` other than time first; then those along time."""
    attrs: Mapping[str, Attribute] = field(default_factory=dict)
    """``neurodata_type``, ``units`` (only where known to be good), ``nwb_unit``, ``description`` ...; no timing."""
    time_attrs: Mapping[str, Attribute] = field(default_factory=dict)
    """Beside ``units`` and ``rate`` of the times, which the time index adds itself."""
    warnings: tuple[str, ...] = ()
    """What the file has wrong or leaves open, in sentences that name what was done about it."""
