"""What is finished of a build that is not: a file for each batch, beside the catalog and no part of it."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Sequence

from nwb_dask.catalog.serialize import pack, unpack
from nwb_dask.cataloguing.describe import unpack_described
from nwb_dask.cataloguing.rows import Entry
from nwb_dask.errors import NWBDaskError, SourceNotFoundError
from nwb_dask.storage.target import Target, read_all

_log = logging.getLogger(__name__)

FOLDER = "_unfinished"
"""Readers of Parquet leave out what begins with an underscore."""
_VERSION = 2


def write_batch(target: Target, entries: Iterable[Entry]) -> None:
    """Keep what was said of some files for the next run."""
    rows = tuple((one.source, one.name, one.url, one.described.packed()) for one in entries)
    target.put(f"{FOLDER}/{secrets.token_hex(8)}.batch", pack((_VERSION, rows)))


def read_batches(target: Target) -> dict[str, Entry]:
    """Return what earlier runs have finished, by source; what is damaged counts as not finished."""
    found: dict[str, Entry] = {}
    for value in _values(target, batch_keys(target)):
        try:
            version, rows = unpack(value)
            if version == _VERSION:
                entries = [Entry(source, name, url, unpack_described(data)) for source, name, url, data in rows]
                found |= {one.source: one for one in entries}
        except Exception as exc:  # noqa: BLE001  # a bad batch is one to be made again
            _log.debug("a batch of %s is not used: %s", target.name, exc)
    return found


def batch_keys(target: Target) -> list[str]:
    """Return the keys of all batches."""
    try:
        return [key for key in target.keys(FOLDER) if key.endswith(".batch")]
    except SourceNotFoundError:
        return []


def _values(target: Target, keys: Sequence[str]) -> list[bytes]:
    try:
        return read_all(target, keys)
    except NWBDaskError as exc:
        _log.debug("the batches of %s are not used: %s", target.name, exc)
        return []
