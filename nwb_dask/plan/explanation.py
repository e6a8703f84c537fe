"""What a query will read, said before it is read."""

from __future__ import annotations

from dataclasses import dataclass

_MANY = 12
_UNITS = ("B", "kB", "MB", "GB", "TB")
_STEP = 1000.0


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """What one read of an optimized expression does."""

    table: str
    n_files: int
    """Files that are opened."""
    n_files_total: int
    """Files of the source."""
    n_partitions: int
    """Partitions that are read."""
    n_partitions_total: int
    columns: tuple[str, ...]
    """Columns that are read for the rows that remain, in order."""
    heavy: tuple[str, ...]
    """Those of them that are ragged or n-dimensional."""
    predicate: str | None
    """What the reader filters by."""
    predicate_columns: tuple[str, ...]
    """What is read first, to decide which rows remain."""
    residual: tuple[str, ...]
    """Filters that remain with dask, over the rows that were read."""
    limit: int | None
    """The most rows of each partition."""
    expected_bytes: int
    """Stored bytes of the columns; with a filter less is read of the heavy ones."""
    n_rows: int | None = None
    """Only the first so many rows of all partitions, if they suffice."""
    pruned: tuple[tuple[str, int], ...] = ()
    """Conditions that leave tables, or runs of their rows, unread: each with their number."""

    def __str__(self) -> str:
        """Return the plan in words, one line per fact."""
        is_part = self.predicate is not None or self.limit is not None or self.n_rows is not None
        most = "at most " if is_part else ""
        lines = [
            f"read {self.table}",
            f"  files       {self.n_files} of {self.n_files_total}",
            f"  partitions  {self.n_partitions} of {self.n_partitions_total}",
            f"  columns     {_listed(self.columns)}",
            f"  filter      {self.predicate or 'none'}",
        ]
        lines += [f"  left out    {number} by {condition}" for condition, number in self.pruned]
        if self.predicate_columns:
            lines.append(f"  read first  {_listed(self.predicate_columns)}")
        if self.heavy and self.predicate is not None:
            lines.append(f"  survivors   {_listed(self.heavy)} only for rows that pass the filter")
        lines += [f"  not pushed  {text}" for text in self.residual]
        if self.limit is not None:
            lines.append(f"  rows        {self.limit} per partition at most")
        if self.n_rows is not None:
            lines.append(f"  rows        the first {self.n_rows}")
        lines.append(f"  bytes       {most}{format_bytes(self.expected_bytes)}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an expression reads: one `ReadPlan` per read of the optimized expression."""

    reads: tuple[ReadPlan, ...]

    def __str__(self) -> str:
        """Return the plans in words."""
        return "\n".join(map(str, self.reads)) if self.reads else "reads no file: the answer is known from metadata"

    def __repr__(self) -> str:
        return str(self)


def format_bytes(count: int) -> str:
    """Return a size for people: ``6.2 MB``."""
    size = float(count)
    for unit in _UNITS[:-1]:
        if size < _STEP:
            return f"{size:.3g} {unit}"
        size /= _STEP
    return f"{size:.3g} {_UNITS[-1]}"


def _listed(names: tuple[str, ...]) -> str:
    if not names:
        return "none"
    shown = ", ".join(names[:_MANY])
    return shown if len(names) <= _MANY else f"{shown} and {len(names) - _MANY} more"
