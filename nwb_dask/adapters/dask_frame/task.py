"""What a task does: one partition in, one pandas frame out."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd

from nwb_dask.adapters.pandas_frame.convert import empty_frame, to_pandas
from nwb_dask.adapters.pandas_frame.predicate import mask
from nwb_dask.model.field import TABLE_INDEX, Field
from nwb_dask.plan.partition import Partition
from nwb_dask.plan.predicate import Node
from nwb_dask.read import read_partition


@dataclass(frozen=True)
class FrameSpec:
    """What all tasks of one expression have in common; travels compressed, and is unpacked once per process."""

    columns: tuple[Field, ...]
    """Columns of the frame, in order."""
    label: Field
    """The column that labels the rows: ``_table_index``, or the one asked for."""
    predicate: Node | None = None
    predicate_fields: tuple[Field, ...] = ()
    limit: int | None = None
    as_series: bool = False
    """Give the only column as a Series."""

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """What is read: the columns, and the label unless it is one of them."""
        known = {field.name for field in self.columns}
        return self.columns if self.label.name in known else (self.label, *self.columns)

    @cached_property
    def constants(self) -> frozenset[str]:
        """Session columns that are needed."""
        return frozenset(field.name for field in (*self.fields, *self.predicate_fields) if field.is_constant)

    @cached_property
    def _packed(self) -> bytes:
        parts = (self.columns, self.label, self.predicate, self.predicate_fields, self.limit, self.as_series)
        return zlib.compress(pickle.dumps(parts), 9)

    def __reduce__(self) -> tuple[Callable[[bytes], FrameSpec], tuple[bytes]]:
        """Pickle small: the fields of a wide table would be most of a task."""
        return _unpack, (self._packed,)


@lru_cache(maxsize=64)
def _unpack(packed: bytes) -> FrameSpec:
    # Written by `FrameSpec` in the process that planned; it travels inside dask's own pickles.
    return FrameSpec(*pickle.loads(zlib.decompress(packed)))  # noqa: S301  # see above


def read_frame(partition: Partition, spec: FrameSpec) -> pd.DataFrame | pd.Series:
    """Return the rows of `partition` as a frame.

    Parameters
    ----------
    partition : Partition
        Pieces and access; columns, predicate and limit come from `spec`.
    spec : FrameSpec
        What to read of it.
    """
    partition = replace(
        partition,
        fields=spec.fields,
        predicate=spec.predicate,
        predicate_fields=spec.predicate_fields,
        limit=spec.limit,
    )
    table = read_partition(partition, mask)
    if spec.label.name == TABLE_INDEX:
        frame = to_pandas(table, spec.columns, np.asarray(table.column(TABLE_INDEX), dtype=np.int64))
    else:
        frame = _labelled(to_pandas(table, spec.fields), spec)
    return _given(frame, spec)


def no_rows(spec: FrameSpec) -> pd.DataFrame | pd.Series:
    """Return the frame of a partition that is known to have no rows, without opening it."""
    numbered = spec.label.name == TABLE_INDEX
    return _given(empty_frame(spec.columns) if numbered else _labelled(empty_frame(spec.fields), spec), spec)


def _given(frame: pd.DataFrame, spec: FrameSpec) -> pd.DataFrame | pd.Series:
    return frame[spec.columns[0].name] if spec.as_series else frame


def _labelled(frame: pd.DataFrame, spec: FrameSpec) -> pd.DataFrame:
    # Not by `set_index`, which makes a RangeIndex of some partitions' labels and not of others'.
    labels = pd.Index(frame[spec.label.name].array, name=spec.label.name)
    return frame[[field.name for field in spec.columns]].set_axis(labels, axis="index")
