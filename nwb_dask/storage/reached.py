"""Which other files a local file led to, as a part of its version: pure.

A file that may reach into others is the same only if these are. Their versions stand behind a mark in the version of
the file that leads to them, so that they travel with whatever is planned of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b

from nwb_dask.index import Identity

_MARK = "+"
_BYTES = 8
ABSENT = "absent"
"""In place of the version of a file that was not there."""


def path_key(path: str) -> str:
    """Return the name under which the version of the file at `path` is kept."""
    return _digest(path)


def version_of(identity: Identity) -> str:
    """Return the version of one file in few letters; another name or other permissions make no other version."""
    bare = alone(identity)
    head, _, changed = bare.value.rpartition(":")
    value = head if bare.kind == "mtime" and changed.isdigit() else bare.value
    return _digest(f"{bare.kind}:{value}:{bare.size}")


def alone(identity: Identity) -> Identity:
    """Return the version of the file itself."""
    value, mark, _ = identity.value.partition(_MARK)
    return replace(identity, value=value) if mark and identity.kind == "mtime" else identity


def reached_from(identity: Identity) -> dict[str, str]:
    """Return the versions of the other files by `path_key`; {} if there are none."""
    _, mark, text = identity.value.partition(_MARK)
    if not mark or identity.kind != "mtime":
        return {}
    pairs = (one.partition("=") for one in text.split(",") if one)
    return {key: version for key, _, version in pairs}


def with_reached(identity: Identity, reached: Mapping[str, str]) -> Identity:
    """Return the version of a local file together with those of the files that it leads to.

    It differs from that of the file alone even if there are none: with other permissions the same file may say
    something else.
    """
    pairs = ",".join(f"{key}={version}" for key, version in sorted(reached.items()))
    return replace(identity, value=f"{alone(identity).value}{_MARK}{pairs}")


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=_BYTES).hexdigest()
