"""`open_catalog` and `Catalog`: what many files hold, to look into, and to choose from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import pyarrow as pa
import pyarrow.compute as pc

from nwb_dask.catalog.shared import MANIFEST, SharedCatalog, open_shared
from nwb_dask.cataloguing.find import Wanted, find_sessions
from nwb_dask.cataloguing.origin import built_from
from nwb_dask.model import Field
from nwb_dask.read import check_choice
from nwb_dask.storage import expand_sources, make_access

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

Engine = Literal["pandas", "polars", "arrow"]
_SHOWN = ("sessions", "tables", "columns", "series")


def open_catalog(
    catalog: str | os.PathLike[str],
    *,
    sources: object = None,
    storage_options: Mapping[str, object] | None = None,
) -> Catalog:
    """Return the catalog in a folder or bucket, which can be given wherever a source is; opens no NWB file.

    Parameters
    ----------
    catalog : path or URL
        Where `nwb_dask.build_catalog` wrote it, or its ``nwb_dask_catalog.json``.
    sources : optional
        Where files are now, by the same names: URLs with a signature, which no catalog keeps.
    storage_options : mapping, optional
        Credentials and endpoints of the catalog. What reads the files needs its own.

    Returns
    -------
    Catalog
        Its tables are read when they are needed.

    Raises
    ------
    SourceNotFoundError
        If there is no catalog.
    UnsupportedLayoutError
        If it is of another version of nwb_dask.
    MalformedFileError
        If it is damaged, now or when a table is read.
    """
    access = make_access(storage_options)
    where = os.fspath(catalog).removesuffix(f"/{MANIFEST}")
    urls = None if sources is None else {one.name: one.url for one in expand_sources(sources, access)}
    return open_shared(Catalog, where, access, urls)


class Catalog(SharedCatalog):
    """What many files hold, without opening one; see `open_catalog`.

    A source wherever one is asked for: ``nwb_dask.read_nwb(catalog, "/units")`` plans from what the catalog says, and
    filters leave files unopened that have no such values. A file that has changed since is an error when it is read.
    """

    @property
    def sessions(self) -> pd.DataFrame:
        """One row per file: where it is, its version, and what describes the session."""
        return self.frame("sessions")

    @property
    def tables(self) -> pd.DataFrame:
        """One row per table of a file: rows and bytes."""
        return self.frame("tables")

    @property
    def columns(self) -> pd.DataFrame:
        """One row per column and range of rows: bounds, counts, distinct values where few."""
        return self.frame("columns")

    @property
    def series(self) -> pd.DataFrame:
        """One row per TimeSeries of a file: shape, rate, first and last time, unit."""
        return self.frame("series")

    @property
    def built_from(self) -> list[str]:
        """What the catalog was built from: folders, globs and prefixes, and files that were named themselves.

        ``build_catalog(catalog.built_from, out)`` lists them again: files that are new are added.
        """
        return built_from(self)

    @property
    def failed(self) -> pd.DataFrame:
        """One row per file that could not be read when the catalog was built, with the error."""
        return self.frame("failed")

    @overload
    def frame(self, name: str, engine: Literal["pandas"] = ...) -> pd.DataFrame: ...
    @overload
    def frame(self, name: str, engine: Literal["polars"]) -> pl.DataFrame: ...
    @overload
    def frame(self, name: str, engine: Literal["arrow"]) -> pa.Table: ...
    def frame(self, name: str, engine: Engine = "pandas") -> pd.DataFrame | pl.DataFrame | pa.Table:
        """Return one of ``sessions``, ``tables``, ``columns``, ``series`` and ``failed`` as a frame.

        All have ``source``, which joins them, and ``_nwb_path``.
        """
        check_choice("name", name, (*_SHOWN, "failed"))
        check_choice("engine", engine, ("pandas", "polars", "arrow"))
        rows = self._rows(name)
        if engine == "arrow":
            return rows
        fields = tuple(Field(one.name, one.type, nullable=True) for one in rows.schema)
        if engine == "polars":
            polars_frame: pl.DataFrame = import_module("nwb_dask.adapters.polars_frame").to_polars(rows, fields)
            return polars_frame
        frame: pd.DataFrame = import_module("nwb_dask.adapters.pandas_frame.convert").to_pandas(rows, fields)
        return frame

    def find(
        self,
        *,
        area: str | Sequence[str] | None = None,
        has: str | Sequence[str] | None = None,
        min_units: int | None = None,
        subject: str | Sequence[str] | None = None,
        species: str | Sequence[str] | None = None,
        **metadata: object,
    ) -> Self:
        """Return the catalog of the sessions that have what is asked for, all of it; a source again.

        Parameters
        ----------
        area : str or list of str, optional
            Brain areas of electrodes or units, any of them: a value of ``location`` of the table of electrodes, or of a
            column of units that names one. Without capitals, in whole.
        has : str or list of str, optional
            Paths or last parts of paths of tables or series, or types of these (``ElectricalSeries``), all of them; a
            table counts if it has a row. Globs are allowed.
        min_units : int, optional
            Rows of ``/units``, at least.
        subject, species : str or list of str, optional
            ``subject_id``, ``subject_species``: any of them; globs are allowed.
        **metadata
            Other columns of ``sessions`` by name: a value, a list of them, or a glob over text.

        Returns
        -------
        Catalog
            Without files that could not be read. Without an argument: all that could be read.

        Raises
        ------
        PathNotFoundError
            If the sessions have no such column.
        """
        asked = {"subject_id": subject, "subject_species": species, **metadata}
        wanted = Wanted(area, has, min_units, {name: value for name, value in asked.items() if value is not None})
        return self.choose(find_sessions(self, wanted))

    def sql(self, query: str, *, eager: bool = True) -> pl.DataFrame | pl.LazyFrame:
        """Return the answer to an SQL query over ``sessions``, ``tables``, ``columns``, ``series`` and ``failed``.

        The SQL is that of polars. No NWB file is opened; `nwb_dask.sql` asks the files themselves.

        Examples
        --------
        >>> catalog.sql("SELECT _nwb_path FROM tables WHERE path = '/units' AND n_rows > 100")  # doctest: +SKIP
        """
        import polars as pl  # noqa: PLC0415  # half of the users have no need of it

        frames = {name: self.frame(name, "polars") for name in (*_SHOWN, "failed") if name in query}
        answer: pl.DataFrame | pl.LazyFrame = pl.SQLContext(frames).execute(query, eager=eager)
        return answer

    def __repr__(self) -> str:
        """Show where it is and how many sessions it has."""
        n_failed = self._n_failed()
        failed = f", {n_failed} of them failed" if n_failed else ""
        return f"<Catalog {self.name}: {self.n_sessions} {'session' if self.n_sessions == 1 else 'sessions'}{failed}>"

    def _repr_html_(self) -> str:
        """Show that, and which tables there are."""
        rows = (
            self._rows("tables")
            .select(["path", "n_rows"])
            .cast(pa.schema([("path", pa.string()), ("n_rows", pa.int64())]))
        )
        counts = rows.group_by("path").aggregate([("n_rows", "sum"), ("n_rows", "count")]).sort_by("path")
        cells = [
            f"<tr><td>{escape(str(one['path']))}</td><td>{one['n_rows_count']}</td><td>{one['n_rows_sum']}</td></tr>"
            for one in counts.to_pylist()
        ]
        head = "<tr><th>table</th><th>sessions</th><th>rows</th></tr>"
        return (
            f"<div><p>{escape(repr(self))}</p><table><thead>{head}</thead><tbody>{''.join(cells)}</tbody></table></div>"
        )

    def _n_failed(self) -> int:
        errors = self.table("sessions").column("error")
        return len(errors) - int(errors.null_count)

    def _rows(self, name: str) -> pa.Table:
        sessions = self.table("sessions")
        if name == "sessions":
            return sessions
        if name == "failed":
            columns = ["source", "_nwb_path", "url", "error", "error_message"]
            return sessions.filter(pc.is_valid(sessions.column("error"))).select(columns)
        numbers = self.session_numbers(name)
        names = sessions.column("_nwb_path").take(pa.array(numbers[numbers >= 0]))
        return self.table(name).add_column(1, "_nwb_path", names)


def catalog_summary(catalog: Catalog) -> dict[str, Any]:
    """Return what `nwb-dask catalog info` says of a catalog."""
    tables, series = catalog.frame("tables", "arrow"), catalog.frame("series", "arrow")
    return {
        "catalog": catalog.name,
        "sessions": catalog.n_sessions,
        "failed": len(catalog.frame("failed", "arrow")),
        "tables": len(tables),
        "rows": int(pc.sum(tables.column("n_rows")).as_py() or 0),
        "series": len(series),
        "stored_bytes": int(pc.sum(catalog.frame("sessions", "arrow").column("size_bytes")).as_py() or 0),
    }
