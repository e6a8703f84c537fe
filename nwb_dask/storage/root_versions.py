"""The version of a remote folder, as that of the documents at its root. Pure.

It is taken from ``.zmetadata``, or else ``zarr.json``, or else ``.zgroup`` and ``.zattrs``, or ``lindi.json``: what a
writer of metadata writes last. Where metadata are consolidated these tell of every group and array; where they are not,
only of the root. What does not show: chunks that are written while the metadata stay, and, without consolidated
metadata, what is changed below the root.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nwb_dask.index import Identity
from nwb_dask.storage.keys import ROOTS

_LINDI = "lindi.json"
_CONSOLIDATED = (".zmetadata", "zarr.json")
_KINDS: tuple[Literal["etag", "mtime", "size"], ...] = ("etag", "mtime", "size")
"""From the strongest to the weakest."""


@dataclass(frozen=True, slots=True)
class RootVersion:
    """A document at the root, and its version."""

    root: str
    identity: Identity


def candidates(url: str) -> tuple[tuple[str, ...], ...]:
    """Return the documents that may be at the root of a folder of this name, in the rounds to ask for them.

    Those of a later round are asked for only where none of an earlier one is there: a Zarr store without ``.zmetadata``
    and ``zarr.json`` costs a round more, and all others two requests less.
    """
    if url.rstrip("/").endswith(".lindi.d"):
        return ((_LINDI,),)
    return _CONSOLIDATED, tuple(one for one in ROOTS if one not in {*_CONSOLIDATED, _LINDI})


def choose(found: Mapping[str, Identity]) -> list[RootVersion]:
    """Return those of the documents that are there whose versions are the version of the folder; may be empty."""
    for roots in ((".zmetadata",), ("zarr.json",), (".zgroup", ".zattrs"), (_LINDI,)):
        # Most groups of version 2 have the same .zgroup.
        if roots[0] in found:
            return [RootVersion(root, found[root]) for root in roots if root in found]
    return []


def join_versions(versions: Sequence[RootVersion]) -> Identity:
    """Return the version of a folder; of the weakest kind that its documents have."""
    kind = max((one.identity.kind for one in versions), key=(*_KINDS,).index)
    told = [[one.root, one.identity.kind, one.identity.value, one.identity.size] for one in versions]
    return Identity(kind, json.dumps(told, separators=(",", ":")), sum(one.identity.size for one in versions))


def split_version(identity: Identity) -> list[RootVersion] | None:
    """Return the documents of a version that `join_versions` has made; None for that of a file."""
    if not identity.value.startswith('[["'):
        return None
    try:
        told = json.loads(identity.value)
        return [RootVersion(root, Identity(kind, value, size)) for root, kind, value, size in told]
    except (ValueError, TypeError):
        return None
