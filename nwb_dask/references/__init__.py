"""References to the data of NWB files, in the forms that other tools open without reading the data again.

=============== ==================================================================
write           `write_references`
report          what it returns
gather          what is in one file, and in which form each dataset is written
arrays          a dataset as a Zarr array whose chunks are elsewhere; pure
codecs          filters of HDF5 as codecs of numcodecs; pure
elements        types, values and fill values as Zarr version 2 has them; pure
attributes      attributes as JSON; pure
addresses       the URL that is written for a file
target          where an output may be written
lindi           LINDI JSON
kerchunk        kerchunk JSON and Parquet
icechunk_store  icechunk
=============== ==================================================================
"""

from __future__ import annotations

from nwb_dask.references.addresses import stated_url
from nwb_dask.references.report import LeftOut, ReferenceFile, WrittenReferences
from nwb_dask.references.write import MAX_CHUNKS, Format, lindi_references, write_references

__all__ = [
    "MAX_CHUNKS",
    "Format",
    "LeftOut",
    "ReferenceFile",
    "WrittenReferences",
    "lindi_references",
    "stated_url",
    "write_references",
]
