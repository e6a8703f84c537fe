"""What is known in this process and what is kept already, as the blocks of one file."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from nwb_dask.backends.known import Known
from nwb_dask.catalog.indexfile import MAX_BLOCK_BYTES, Block, Facts, IndexFile, Section, compress
from nwb_dask.catalog.lazy import items_here, unpack_paths
from nwb_dask.catalog.parts import (
    Content,
    n_known,
    pack_contents,
    pack_manifest,
    pack_part,
    split_path,
    unpack_contents,
)
from nwb_dask.catalog.serialize import pack
from nwb_dask.errors import MalformedFileError

_log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")

Blocks = dict[tuple[Section, str], Block]


def merge(known: Known, facts: Facts, kept: IndexFile | None, kept_facts: Facts | None) -> tuple[Facts, Blocks] | None:
    """Return what a file should hold; None if `kept` holds it already.

    What is kept is taken as it is, without unpacking it, unless more of the same group is known here. What cannot be
    brought back exactly is left out.

    Parameters
    ----------
    known : Known
        Another thread may add to it meanwhile.
    facts : Facts
        Of `known`.
    kept : IndexFile or None
        What is kept of the same version of the file.
    kept_facts : Facts or None
        Of `kept`.
    """
    places = [] if kept is None else kept.places()
    blocks = _copied(kept)
    is_whole = len(blocks) == len(places)
    added: Blocks = {}
    _add_parts(known, blocks, added)
    _add_contents(known, blocks, added)
    _add_paths(known, blocks, added)
    if not facts.offset_bytes and kept_facts is not None:
        facts = replace(kept_facts, key=facts.key, name=facts.name)
    if not facts.structure and kept_facts is not None:
        facts = replace(facts, structure=kept_facts.structure)
    if is_whole and not added and facts == kept_facts:
        return None
    return facts, blocks | added


def _copied(kept: IndexFile | None) -> Blocks:
    blocks: Blocks = {}
    if kept is None:
        return blocks
    for place in kept.places():
        # What is damaged is written again if it is known here.
        with suppress(MalformedFileError, OSError):
            block = kept.block(*place)
            if block is not None:
                blocks[place] = block
    return blocks


def _add_parts(known: Known, blocks: Blocks, added: Blocks) -> None:
    for group, part in items_here(known.parts).copy().items():
        kept, rank = blocks.get(("descriptions", group)), n_known(part)
        if kept is not None and kept.rank >= rank:
            continue
        packed = _packed(group, pack_part, part)
        block = None if packed is None else compress(packed, rank)
        if block is not None:
            added["descriptions", group] = block


def _add_contents(known: Known, blocks: Blocks, added: Blocks) -> None:
    kept = _KeptContents(blocks)
    news: defaultdict[str, dict[str, Content]] = defaultdict(dict)
    manifests, values = items_here(known.manifests).copy(), items_here(known.values).copy()
    for path in dict.fromkeys([*manifests, *values]):
        split = split_path(path)
        if split is None:
            continue
        group, name = split
        before = kept.group(group).get(name, Content((None, None)))
        manifest, content = before
        if manifest is None and path in manifests:
            manifest = _packed(path, pack_manifest, manifests[path])
        if content is None and path in values:
            content = _packed(path, pack, values[path])
        if (manifest, content) != before:
            news[group][name] = Content((manifest, content))
    for group, contents in news.items():
        fitting = _fitting(kept.group(group) | contents)
        block = compress(pack_contents(fitting)) if fitting != kept.group(group) else None
        if block is not None:
            added["contents", group] = block


class _KeptContents:
    """Which contents of datasets are kept, by group."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._groups: dict[str, dict[str, Content]] = {}

    def group(self, group: str) -> dict[str, Content]:
        if group not in self._groups:
            self._groups[group] = _unpacked(self._blocks.get(("contents", group)), unpack_contents)
        return self._groups[group]


def _fitting(contents: dict[str, Content]) -> dict[str, Content]:
    """Return as many of the contents as fit into one block."""
    fitting: dict[str, Content] = {}
    left = MAX_BLOCK_BYTES // 2
    for name, content in contents.items():
        left -= len(name) + sum(len(one) for one in content if one is not None)
        if left < 0:
            break
        fitting[name] = content
    return fitting


def _add_paths(known: Known, blocks: Blocks, added: Blocks) -> None:
    kept = _unpacked(blocks.get(("paths", "")), unpack_paths)
    merged = items_here(known.paths).copy() | kept
    if len(merged) > len(kept):
        packed = compress(pack((tuple(merged), tuple(merged.values()))))
        if packed is not None:
            added["paths", ""] = packed


def _unpacked(block: Block | None, unpacker: Callable[[bytes], dict[K, V]]) -> dict[K, V]:
    try:
        return {} if block is None else unpacker(block.unpacked())
    except Exception as exc:  # noqa: BLE001  # a bad cache is a miss, in whatever way it is bad
        _log.debug("a block is written again: %s", exc)
        return {}


def _packed(name: str, packer: Callable[[V], bytes], value: V) -> bytes | None:
    try:
        return packer(value)
    except Exception as exc:  # noqa: BLE001  # what the cache cannot hold is no trouble of the reader
        _log.debug("%s is not kept: %s", name, exc)
        return None
