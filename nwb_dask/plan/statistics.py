"""What is known of the values of columns in each piece of a scan, without opening its file. Pure.

Statistics are of values as they are read: in the unified type of the column (`Field.type`), null where a file lacks it.
They only ever say what cannot be: a wider range or an unknown count is never wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

UNKNOWN_COUNT = -1
"""Stands for a number of rows that nobody counted."""


@dataclass(frozen=True, slots=True, eq=False)
class ColumnStatistics:
    """One column in each of n pieces; all fields have one entry per piece.

    Nulls and NaN are counted and otherwise left aside: bounds and `values` are about the other values.
    """

    minimum: pa.Array
    """A lower bound: no value is less. Null where there are no values, or nothing is known.

    Type: that of the column, or a wider one that holds its values exactly (int64 for int8, float64 for float32).
    Text is ordered by code points, which is the order of its UTF-8 bytes.
    """
    maximum: pa.Array
    """An upper bound, of the same type as `minimum`: no value is greater."""
    n_null: npt.NDArray[np.int64]
    """Rows that are null, int64; -1 where that is unknown."""
    n_nan: npt.NDArray[np.int64]
    """Rows that are NaN, int64; -1 where that is unknown; 0 for columns that are not floating."""
    values: pa.Array | None
    """Lists of distinct values, in any order, of the type of `minimum`: no other values occur. Null where there are too
    many of them to be kept, or nothing is known; None if so everywhere."""
    is_known: npt.NDArray[np.bool_]
    """Whether `minimum` and `maximum` are known: true with null bounds says that no row has a value."""

    def __post_init__(self) -> None:
        """Join chunks, and refuse arrays that do not fit together."""
        for name in ("minimum", "maximum", "values"):
            given = getattr(self, name)
            object.__setattr__(self, name, _joined(given) if isinstance(given, pa.ChunkedArray) else given)
        counts = (np.asarray(self.n_null, np.int64), np.asarray(self.n_nan, np.int64))
        object.__setattr__(self, "n_null", counts[0])
        object.__setattr__(self, "n_nan", counts[1])
        object.__setattr__(self, "is_known", np.asarray(self.is_known, np.bool_))
        arrays = (self.minimum, self.maximum, self.n_null, self.n_nan, self.is_known)
        lengths = {len(one) for one in (*arrays, *(() if self.values is None else (self.values,)))}
        types = {self.minimum.type, self.maximum.type} | (
            set() if self.values is None else {self.values.type.value_type}
        )
        if len(lengths) != 1 or len(types) != 1:
            message = f"statistics do not fit together: lengths {sorted(lengths)}, types {sorted(map(str, types))}"
            raise ValueError(message)

    def __len__(self) -> int:
        """Return the number of pieces."""
        return len(self.n_null)

    @classmethod
    def unknown(cls, n_pieces: int, kind: pa.DataType) -> ColumnStatistics:
        """Return statistics that say nothing."""
        nothing, count = pa.nulls(n_pieces, kind), np.full(n_pieces, UNKNOWN_COUNT, np.int64)
        return cls(nothing, nothing, count, count, None, np.zeros(n_pieces, np.bool_))

    @classmethod
    def absent(cls, n_rows: Sequence[int] | npt.NDArray[np.int64], kind: pa.DataType) -> ColumnStatistics:
        """Return those of pieces whose files lack the column: each of their `n_rows` rows is null."""
        counts = np.asarray(n_rows, np.int64)
        nothing, none = pa.nulls(len(counts), kind), np.zeros(len(counts), np.int64)
        return cls(nothing, nothing, counts, none, None, np.ones(len(counts), np.bool_))

    def take(self, numbers: Sequence[int] | npt.NDArray[np.intp]) -> ColumnStatistics:
        """Return the statistics of these pieces, in the order given."""
        where = np.asarray(numbers, np.int64)
        chosen = pa.array(where)
        values = None if self.values is None else self.values.take(chosen)
        bounds = (self.minimum.take(chosen), self.maximum.take(chosen))
        return ColumnStatistics(*bounds, self.n_null[where], self.n_nan[where], values, self.is_known[where])

    def of_parts(self, numbers: Sequence[int] | npt.NDArray[np.intp]) -> ColumnStatistics:
        """Return what is known of runs of rows, the i-th being a part of piece ``numbers[i]``.

        Bounds and values of the whole hold for a part; of its counts only zero does.
        """
        taken = self.take(numbers)
        n_null, n_nan = (np.where(one == 0, 0, UNKNOWN_COUNT) for one in (taken.n_null, taken.n_nan))
        return replace(taken, n_null=n_null, n_nan=n_nan)

    def merged(self, bounds: npt.NDArray[np.int64]) -> ColumnStatistics:
        """Return the statistics of runs of pieces taken together, such as the row ranges of one table.

        Parameters
        ----------
        bounds : ndarray of int, shape (n_runs + 1,)
            Run i is the pieces ``[bounds[i], bounds[i + 1])``; ``bounds[0]`` is 0 and the last is their number.
            A run of no pieces has no rows.
        """
        n_runs = len(bounds) - 1
        runs = np.repeat(np.arange(n_runs), np.diff(bounds))
        table = pa.table({"run": runs, "low": self.minimum, "high": self.maximum})
        found = table.group_by("run", use_threads=False).aggregate([("low", "min"), ("high", "max")])
        place = np.full(n_runs, -1, np.int64)
        place[found.column("run").to_numpy()] = np.arange(len(found))
        is_known = _sums(~self.is_known, bounds) == 0
        where = pa.array(place, mask=(place < 0) | ~is_known)
        low, high = (_joined(found.column(name)).take(where) for name in ("low_min", "high_max"))
        n_null, n_nan = (
            np.where(_sums(one < 0, bounds) > 0, UNKNOWN_COUNT, _sums(np.maximum(one, 0), bounds))
            for one in (self.n_null, self.n_nan)
        )
        return ColumnStatistics(low, high, n_null, n_nan, _union(self.values, runs, n_runs), is_known)


Statistics: TypeAlias = Mapping[str, ColumnStatistics]
"""Statistics by column; nothing is known of columns that it lacks."""


def take_statistics(statistics: Statistics, numbers: Sequence[int] | npt.NDArray[np.intp]) -> Statistics:
    """Return the statistics of these pieces, in the order given."""
    return {name: one.take(numbers) for name, one in statistics.items()}


def _joined(values: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays([pa.array([], values.type), *values.chunks])


def _sums(
    counts: npt.NDArray[np.int64] | npt.NDArray[np.bool_], bounds: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    total = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
    sums: npt.NDArray[np.int64] = np.diff(total[bounds])
    return sums


def _union(values: pa.Array | None, runs: npt.NDArray[np.intp], n_runs: int) -> pa.Array | None:
    """Return all values of each run, null where those of some piece are unknown."""
    if values is None:
        return None
    unknown = np.zeros(n_runs, np.bool_)
    unknown[runs[values.is_null().to_numpy(zero_copy_only=False)]] = True
    pairs = pa.table({"run": runs[pc.list_parent_indices(values).to_numpy()], "value": pc.list_flatten(values)})
    pairs = pairs.filter(pa.array(~unknown[pairs.column("run").to_numpy()]))
    pairs = pairs.group_by(["run", "value"], use_threads=False).aggregate([]).sort_by("run")
    counts = np.bincount(pairs.column("run").to_numpy(), minlength=n_runs)
    offsets = pa.array(np.concatenate(([0], np.cumsum(counts))), pa.int64())
    return pa.LargeListArray.from_arrays(offsets, _joined(pairs.column("value")), mask=pa.array(unknown))
