"""`scan_nwb`: tables of NWB files as a polars LazyFrame that reads when it is collected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl
from polars.io.plugins import register_io_source

from nwb_dask.adapters.cluster import share_scan
from nwb_dask.adapters.polars_frame.convert import schema, to_polars
from nwb_dask.adapters.polars_frame.ending import until_exit
from nwb_dask.adapters.polars_frame.translate import pushed_down
from nwb_dask.plan import Scan
from nwb_dask.read import SessionNames, checked_names, read_batches, scan_sources


def scan_nwb(
    source: object,
    table: str | Sequence[str],
    *,
    storage_options: Mapping[str, object] | None = None,
    schema_overrides: Mapping[str, object] | None = None,
    missing_columns: Literal["insert", "raise"] = "insert",
    missing_table: Literal["skip", "raise"] = "skip",
    errors: Literal["raise", "skip"] = "raise",
    include_path_columns: bool = True,
    resolve: Sequence[str] | bool = (),
    lengths: Sequence[str] | bool = (),
    session_columns: SessionNames = (),
) -> pl.LazyFrame:
    """Return a table of one or many NWB files as a polars LazyFrame.

    Only metadata is read now. When the frame is collected, polars hands column selections, filters and ``head`` to
    the read: columns of a filter are read first, ragged and n-dimensional ones (spike times, waveforms) only for the
    rows that are left. Rows come in source order, in batches, so that ``sink_parquet`` and
    ``collect(engine="streaming")`` hold a part of them in memory.

    Parameters
    ----------
    source : path, URL, list of them, glob, folder or Catalog
        Which files.
    table : str or sequence of str
        Path of the table, ``"/units"``; a glob over table paths, ``"/intervals/*"``.
    storage_options : mapping, optional
        Credentials and endpoints, by the names of s3fs or obstore. Secrets are no part of the frame: where it was
        pickled or serialized to, the environment has to have them. A signed URL is where the file is, and travels.
    schema_overrides : mapping of str to type, optional
        Arrow types, or their names, that replace those that the files give.
    missing_columns : {"insert", "raise"}
        A column that a file lacks: null there, or an error.
    missing_table : {"skip", "raise"}
        A file without the table: no rows, or an error. An error in any case if no file has it.
    errors : {"raise", "skip"}
        Files that are corrupt or missing: an error, or left out with one warning that lists them.
    include_path_columns : bool
        Whether to add ``_nwb_path``, ``_table_path`` and ``_table_index``. A filter on the first two leaves files
        unopened. A table's own column of such a name is ``./_nwb_path``, its path in the table.
    resolve : sequence of str or bool
        DynamicTableRegion columns whose target rows are joined as ``<region>.<column>``; True means all.
    lengths : sequence of str or bool
        Ragged columns of which the length of each list is added as ``<column>.n``, in 64-bit integers; True means all.
        Lengths are read from the index alone, and a filter on them is handed to the read.
    session_columns : sequence of str or mapping, optional
        Metadata of each session to join to its rows, by the names and with the types of `nwb_dask.read_metadata`:
        ``["subject_id", "session_start_time"]``; ``n_rows`` is the number of rows of the table. A mapping gives other
        names, ``{"mouse": "subject_id"}``. Read with the plan; a
        filter on them leaves files unopened. What a file lacks is null.

    Returns
    -------
    polars.LazyFrame
        The schema, rows and order of ``read_table(..., engine="polars")``. Ragged columns are lists, n-dimensional
        ones arrays, compounds structs, enumerations ``Enum``.

    Raises
    ------
    PathNotFoundError
        If no file has the table or the metadata, or a session column has the name of a column of the table.
    SchemaConflictError
        If files hold a column in types that have no lossless common type, or polars has no dtype for one.
    MalformedFileError, SourceUnavailableError
        If a file cannot be read, now or when the frame is collected.
    SourceChangedError
        When the frame is collected, if a file that is read is not the one that was planned.

    Notes
    -----
    polars says which columns are needed, but not what for. ``pl.col("spike_times").list.len()`` and a filter on it
    read the spike times, where ``pl.col("spike_times.n")`` of ``lengths=["spike_times"]`` reads none, and
    ``select(pl.len())`` reads the column that polars picks for it.

    Examples
    --------
    >>> units = nwb_dask.scan_nwb("sessions/*.nwb", "/units")  # doctest: +SKIP
    >>> good = units.filter(pl.col("quality") == "good").select("id", "spike_times")  # doctest: +SKIP
    >>> good.collect()  # doctest: +SKIP
    >>> units = nwb_dask.scan_nwb("sessions/*.nwb", "/units", lengths=["spike_times"])  # doctest: +SKIP
    >>> units.filter(pl.col("spike_times.n") > 1000).select("id", "spike_times.n")  # doctest: +SKIP
    """
    scan = scan_sources(
        source,
        table,
        storage_options=storage_options,
        schema_overrides=schema_overrides,
        missing_columns=missing_columns,
        missing_table=missing_table,
        errors=errors,
        include_path_columns=include_path_columns,
        resolve=resolve,
        session_columns=session_columns,
    )
    share_scan(scan)
    chosen = lengths if isinstance(lengths, bool) else checked_names("lengths", lengths)
    return lazy_frame(scan.with_lengths(columns=chosen) if chosen else scan)


def lazy_frame(scan: Scan) -> pl.LazyFrame:
    """Return the rows of a scan as a LazyFrame."""
    # Pure: a file that has changed is an error, so that polars may read once what a query uses twice.
    return register_io_source(ScanSource(scan), schema=schema(scan.fields), validate_schema=True, is_pure=True)


@dataclass(frozen=True)
class ScanSource:
    """What polars calls for rows; picklable, and free of secrets as `Scan` is."""

    scan: Scan

    def __call__(
        self, with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        """Return an iterator over frames of the columns asked for.

        Parameters
        ----------
        with_columns : list of str or None
            Columns in order; None for all.
        predicate : Expr or None
            Keeps the rows where it is true. Parts of it are pushed into the read; all of it is applied to what comes.
        n_rows : int or None
            Only the first so many rows, counted before the predicate.
        batch_size : int or None
            Rows that a frame should have.
        """
        return until_exit(self._frames(with_columns, predicate, n_rows, batch_size))

    def _frames(
        self, with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        shown = [field.name for field in self.scan.fields] if with_columns is None else with_columns
        needed = [] if predicate is None else predicate.meta.root_names()
        fields = tuple(self.scan.field(name) for name in dict.fromkeys((*shown, *needed)))
        node, mask = pushed_down(predicate, self.scan.fields)
        for rows in read_batches(self.scan, fields, node, mask, n_rows=n_rows, batch_rows=batch_size):
            frame = to_polars(rows, fields)
            if predicate is not None:
                frame = frame.filter(predicate)
            # Not by `select`, to which "*" is every column; and without columns the number of rows would be forgotten.
            frame = frame[shown] if shown else pl.DataFrame(height=frame.height)
            yield from frame.iter_slices(batch_size or max(frame.height, 1))
