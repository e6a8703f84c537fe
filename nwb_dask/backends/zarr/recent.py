"""The documents of remote stores that this process has read, by version; bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, MutableMapping
from dataclasses import dataclass, field
from threading import Lock

from nwb_dask.backends.zarr.meaning import Values
from nwb_dask.backends.zarr.tree import Tree
from nwb_dask.index import Source

_MAX_STORES = 64


@dataclass(frozen=True, slots=True)
class Opened:
    """A store whose documents are here."""

    tree: Tree
    values: MutableMapping[str, Values] = field(default_factory=dict)
    """All values of small arrays, by the path of their entry."""


_opened: OrderedDict[tuple[Source, Hashable], Opened] = OrderedDict()
_lock = Lock()


def opened(source: Source, how: Hashable, load: Callable[[], Tree]) -> Opened:
    """Return a store; its documents are loaded unless this process has them.

    Parameters
    ----------
    source : Source
        The store and its version; one without any mark of its version is loaded each time.
    how : hashable
        What decides what its documents mean.
    load : callable
        Fetches them.
    """
    key = (source, how)
    with _lock:
        found = _opened.get(key)
        if found is not None:
            _opened.move_to_end(key)
            return found
    found = Opened(load())
    if source.identity.kind != "size":
        with _lock:
            _opened[key] = found
            while len(_opened) > _MAX_STORES:
                _opened.popitem(last=False)
    return found


def forget() -> None:
    """Forget all stores."""
    with _lock:
        _opened.clear()
