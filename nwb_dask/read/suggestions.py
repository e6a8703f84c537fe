"""What may have been meant by the name of a table that is nowhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches


def suggest_tables(label: str, known: Mapping[str, Sequence[str]]) -> str:
    """Say which of the `known` tables (path -> files that have it) may have been meant."""
    tail = label.rpartition("/")[2]
    same_tail = [path for path in known if tail and path.rpartition("/")[2] == tail]
    near = [*dict.fromkeys((*same_tail, *get_close_matches(label, known, n=3, cutoff=0.6)))][:3]
    if near:
        others = len(known[near[0]]) - 1
        also = f" and {others} more" if others else ""
        return f"did you mean {' or '.join(map(repr, near))} (in {known[near[0]][0]}{also})?"
    if set(known) <= {"/"}:
        return "the file is HDF5 and holds no NWB table or series"
    return f"the tables are {', '.join(known)}"
