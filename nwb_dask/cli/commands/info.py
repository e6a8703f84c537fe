"""``nwb-dask info``: what files hold."""

from __future__ import annotations

import pyarrow as pa

import nwb_dask
from nwb_dask.adapters.contents import list_contents
from nwb_dask.cli.arguments import OutputOptions, SourceOptions
from nwb_dask.cli.output import check_target, write_rows

_METADATA = (
    *("_nwb_path", "nwb_version", "identifier", "session_id", "session_start_time", "session_description"),
    *("subject_id", "subject_species", "subject_sex", "subject_age"),
)


def answer(*, source: str | list[str], reach: SourceOptions, output: OutputOptions) -> None:
    """Show what files hold: session, subject, tables, series."""
    check_target(output)
    contents = dict(list_contents(source, storage_options=reach.storage_options, errors=reach.errors))
    metadata = nwb_dask.read_metadata(
        source, engine="arrow", storage_options=reach.storage_options, errors=reach.errors
    )
    files = metadata["_nwb_path"].to_pylist()
    kinds = [[table.kind for table in contents.get(name, {}).values()] for name in files]
    n_series = [found.count("series") for found in kinds]
    n_tables = [len(found) - found.count("series") - found.count("record") for found in kinds]
    rows = metadata.select([name for name in _METADATA if name in metadata.column_names])
    rows = rows.append_column("n_tables", pa.array(n_tables, pa.int64()))
    rows = rows.append_column("n_series", pa.array(n_series, pa.int64()))
    write_rows(rows, output)
