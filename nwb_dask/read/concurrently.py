"""Work on many files at once, where waiting for the network is most of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Protocol, TypeVar

from nwb_dask.index import Url
from nwb_dask.storage import is_local

_N_FILES = 32
"""Remote files that are worked on at once. Local ones follow each other: threads would take turns anyway."""

T = TypeVar("T")


class _HasUrl(Protocol):
    @property
    def url(self) -> Url:
        """Where the file is."""


F = TypeVar("F", bound=_HasUrl)


def each_of(files: Sequence[F], call: Callable[..., T], *arguments: Sequence[object]) -> list[T]:
    """Return what `call` gives for each file, with its own item of each of `arguments`, in order.

    Remote files are worked on at once. The first error, in the order of the files, is raised after the calls that had
    not started are dropped.
    """
    n_remote = sum(not is_local(file.url) for file in files)
    if n_remote < 2:  # noqa: PLR2004  # nothing to do at once
        return [call(file, *rest) for file, *rest in zip(files, *arguments, strict=True)]
    with ThreadPoolExecutor(min(_N_FILES, len(files)), thread_name_prefix="nwb_dask-file") as pool:
        # Each call in a context of its own: options that the caller has set hold in it.
        futures = [
            pool.submit(copy_context().run, call, file, *rest) for file, *rest in zip(files, *arguments, strict=True)
        ]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()
