"""Finds the paths of objects by their addresses, which is what references hold."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Iterable

from nwb_dask.backends.hdf5.lookup import Found, Lookup
from nwb_dask.backends.hdf5.object_attributes import PARSER_ERRORS, STORAGE_ERRORS
from nwb_dask.backends.hdf5.rounds import CanFetch, Task, run
from nwb_dask.index import join

_log = logging.getLogger(__name__)


_WAVES = 3
"""Times that the likely groups are tried before all others are visited together."""


class Search:
    """Looks for objects in the groups of a file until all are found.

    Reads links only, and first of those groups that stand near the objects in the file: writers write a group, then
    what is in it. An object that several hard links lead to may get the path of any of them.

    Parameters
    ----------
    lookup : Lookup
        What it learns of groups is kept there.
    addresses : iterable of int
        Objects to look for, counted from the superblock.
    """

    def __init__(self, lookup: Lookup, addresses: Iterable[int]) -> None:
        self._lookup = lookup
        self._paths = lookup.known.paths
        self._left = {address for address in addresses if address not in self._paths}
        self._found: dict[int, str] = {}
        self._met: set[int] = set()
        self._groups: dict[int, Found] = {}
        """Groups that have not been visited, by address."""
        self._doubtful: dict[int, Found] = {}
        """Objects that only their own headers could tell from datasets: visited when all groups were."""

    def run(self, pages: CanFetch) -> None:
        """Put the path of each address into `Known.paths`; None for those that no link leads to."""
        if not self._left:
            return
        run([self._start], pages)
        n_waves = 0
        while self._left and (self._groups or self._doubtful):
            n_waves += 1
            if not self._groups:
                self._groups, self._doubtful = self._doubtful, {}
            chosen = self._likely() if n_waves <= _WAVES else list(self._groups)
            run([self._task(self._groups.pop(address)) for address in chosen], pages)
        self._paths.update(dict.fromkeys(self._left))
        self._paths.update(self._found)
        self._lookup.known.is_changed = True

    def _start(self) -> None:
        self._meet(self._lookup.find("/"), is_group=True)

    def _likely(self) -> list[int]:
        """Return the groups that stand before and after each object, the nearest."""
        known = sorted(self._groups)
        chosen: set[int] = set()
        for address in self._left:
            at = bisect_left(known, address)
            chosen.update(known[max(at - 1, 0) : at + 1])
        return sorted(chosen)

    def _task(self, here: Found) -> Task:
        def task() -> None:
            if not self._left:
                return
            try:
                part = self._lookup.links(here)
            except STORAGE_ERRORS:
                raise
            except PARSER_ERRORS as exc:
                _log.debug("%s is not searched: %s", here.path, exc)
                return
            for name, address in part.addresses.items():
                is_array = part.depth == "members" and name in part.arrays
                self._meet(Found(join(here.path, name), address), is_group=None if is_array else name in part.subgroups)

        return task

    def _meet(self, found: Found, *, is_group: bool | None) -> None:
        """Note an object; `is_group` is False where it may be one, and None where it is none."""
        address = found.address
        if address in self._left:
            self._left.remove(address)
            self._found[address] = found.path
        if address not in self._met and is_group is not None:
            (self._groups if is_group else self._doubtful)[address] = found
        self._met.add(address)
