"""What the objects of a container ask of the file that they are in."""

from __future__ import annotations

from typing import Any, Protocol

from nwb_dask.h5.attributes import Attributes
from nwb_dask.h5.reads import Reads
from nwb_dask.h5.tree import Found, Tree


class Opened(Protocol):
    """An open file: see `FacadeFile`."""

    tree: Tree
    token: int
    attributes_class: type[Attributes]
    reads: Reads | None

    @property
    def is_open(self) -> bool:
        """Whether it is open."""

    @property
    def filename(self) -> str:
        """Its name."""

    def check_open(self) -> None:
        """Raise `ValueError` if it is closed."""

    def made(self, found: Found) -> Any:
        """Return the object that was found."""

    def __getitem__(self, name: object) -> Any:
        """Return an object by its path."""
