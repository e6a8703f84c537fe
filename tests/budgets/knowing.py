"""What is known of files when a question is asked: nothing, what another process has kept, or what this one has."""

from __future__ import annotations

import os
import shutil
from itertools import count
from pathlib import Path

from nwb_dask import catalog

_VARIABLE = "NWB_DASK_CACHE_DIR"


class Knowledge:
    """What this process and those that it starts find in the cache.

    Parameters
    ----------
    parent : Path
        Where the folders of the cache are made; what is in memory belongs to one of them.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._numbers = count()
        self.forget()

    @property
    def folder(self) -> Path:
        """Return the folder that the cache is in now."""
        return Path(os.environ[_VARIABLE])

    def forget(self) -> None:
        """Know nothing of any file, as on a machine that has never asked."""
        move(self._parent / f"cache-{next(self._numbers)}")

    def keep_what_is_on_disk(self) -> None:
        """Know of files what has been kept on disk and no more, as a process that starts now."""
        before, after = self.folder, self._parent / f"cache-{next(self._numbers)}"
        if before.exists():
            shutil.copytree(before, after)
        move(after)


def move(folder: Path) -> None:
    """Keep what is learned of files in `folder` from here on, and forget what is in memory of other folders."""
    os.environ[_VARIABLE] = str(folder)
    catalog.clear()
