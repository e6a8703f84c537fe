"""One column of a table as its reader sees it: name and Arrow type, known without reading data."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

NWB_PATH = "_nwb_path"
TABLE_PATH = "_table_path"
TABLE_INDEX = "_table_index"
PATH_COLUMNS = (NWB_PATH, TABLE_PATH, TABLE_INDEX)
"""Columns that name a row's origin: file as given made absolute, table's path in it, row number in the table.

A table's own columns of these names, as in a file that was written from an earlier read, are shown as `shown_name`
says.
"""

_OWN = "./"
"""Begins the names of such columns: no dataset has a slash in its name."""


def shown_name(name: str) -> str:
    """Return the name under which a column of a file is shown: its own, but ``./_nwb_path`` for ``_nwb_path``."""
    return _OWN + name if name in PATH_COLUMNS else name


def stored_name(name: str) -> str:
    """Return the name in the file of a column that is shown as `name`."""
    own = name.removeprefix(_OWN)
    return own if own in PATH_COLUMNS else name


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a scan, after the files have been unified."""

    name: str
    type: pa.DataType
    """Arrow type of every batch that is read. ``pa.dictionary(pa.int32(), pa.string())`` for categories."""
    nullable: bool = False
    """Whether a batch may hold nulls: some file lacks the column, or the stored values may be absent."""
    categories: tuple[str, ...] | None = None
    """All values of a dictionary column, in order, over all files; None for other types."""
    heavy: bool = False
    """Ragged or n-dimensional: read after the filter, for surviving rows only, and not to be filtered on."""
    problem: str = ""
    """Why the column cannot be read (its type is then ``pa.null()``); reading it raises."""
    is_void: bool = False
    """Whether the file has no value of it at all: then its type is whatever the writer had to give."""
    lengths_of: str = ""
    """The ragged column of which this one holds the length of each list; ``""`` for columns of a file."""
    is_constant: bool = False
    """Whether it describes the session: one value for all rows of a table, known since the plan was made."""

    @property
    def stored(self) -> str:
        """Name of the column of a file that is read for this one."""
        return self.lengths_of or self.name


LENGTHS_SUFFIX = ".n"
"""Ends the name of a column of lengths."""


def lengths_field(field: Field) -> Field:
    """Return the field of the lengths of the lists in a ragged column: null where the list is."""
    type_ = pa.null() if field.problem else pa.int64()
    name = field.name + LENGTHS_SUFFIX
    return Field(name, type_, nullable=field.nullable, problem=field.problem, lengths_of=field.name)


def path_fields() -> tuple[Field, ...]:
    """Return the fields of the three path columns."""
    return (Field(NWB_PATH, pa.string()), Field(TABLE_PATH, pa.string()), Field(TABLE_INDEX, pa.int64()))
