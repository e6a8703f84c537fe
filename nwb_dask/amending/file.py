"""The amended file: what h5py has, and what NWB needs to be added in one call."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from nwb_dask.amending import nwb
from nwb_dask.amending.facade import AmendedAttributes, AmendedDataset, AmendedGroup
from nwb_dask.amending.tree import DraftTree
from nwb_dask.h5 import FacadeFile
from nwb_dask.h5.attributes import Attributes
from nwb_dask.references import LeftOut


class AmendedFile(AmendedGroup, FacadeFile):
    """A file that is open for additions, with the interface of ``h5py.File``; `nwb_dask.amend` makes it.

    What is added is seen here at once, and by others when `flush` or `close` is called, all or nothing. As a context
    manager, all that happens in the block counts if it ends well, and nothing since the last `flush` if it does not;
    `close` inside of it, which pynwb calls, waits for its end.

    Parameters
    ----------
    tree : DraftTree
        What is in it.
    release : callable
        Gives up the output, and the right to write to it.
    left_out : tuple of LeftOut
        What of the original has no place in a LINDI file, and why; known where the references are new.
    """

    group_class: ClassVar[type[AmendedGroup]] = AmendedGroup
    dataset_class: ClassVar[type[AmendedDataset]] = AmendedDataset
    attributes_class: ClassVar[type[Attributes]] = AmendedAttributes
    tree: DraftTree  # type: ignore[assignment]  # it has what the facade asks of a `Tree`

    def __init__(self, tree: DraftTree, release: Callable[[], None], left_out: tuple[LeftOut, ...] = ()) -> None:
        super().__init__(tree, release)  # type: ignore[arg-type]  # the same
        self._depth = 0
        self.left_out = left_out
        """What of the original has no place in a LINDI file, and why; known where the references are new."""

    @property
    def out(self) -> Path:
        """The archive or folder that additions go to."""
        return self.tree.draft.output.path

    @property
    def mode(self) -> str:
        """``r+``."""
        return "r+"

    def flush(self) -> None:
        """Let others see all that was added so far."""
        self.check_open()
        self.tree.draft.commit()

    def close(self) -> None:
        """Let others see all that was added, and give up the file; more than once is harmless."""
        if not self.is_open or self._depth:
            return
        try:
            self.tree.draft.commit()
        finally:
            self._closing()

    def discard(self) -> None:
        """Give up the file without what was added since the last `flush`."""
        if self.is_open:
            self.tree.draft.rollback()
            self._closing()

    def __enter__(self) -> Self:
        self.check_open()
        self._depth += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._depth -= 1
        if self._depth:
            return
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        closing = getattr(self, "_closing", None)
        if closing is not None and closing.alive and self.tree.draft.is_pending:
            warnings.warn(f"{self.filename} was not closed, and what was added is lost", ResourceWarning, stacklevel=2)

    def add_column(
        self, table: str, name: str, values: object, *, description: str, region_of: str | None = None
    ) -> None:
        """Add a column to a table of the original, or to one that was added.

        Parameters
        ----------
        table : str
            Its path, ``"/units"``.
        name : str
            Of the column.
        values : array_like, Series or list of lists
            One value for each row, of any number of dimensions; or a list for each row, which makes a ragged column.
        description : str
            What it holds.
        region_of : str, optional
            Path of another table: the values are numbers of rows there.

        Raises
        ------
        PathNotFoundError
            If there is no such table.
        OutputError
            If the name is taken.
        SchemaConflictError
            If there are more or fewer values than rows, or a row number is outside of `region_of`.
        FormatError
            If NWB or LINDI has no place for the values: missing ones, times, complex numbers.
        """
        self.check_open()
        nwb.add_column(self.tree.draft, table, name, values, description=description, region_of=region_of)

    def add_table(
        self, path: str, frame: object, *, description: str, descriptions: Mapping[str, str] | None = None
    ) -> None:
        """Add a table.

        Parameters
        ----------
        path : str
            Where it goes: ``/intervals/<name>`` makes a table of intervals, with ``start_time`` and ``stop_time`` in
            seconds; ``/processing/<module>/<name>``, ``/scratch``, ``/analysis``, ``/acquisition`` and
            ``/stimulus/…`` a general one. A module that is not there is made.
        frame : DataFrame, Table or mapping
            Of pandas, polars or Arrow, or columns by name as `add_column` takes them. Its columns are those of the
            table; ``id``, if it has one, are the ids of the rows.
        description : str
            What it holds.
        descriptions : mapping of str to str, optional
            What its columns hold.

        Raises
        ------
        OutputError
            If the name is taken, or NWB has no tables there.
        SchemaConflictError
            If columns differ in length, or those that intervals need are missing.
        FormatError
            If NWB or LINDI has no place for the values.
        """
        self.check_open()
        nwb.add_table(self.tree.draft, path, frame, description=description, descriptions=descriptions or {})

    def add_timeseries(
        self,
        path: str,
        data: object,
        *,
        unit: str,
        rate: float | None = None,
        starting_time: float = 0.0,
        timestamps: object = None,
        description: str = "no description",
        comments: str = "no comments",
        conversion: float = 1.0,
        offset: float = 0.0,
        chunks: tuple[int, ...] | None = None,
    ) -> None:
        """Add a TimeSeries.

        Parameters
        ----------
        path : str
            Where it goes, as `add_table`.
        data : array_like, shape (n_samples, ...)
            As stored.
        unit : str
            Of ``data * conversion + offset``.
        rate : float, optional
            Samples a second, where they are regular.
        starting_time : float
            Of the first sample, in seconds; with `rate`.
        timestamps : array_like of float, shape (n_samples,), optional
            Of each sample, in seconds, where there is no `rate`.
        description, comments : str
            What it holds.
        conversion, offset : float
            From what is stored to `unit`.
        chunks : tuple of int, optional
            Shape of a stored chunk; by default whole samples of at most 4 MiB.

        Raises
        ------
        OutputError
            If the name is taken, or NWB has no series there.
        SchemaConflictError
            If there are more or fewer timestamps than samples.
        ValueError
            Unless either `rate` or `timestamps` is given.
        FormatError
            If LINDI has no place for the values.
        """
        self.check_open()
        nwb.add_timeseries(
            self.tree.draft,
            path,
            data,
            unit=unit,
            rate=rate,
            starting_time=starting_time,
            timestamps=timestamps,
            description=description,
            comments=comments,
            conversion=conversion,
            offset=offset,
            chunks=chunks,
        )
