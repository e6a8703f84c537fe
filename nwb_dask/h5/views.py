"""Views of the members of a group that hold no lock.

Those of h5py hold its lock while their user goes through them, and a thread that fetches data meanwhile may want it to
collect a dead object of h5py (h5py issues 2019 and 2021).
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, ValuesView
from typing import Any


class Values(ValuesView[Any]):
    """Members of a group; None for a link that leads nowhere."""

    def __iter__(self) -> Iterator[Any]:
        return (self._mapping.get(name) for name in self._mapping)  # type: ignore[attr-defined]  # of the mixin

    def __contains__(self, value: object) -> bool:
        return any(value == one for one in self)


class Items(ItemsView[str, Any]):
    """Names and members of a group; None for a link that leads nowhere."""

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return ((name, self._mapping.get(name)) for name in self._mapping)  # type: ignore[attr-defined]  # of the mixin

    def __contains__(self, item: object) -> bool:
        return any(item == one for one in self)
