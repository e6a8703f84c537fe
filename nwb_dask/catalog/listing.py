"""The folder of the index cache as a whole: where a file of it is, and what is in it."""

from __future__ import annotations

import re
from pathlib import Path

from nwb_dask.catalog.indexfile import FORMAT, read_facts
from nwb_dask.storage import disk
from nwb_dask.storage.disk import Entry

SUFFIX = ".nwbidx"
_N_FOLDERS = 3
_LAYOUT = disk.Layout((disk.VERSION, disk.SHARD), re.compile(r"[0-9a-f]+\.nwbidx|\.[0-9a-f]+\.[0-9a-z]+\.tmp"))


def index_path(folder: Path, key: bytes) -> Path:
    """Return where the knowledge of the URL with this key is."""
    name = key.hex()
    return folder / f"v{FORMAT}" / name[:2] / f"{name}{SUFFIX}"


def write_aside(path: Path, data: bytes) -> None:
    """Put `data` at `path`, all of it or nothing; see `disk.write_aside`."""
    disk.write_aside(path, [data], n_folders=_N_FOLDERS)


def entries(folder: Path) -> list[Entry]:
    """Return what the cache holds, used last first; files of other versions and damaged ones are left out."""
    version = str(folder / f"v{FORMAT}")
    found = [one for one in disk.files(folder, _LAYOUT) if one.path.startswith(version) and not one.is_aside]
    listed = []
    for one in sorted(found, key=lambda one: one.used, reverse=True):
        facts = read_facts(Path(one.path))
        if facts is not None:
            listed.append(Entry(facts.name, one.size_bytes, one.used))
    return listed


def sweep(folder: Path, max_bytes: int) -> int:
    """Remove what was used longest ago if there is too much; return the bytes removed; see `disk.sweep`."""
    return disk.sweep(folder, _LAYOUT, max_bytes)


def clear(folder: Path) -> None:
    """Remove every file of the cache, of all versions, and nothing else that may be in its folder."""
    disk.clear(folder, _LAYOUT)
