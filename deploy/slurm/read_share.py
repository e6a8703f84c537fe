"""Read the units of this task's share of the sessions, and write one Parquet file for each; no scheduler.

::

    sbatch --array=0-3 deploy/slurm/array.sbatch sources.txt parts

A file appears when it is complete, and a session whose file is there is not read again: submit the same array again to
go on. A session that cannot be read is named on stderr and makes the task fail at its end; the others are written.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import nwb_dask

COLUMNS = ["_nwb_path", "id", "spike_times"]


def share(sources: list[str]) -> list[str]:
    """Return what of the sources this task of the array reads."""
    first = int(os.environ.get("SLURM_ARRAY_TASK_MIN", "0"))
    step = int(os.environ.get("SLURM_ARRAY_TASK_STEP", "1") or 1)
    number = (int(os.environ.get("SLURM_ARRAY_TASK_ID", "0")) - first) // step
    return sources[number :: int(os.environ.get("SLURM_ARRAY_TASK_COUNT", "1"))]


def part_of(source: str, folder: Path) -> Path:
    """Return where the rows of a session go: as its URL says, whichever task reads it."""
    return folder / f"{hashlib.sha256(source.encode()).hexdigest()[:20]}.parquet"


def write_part(source: str, part: Path) -> int:
    """Write the units of one session, and return how many there are; other processes see all of them or none."""
    units = nwb_dask.read_table(source, "/units", columns=["id", "spike_times"], engine="pandas")[COLUMNS]
    unfinished = part.with_name(f".{part.name}.{os.environ.get('SLURM_JOB_ID', '')}-{os.getpid()}")
    try:
        units.to_parquet(unfinished, index=False)
        unfinished.replace(part)
    finally:
        unfinished.unlink(missing_ok=True)
    return len(units)


def main(list_of_sources: str, out: str) -> None:
    """Read one source a line, write what is missing, and exit with 1 if a session could not be read."""
    sources = [one.strip() for one in Path(list_of_sources).read_text(encoding="utf-8").splitlines() if one.strip()]
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    mine, n_failed = share(sources), 0
    for source in mine:
        part = part_of(source, folder)
        if part.exists():
            print(f"{source}: is there already")
            continue
        try:
            print(f"{source}: {write_part(source, part)} units", flush=True)
        except (nwb_dask.NWBDaskError, OSError) as error:
            n_failed += 1
            print(f"{source}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    print(f"{len(mine) - n_failed} of {len(mine)} sessions of this task are written")
    sys.exit(1 if n_failed else 0)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
