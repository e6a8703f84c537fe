"""The answer that each function should give, put together from what h5py has, as far as it is known."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import polars as pl

from benchmarks import side_objects as objects
from benchmarks.peers.side_contest import SPIKE_SECONDS, SPIKE_UNITS
from benchmarks.side_oracle import (
    PLACES,
    ColumnOf,
    Named,
    Part,
    column_of,
    expected_frame,
    frame_of,
    schema_of,
    table_of,
    tables_of,
)
from benchmarks.side_questions import Question

Value: TypeAlias = Any


def expected(question: Question) -> Value:
    """Return the answer, or the parts of it that are known; None where nothing is."""
    ask = _EXPECTED.get(question.function)
    return None if ask is None else ask(question)


def _frame(question: Question, *, arrays: bool = True, is_lazy: bool = False) -> Value:
    return expected_frame(question.files, question.path, arrays=arrays, is_lazy=is_lazy)


def _got(question: Question) -> Value:
    file, table = question.files[0], tables_of(question.files[0]).get(question.path)
    if table is not None and table.kind == "series":
        return objects.series_of(file, question.path)
    return _frame(question, arrays=False)


def _length(question: Question) -> Value:
    table = table_of(question.files[0], question.path)
    return None if table is None else table.n_rows


def _metadata(question: Question) -> Value:
    columns: dict[str, Value] = {"_nwb_path": column_of(pl.Series(list(question.files)))}
    for of_subject, names in ((False, objects.SESSION), (True, objects.SUBJECT)):
        rows = [objects.metadata_of(file, of_subject=of_subject) for file in question.files]
        followed = [objects.metadata_of(file, of_subject=of_subject, is_followed=True) for file in question.files]
        for name in names:
            own, other = (_metadata_column(name, [one[name] for one in several]) for several in (rows, followed))
            columns[name] = ColumnOf((*own.digests, *other.digests), own.type)
    return Part(rows=len(question.files), columns=columns, kind="DataFrame")


def _metadata_column(name: str, values: Sequence[Value]) -> Value:
    if name == "keywords":
        values = [one if isinstance(one, list) else [] if one is None else [one] for one in values]
        return column_of(pl.Series(values, dtype=pl.List(pl.String)))
    single = [one[0] if isinstance(one, list) and len(one) == 1 else None if one == [] else one for one in values]
    if any(isinstance(one, list) for one in single):
        single = [None if one is None or one == [] else one if isinstance(one, list) else [one] for one in single]
        return column_of(pl.Series(single, dtype=pl.List(pl.String)))
    if name in {"session_start_time", "date_of_birth"}:
        moments = [_moment(one) for one in single]
        kind = pl.Datetime("us", "UTC")
        return ColumnOf(column_of(pl.Series(moments, dtype=pl.String)).digests, str(kind))
    kinds = {type(one) for one in single if one is not None} or {str}
    return column_of(pl.Series(single, dtype={str: pl.String, float: pl.Float64, int: pl.Int64}[kinds.pop()]))


def _moment(text: Value) -> Value:
    # A time without an offset is one in UTC, as the first version of the NWB schema has it.
    found = None if text is None else objects.moment(text)
    if found is None or (found == text and "T" not in str(text)):
        return None
    return found if "+" in found else f"{found}+00:00"


def _described(question: Question) -> Value:
    return objects.described(question.files[0])


def _series(question: Question) -> Value:
    file = question.files[0]
    return {path: objects.series_of(file, path) for path, one in tables_of(file).items() if one.kind == "series"}


def _attrs(question: Question) -> Value:
    with h5py.File(question.files[0]) as file:
        return objects.attributes(file, file[question.path])


def _sub_attrs(question: Question) -> Value:
    return objects.attributes_below(question.files[0])


def _consolidated(question: Question) -> Value:
    values: dict[str, dict[str, Value]] = {}
    for file in question.files:
        with h5py.File(file) as opened:
            for name, value in objects.attributes(opened, opened[question.path]).items():
                values.setdefault(name, {})[file] = value
    found: dict[str, Value] = {}
    for name, by_file in values.items():
        texts = {file: json.dumps(value) for file, value in by_file.items()}
        common = Counter(texts.values()).most_common(1)[0][0]
        found[name] = {"common": json.loads(common), **{f: by_file[f] for f, text in texts.items() if text != common}}
    return {question.path.strip("/"): found}


def _accessor(question: Question) -> Value:
    with h5py.File(question.files[0]) as file:
        return {
            "names": sorted(file),
            "backend": "hdf5",
            "absent": True,
            "has": "general" in file,
            "attrs": sorted(file.attrs),
            "general": sorted(file["general"]),
            "is_group": [True, False],
            "scalar": objects.json_of(file, file["identifier"][()]),
        }


def _small(question: Question) -> Value:
    shortcuts = {
        "trials": "intervals/trials",
        "epochs": "intervals/epochs",
        "electrodes": "general/extracellular_ephys/electrodes",
        "optophysiology": "general/optophysiology",
        "session": "general",
    }
    constants = {
        "DANDI_API_BASE": "https://api.dandiarchive.org/api",
        "INTERNAL_COLUMN_NAMES": sorted(PLACES),
        "INTERVALS_TABLE_INDEX_COLUMN_NAME": "_intervals_table_index",
        "NWB_PATH_COLUMN_NAME": "_nwb_path",
        "TABLE_INDEX_COLUMN_NAME": "_table_index",
        "TABLE_PATH_COLUMN_NAME": "_table_path",
        "UNITS_TABLE_INDEX_COLUMN_NAME": "_units_table_index",
        "TABLE_SHORTCUTS": shortcuts,
    }
    settings = {
        "use_polars": False,
        "use_remfile": True,
        "use_obstore": False,
        "anon": None,
        "fsspec_storage_options": {"anon": False},
        "disable_cache": False,
    }
    return Part(
        config=settings,
        exceptions=["ColumnError", "InternalPathError", "UnsupportedHDF5LayoutError"],
        get_threadpool_executor="ThreadPoolExecutor",
        get_processpool_executor="ProcessPoolExecutor",
        normalize_internal_file_path=["units", "intervals/trials", "/", "general", "intervals/epochs"],
        from_pathlike=question.files[0],
        to_dict=Part({n: v for n, v in objects.described(question.files[0]).items() if n in objects.SESSION}),
        constants=constants,
    )


def _schema(question: Question) -> Value:
    schema = schema_of(question.files, question.path)
    if schema is None:
        return None
    is_of_columns = question.function == "get_table_schema_from_metadata"
    return {name: one for name, one in schema.items() if not (is_of_columns and name in PLACES)}


def _bare_names(paths: Sequence[str]) -> dict[str, str]:
    """Return the short name of each path, or the path where another has that name too."""
    bare = {path: path.strip("/") for path in paths}
    counts = Counter(name.rpartition("/")[2] for name in bare.values())
    return {
        path: "session"
        if path == "/general"
        else name
        if counts[name.rpartition("/")[2]] > 1
        else name.rpartition("/")[2]
        for path, name in bare.items()
    }


def paths_of(files: Sequence[str]) -> list[str]:
    """Return the paths of all tables and series of files, without the root."""
    return sorted({path for file in files for path, one in tables_of(file).items() if path != "/" and not one.left_out})


def _sql(question: Question) -> Value:
    names = _bare_names(paths_of(question.files))
    if question.path and question.path.get("full_path"):
        names = {path: "session" if path == "/general" else path.strip("/") for path in names}
    return {name: _or_nothing(question.files, path, is_lazy=True) for path, name in names.items()}


def _or_nothing(files: Sequence[str], path: str, *, is_lazy: bool) -> Value:
    found = expected_frame(files, path, is_lazy=is_lazy)
    return Part() if found is None else found


def _converted(question: Question) -> Value:
    series = {path for file in question.files for path, one in tables_of(file).items() if one.kind == "series"}
    is_split = bool((question.path or {}).get("session_subdirs"))
    prefix = session_folder(question.files[0]) if is_split else ""
    found: dict[str, Value] = {}
    for path in paths_of(question.files):
        n_rows = sum(one.n_rows for file in question.files if (one := tables_of(file).get(path)) is not None)
        if path not in series and n_rows:
            found[f"{prefix}{path}"] = _or_nothing(question.files, path, is_lazy=False)
    return Part(tables=found, n_files=len(found), files=dict.fromkeys(found, Named()))


def session_folder(file: str) -> str:
    """Return how lazynwb names the folder of a session."""
    found = objects.described(file)
    names = (found["session_id"], found["identifier"], Path(file).stem)
    name = next(one for one in names if isinstance(one, str) and one.strip())
    return re.sub(r'[\\/:*?"<>|]', "_", name).strip().lstrip(".")


def _merged(question: Question) -> Value:
    table, column = question.path
    return expected_frame(question.files, table, arrays=False, only=[column])


def _intervals(question: Question) -> pl.DataFrame:
    frame = frame_of(question.files[0], question.path["table"])
    assert frame is not None
    return frame


def _spikes(question: Question) -> Value:
    units, trials = frame_of(question.files[0], "/units"), _intervals(question)
    options = question.path["options"]
    assert units is not None
    starts = trials["start_time"].to_numpy()
    rows = np.arange(len(starts))
    if "intervals_df_filter" in options:
        rows = rows[starts > question.path["after"]]
    spikes = units["spike_times"].head(SPIKE_UNITS).to_list()
    cells: list[Value] = []
    observed: list[bool] = []
    for unit, times in enumerate(spikes):
        listed = np.asarray([] if times is None else times, float)
        for row in rows:
            start = starts[row]
            kept = listed[(listed >= start) & (listed < start + SPIKE_SECONDS)]
            cells.append(
                len(kept) if options.get("as_counts") else (kept - start * bool(options.get("align_times"))).tolist()
            )
            if options.get("apply_obs_intervals", True):
                observed.append(_is_observed(units, unit, start, trials["stop_time"][int(row)]))
    if observed:
        cells = [cell if one else None for cell, one in zip(cells, observed, strict=True)]
    kind = pl.Int64 if options.get("as_counts") else pl.List(pl.Float64)
    columns = {
        "first": column_of(pl.Series(cells, dtype=kind)),
        "_units_table_index": column_of(pl.Series(np.repeat(np.arange(len(spikes)), len(rows)))),
        "_intervals_table_index": column_of(pl.Series(np.tile(rows, len(spikes)))),
        "_nwb_path_right": objects.ABSENT,
    }
    if observed and not options.get("keep_only_necessary_cols"):
        columns["is_observed"] = column_of(pl.Series(observed, dtype=pl.Boolean))
    if not options.get("keep_only_necessary_cols"):
        columns |= _joined(trials[rows], units.head(SPIKE_UNITS), columns)
    columns["_nwb_path"] = column_of(pl.Series([question.files[0]] * len(cells), dtype=pl.String))
    return Part(rows=len(cells), columns=Part(columns), kind="DataFrame")


def _joined(trials: pl.DataFrame, units: pl.DataFrame, taken: Mapping[str, Value]) -> dict[str, Value]:
    """Return the columns of intervals and units, in the rows of all their pairs."""
    pairs = units.select(pl.int_range(pl.len()).alias("unit")).join(
        trials.select(pl.int_range(pl.len()).alias("row")), how="cross", maintain_order="left_right"
    )
    found: dict[str, Value] = {}
    for frame, key in ((trials, "row"), (units, "unit")):
        for name, dtype in frame.drop(PLACES).schema.items():
            if not dtype.is_nested() or isinstance(dtype, pl.Struct):
                shown = f"{name}_right" if name in found or name in taken else name
                found[shown] = column_of(frame[name].gather(pairs[key]))
    return found


def _is_observed(units: pl.DataFrame, unit: int, start: float, stop: float) -> bool:
    spans = np.asarray(units["obs_intervals"][unit].to_list(), float).reshape(-1, 2)
    return not len(spans) or bool(((spans[:, 0] <= start) & (spans[:, 1] >= stop)).any())


def _observed(question: Question) -> Value:
    units, trials = frame_of(question.files[0], "/units"), _intervals(question)
    assert units is not None
    pairs = [
        (unit, start, _is_observed(units, unit, start, stop))
        for unit in range(min(4, units.height))
        for start, stop in zip(trials["start_time"], trials["stop_time"], strict=True)
    ]
    pairs.sort(key=lambda one: one[:2])
    return Part(rows=len(pairs), columns=Part(is_observed=column_of(pl.Series([one[2] for one in pairs]))))


def _sources(question: Question) -> Value:
    identifiers = [objects.metadata_of(file, of_subject=False)["identifier"] for file in question.files]
    single = [objects.described(file)["identifier"] for file in question.files]
    files = dict(enumerate(question.files))
    paths = {number: f"sub-{number % 3}/{Path(file).name}" for number, file in files.items()}
    options = question.path["options"]
    numbers = sorted(files, key=paths.__getitem__)
    if "asset_ids" in options:
        numbers = [number % len(files) for number in options["asset_ids"]]
    elif str(options.get("order", "")).endswith("path"):
        numbers = numbers[::-1]
    elif "order" in options:
        numbers = sorted(files, reverse=True)
    sizes = {number: Path(file).stat().st_size for number, file in files.items()}
    numbers = [one for one in numbers if sizes[one] >= options.get("smallest", 0)][: options.get("max_assets")]
    named = [identifiers[one] for one in numbers]
    return {"n": len(numbers), "identifiers": named, "metadata": [single[one] for one in numbers[:2]]}


def _asset(question: Question) -> Value:
    found = _accessor(question)
    return {name: found[name] for name in ("names", "scalar", "general")}


_EXPECTED: dict[str, Callable[[Question], Value]] = {
    "scan_nwb": lambda one: _frame(one, is_lazy=True),
    "read_nwb": _frame,
    "get_df": lambda one: _frame(one, arrays=False),
    "get_df arrays": _frame,
    "get": _got,
    "get_table_schema": _schema,
    "get_table_schema_from_metadata": _schema,
    "get_table_column_metadata": lambda one: objects.columns_of(one.files[0], one.path),
    "get_table_length_from_metadata": _length,
    "get_metadata_df": _metadata,
    "LazyNWB": _described,
    "get_timeseries": _series,
    "get_attrs": _attrs,
    "get_sub_attrs": _sub_attrs,
    "consolidate_attrs": _consolidated,
    "FileAccessor": _accessor,
    "small": _small,
    "get_sql_context": _sql,
    "convert_nwb_tables": _converted,
    "merge_array_column": _merged,
    "get_spike_times_in_intervals": _spikes,
    "insert_is_observed": _observed,
    "get_dandi_sources": _sources,
    "from_dandi_asset": _asset,
}
