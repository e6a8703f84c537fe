"""The HDF5 file format, read from bytes. Pure: functions of an `AddressSpace`, which raises `Need` for absent bytes.

Section names in the docstrings are those of the *HDF5 File Format Specification*, version 3.0.
"""

from __future__ import annotations
