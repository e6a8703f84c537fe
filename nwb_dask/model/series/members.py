"""The group of one series as its description needs it: members, small values, what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import normpath

import numpy as np
import numpy.typing as npt

from nwb_dask.index import ArrayEntry, FileIndex, GroupEntry, join
from nwb_dask.model.kinds import number_attribute, text_attribute

Values = npt.NDArray[np.generic]


@dataclass(slots=True)
class Members:
    """One series: its group, what it leads to, and the small values that were read.

    `warnings` grows while the series is described.
    """

    index: FileIndex
    """Covers the group and the groups below it."""
    group: GroupEntry
    core: str
    """Type of the core schema."""
    linked: Mapping[str, FileIndex] = field(default_factory=dict)
    """Indexes of tables and groups elsewhere, by the path that they were asked for."""
    values: Mapping[str, Values] = field(default_factory=dict)
    """All values of small datasets, by path."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """Why a dataset or a linked object could not be read, by path."""
    warnings: list[str] = field(default_factory=list)

    @property
    def path(self) -> str:
        """Of the series."""
        return self.group.path

    def warn(self, sentence: str) -> None:
        """Note what the file has wrong, once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def array(self, name: str) -> ArrayEntry | None:
        """Return the dataset `name` of the group; None if there is none or it cannot be described."""
        return self.index.array(join(self.path, name))

    def arrays(self) -> Iterator[tuple[str, ArrayEntry]]:
        """Return the datasets of the group that could be described, by name, in the order of the file."""
        for name in self.group.members:
            entry = self.array(name)
            if entry is not None:
                yield name, entry

    def why_unread(self, name: str) -> str | None:
        """Return why the member `name` could not be described; None if it could, or is not there.

        Groups that soft links lead to are not described, and have no reason either.
        """
        if name not in self.group.members:
            return None
        path = join(self.path, name)
        link = self.group.links.get(name)
        if path in self.index.problems:
            reason = self.index.problems[path]
            if link is None or link.filename is not None:
                return reason
            return f"its link to {link.target!r} cannot be followed: {reason}"
        if link is not None and link.filename is not None:
            return (
                f"it is in another file, {link.filename!r}, and links out of a file are followed only into folders "
                "that allow_external=[...] names"
            )
        if self.index.array(path) is None and self.index.group(path) is None and link is None:
            return "it cannot be described"
        return None

    def value(self, entry: ArrayEntry, what: str) -> Values | None:
        """Return all values of a small dataset; None, and a warning that `what` is left out, if they are unreadable."""
        found = self.values.get(entry.path)
        if found is None:
            reason = self.problems.get(entry.path, "it was not read")
            self.warn(f"{entry.path} cannot be read ({reason}): {what}.")
        return found

    def number(self, name: str) -> float | None:
        """Return the only number of a dataset that was read; None if there is no such."""
        entry = self.array(name)
        found = None if entry is None else self.values.get(entry.path)
        if found is None or found.size != 1 or found.dtype.kind not in "iuf":
            return None
        return float(found.reshape(-1)[0])

    def data_number(self, name: str, default: float) -> float:
        """Return a number among the attributes of the data."""
        entry = self.array("data")
        found = None if entry is None else number_attribute(entry, name)
        return default if found is None else found

    def is_no_number(self, name: str) -> bool:
        """Tell whether the data have an attribute that should be a number and cannot be read as one."""
        entry = self.array("data")
        if entry is None:
            return False
        is_stated = name in entry.attributes or f"{entry.path}@{name}" in self.index.problems
        return is_stated and number_attribute(entry, name) is None

    def data_text(self, name: str) -> str | None:
        """Return a text among the attributes of the data; None if there is none."""
        entry = self.array("data")
        return None if entry is None else text_attribute(entry.attributes, name)

    def target(self, name: str) -> str | None:
        """Return the path of a group that a soft link `name` leads to, as the link says it; None for other members."""
        link = self.group.links.get(name)
        if link is None or link.filename is not None:
            return None
        return link.target if link.target.startswith("/") else normpath(join(self.path, link.target))


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 sample``, ``2 samples``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
