"""Additions to files that are never written to: what is new goes beside references to what was there.

========== =====================================================================
opening    `amend`
file       `AmendedFile`, which it returns
facade     what h5py has for writing; tree: what it reads from
linking    what hdmf has to know to link to datasets
nwb        tables, columns and series as NWB has them
columns    columns as they are given, as arrays
beginning  references to all that the original holds
reading    values of the original, through these
draft      the tree that grows
arrays     added datasets; chunks: their values on the way to the output
codecs     numpy arrays as chunks of Zarr v2, and back
document   pure: what a LINDI document says
values     pure: attributes, references and compounds as JSON
output     where additions go
tar        a ``.lindi.tar`` that changes in one write; headers of such files
directory  a ``.lindi.d`` that changes in one rename
lock       one writer at a time
========== =====================================================================
"""

from __future__ import annotations

from nwb_dask.amending.file import AmendedFile
from nwb_dask.amending.opening import amend

__all__ = ["AmendedFile", "amend"]
