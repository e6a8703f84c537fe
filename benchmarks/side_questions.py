"""What is asked of lazynwb and of nwb_dask side by side: every public function, over real files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

import nwb_dask

DATA = Path(__file__).resolve().parents[2].joinpath("shared", "data").resolve()
REAL = DATA / "real"
"""Real files; see its MANIFEST.tsv."""
SESSION = DATA / "interop" / "session.nwb"
"""A generated one: no real file has ``obs_intervals``."""

OF_FILES = (
    *("get_internal_paths", "get_internal_path_info", "get_metadata_df", "LazyNWB", "get_timeseries"),
    *("get_sub_attrs", "FileAccessor", "small", "get_sql_context"),
)
OF_TABLES = (
    *("scan_nwb", "read_nwb", "get_df", "get_df arrays", "get", "get_table_schema", "get_table_column_metadata"),
    *("get_table_schema_from_metadata", "get_table_length_from_metadata", "get_attrs"),
)
OF_MANY = ("scan_nwb", "get_df", "get_table_schema", "consolidate_attrs")
DANDISET = "000363"
PUBLISHED = "0.231012.2129"
_SPIKES: tuple[dict[str, object], ...] = (
    {"apply_obs_intervals": False},
    {"apply_obs_intervals": False, "as_counts": True},
    {"apply_obs_intervals": False, "align_times": True},
    {"apply_obs_intervals": False, "keep_only_necessary_cols": True},
    {"apply_obs_intervals": False, "intervals_df_filter": "start_time > {after}"},
    {},
    {"as_counts": True},
)
"""Ways in which spikes are asked for; the last two need ``obs_intervals``."""


@dataclass(frozen=True, slots=True)
class Question:
    """One call."""

    function: str
    files: tuple[str, ...]
    path: Any = None
    """Path of a table, or what else is asked for."""

    def request(self) -> dict[str, Any]:
        """Return it as a contestant is asked."""
        return {"function": self.function, "files": list(self.files), "path": self.path}


def questions(folder: Path = REAL, limit: int | None = None) -> Iterator[tuple[str, list[Question]]]:
    """Yield the questions about each file with its name, and then those about several."""
    files = sorted(folder.rglob("*.nwb"))[:limit]
    tables: dict[str, list[str]] = {}
    for file in files:
        try:
            paths = list(nwb_dask.list_paths(file))
        except nwb_dask.NWBDaskError:
            paths = ["/units"]
        yield str(file.relative_to(folder)), list(_of_file(str(file), [path for path in paths if path != "/"]))
        for path in paths:
            tables.setdefault(path, []).append(str(file))
    for table, holders in tables.items():
        if len(holders) > 1 and table != "/":
            yield f"many{table}", [Question(function, tuple(holders), table) for function in OF_MANY]
    for group in _groups(files):
        several = [Question("get_metadata_df", group), Question("convert_nwb_tables", group)]
        several.append(Question("get_sql_context", group, {"full_path": True}))
        yield f"folder {Path(group[0]).parent.name}", several
    # The only one of a file twice: rows of a source that is given twice.
    yield "twice", [Question("get_metadata_df", (str(files[0]), str(files[-1]), str(files[0])))]
    if SESSION.exists():
        yield "generated", list(_of_units(str(SESSION), ["/units", "/intervals/trials", "/intervals/performance"]))
    yield "archive", list(_of_archive([str(file) for file in archived()]))


def archived() -> list[Path]:
    """Return the files that the archive has: real ones, of several makers."""
    names = ("con__nwb2bids", "rly__ndx-pose", "dandi__dandi-cli", "NeurodataWithoutBorders__matnwb/ecephys_tutorial")
    every = sorted(REAL.rglob("*.nwb"))
    return [file for name in names for file in every if str(file.relative_to(REAL)).startswith(name)][:8]


def _of_file(file: str, paths: list[str]) -> Iterator[Question]:
    for function in OF_FILES:
        yield Question(function, (file,))
    for path in paths:
        for function in OF_TABLES:
            yield Question(function, (file,), path)
    yield Question("convert_nwb_tables", (file,))
    yield Question("convert_nwb_tables", (file,), {"full_path": True, "session_subdirs": True})
    if "/units" in paths:
        yield from _of_units(file, paths)


def _of_units(file: str, paths: list[str]) -> Iterator[Question]:
    columns = nwb_dask.schema(file, "/units").names
    for column in ("spike_times", "obs_intervals", "waveform_mean", "electrodes"):
        if column in columns:
            yield Question("merge_array_column", (file,), ["/units", column])
    for table in (path for path in paths if path.startswith("/intervals/") and "spike_times" in columns):
        after = _middle(file, table)
        for options in _SPIKES if "obs_intervals" in columns else _SPIKES[:-2]:
            given = {name: one.format(after=after) if isinstance(one, str) else one for name, one in options.items()}
            yield Question("get_spike_times_in_intervals", (file,), {"table": table, "options": given, "after": after})
        if "obs_intervals" in columns:
            yield Question("insert_is_observed", (file,), {"table": table})


def _middle(file: str, table: str) -> float:
    with h5py.File(file) as opened:
        starts = opened[table]["start_time"][:]
        return float(starts[len(starts) // 2]) if len(starts) else 0.0


def _of_archive(files: list[str]) -> Iterator[Question]:
    ways: tuple[dict[str, object], ...] = (
        {},
        {"version": "draft"},
        {"version": PUBLISHED, "order": "-path"},
        {"order": "-created", "max_assets": 3},
        {"smallest": 100_000},
        {"asset_ids": [-1, 0]},
        {"asset_ids": [1, 2], "smallest": 0},
    )
    for options in ways:
        yield Question("get_dandi_sources", tuple(files), {"dandiset": DANDISET, "options": options})
    for number, file in enumerate(files):
        for version in ({}, {"version": PUBLISHED})[: 1 + (number == 0)]:
            asked = {"dandiset": DANDISET, "asset": number, "options": version}
            yield Question("from_dandi_asset", (file,), asked)


def _groups(files: list[Path]) -> Iterator[tuple[str, ...]]:
    for parent in sorted({file.parent for file in files}):
        group = tuple(str(file) for file in files if file.parent == parent)
        if 1 < len(group) <= 24:  # enough
            yield group
