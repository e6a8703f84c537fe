"""Reads small datasets together, so that one that cannot be read costs no other."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from nwb_dask.backends import File
from nwb_dask.errors import NWBDaskError, SourceChangedError, SourceUnavailableError
from nwb_dask.index import ArrayEntry

STORAGE_ERRORS = (SourceUnavailableError, SourceChangedError)
"""Errors that are not of one object: whatever is asked next fails as well."""

_Values = npt.NDArray[np.generic]


def read_small(file: File, entries: Iterable[ArrayEntry]) -> tuple[dict[str, _Values], dict[str, str]]:
    """Return all values of datasets by path, and by path why others cannot be read.

    Sound ones are read in one round.

    Raises
    ------
    SourceUnavailableError, SourceChangedError
        If the file itself cannot be had any more.
    """
    wanted = tuple(entries)
    try:
        found = file.read_many([(entry, None) for entry in wanted])
    except STORAGE_ERRORS:
        raise
    except NWBDaskError:
        return _read_one_by_one(file, wanted)
    return {entry.path: values for entry, values in zip(wanted, found, strict=True)}, {}


def _read_one_by_one(file: File, entries: Iterable[ArrayEntry]) -> tuple[dict[str, _Values], dict[str, str]]:
    values: dict[str, _Values] = {}
    problems: dict[str, str] = {}
    for entry in entries:
        try:
            values[entry.path] = file.read(entry)
        except STORAGE_ERRORS:
            raise
        except NWBDaskError as error:
            problems[entry.path] = error.message
    return values, problems
