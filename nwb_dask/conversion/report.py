"""What a conversion wrote, and what it left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file of the output, or a Zarr store, which is a folder."""

    path: str
    """Below the folder of the output, with slashes."""
    tables: tuple[str, ...]
    """Tables or series that are in it, by their paths; ``session`` is the table of metadata."""
    session: str | None
    """Whose rows it has; None if all."""
    rows: int
    """Of all tables in it; samples of a series."""
    bytes: int
    sha256: str
    """Of a store, that of a list of its files as ``sha256sum`` prints it, by name."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something of the sources that is not in the output although the files have it."""

    path: str
    """Of a table, series or column."""
    reason: str
    source: str | None = None
    """The file; None if it is left out of all."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What `nwb_dask.convert` did."""

    out: Path
    format: str
    files: tuple[WrittenFile, ...]
    """By their paths."""
    sessions: dict[str, str]
    """Name of each session in the output -> its file, as in ``_nwb_path``; in source order."""
    skipped: tuple[tuple[str, str], ...] = ()
    """Files that are left out, with the reason of each (``errors="skip"``)."""
    left_out: tuple[LeftOut, ...] = ()
    n_resumed: int = 0
    """Files of an earlier, unfinished run that this one found finished."""

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(one.rows for one in self.files)

    @property
    def bytes(self) -> int:
        """Bytes of all files, without the manifest."""
        return sum(one.bytes for one in self.files)

    @property
    def tables(self) -> tuple[str, ...]:
        """Tables that were written, sorted."""
        return tuple(sorted({path for one in self.files for path in one.tables}))

    def __repr__(self) -> str:
        """Say how much was written, and what was not."""
        first = f"{len(self.sessions)} sessions as {self.format} in {self.out}: {len(self.tables)} tables"
        lines = [f"{first}, {len(self.files)} files, {self.rows} rows, {self.bytes} bytes"]
        lines += [f"  left out: {name}: {reason}" for name, reason in self.skipped]
        lines += [
            f"  left out: {one.path}{f' of {one.source}' if one.source else ''}: {one.reason}" for one in self.left_out
        ]
        return "\n".join(lines)
