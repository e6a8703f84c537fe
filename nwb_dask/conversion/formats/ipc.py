"""Arrow IPC files, which are mapped into memory as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

SUFFIX = ".arrow"
WRITER = f"pyarrow {pa.__version__}"


def arrange(path: str, table: pa.Table) -> pa.Table:  # noqa: ARG001  # all formats have the same signature
    """Return the table as it is: the format holds every type of Arrow."""
    return table


def write(path: Path, schema: pa.Schema, batches: Iterator[pa.Table]) -> None:
    """Write a file, one record batch or more for each batch."""
    with path.open("xb") as file, pa.ipc.new_file(file, schema) as writer:
        for batch in batches:
            writer.write_table(batch.combine_chunks().unify_dictionaries())
