"""What has been found out about one version of a file. It grows as the file is read, and the catalog keeps it."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from nwb_dask.index import ArrayEntry, ChunkManifest, GroupEntry, Source

INLINE_BYTES = 16 * 1024
"""Datasets up to this size, decoded, are kept with their values."""

MAX_MANIFEST_CHUNKS = 16_384
"""Datasets of up to so many chunks are kept with the addresses of all of them."""


Depth = Literal["links", "attributes", "members"]
"""How much of a group is known: its links; its attributes too; its datasets, with all their attributes, too."""


@dataclass(frozen=True, slots=True)
class GroupPart:
    """One group, as far as `depth` says: where its members are, its attributes, its datasets."""

    group: GroupEntry
    arrays: Mapping[str, ArrayEntry] = field(default_factory=lambda: MappingProxyType({}))
    """Datasets among the members that are hard links, by name."""
    addresses: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Object header of each member that is a hard link, by name, counted from the superblock."""
    subgroups: frozenset[str] = frozenset()
    """Members that the links themselves say are groups; others may be as well."""
    problems: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """As in `FileIndex.problems`."""
    depth: Depth = "members"
    """What is not known is empty in the other fields."""


@dataclass(slots=True)
class Known:
    """What is known of one file; used by one thread at a time, or by several that add the same.

    A value that is here is complete and exact; what is not here is looked up in the file.
    """

    source: Source
    base: int = 0
    """As `format.space.AddressSpace` has it, with the two that follow."""
    offset_bytes: int = 0
    """0 while the superblock has not been read."""
    length_bytes: int = 0
    root: int = 0
    """Object header of the root group."""
    parts: MutableMapping[str, GroupPart] = field(default_factory=dict)
    """Groups by their path through hard links; the root is ``"/"``."""
    manifests: MutableMapping[str, ChunkManifest] = field(default_factory=dict)
    """All chunks of a dataset that has at most `MAX_MANIFEST_CHUNKS`, by the path of its entry."""
    values: MutableMapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    """All values of small datasets, as `File.read` returns them, by the path of their entry."""
    paths: MutableMapping[int, str | None] = field(default_factory=dict)
    """Paths of objects by address, as far as references were followed; None where nothing is."""
    structure: tuple[tuple[int, int], ...] = ()
    """Half-open ranges of an HDF5 file that describing all of it took; empty if that was never done."""
    is_changed: bool = False
    """Whether something was added since it was made or kept."""
