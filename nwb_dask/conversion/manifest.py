"""The manifest: the last file of an output, which says that it is whole and what is in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nwb_dask.conversion.report import Conversion, LeftOut, WrittenFile
from nwb_dask.storage.durable import count_bytes, read_json

MANIFEST = "_nwb_dask_manifest.json"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Contents:
    """What a conversion is of, besides its files."""

    asked: Mapping[str, object]
    plan: str
    """Digest of all that decides the bytes of the output."""
    sources: Sequence[Mapping[str, object]]
    tables: Sequence[Mapping[str, object]]
    skipped: tuple[tuple[str, str], ...]
    left_out: tuple[LeftOut, ...]


def manifest_of(contents: Contents, files: Iterable[WrittenFile]) -> dict[str, object]:
    """Return the manifest as it is written and read."""
    manifest = {
        "manifest_version": VERSION,
        "asked": contents.asked,
        "plan": contents.plan,
        "sources": list(contents.sources),
        "tables": list(contents.tables),
        "skipped": [{"name": name, "reason": reason} for name, reason in contents.skipped],
        "left_out": [asdict(one) for one in contents.left_out],
        "files": [asdict(one) for one in sorted(files, key=lambda one: one.path)],
    }
    plain: dict[str, object] = json.loads(json.dumps(manifest))
    return plain


def report_of(out: Path, contents: Contents, files: Iterable[WrittenFile], n_resumed: int) -> Conversion:
    """Return the report of a conversion that is finished."""
    return Conversion(
        out,
        str(contents.asked["format"]),
        tuple(sorted(files, key=lambda one: one.path)),
        {str(one["session"]): str(one["name"]) for one in contents.sources},
        contents.skipped,
        contents.left_out,
        n_resumed,
    )


def read_manifest(out: Path) -> dict[str, object] | None:
    """Return the manifest of a folder; None if it has none, or one that is damaged."""
    found = read_json(out / MANIFEST)
    is_ours = isinstance(found, dict) and "manifest_version" in found and isinstance(found.get("files"), list)
    return found if is_ours else None  # type: ignore[return-value]  # a dict, as has been seen


def listed_files(manifest: Mapping[str, object]) -> dict[str, WrittenFile]:
    """Return the files that a manifest lists, by their paths."""
    entries = manifest["files"]
    files = [WrittenFile(**{**one, "tables": tuple(one["tables"])}) for one in entries]  # type: ignore[attr-defined]  # a list
    return {one.path: one for one in files}


def foreign_files(out: Path, manifest: Mapping[str, object]) -> list[str]:
    """Return what is in a folder and not in its manifest; hidden names of the system do not count."""
    listed = {*listed_files(manifest), MANIFEST}
    above = {parent.as_posix() for path in listed for parent in Path(path).parents}
    found: list[str] = []
    pending = [out]
    while pending:
        for path in sorted(pending.pop().iterdir()):
            name = path.relative_to(out).as_posix()
            if name in listed or re.match(r"\.(DS_Store|nfs)", path.name):
                continue
            if name in above and path.is_dir():
                pending.append(path)
            else:
                found.append(name)
    return found


def is_whole(out: Path, manifest: Mapping[str, object]) -> bool:
    """Tell whether a folder has the files that its manifest lists, with their sizes, and no others."""
    files = listed_files(manifest).values()
    return all(count_bytes(out / one.path) == one.bytes for one in files) and not foreign_files(out, manifest)
