"""Fetches ahead what a path leads through, by what links say of the groups that they lead to.

In files of the older kind the superblock and the links to groups repeat where the members of the group are. Nothing
that is found this way is believed: it only brings bytes here that the parser will probably ask for, a round or more
before its own way through the object headers gets there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

from nwb_dask.backends.hdf5.format.links import read_table
from nwb_dask.backends.hdf5.format.object_header import read_messages
from nwb_dask.backends.hdf5.format.space import AddressSpace, gather
from nwb_dask.backends.hdf5.format.stored_link import StoredLink, SymbolTable
from nwb_dask.backends.hdf5.rounds import Task

_MAX_MEMBERS = 512
"""Members of the last group whose headers are fetched ahead."""

_EXPECTED = (ValueError, LookupError, TypeError, ArithmeticError, NotImplementedError)
"""What a damaged file makes the parser raise; it will say so where it counts."""


def scout_task(
    space: Callable[[], AddressSpace], table: Callable[[], SymbolTable | None], names: Sequence[bytes]
) -> Task:
    """Return the work of fetching what the path `names` leads through, from the root whose members are in `table`.

    Its end are the headers of the object at the path and of all its members.
    """

    def task() -> Iterable[Task]:
        with suppress(*_EXPECTED):
            at = space()
            start = table()
            if start is not None:
                _follow(at, start, names)
        return ()

    return task


def _follow(space: AddressSpace, table: SymbolTable, names: Sequence[bytes]) -> None:
    members = read_table(space, table)
    if not names:
        headers = [one.address for one in members[:_MAX_MEMBERS] if one.address is not None]
        gather([partial(_touch, space, address) for address in headers])
        return
    found = [one for one in members if one.name == names[0] and one.address is not None]
    if found:
        gather([partial(_touch, space, found[0].address), partial(_next, space, found[0], names[1:])])


def _next(space: AddressSpace, link: StoredLink, names: Sequence[bytes]) -> None:
    if link.table is not None:
        _follow(space, link.table, names)


def _touch(space: AddressSpace, address: int | None) -> None:
    with suppress(*_EXPECTED):
        if address is not None:
            read_messages(space, address)
