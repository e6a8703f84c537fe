"""Calls lazynwb's functions, of lazynwb itself or of `nwb_dask.compat.lazynwb`, and says what comes in plain form.

The same code runs in both environments: a contestant is a program that calls `serve` with the module to ask.
"""

from __future__ import annotations

import contextlib
import datetime
import enum
import faulthandler
import hashlib
import json
import logging
import math
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import polars as pl

Value: TypeAlias = Any
"""Whatever a function takes or gives."""

SECONDS = 20
"""For one call; then it counts as an error."""
SHOWN = 4
SPIKE_SECONDS = 0.5
"""Length of the intervals in which spikes are asked for."""
SPIKE_UNITS = 6
"""So many units are asked for spikes."""
EXCEPTIONS = ("ColumnError", "InternalPathError", "UnsupportedHDF5LayoutError")
ROWS = 4_000
"""Of each table and series so many are compared; all are read, but of lazy ones."""


class _TooLongError(Exception):
    """A call takes too long."""


def serve(module: ModuleType, versions: Mapping[str, str]) -> None:
    """Answer ``{"function", "files", "path", ...}`` per line with ``{"answer"}`` or ``{"error", "message"}``."""
    answers, sys.stdout = sys.stdout, sys.stderr
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    print(json.dumps({"versions": dict(versions)}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(_answered(module, json.loads(line))), file=answers, flush=True)


def _answered(module: ModuleType, request: dict[str, Any]) -> dict[str, Any]:
    call = CALLS[request["function"]]
    # What hangs in C ends the program, which the driver then starts again.
    faulthandler.dump_traceback_later(2 * SECONDS, exit=True, file=Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  # must stay open
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(SECONDS)
    try:
        files = request["files"]
        return {"answer": call(module, files if len(files) > 1 else files[0], request.get("path"))}
    except BaseException as error:  # noqa: BLE001  # panics of polars are no Exception
        return {"error": type(error).__name__, "message": " ".join(str(error).split())[:300]}
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()


def _too_long(*_: object) -> None:
    raise _TooLongError(f"no answer after {SECONDS} s")


def plain(value: Value) -> Value:  # one kind after the other
    """Return a value as JSON has it; numbers keep their kind, and NaN is text."""
    if isinstance(value, (np.generic, np.ndarray)):
        return plain(value.tolist())
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape") if value.isascii() or _is_text(value) else value.hex()
    if isinstance(value, (pl.Series, pd.Series)):
        return plain(value.to_list())
    if isinstance(value, datetime.datetime):
        moment = value if value.tzinfo is None else value.astimezone(datetime.UTC)
        return moment.isoformat()
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or value is pd.NA or isinstance(value, (str, int, bool)):
        return None if value is pd.NA else value
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(one) for one in (sorted(value, key=str) if isinstance(value, (set, frozenset)) else value)]
    return plain(value.as_posix()) if hasattr(value, "as_posix") else str(value)


def _is_text(value: bytes) -> bool:
    with contextlib.suppress(UnicodeDecodeError):
        return bool(value.decode() or True)
    return False


def digest(values: Value) -> str:
    """Return a name of plain values: equal values have equal names."""
    return hashlib.sha256(json.dumps(values, ensure_ascii=True).encode()).hexdigest()[:16]


def frame(found: Value) -> dict[str, Any]:
    """Return what a frame holds: per column its type, a digest of its values, and the first of them."""
    if isinstance(found, pl.LazyFrame):
        found = found.head(ROWS).collect()
    if isinstance(found, (pl.DataFrame, pd.DataFrame)):
        n_rows, found = len(found), found.head(ROWS)
        columns = {}
        for name in found.columns:
            values = without_nan(plain(found[name].to_list()))
            columns[name] = {"type": _type(found, name), "digest": digest(values), "first": _short(values)}
        return {"kind": type(found).__name__, "rows": n_rows, "columns": columns}
    return {"kind": type(found).__name__, "value": _short(plain(found))}


def without_nan(value: Value) -> Value:
    """Return plain values with null in place of NaN: pandas has the one for what polars has as the other."""
    if isinstance(value, list):
        return [without_nan(one) for one in value]
    return None if value in ("nan", "NaT") else value


def _short(values: Value) -> Value:
    shown = json.dumps(values[:SHOWN] if isinstance(values, list) else values)
    return shown if len(shown) < 200 else shown[:200] + " ..."


def _type(found: Value, name: str) -> str:
    return str(found.schema[name]) if isinstance(found, pl.DataFrame) else str(found[name].dtype)


def _dataset(one: Value) -> dict[str, Any]:
    values = one[: ROWS // max(int(np.prod(one.shape[1:])), 1)] if one.shape else one[()]
    return {"shape": list(one.shape), "type": str(np.dtype(one.dtype).str), "values": digest(plain(values))}


def _series(series: Value) -> dict[str, Any]:
    found: dict[str, Any] = {}
    names = ("conversion", "offset", "resolution", "unit", "description", "rate", "timestamps_unit", "starting_time")
    for name in names:
        found[name] = _or_error(lambda name=name: _value(getattr(series, name)))  # type: ignore[misc]  # bound now
    for name in ("data", "timestamps", "electrodes"):
        found[name] = _or_error(lambda name=name: _dataset(getattr(series, name)))  # type: ignore[misc]  # bound now
    return found


def _value(one: Value) -> Value:
    return plain(one[()] if hasattr(one, "shape") and hasattr(one, "__getitem__") else one)


def _or_error(ask: Callable[[], Value]) -> Value:
    try:
        return ask()
    except _TooLongError:
        raise
    except Exception as error:  # noqa: BLE001  # it is part of the answer
        return f"error: {_kind_of(error)}"


def _kind_of(error: Exception) -> str:
    return next((kind.__name__ for kind in (AttributeError, KeyError) if isinstance(error, kind)), type(error).__name__)


def _all_series(lazynwb: Value, files: Value, _: Value) -> dict[str, Any]:
    found = lazynwb.get_timeseries(files, match_all=True)
    return {path: _series(one) for path, one in sorted(found.items())}


def _columns(lazynwb: Value, files: Value, path: Value) -> dict[str, Any]:
    found = lazynwb.get_table_column_metadata(files, path)
    fields = (
        *("table_path", "shape", "ndim", "maxshape", "chunks", "storage_layout", "compression", "compression_opts"),
        *("filters", "is_group", "is_dataset", "is_metadata_table", "is_timeseries", "is_timeseries_with_rate"),
        *("is_timeseries_length_aligned", "is_nominally_indexed", "is_index_column", "is_multidimensional"),
        *("index_column_name", "data_column_name", "row_element_shape", "read_capabilities", "backend"),
    )
    return {one.name: {name: plain(getattr(one, name)) for name in fields} for one in found}


def _accessor(lazynwb: Value, files: Value, _: Value) -> dict[str, Any]:
    file = lazynwb.FileAccessor(files)
    return {
        "names": sorted(file),
        "backend": plain(file.get_hdmf_backend()),
        "absent": file.get("nowhere") is None,
        "has": "general" in file,
        "attrs": sorted(file.attrs),
        "general": sorted(file["/general"].keys()),
        "is_group": [lazynwb.is_group(file["general"]), lazynwb.is_group(file["session_description"])],
        "scalar": plain(file["identifier"][()]),
    }


def _convert(lazynwb: Value, files: Value, path: Value) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        written = lazynwb.convert_nwb_tables(files, folder, disable_progress=True, **(path or {}))
        tables = {table: _written(file) for table, file in written.items()}
        names = {table: file.relative_to(folder).as_posix() for table, file in written.items()}
    return {"files": names, "n_files": len(set(names.values())), "tables": dict(sorted(tables.items()))}


def _written(file: Path) -> Value:
    return frame(pl.read_parquet(file)) if file.suffix == ".parquet" else file.suffix


def _sql(lazynwb: Value, files: Value, path: Value) -> dict[str, Any]:
    context = lazynwb.get_sql_context(files, disable_progress=True, **(path or {}))
    return {
        name: _or_error(lambda name=name: frame(context.execute(f'SELECT * FROM "{name}"')))  # type: ignore[misc]  # bound now
        for name in sorted(context.tables())
    }


def _described(lazynwb: Value, files: Value, _: Value) -> Value:
    found = lazynwb.LazyNWB(files).describe()
    return {name: plain(value) for name, value in found.items() if name != "paths"}


def _spikes(lazynwb: Value, files: Value, path: Value) -> Value:
    units = lazynwb.get_df(files, "units", as_polars=True, disable_progress=True)
    bounds = {"first": (pl.col("start_time"), pl.col("start_time") + SPIKE_SECONDS)}
    options = {"disable_progress": True, "as_polars": True, "use_process_pool": False, **path["options"]}
    found = lazynwb.get_spike_times_in_intervals(units.head(SPIKE_UNITS), bounds, path["table"], **options)
    keys = ["_nwb_path", "_units_table_index", "_intervals_table_index"]
    return frame(found.sort(keys))


def _observed(lazynwb: Value, files: Value, path: Value) -> Value:
    trials = lazynwb.get_df(files, path["table"], exact_path=True, as_polars=True, disable_progress=True)
    units = lazynwb.get_df(files, "units", as_polars=True, disable_progress=True).head(4)
    units = lazynwb.merge_array_column(units, "obs_intervals")
    pairs = trials.select("start_time", "stop_time", "_nwb_path").join(
        units.select(_units_table_index="_table_index"), how="cross"
    )
    found = lazynwb.insert_is_observed(pairs, units)
    return frame(found.sort("_units_table_index", "start_time"))


def archive() -> dict[str, Any]:
    """Return where the archive's API is, and the ids of its assets."""
    found: dict[str, Any] = json.loads(os.environ["SIDE_DANDI"])
    return found


def _dandi(lazynwb: Value, _: Value, path: Value) -> Value:
    """Ask for sources, and read what they are: URLs are not compared, for each has its own kind."""
    options, assets = dict(path["options"]), archive()["assets"]
    if "asset_ids" in options:
        options["asset_ids"] = [assets[number] for number in options["asset_ids"]]
    if "smallest" in options:
        limit = options.pop("smallest")
        options["asset_filter"] = lambda asset: asset["size"] >= limit
    found = lazynwb.get_dandi_sources(path["dandiset"], **options)
    read = [plain(lazynwb.FileAccessor(one)["identifier"][()]) for one in found]
    metadata = lazynwb.get_metadata_df(found[:2], disable_progress=True, as_polars=True)
    return {"n": len(found), "identifiers": read, "metadata": plain(metadata["identifier"].to_list())}


def _dandi_asset(lazynwb: Value, _: Value, path: Value) -> Value:
    file = lazynwb.from_dandi_asset(path["dandiset"], archive()["assets"][path["asset"]], **path["options"])
    return {"names": sorted(file), "scalar": plain(file["identifier"][()]), "general": sorted(file["/general"].keys())}


def _merged(lazynwb: Value, files: Value, path: Value) -> Value:
    table, column = path
    rows = lazynwb.get_df(files, table, as_polars=True, disable_progress=True)
    return frame(lazynwb.merge_array_column(rows, column))


def _small(lazynwb: Value, files: Value, _: Value) -> Value:
    pools = {}
    for name in ("get_threadpool_executor", "get_processpool_executor"):
        pools[name] = _or_error(lambda name=name: type(getattr(lazynwb, name)()).__name__)  # type: ignore[misc]  # bound now
    lazynwb.clear_cache()
    lazynwb.clear_attrs_cache()
    lazynwb.load_dotenv()
    paths = ("/units", "trials", "/", "session", "/intervals/epochs")
    settings = ("use_polars", "use_remfile", "use_obstore", "anon", "fsspec_storage_options", "disable_cache")
    return {
        **pools,
        "normalize_internal_file_path": [lazynwb.normalize_internal_file_path(one) for one in paths],
        "from_pathlike": plain(lazynwb.from_pathlike(files)),
        "to_dict": plain(lazynwb.to_dict(lazynwb.LazyNWB(files))),
        "config": {name: plain(getattr(lazynwb.config, name)) for name in settings},
        "constants": {name: plain(getattr(lazynwb, name)) for name in dir(lazynwb) if name.isupper()},
        "exceptions": [name for name in EXCEPTIONS if issubclass(getattr(lazynwb.exceptions, name), Exception)],
    }


def _paths(lazynwb: Value, files: Value, path: Value) -> Value:
    return sorted(lazynwb.get_internal_paths(files, **(path or {})))


def _info(lazynwb: Value, files: Value, _: Value) -> Value:
    options = ("include_child_datasets", "include_table_columns", "include_metadata", "parents")
    found = lazynwb.get_internal_path_info(files, **dict.fromkeys(options, True))
    facts = ("is_group", "is_dataset", "shape", "is_timeseries")
    return {
        path: {**{name: plain(one[name]) for name in facts}, "attrs": sorted(one["attrs"])}
        for path, one in found.items()
    }


def _got(lazynwb: Value, files: Value, path: Value) -> Value:
    found = lazynwb.get(files, path, exact_path=True, disable_progress=True, as_polars=True)
    return _series(found) if type(found).__name__ == "TimeSeries" else frame(found)


def _schema(schema: Value) -> dict[str, str]:
    return {name: str(dtype) for name, dtype in schema.items()}


CALLS: dict[str, Callable[[Value, Value, Value], Value]] = {
    "scan_nwb": lambda z, f, p: frame(z.scan_nwb(f, p, disable_progress=True)),
    "scan_nwb select": lambda z, f, p: frame(z.scan_nwb(f, p[0], disable_progress=True).select(p[1]).collect()),
    "read_nwb": lambda z, f, p: frame(z.read_nwb(f, p, disable_progress=True)),
    "get_df": lambda z, f, p: frame(z.get_df(f, p, exact_path=True, disable_progress=True)),
    "get_df arrays": lambda z, f, p: frame(
        z.get_df(f, p, exact_path=True, disable_progress=True, exclude_array_columns=False, as_polars=True)
    ),
    "get": _got,
    "get_table_schema": lambda z, f, p: _schema(z.get_table_schema(f, p)),
    "get_table_column_metadata": _columns,
    "get_table_schema_from_metadata": lambda z, f, p: _schema(
        z.get_table_schema_from_metadata(z.get_table_column_metadata(f, p))
    ),
    "get_table_length_from_metadata": lambda z, f, p: z.get_table_length_from_metadata(
        z.get_table_column_metadata(f, p)
    ),
    "get_internal_paths": _paths,
    "get_internal_path_info": _info,
    "get_metadata_df": lambda z, f, _: frame(z.get_metadata_df(f, disable_progress=True, as_polars=True)),
    "LazyNWB": _described,
    "get_timeseries": _all_series,
    "get_attrs": lambda z, f, p: plain(z.get_attrs(f, p)),
    "get_sub_attrs": lambda z, f, _: plain(z.get_sub_attrs(f)),
    "consolidate_attrs": lambda z, f, p: plain(z.consolidate_attrs(f, p)),
    "FileAccessor": _accessor,
    "convert_nwb_tables": _convert,
    "get_sql_context": _sql,
    "merge_array_column": _merged,
    "insert_is_observed": _observed,
    "get_spike_times_in_intervals": _spikes,
    "small": _small,
    "get_dandi_sources": _dandi,
    "from_dandi_asset": _dandi_asset,
}
"""Function -> how it is called: of a module, with one file or several, and a path or options."""
