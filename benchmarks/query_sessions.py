"""The sessions of the notebook about polars and SQL, larger, and the same tables as Parquet."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.parquet_copies import read_arrow
from benchmarks.peers.query_contest import METADATA, PERFORMANCE, TRIALS, UNITS, parquet_path
from benchmarks.sessions import WORK
from nwb_dask.testing.performance_sessions import write_performance_sessions

_ROW_GROUP_ROWS = 2_000
"""Of the copy in one file: 13 sessions, so that polars has work for several threads."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the sessions hold; a set on disk with another recipe is written anew."""

    n_sessions: int = 120
    n_units: int = 150
    spikes_per_unit: int = 2000
    version: int = 1
    """Raised when the writer writes something else for the same numbers."""

    @property
    def folder(self) -> Path:
        """Where the sessions of this recipe are."""
        return WORK / f"performance-{self.n_sessions}"


def ensure_performance(recipe: Recipe) -> list[Path]:
    """Return the files of `recipe` in order; they and their Parquet copies are written if they are not there."""
    folder = recipe.folder
    described = folder / "recipe.json"
    files = [folder / f"session_{number:03}.nwb" for number in range(recipe.n_sessions)]
    if not described.exists() or json.loads(described.read_text()) != asdict(recipe):
        files = write_performance_sessions(
            folder, recipe.n_sessions, n_units=recipe.n_units, spikes_per_unit=recipe.spikes_per_unit
        )
        _write_parquet(files)
        described.write_text(json.dumps(asdict(recipe)))
    return files


def _write_parquet(files: list[Path]) -> None:
    """Write each table twice: a file per session, and one file of all sessions with a column that tells which."""
    for table in (METADATA, PERFORMANCE, TRIALS, UNITS):
        parts = [_metadata(file) if table == METADATA else read_arrow(file, table) for file in files]
        for file, rows in zip(files, parts, strict=True):
            _write(rows, Path(parquet_path(str(file), table)), len(rows))
        named = [
            rows.append_column("session", pa.array([file.stem] * len(rows)))
            for file, rows in zip(files, parts, strict=True)
        ]
        _write(pa.concat_tables(named), Path(parquet_path(str(files[0]), table, is_whole=True)), _ROW_GROUP_ROWS)


def _write(rows: pa.Table, path: Path, row_group_size: int) -> None:
    # As in `parquet_copies`: the fastest to read of what was tried.
    path.parent.mkdir(parents=True, exist_ok=True)
    text = [field.name for field in rows.schema if pa.types.is_string(field.type)]
    pq.write_table(rows, path, use_dictionary=text, compression="none", row_group_size=row_group_size)


def _metadata(file: Path) -> pa.Table:
    """Return one row with the values of the root, of ``/general`` and of the subject."""
    found: dict[str, object] = {}
    with h5py.File(file) as opened:
        for group, prefix in (("/", ""), ("/general", ""), ("/general/subject", "subject_")):
            for name, value in opened[group].items():
                if isinstance(value, h5py.Dataset):
                    text = value.asstr()[()]
                    key = name if name.startswith(prefix) else f"{prefix}{name}"
                    found[key] = text if isinstance(text, str) else list(text)
    return pa.Table.from_pylist([found])
