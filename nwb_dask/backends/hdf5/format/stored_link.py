"""Links as groups store them, in either of their kinds."""

from __future__ import annotations

from typing import Literal, NamedTuple


class SymbolTable(NamedTuple):
    """Where the members of a group of the older kind are."""

    tree: int
    heap: int


LinkKind = Literal["hard", "soft", "external", "user"]


class StoredLink(NamedTuple):
    """A link, as its group stores it."""

    name: bytes
    kind: LinkKind
    address: int | None = None
    """Object header that a hard link leads to."""
    target: bytes = b""
    """Path that a soft or external link names."""
    filename: bytes = b""
    """File that an external link names."""
    order: int | None = None
    """Order of creation, where the group keeps it."""
    table: SymbolTable | None = None
    """Where the members are of a group of the older kind, as far as the link says so."""

    @property
    def is_group(self) -> bool | None:
        """True if the link says that it leads to a group; None if it says nothing."""
        return None if self.table is None else True
