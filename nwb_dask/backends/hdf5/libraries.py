"""Which libraries stand behind the HDF5 backend here, and which filters they bring."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

import h5py
from h5py import h5z

_FILTERS: Mapping[str, int] = MappingProxyType(
    {"blosc": 32001, "lz4": 32004, "bitshuffle": 32008, "zstd": 32015, "blosc2": 32026}
)
"""Filters of files of NWB that libhdf5 has from hdf5plugin only; numbers as registered with The HDF Group."""


def filter_libraries() -> dict[str, tuple[str, str]]:
    """Return, by name of a library, what of it is there, and what is wrong with it; ``""`` if nothing is."""
    linked, built = h5py.version.hdf5_version, ".".join(map(str, h5py.version.hdf5_built_version_tuple))
    other = "" if linked == built else f"built for libhdf5 {built} and runs with {linked}"
    found = {"h5py": (f"{h5py.version.version} with libhdf5 {linked}", other)}
    try:
        plugins = import_module("hdf5plugin")  # registers its filters with libhdf5
    except ImportError as error:
        return {**found, "hdf5plugin": ("", f"cannot be imported: {error}")}
    missing = [name for name, number in _FILTERS.items() if not h5z.filter_avail(number)]
    problem = f"libhdf5 does not find its filters {', '.join(missing)}" if missing else ""
    return {**found, "hdf5plugin": (f"{plugins.version} with {', '.join(_FILTERS)}", problem)}
