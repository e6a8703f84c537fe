"""`LazyNWB`: metadata and tables of one file as attributes; and metadata of many files as a frame."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from functools import cached_property
from html import escape
from typing import Any, Protocol

import pandas as pd
import polars as pl

from nwb_dask.adapters.metadata import read_metadata
from nwb_dask.compat.lazynwb.file_io import FileAccessor, from_pathlike, get_internal_path_info, get_internal_paths
from nwb_dask.compat.lazynwb.objects import Place
from nwb_dask.compat.lazynwb.settings import configured, resolve_as_polars
from nwb_dask.compat.lazynwb.sources import PathLike, Sources, as_source, as_sources
from nwb_dask.compat.lazynwb.tables import as_pandas, get_df, merge_array_column
from nwb_dask.compat.lazynwb.timeseries import TimeSeries, find_series, get_timeseries
from nwb_dask.compat.lazynwb.utils import absolute_path
from nwb_dask.errors import PathNotFoundError
from nwb_dask.model import NWB_PATH
from nwb_dask.model.metadata import session_values
from nwb_dask.read import read_trusting, warn_user
from nwb_dask.read.records import read_record
from nwb_dask.read.visit import visit_files

Names = str | Iterable[str] | None

_SESSION = (
    *("identifier", "session_start_time", "session_id", "session_description", "experiment_description"),
    *("experimenter", "lab", "institution", "related_publications", "keywords", "notes", "data_collection"),
    *("surgery", "pharmacology", "virus", "source_script", "source_script_file_name"),
)
_SUBJECT = (
    *("age", "age__reference", "description", "genotype", "sex", "species", "subject_id", "weight", "strain"),
    "date_of_birth",
)


class NWBComponent(Protocol):
    """What `to_dict` takes: an object whose properties are metadata."""

    @property
    def _accessor(self) -> FileAccessor: ...


def to_dict(obj: NWBComponent) -> dict[str, Any]:
    """Return the properties of an object that are text, lists of text or dates, by name."""
    found = {}
    for name, member in type(obj).__dict__.items():
        if isinstance(member, property) and member.fget is not None:
            returned = str(inspect.signature(member.fget).return_annotation)
            if any(kind in returned for kind in ("str", "datetime.datetime")):
                found[name] = getattr(obj, name)
    return found


def _field(name: str, *, of_subject: bool = False) -> property:
    """Return a property that is a field of the metadata; None where the file has none."""

    def read(self: _OfFile) -> str | list[str] | None:
        value = self._values[of_subject].get(name)
        if name == "keywords":
            return value if isinstance(value, list) else [value] if isinstance(value, str) else []
        if isinstance(value, list) and len(value) < 2:  # noqa: PLR2004  # one or none
            return value[0] if value else None
        return value  # type: ignore[return-value]  # dates and numbers too, as lazynwb has them

    return property(read, doc=f"``{name}`` of the {'subject' if of_subject else 'session'}, as the file has it.")


class _OfFile:
    """A path, and the metadata of the file there, read when it is first asked for."""

    def __init__(self, path: PathLike) -> None:
        self._file_path = from_pathlike(path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._file_path!r})"

    @property
    def _accessor(self) -> FileAccessor:
        return FileAccessor(self._file_path)

    @cached_property
    def _values(self) -> tuple[Mapping[str, object], Mapping[str, object]]:
        """The metadata of the session, and of the subject."""
        place = Place.of(self._file_path)
        with configured():
            found, _ = read_trusting(
                lambda: visit_files([place.named], place.access, lambda _, file: read_record(file), skip_corrupt=False)
            )
        return session_values(found[0][1])

    def _to_dict(self) -> dict[str, Any]:
        return to_dict(self)


class Subject(_OfFile):
    """Metadata of the subject of one file; what the file lacks is None.

    Parameters
    ----------
    path : path or URL
        One file.
    """

    age = _field("age", of_subject=True)
    age__reference = _field("age__reference", of_subject=True)
    description = _field("description", of_subject=True)
    genotype = _field("genotype", of_subject=True)
    sex = _field("sex", of_subject=True)
    species = _field("species", of_subject=True)
    subject_id = _field("subject_id", of_subject=True)
    weight = _field("weight", of_subject=True)
    strain = _field("strain", of_subject=True)
    date_of_birth = _field("date_of_birth", of_subject=True)


class LazyNWB(_OfFile):
    """One file: its metadata and tables as attributes; what the file lacks of the metadata is None.

    Parameters
    ----------
    path : path or URL
        One file.
    """

    identifier = _field("identifier")
    session_start_time = _field("session_start_time")
    session_id = _field("session_id")
    session_description = _field("session_description")
    experiment_description = _field("experiment_description")
    experimenter = _field("experimenter")
    lab = _field("lab")
    institution = _field("institution")
    related_publications = _field("related_publications")
    keywords = _field("keywords")
    notes = _field("notes")
    data_collection = _field("data_collection")
    surgery = _field("surgery")
    pharmacology = _field("pharmacology")
    virus = _field("virus")
    source_script = _field("source_script")
    source_script_file_name = _field("source_script_file_name")

    @property
    def subject(self) -> Subject:
        """The subject."""
        return Subject(self._file_path)

    @property
    def trials(self) -> pd.DataFrame | pl.DataFrame:
        """``/intervals/trials`` without lists and arrays."""
        return get_df(self._file_path, "/intervals/trials", exact_path=True)

    @property
    def epochs(self) -> pd.DataFrame | pl.DataFrame:
        """``/intervals/epochs`` without lists and arrays."""
        return get_df(self._file_path, "/intervals/epochs", exact_path=True)

    @property
    def electrodes(self) -> pd.DataFrame | pl.DataFrame:
        """``/general/extracellular_ephys/electrodes`` without lists and arrays."""
        return get_df(self._file_path, "/general/extracellular_ephys/electrodes", exact_path=True)

    @property
    def units(self) -> pd.DataFrame | pl.DataFrame:
        """``/units`` without lists and arrays, but with ``obs_intervals``, if there are any."""
        units = get_df(self._file_path, "/units", exact_path=True)
        info = Place.of(self._file_path).index("/units", names=())[0].groups["/units"]
        if "obs_intervals" not in info.members:
            return units
        if isinstance(units, pl.DataFrame):
            return merge_array_column(units, "obs_intervals")
        return merge_array_column(units, "obs_intervals")

    def get_timeseries(self, search_term: str | None = None) -> TimeSeries:
        """Return a series; see `get_timeseries`."""
        return get_timeseries(self._file_path, search_term=search_term, match_all=False)

    def get(
        self,
        search_term: str,
        *,
        as_df: bool = False,
        exact_path: bool = False,
        include_column_names: Names = None,
        exclude_column_names: Names = None,
        exclude_array_columns: bool = True,
        use_process_pool: bool = False,
        disable_progress: bool = True,
        raise_on_missing: bool = True,
        ignore_errors: bool = False,
        as_polars: bool | None = None,
    ) -> pd.DataFrame | pl.DataFrame | TimeSeries:
        """Return a table or a series; see `get`."""
        return get(
            self._file_path,
            search_term,
            as_df=as_df,
            exact_path=exact_path,
            include_column_names=include_column_names,
            exclude_column_names=exclude_column_names,
            exclude_array_columns=exclude_array_columns,
            use_process_pool=use_process_pool,
            disable_progress=disable_progress,
            raise_on_missing=raise_on_missing,
            ignore_errors=ignore_errors,
            as_polars=as_polars,
        )

    def get_df(
        self,
        search_term: str,
        exact_path: bool = False,
        include_column_names: Names = None,
        exclude_column_names: Names = None,
        exclude_array_columns: bool = True,
        use_process_pool: bool = False,
        disable_progress: bool = True,
        raise_on_missing: bool = True,
        ignore_errors: bool = False,
        as_polars: bool | None = None,
    ) -> pd.DataFrame | pl.DataFrame:
        """Return a table; see `get_df`."""
        return get_df(
            self._file_path,
            search_term,
            exact_path=exact_path,
            include_column_names=include_column_names,
            exclude_column_names=exclude_column_names,
            exclude_array_columns=exclude_array_columns,
            use_process_pool=use_process_pool,
            disable_progress=disable_progress,
            raise_on_missing=raise_on_missing,
            ignore_errors=ignore_errors,
            as_polars=as_polars,
        )

    def describe(self) -> dict[str, Any]:
        """Return the metadata of session and subject, and the paths of what is in the file."""
        return {**self._to_dict(), **self.subject._to_dict(), "paths": get_internal_paths(self._file_path)}  # noqa: SLF001  # a sibling

    def _repr_html_(self) -> str:
        items = "".join(f"<li><b>{escape(k)}</b> {escape(str(v))}</li>" for k, v in self.describe().items())
        return f"<div><b>{escape(repr(self))}</b><ul>{items}</ul></div>"


def get(
    nwb_data_sources: Sources,
    search_term: str,
    *,
    as_df: bool = False,
    exact_path: bool = False,
    include_column_names: Names = None,
    exclude_column_names: Names = None,
    exclude_array_columns: bool = True,
    use_process_pool: bool = False,
    disable_progress: bool = False,
    raise_on_missing: bool = False,
    ignore_errors: bool = False,
    as_polars: bool | None = None,
) -> pd.DataFrame | pl.DataFrame | TimeSeries:
    """Return the TimeSeries at a path, or the table there as a frame.

    Parameters are those of `get_df`; with `as_df` a series comes as a frame too. Without `exact_path` a part of the
    path of a series is enough.

    Raises
    ------
    ValueError
        If the path is of a series and there are several files, unless `as_df`.
    PathNotFoundError
        If there is nothing; a `KeyError`.
    """
    sources = as_sources(nwb_data_sources)
    path = None if as_df else _series_at(sources[0], search_term, exact_path=exact_path)
    if path is not None and len(sources) > 1:
        raise ValueError(
            "TimeSeries containers can only be returned for a single NWB source; set `as_df=True` to materialize "
            "matching TimeSeries from multiple sources as a DataFrame"
        )
    if path is not None:
        return TimeSeries(sources[0], path)
    return get_df(
        sources,
        search_term,
        exact_path=exact_path,
        include_column_names=include_column_names,
        exclude_column_names=exclude_column_names,
        exclude_array_columns=exclude_array_columns,
        use_process_pool=use_process_pool,
        disable_progress=disable_progress,
        raise_on_missing=raise_on_missing,
        ignore_errors=ignore_errors,
        as_polars=as_polars,
    )


def get_metadata_df(
    nwb_path_or_paths: Sources,
    disable_progress: bool = False,
    as_polars: bool | None = None,
) -> pd.DataFrame | pl.DataFrame:
    """Return the metadata of session and subject of each file, in source order; see `nwb_dask.read_metadata`.

    Returns
    -------
    pandas.DataFrame or polars.DataFrame
        Dates are moments in UTC. ``keywords`` are lists; ``experimenter`` and ``related_publications`` are text where
        no file has several, and else lists in all rows. ``_nwb_path`` comes last.
    """
    with configured() as storage_options:
        frame = read_metadata(as_sources(nwb_path_or_paths), "polars", storage_options=storage_options)
    of_subject = {name: name if name == "subject_id" else f"subject_{name}" for name in _SUBJECT}
    chosen = frame.select(
        *_SESSION, *(pl.col(column).alias(name) for name, column in of_subject.items()), pl.col(NWB_PATH)
    )
    chosen = chosen.with_columns(pl.col("keywords").fill_null(pl.lit([], dtype=chosen.schema["keywords"])))
    single = [
        name
        for name in ("experimenter", "related_publications")
        if isinstance(chosen.schema[name], pl.List) and (chosen[name].list.len().max() or 0) in {0, 1}
    ]
    chosen = chosen.with_columns(pl.col(single).list.first())
    return chosen if resolve_as_polars(as_polars) else as_pandas(chosen)


def _series_at(source: str, search_term: str, *, exact_path: bool) -> str | None:
    """Return the path of the series that a search term means; None if it means something else, or nothing."""
    path = absolute_path(search_term)
    info = get_internal_path_info(source, include_table_columns=True)
    if path in info and info[path]["is_timeseries"]:
        return path
    try:
        Place.of(source).object(path)
    except PathNotFoundError:
        found = [] if exact_path else find_series(source, search_term)
        if len(found) > 1:
            name = as_source(source)
            warn_user(f"{len(found)} series of {name} match {search_term!r}; the first is taken: {', '.join(found)}")
        return found[0] if found else None
    return None
