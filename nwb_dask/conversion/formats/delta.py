"""Delta tables: Parquet files and a log that says which of them are the table.

The log is written here, not by deltalake, which gives files random names and the log the time of the day: the same
files must give the same bytes. deltalake says what the types are called.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import deltalake
import pyarrow as pa

from nwb_dask.conversion.formats import parquet
from nwb_dask.conversion.plain import no_place
from nwb_dask.conversion.report import WrittenFile
from nwb_dask.errors import FormatError

SUFFIX = ".parquet"
WRITER = f"pyarrow {pa.__version__}, deltalake {deltalake.__version__}"
write = parquet.write
LOG = "_delta_log/00000000000000000000.json"

_STORED = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.float16(): pa.float32(),
    pa.null(): pa.string(),
}
"""Types that Delta lacks -> those that hold their values."""


def arrange(path: str, table: pa.Table) -> pa.Table:
    """Return the table with the types of Delta.

    Unsigned integers get the next wider signed type, or decimal, float16 becomes float32, categories are text, and
    lists are of any size.

    Raises
    ------
    FormatError
        If Delta has no type for a column, or names of columns differ in case only.
    """
    names = [name.casefold() for name in table.column_names]
    twice = next((name for name in table.column_names if names.count(name.casefold()) > 1), None)
    if twice is not None:
        message = f"column {twice!r} of {path}: Delta has another column of that name, as it ignores case; exclude one"
        raise FormatError(message, path=f"{path}/{twice}")
    columns, fields = [], []
    for field in table.schema:
        kind = _stored_type(field.type)
        try:
            deltalake.Schema.from_arrow(pa.schema([pa.field(field.name, kind)]))
            columns.append(table.column(field.name).cast(kind))
        except (deltalake.exceptions.DeltaError, ValueError, TypeError, pa.ArrowException) as error:
            raise no_place(path, field, "Delta", str(error)) from error
        fields.append(pa.field(field.name, kind))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _stored_type(data_type: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(data_type):
        return pa.string()
    if pa.types.is_fixed_size_binary(data_type):
        return pa.binary()
    if pa.types.is_list(data_type) or pa.types.is_large_list(data_type) or pa.types.is_fixed_size_list(data_type):
        return pa.large_list(_stored_type(data_type.value_type))
    if pa.types.is_struct(data_type):
        return pa.struct([pa.field(field.name, _stored_type(field.type)) for field in data_type])
    return _STORED.get(data_type, data_type)


@dataclass(frozen=True, slots=True)
class LogOf:
    """What the log of one table says."""

    folder: str
    """Of the table, below the output."""
    schema: pa.Schema
    """As `arrange` returns it, without the partition."""
    key: str
    """The column of the partition."""
    files: Sequence[tuple[str, str]]
    """Path of each data file below the output, with the session that it has."""


def write_log(path: Path, log: LogOf, written: dict[str, WrittenFile]) -> None:
    """Write the first and only entry of a log; it has no times, and the table's id is made of what is in it."""
    # The reference to the protocol: github.com/delta-io/delta, PROTOCOL.md.
    schema = log.schema.append(pa.field(log.key, pa.string()))
    text = deltalake.Schema.from_arrow(schema).to_json()
    listed = [(written[name], session) for name, session in log.files]
    seed = json.dumps([text, [one.sha256 for one, _ in listed]])
    actions: list[dict[str, object]] = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {
            "metaData": {
                "id": str(uuid.uuid5(uuid.NAMESPACE_OID, seed)),
                "format": {"provider": "parquet", "options": {}},
                "schemaString": text,
                "partitionColumns": [log.key],
                "configuration": {},
                "createdTime": 0,
            }
        },
    ]
    actions += [
        {
            "add": {
                "path": quote(one.path.removeprefix(f"{log.folder}/"), safe="/=~-._"),
                "partitionValues": {log.key: session},
                "size": one.bytes,
                "modificationTime": 0,
                "dataChange": True,
                "stats": json.dumps({"numRecords": one.rows}),
            }
        }
        for one, session in listed
    ]
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(action, ensure_ascii=False) + "\n" for action in actions)
