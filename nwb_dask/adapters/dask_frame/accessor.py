"""``df.nwb``: what a Dask DataFrame from NWB files will read, and of which files it consists."""

from __future__ import annotations

import dask.dataframe as dd
import pandas as pd
from dask.dataframe.extensions import register_dataframe_accessor, register_series_accessor

from nwb_dask.adapters.dask_frame import _compat as dx
from nwb_dask.adapters.dask_frame.explain import explain_reads, partition_table, reads_of, task_table
from nwb_dask.plan.explanation import Explanation


class _Accessor:
    """What frames and columns have in common."""

    def __init__(self, frame: dd.DataFrame | dd.Series) -> None:
        self._frame = frame

    def explain(self) -> Explanation:
        """Return what computing this will read: files, columns, filters pushed and not pushed, expected bytes.

        Nothing is computed. Print it, or look at its ``reads``.
        """
        return explain_reads(self._frame.expr)

    @property
    def partitions(self) -> pd.DataFrame:
        """The runs of rows that will be read, in order: partition, file, table, start, stop, and session columns."""
        return partition_table(self._frame.expr)

    def tasks(self) -> pd.DataFrame:
        """Return which task reads what, in order: key, file, table, start, stop.

        Keys are those of dashboards, logs and errors of a cluster, for ``df.compute()``, and for ``df.persist()``.
        Their prefix, ``read-nwb-units``, is the table alone, so that a dashboard shows one bar for it.
        """
        return task_table(self._frame.expr)

    def report(self) -> pd.DataFrame:
        """Return the files that ``errors="skip"`` left out, with the reason of each: columns file, reason."""
        skipped = dict.fromkeys(one for read in reads_of(self._frame.expr) for one in read.operand("scan").skipped)
        return pd.DataFrame(list(skipped), columns=["file", "reason"], dtype="str")


@register_dataframe_accessor("nwb")
class NWBAccessor(_Accessor):
    """``df.nwb``: what a Dask DataFrame from NWB files will read."""


@register_series_accessor("nwb")
class NWBSeriesAccessor(_Accessor):
    """``df.column.nwb``: as `NWBAccessor`; and for ragged columns what pandas' ``series.nwb`` has."""

    def lengths(self) -> dd.Series:
        """Return the number of values of each row as Int64, null for a null row."""
        lengths: dd.Series = dx.new_collection(dx.FunctionMap(self._frame.expr, "nwb", "lengths", (), {}))
        return lengths
