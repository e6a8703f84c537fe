"""The same tables as Parquet, one file per session: the reference for what a format made for tables can do."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def parquet_path(file: str, table: str) -> str:
    """Return where the copy of `table` of the session `file` is."""
    folder, _, name = file.rpartition("/")
    return f"{folder}/parquet{table.replace('/', '_')}/{name.removesuffix('.nwb')}.parquet"


def ensure_parquet(files: list[Path], table: str) -> list[Path]:
    """Return Parquet copies of `table`, one per session and in the order of `files`; the absent ones are written.

    All columns are there, ragged ones as lists. Only text has dictionaries and nothing is compressed, since that
    is the fastest to read of what was tried: random numbers do not shrink.
    """
    copies = [Path(parquet_path(str(file), table)) for file in files]
    copies[0].parent.mkdir(exist_ok=True)
    for file, copy in zip(files, copies, strict=True):
        if copy.exists() and copy.stat().st_mtime >= file.stat().st_mtime:
            continue
        rows = read_arrow(file, table)
        text = [field.name for field in rows.schema if pa.types.is_string(field.type)]
        pq.write_table(rows, copy, use_dictionary=text, compression="none")
    return copies


def read_arrow(file: Path, table: str) -> pa.Table:
    """Return all columns of a table of a session as h5py reads them."""
    with h5py.File(file) as opened:
        group = opened[table]
        return pa.table({name: _read_column(group, name) for name in ("id", *group.attrs["colnames"])})


def _read_column(group: h5py.Group, name: str) -> pa.Array:
    column = group[name]
    if column.dtype.kind == "O":
        is_text = h5py.check_string_dtype(column.dtype) is not None
        return pa.array(list(column.asstr()[:]) if is_text else [group.file[ref].name for ref in column[:]])
    values = column[:]
    array = pa.array(values.ravel())
    for length in values.shape[:0:-1]:
        array = pa.FixedSizeListArray.from_arrays(array, length)
    if f"{name}_index" in group:
        offsets = np.append(0, group[f"{name}_index"][:].astype(np.int64))
        array = pa.LargeListArray.from_arrays(offsets, array)
    return array
