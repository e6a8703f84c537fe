"""Series whose times are wrong, unusual or missing, for `nwb_dask.testing.series_odd`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import h5py
import numpy as np
import numpy.typing as npt

from nwb_dask.testing.series_edits import Data, relink, replace, variant

N_SAMPLES = 10
"""Samples of the series that are changed, ``/acquisition/stamped`` and ``/acquisition/sampled``."""
STAMPS = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.2, 1.3, 1.4, 1.5])
"""Timestamps of ``/acquisition/stamped``."""


def _with(changes: Mapping[int, float]) -> npt.NDArray[np.float64]:
    stamps = STAMPS.copy()
    for at, value in changes.items():
        stamps[at] = value
    return stamps


_STAMPS: Mapping[str, tuple[str, Data]] = {
    "stamps_fewer": ("fewer timestamps than samples", STAMPS[:7]),
    "stamps_more": ("more timestamps than samples", np.append(STAMPS, [1.6, 1.7])),
    "stamps_none": ("timestamps of length 0, and samples", STAMPS[:0]),
    "unsorted": ("two timestamps in the wrong order", _with({3: 0.9, 4: 0.8})),
    "falling": ("timestamps that fall", STAMPS[::-1]),
    "duplicates": ("three timestamps that are equal", _with({3: 0.7, 4: 0.7})),
    "all_equal": ("timestamps that are all equal", np.full(N_SAMPLES, 2.0)),
    "gaps": ("two gaps of hours between timestamps", STAMPS + 3600.0 * (np.arange(N_SAMPLES) // 4)),
    "trailing_nan": ("NaN for the last two timestamps", _with({8: np.nan, 9: np.nan})),
    "leading_nan": ("NaN for the first timestamp", _with({0: np.nan})),
    "inner_nan": ("NaN for a timestamp in the middle", _with({4: np.nan})),
    "all_nan": ("NaN for all timestamps", np.full(N_SAMPLES, np.nan)),
    "infinite": ("infinity for the last timestamp", _with({9: np.inf})),
    "stamps_float32": ("timestamps of float32", STAMPS.astype("f4")),
    "stamps_big_endian": ("timestamps of big-endian float64", STAMPS.astype(">f8")),
    "stamps_integer": ("timestamps of int64", np.arange(N_SAMPLES, dtype="i8") * 2),
    "stamps_unsigned": ("timestamps of uint64", np.arange(N_SAMPLES, dtype="u8") * 2),
    "stamps_epoch": ("timestamps in seconds since 1970", STAMPS + 1.7e9),
    "stamps_column": ("timestamps of two dimensions, the second of length 1", STAMPS[:, np.newaxis]),
    "stamps_pairs": ("timestamps of two dimensions, the second of length 2", np.stack([STAMPS, STAMPS + 1], axis=1)),
    "stamps_scalar": ("one scalar for the timestamps", 0.5),
    "stamps_text": ("timestamps that are text", [str(stamp) for stamp in STAMPS]),
    "stamps_null": ("timestamps without a dataspace", h5py.Empty("f8")),
}
_RATES: Mapping[str, tuple[str, object]] = {
    "rate_zero": ("a rate of 0 and several samples", 0.0),
    "rate_negative": ("a rate below 0", -10.0),
    "rate_nan": ("a rate that is NaN", np.nan),
    "rate_infinite": ("a rate that is infinite", np.inf),
    "rate_float32": ("a rate of float32 that has no exact one", np.float32(29.97)),
    "rate_integer": ("a rate of int32", np.int32(10)),
    "rate_array": ("a rate in an array of one element", np.array([10.0])),
    "rate_text": ("a rate that is text", "10 Hz"),
}
_STARTS: Mapping[str, tuple[str, Data]] = {
    "start_array": ("a start in an array of one element", np.array([1.0])),
    "start_float32": ("a start of float32", np.float32(0.1)),
    "start_nan": ("a start that is NaN", np.nan),
    "start_pair": ("two starts", np.array([1.0, 2.0])),
}
_OTHERS = {
    "both_timings": "both timestamps and a rate",
    "untimed": "neither timestamps nor a rate",
    "no_rate": "starting_time without a rate",
    "rate_zero_one": "a rate of 0 and one sample",
    "stamps_broken": "timestamps behind a soft link to nothing",
    "stamps_external": "timestamps behind a link to a file that is there",
    "stamps_group": "a group in the place of the timestamps",
}

SERIES: Mapping[str, str] = MappingProxyType(
    {
        f"/acquisition/{name}": description
        for name, description in (
            *((name, row[0]) for rows in (_STAMPS, _RATES, _STARTS) for name, row in rows.items()),
            *_OTHERS.items(),
        )
    }
)
"""Path of each series that `add_series` adds -> what is special about it."""


def add_series(file: h5py.File, elsewhere: str) -> None:
    """Add all series of `SERIES`; `elsewhere` is the name of the other file that links go to."""

    def stamped(name: str) -> h5py.Group:
        return variant(file, f"/acquisition/{name}", like="/acquisition/stamped")

    def sampled(name: str) -> h5py.Group:
        return variant(file, f"/acquisition/{name}", like="/acquisition/sampled")

    for name, (_, stamps) in _STAMPS.items():
        replace(stamped(name), "timestamps", stamps)
    for name, (_, rate) in _RATES.items():
        sampled(name)["starting_time"].attrs["rate"] = rate
    for name, (_, start) in _STARTS.items():
        replace(sampled(name), "starting_time", start)
    both = sampled("both_timings")
    file.copy("/acquisition/stamped/timestamps", both, "timestamps")
    del stamped("untimed")["timestamps"]
    del sampled("no_rate")["starting_time"].attrs["rate"]
    one = sampled("rate_zero_one")
    one["starting_time"].attrs["rate"] = 0.0
    replace(one, "data", one["data"][:1])
    relink(stamped("stamps_broken"), "timestamps", h5py.SoftLink("/acquisition/nowhere/timestamps"))
    relink(stamped("stamps_external"), "timestamps", h5py.ExternalLink(elsewhere, "/acquisition/stamped/timestamps"))
    group = stamped("stamps_group")
    del group["timestamps"]
    group.create_group("timestamps")
