"""Changes of the file system that are whole or not there, and on the disk when they return."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_BLOCK = 1 << 20


def flush(path: Path) -> None:
    """Bring a file or the names in a folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_tree(folder: Path) -> None:
    """Bring a folder and all that is below it to the disk."""
    for place, _, names in os.walk(folder):
        for name in names:
            flush(Path(place, name))
        flush(Path(place))


def make_folders(folder: Path, top: Path) -> None:
    """Make the folders between `top`, which is there, and `folder`."""
    missing = [one for one in (folder, *folder.parents) if top in one.parents and not one.is_dir()]
    for one in reversed(missing):
        one.mkdir()
        flush(one.parent)


def put_in_place(made: Path, path: Path, top: Path) -> None:
    """Give what was made at `made` its name `path` below `top`; readers see all of it or nothing."""
    if made.is_dir():
        flush_tree(made)
    else:
        flush(made)
    make_folders(path.parent, top)
    if path.is_dir():
        # What a run that was broken off left there.
        shutil.rmtree(path)
    made.replace(path)
    flush(path.parent)


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON, in one step; equal values give equal bytes."""
    made = path.with_name(f".{path.name}.made")
    made.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    flush(made)
    made.replace(path)
    flush(path.parent)


def read_json(path: Path) -> object:
    """Return the value in a file; None if there is none or it is no JSON."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def files_below(path: Path) -> Iterator[Path]:
    """Yield the files of a folder and the folders in it, by name; of a file, itself."""
    if not path.is_dir():
        yield path
        return
    for place, folders, names in os.walk(path):
        folders.sort()
        yield from (Path(place, name) for name in sorted(names))


def count_bytes(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder; -1 if nothing is there."""
    try:
        return sum(one.stat().st_size for one in files_below(path))
    except OSError:
        return -1


def digest(path: Path) -> str:
    """Return the SHA-256 of a file; of a folder that of a list of its files with theirs, as ``sha256sum`` prints it."""
    if path.is_dir():
        lines = [f"{digest(one)}  {one.relative_to(path).as_posix()}\n" for one in files_below(path)]
        return hashlib.sha256("".join(sorted(lines, key=lambda line: line[66:])).encode()).hexdigest()
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()
