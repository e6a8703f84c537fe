"""What is asked of lazynwb and of nwb_dask side by side: every public function, over real files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nwb_dask

REAL = Path(__file__).resolve().parents[2].joinpath("shared", "data", "real").resolve()
"""Real files; see its MANIFEST.tsv."""

OF_FILES = (
    *("get_internal_paths", "get_internal_path_info", "get_metadata_df", "LazyNWB", "get_timeseries"),
    *("get_sub_attrs", "FileAccessor", "small", "get_sql_context"),
)
OF_TABLES = (
    *("scan_nwb", "read_nwb", "get_df", "get_df arrays", "get", "get_table_schema", "get_table_column_metadata"),
    *("get_table_schema_from_metadata", "get_table_length_from_metadata", "get_attrs"),
)
OF_MANY = ("scan_nwb", "get_df", "get_table_schema", "consolidate_attrs")


@dataclass(frozen=True, slots=True)
class Question:
    """One call."""

    function: str
    files: tuple[str, ...]
    path: Any = None
    label: str = field(default="", compare=False)

    def request(self) -> dict[str, Any]:
        """Return it as a contestant is asked."""
        return {"function": self.function, "files": list(self.files), "path": self.path}


def questions(folder: Path = REAL, limit: int | None = None) -> Iterator[Question]:
    """Yield the questions, those of one file together."""
    files = sorted(folder.rglob("*.nwb"))[:limit]
    tables: dict[str, list[str]] = {}
    for file in files:
        try:
            paths = list(nwb_dask.list_paths(file))
        except nwb_dask.NWBDaskError:
            paths = ["/units"]
        yield from _of_file(str(file), [path for path in paths if path != "/"])
        for path in paths:
            tables.setdefault(path, []).append(str(file))
    for table, holders in tables.items():
        if len(holders) > 1 and table != "/":
            yield from (Question(function, tuple(holders), table) for function in OF_MANY)
    for group in _groups(files):
        yield Question("get_metadata_df", group)
        yield Question("convert_nwb_tables", group)
        yield Question("get_sql_context", group, {"full_path": True})
    # The only one of a file twice: rows of a source that is given twice.
    yield Question("get_metadata_df", (str(files[0]), str(files[-1]), str(files[0])))


def _of_file(file: str, paths: list[str]) -> Iterator[Question]:
    for function in OF_FILES:
        yield Question(function, (file,))
    for path in paths:
        for function in OF_TABLES:
            yield Question(function, (file,), path)
    yield Question("convert_nwb_tables", (file,))
    yield Question("convert_nwb_tables", (file,), {"full_path": True, "session_subdirs": True})
    if "/units" in paths:
        yield from _of_units(file, has_trials="/intervals/trials" in paths)


def _of_units(file: str, *, has_trials: bool) -> Iterator[Question]:
    columns = nwb_dask.schema(file, "/units").names
    for column in ("spike_times", "obs_intervals", "waveform_mean", "electrodes"):
        if column in columns:
            yield Question("merge_array_column", (file,), ["/units", column])
    if has_trials and "spike_times" in columns:
        for options in ({"apply_obs_intervals": False}, {"apply_obs_intervals": False, "as_counts": True}, {}):
            yield Question("get_spike_times_in_intervals", (file,), options)
    if has_trials and "obs_intervals" in columns:
        yield Question("insert_is_observed", (file,))


def _groups(files: list[Path]) -> Iterator[tuple[str, ...]]:
    for parent in sorted({file.parent for file in files}):
        group = tuple(str(file) for file in files if file.parent == parent)
        if 1 < len(group) <= 24:  # enough
            yield group
