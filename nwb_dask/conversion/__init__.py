"""Tables and series of NWB files in formats that other tools read.

========= =======================================================================
convert   `convert`
inventory what there is in the files, unified
planning  the parts that are written
rows      rows of a table in batches
plain     values as numbers and text
formats/  one module for each format
names     names of tables, sessions and partitions
parts     a part, and the record of one that is finished
staging   the hidden folder in which an output is put together
target    where an output may be written
manifest  what a finished output says of itself
progress  the bar
report    what `convert` returns
========= =======================================================================
"""

from __future__ import annotations

from nwb_dask.conversion.convert import convert
from nwb_dask.conversion.report import Conversion, LeftOut, WrittenFile

__all__ = ["Conversion", "LeftOut", "WrittenFile", "convert"]
