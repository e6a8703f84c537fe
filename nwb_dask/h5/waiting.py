"""Waiting for other threads while h5py's lock is held."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from h5py._objects import phil


@contextmanager
def no_collection_if_locked() -> Iterator[None]:
    """Let no thread collect garbage meanwhile, if this one holds h5py's lock.

    A thread that fetches data may start a collection, and needs the lock for a dead object of h5py's among what it
    collects, while this one waits for the data with the lock held (h5py issues 2019 and 2021). h5py holds it in
    callbacks of ``visititems``, in loops over ``group.items()``, and in much of what it does with arrays.
    """
    if not phil._is_owned() or not gc.isenabled():  # noqa: SLF001  # h5py 3.12 to 3.16 have no other way to ask
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
