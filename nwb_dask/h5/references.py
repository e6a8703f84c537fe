"""References of a container that is not open in h5py: they know the path of what they point to."""

from __future__ import annotations

import h5py
import numpy as np
import numpy.typing as npt


class PathReference(h5py.Reference):  # type: ignore[misc]  # h5py has no types
    """An object reference: ``file[reference]`` is the object.

    Parameters
    ----------
    path : str or None
        Absolute path in the same container; None for a null reference, which is false.
    """

    def __init__(self, path: str | None) -> None:
        self.path = path
        """Absolute path of the object; None for a null reference."""

    def __bool__(self) -> bool:
        return self.path is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PathReference) and other.path == self.path

    def __hash__(self) -> int:
        return hash((PathReference, self.path))

    def __repr__(self) -> str:
        return f"<object reference to {self.path!r}>" if self.path is not None else "<object reference (null)>"


class RowsReference(h5py.RegionReference):  # type: ignore[misc]  # h5py has no types
    """A region reference, of which only the rows are known.

    Parameters
    ----------
    rows : ndarray of int64
        Rows of the first axis of the dataset that it points into.
    """

    def __init__(self, rows: npt.NDArray[np.int64]) -> None:
        self.rows = rows
        """Rows of the first axis of the dataset that it points into."""

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<region reference to {len(self.rows)} rows>"
