"""The documents of remote stores that this process has read, by version; bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from nwb_dask.backends.zarr.meaning import Convention
from nwb_dask.backends.zarr.tree import Tree
from nwb_dask.index import Source

_MAX_STORES = 64


_opened: OrderedDict[tuple[Source, Convention], Tree] = OrderedDict()
_lock = Lock()


def opened(source: Source, convention: Convention, load: Callable[[], Tree]) -> Tree:
    """Return a store; its documents are loaded unless this process has them.

    Parameters
    ----------
    source : Source
        The store and its version; one without any mark of its version is loaded each time.
    convention : Convention
        What its documents mean; compared with those of stores that were read before.
    load : callable
        Fetches them.
    """
    key = (source, convention)
    with _lock:
        found = _opened.get(key)
        if found is not None:
            _opened.move_to_end(key)
            return found
    found = load()
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
