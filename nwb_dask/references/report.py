"""What `write_references` wrote, and what it left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An object or attribute of a file that is not among its references."""

    path: str
    """Of the object; of an attribute ``/units@name``."""
    reason: str
    is_unread: bool = False
    """Whether it could not be read; if not, the format has no place for it."""


@dataclass(frozen=True, slots=True)
class ReferenceFile:
    """The references of one file."""

    path: Path
    """What was written: a file, or a folder."""
    source: str
    """The file, as in ``_nwb_path``."""
    url: str
    """How the references name it."""
    n_arrays: int
    n_chunks: int
    """Chunks that are ranges of files."""
    n_inline: int
    """Chunks whose bytes are in the output."""
    bytes: int
    """Of the output."""
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class WrittenReferences:
    """What `nwb_dask.write_references` wrote."""

    format: str
    files: tuple[ReferenceFile, ...]
    """In source order."""
    skipped: tuple[tuple[str, str], ...] = ()
    """Files that are left out, with the reason of each (``errors="skip"``)."""

    @property
    def n_arrays(self) -> int:
        """Arrays of all files."""
        return sum(one.n_arrays for one in self.files)

    @property
    def n_chunks(self) -> int:
        """Chunks of all files that are ranges of them."""
        return sum(one.n_chunks for one in self.files)

    @property
    def bytes(self) -> int:
        """Bytes of all that was written."""
        return sum(one.bytes for one in self.files)

    def __repr__(self) -> str:
        """Say how much was written, and what was not."""
        lines = [
            f"{one.path}: {one.n_arrays} arrays as {self.format}, {one.n_chunks} chunks of {one.url}, {one.bytes} bytes"
            + (f", {len(one.left_out)} left out" if one.left_out else "")
            for one in self.files
        ]
        return "\n".join([*lines, *(f"left out: {name}: {reason}" for name, reason in self.skipped)])
