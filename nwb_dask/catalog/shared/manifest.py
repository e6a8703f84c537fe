"""The manifest of a catalog: which parts count. It is replaced as a whole, parts never change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from nwb_dask.catalog.shared.layout import FORMAT, LAYOUT, MANIFEST, VERSION
from nwb_dask.errors import MalformedFileError, OutputError, SourceNotFoundError, UnsupportedLayoutError
from nwb_dask.storage.target import Target

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file."""

    key: str
    """Below the folder of the catalog."""
    n_rows: int
    n_bytes: int
    digest: str
    """BLAKE2b of its bytes, hexadecimal."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that counts of a catalog."""

    parts: Mapping[str, tuple[Part, ...]]
    """Table -> its parts, in order of the sessions."""
    options: Mapping[str, object] = field(default_factory=dict)
    """What it was built with."""
    made_by: str = ""
    tag: str | None = field(default=None, compare=False)
    """Of the version that was read."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all parts."""
        return tuple(part.key for parts in self.parts.values() for part in parts)


def digest_of(value: bytes) -> str:
    """Return what `Part.digest` has for these bytes."""
    return blake2b(value, digest_size=_DIGEST_BYTES).hexdigest()


def read_manifest(target: Target) -> Manifest:
    """Return the manifest of the catalog at `target`.

    Raises
    ------
    SourceNotFoundError
        If there is no catalog.
    UnsupportedLayoutError
        If it is of a newer version.
    MalformedFileError
        If it is damaged.
    """
    try:
        value, tag = target.read(MANIFEST)
    except SourceNotFoundError as error:
        message = f"no catalog at {target.name}: it has no {MANIFEST}; nwb_dask.build_catalog writes one"
        raise SourceNotFoundError(message, url=target.name) from error
    return _parsed(value, tag, target.name)


def find_manifest(target: Target) -> Manifest | None:
    """Return the manifest of the catalog at `target`; None if there is none. Otherwise as `read_manifest`."""
    try:
        return read_manifest(target)
    except SourceNotFoundError:
        return None


def write_manifest(target: Target, manifest: Manifest) -> None:
    """Replace the manifest that `manifest.tag` is of.

    Raises
    ------
    OutputError
        If another has written one meanwhile.
    """
    parts = {
        name: [{"path": p.key, "n_rows": p.n_rows, "n_bytes": p.n_bytes, "blake2b": p.digest} for p in those]
        for name, those in manifest.parts.items()
    }
    told = {"format": FORMAT, "version": VERSION, "made_by": manifest.made_by, "options": dict(manifest.options)}
    value = json.dumps({**told, "tables": parts}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    target.replace(MANIFEST, value.encode(), manifest.tag)


def _parsed(value: bytes, tag: str, name: str) -> Manifest:
    try:
        told = json.loads(value)
        if told["format"] != FORMAT:
            raise OutputError(f"{name}: its {MANIFEST} is of another program", url=name)
        version = int(told["version"])
        if version == VERSION:
            return _manifest(told, tag)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        message = f"the catalog at {name} is damaged: {MANIFEST} cannot be read; {rebuild(name)}"
        raise MalformedFileError(message, url=name) from error
    hint = "update nwb_dask, or build a catalog elsewhere" if version > VERSION else rebuild(name)
    raise UnsupportedLayoutError(
        f"the catalog at {name} is of version {version}, and this is version {VERSION}; {hint}", url=name
    )


def _manifest(told: dict[str, Any], tag: str) -> Manifest:
    parts = {
        name: tuple(
            Part(str(one["path"]), int(one["n_rows"]), int(one["n_bytes"]), str(one["blake2b"]))
            for one in told["tables"][name]
        )
        for name in LAYOUT
    }
    for name, those in parts.items():
        for one in those:
            if not one.key.startswith(f"{name}/") or ".." in one.key.split("/"):
                raise ValueError(one.key)
    return Manifest(parts, dict(told["options"]), str(told["made_by"]), tag)


def rebuild(name: str) -> str:
    """Return how to get a sound catalog."""
    return f"build_catalog(sources, {name!r}, update=False) writes it anew"
