"""Warns users, at the line of theirs that caused it."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence

from nwb_dask.errors import SkippedFilesWarning

_PACKAGE = __name__.partition(".")[0]


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the nearest line outside of this package."""
    warnings.warn(message, category, stacklevel=_depth_of_caller())


def warn_skipped(skipped: Sequence[tuple[str, str]], n_files: int) -> None:
    """Warn of files that ``errors="skip"`` leaves out, each with its name and the reason."""
    listed = "\n".join(f"  {name}: {reason}" for name, reason in skipped)
    warn_user(f"{len(skipped)} of {n_files} files are left out (errors='skip'):\n{listed}", SkippedFilesWarning)


def _depth_of_caller() -> int:
    """Return how many frames above the calling one the code of the user is."""
    frame, depth = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        frame, depth = frame.f_back, depth + 1
    return depth
