"""`read_nwb`: tables of NWB files as a Dask DataFrame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import dask.dataframe as dd

from nwb_dask.adapters.cluster import share_scan
from nwb_dask.adapters.dask_frame import _compat as dx
from nwb_dask.adapters.dask_frame.expr import ReadNWB
from nwb_dask.model.field import PATH_COLUMNS
from nwb_dask.plan.filters import Filters, named_columns
from nwb_dask.plan.scan import Scan
from nwb_dask.read import SessionNames, checked_label, checked_names, scan_sources


def read_nwb(
    source: object,
    table: str | Sequence[str],
    *,
    columns: Sequence[str] | None = None,
    filters: Filters | None = None,
    index: str | Literal[False] | None = None,
    storage_options: Mapping[str, object] | None = None,
    schema_overrides: Mapping[str, object] | None = None,
    missing_columns: Literal["insert", "raise"] = "insert",
    missing_table: Literal["skip", "raise"] = "skip",
    errors: Literal["raise", "skip"] = "raise",
    blocksize: float | str | None = None,
    aggregate_files: float | str | None = None,
    include_path_columns: bool = True,
    resolve: Sequence[str] | bool = (),
    session_columns: SessionNames = (),
    divisions: bool = False,
) -> dd.DataFrame:
    """Return a table of one or many NWB files as a Dask DataFrame.

    Only metadata is read now. When something is computed, dask's optimizer moves column selections, filters, ``head``
    and counts into the read: columns of a filter are read first, ragged and n-dimensional ones (spike times,
    waveforms) only for the rows that are left. ``df.nwb.explain()`` says what will be read.

    Parameters
    ----------
    source : path, URL, list of them, glob, folder or Catalog
        Which files; local paths, ``file://``, ``http(s)://`` and ``s3://`` URLs. Rows come in this order.
    table : str or sequence of str
        Path of the table inside the files, ``"/units"``; a glob over table paths, ``"/intervals/*"``. A TimeSeries is
        a table of its timestamps and data; ``"/general/subject"`` is a table of one row.
    columns : sequence of str, optional
        Columns in the order wanted; all by default.
    filters : str or list, optional
        Rows to keep: ``[("quality", "==", "good"), ("rate", ">", 5)]``, a list of such lists (any of them), or text as
        for ``DataFrame.query``. The same as filtering the result, which is pushed down as well.
    index : str, optional
        The column that labels the rows; one of `session_columns`, or a name such as ``session_id`` that no table has,
        is that of the session. By default labels are row numbers, which start again in each table and stay with the
        rows that a filter keeps. Divisions are known if the label is a
        session column (or ``_nwb_path``) of text or integers that increases from each partition to the next.
    storage_options : mapping, optional
        Credentials and endpoints by the names of s3fs or obstore. Secrets do not travel in graphs: they are sent to
        the workers of the current client, if there is one.
    schema_overrides : mapping of str to type, optional
        Arrow types, or their names, that replace those that the files give.
    missing_columns : {"insert", "raise"}
        A column that some file lacks: null there, or an error.
    missing_table : {"skip", "raise"}
        A file without the table: no rows, or an error. It is an error in any case if no file has it.
    errors : {"raise", "skip"}
        Files that are corrupt or missing: an error, or left out, with one warning that lists them; see
        ``df.nwb.report()``.
    blocksize : int or str, optional
        Tables larger than this (``"100 MB"``, decoded) are split by rows. By default each table of each file is one
        partition.
    aggregate_files : int or str, optional
        Neighbouring tables share a partition up to this size: fewer, larger tasks for many small files.
    include_path_columns : bool
        Whether to add ``_nwb_path`` (the file as given, made absolute), ``_table_path`` and ``_table_index`` (the
        row's number in its table). A filter on the first two leaves files unopened. A table's own column of such a
        name is ``./_nwb_path``, its path in the table.
    resolve : sequence of str or bool
        DynamicTableRegion columns whose target rows are joined as ``<region>.<column>``; True means all.
    session_columns : sequence of str or mapping, optional
        Metadata of each session to join to its rows, by the names and with the types of `nwb_dask.read_metadata`:
        ``["subject_id", "session_start_time"]``; ``n_rows`` is the number of rows of the table. A mapping gives other
        names, ``{"mouse": "subject_id"}``. Read with the plan; a
        filter on them leaves files unopened. What a file lacks is null.
    divisions : bool
        Whether divisions must be known: tables are then read in the order of `index`, and equal labels share a
        partition. ``df.loc["ses-3"]`` opens the files of that label, and frames of two tables are joined on the index
        without a shuffle.

    Returns
    -------
    dask.dataframe.DataFrame
        Integers and bools keep their width, in nullable dtypes where values may be absent; floats have NaN for absent
        values; text is ``StringDtype("pyarrow")``; enumerations are categorical; ragged, n-dimensional and compound
        columns have the dtype ``nwb[...]``, whose elements are numpy arrays or dicts.

    Raises
    ------
    PathNotFoundError
        If no file has the table, a column or the metadata; the nearest names are said. If a session column has the name
        of a column of the table.
    PredicateError
        If `filters` has no meaning for its columns, or `divisions` are asked for and a label is absent or has no order.
    SchemaConflictError
        If files hold a column in types that have no lossless common type.
    MalformedFileError, SourceUnavailableError
        If a file cannot be read.

    Examples
    --------
    >>> import nwb_dask.dataframe as dd
    >>> units = dd.read_nwb("sessions/*.nwb", "/units")  # doctest: +SKIP
    >>> good = units[(units.quality == "good") & (units.firing_rate > 5)]  # doctest: +SKIP
    >>> good.spike_times.compute()  # doctest: +SKIP
    """
    wanted = None if columns is None else list(checked_names("columns", columns))
    label = checked_label(index)
    if divisions:
        _check_divisions(label, blocksize)
    filtered = named_columns(filters)
    extra = () if filtered is None else (*sorted(filtered - set(PATH_COLUMNS)), *((label,) if label else ()))
    scan = scan_sources(
        source,
        table,
        columns=None if filtered is None else wanted,
        extra=extra,
        storage_options=storage_options,
        schema_overrides=schema_overrides,
        missing_columns=missing_columns,
        missing_table=missing_table,
        errors=errors,
        blocksize=blocksize,
        aggregate_files=aggregate_files,
        include_path_columns=include_path_columns,
        resolve=resolve,
        session_columns=session_columns,
        label=label,
        is_sorted=divisions,
    )
    shown = _shown(scan, wanted, label, include_path_columns=include_path_columns)
    share_scan(scan)
    return frame_of_scan(scan, shown, index=label, filters=filters)


def frame_of_scan(
    scan: Scan, columns: Sequence[str] | None = None, *, index: str | None = None, filters: Filters | None = None
) -> dd.DataFrame:
    """Return the rows of a scan as a Dask DataFrame.

    Parameters
    ----------
    scan : Scan
        What there is to read.
    columns : sequence of str, optional
        Columns in order; all but the index by default.
    index : str, optional
        The column that labels the rows; row numbers by default.
    filters : optional
        As for `read_nwb`.
    """
    names = [field.name for field in scan.fields if field.name != index] if columns is None else list(columns)
    if index is not None:
        scan.label(index)
    read = ReadNWB(scan, names, index)
    predicate = scan.predicate(filters)
    frame: dd.DataFrame = dx.new_collection(read if predicate is None else read.filtered(predicate))
    return frame


def _check_divisions(label: str | None, blocksize: float | str | None) -> None:
    if label is None:
        raise ValueError("divisions=True needs the labels: index= one of session_columns, or '_nwb_path'")
    if blocksize is not None:
        raise ValueError("divisions=True keeps the rows of a label together, which blocksize= splits; give one of them")


def _shown(scan: Scan, wanted: list[str] | None, index: str | None, *, include_path_columns: bool) -> tuple[str, ...]:
    session = [field.name for field in scan.fields if field.is_constant]
    names = [field.name for field in scan.fields] if wanted is None else [*wanted, *session]
    paths = PATH_COLUMNS if include_path_columns else ()
    return tuple(name for name in dict.fromkeys((*names, *paths)) if name != index)
