"""Partitions of two Dask DataFrames that hold the same sessions, and rows of two frames of the same session.

Partitions with the same number need not hold the same session: a file without trials has no partition of trials. Which
files a partition holds is asked of the frame (``frame.nwb.partitions``, which opens none), and each task verifies that
its rows are of those files: a frame whose rows have moved since they were read is an error, never a missing session.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import dask.dataframe as dd
import numpy as np
import numpy.typing as npt
import pandas as pd
from dask.dataframe.dispatch import make_meta

from nwb_dask.analysis.units import SESSION, require_columns

Positions = npt.NDArray[np.intp]

_PLANNED = ("frame", "path")


def pair_sessions(
    units: dd.DataFrame, others: dd.DataFrame, name: str, *, keep_unpaired: bool = False
) -> tuple[dd.DataFrame, ...]:
    """Return frames whose partitions with the same number hold the same sessions; nothing is computed.

    Parameters
    ----------
    units, others : dask.dataframe.DataFrame
        With the column ``_nwb_path``. `others` of one partition go to every partition of `units`. Otherwise both must
        come from `read_nwb`, and all rows of a session in `others` must be in one partition.
    name : str
        What `others` is called in errors.
    keep_unpaired : bool
        Whether to keep partitions of `units` whose sessions are not in `others`.

    Returns
    -------
    tuple of dask.dataframe.DataFrame
        Units, others, and, unless `others` is one partition, what `check_planned` needs.

    Raises
    ------
    ValueError
        If it is not known which sessions the partitions hold, or those of one partition of `units` are in several of
        `others`.
    """
    for frame, called in ((units, "units"), (others, name)):
        if SESSION not in frame.columns:
            raise ValueError(
                f"{called} have no column {SESSION!r}, which says what session a row belongs to; "
                f"read them with include_path_columns=True, and keep that column"
            )
    if others.npartitions == 1:
        return units, others
    # A filter on the session drops partitions: numbers are those of what will be read.
    units, others = units.simplify(), others.simplify()
    held, other_held = _sessions_of(units, "units", name), _sessions_of(others, name, name)
    pairs = _pairs(held, other_held, name, keep_unpaired=keep_unpaired)
    planned = dd.from_map(
        _planned_rows, [(held[i], other_held[j]) for i, j in pairs], meta=_planned_rows(((), ())), label="planned"
    )
    return _chosen(units, [i for i, _ in pairs]), _chosen(others, [j for _, j in pairs]), planned


def _pairs(
    held: list[tuple[str, ...]], other_held: list[tuple[str, ...]], name: str, *, keep_unpaired: bool
) -> list[tuple[int, int]]:
    holders: dict[str, set[int]] = {}
    for number, paths in enumerate(other_held):
        for path in paths:
            holders.setdefault(path, set()).add(number)
    pairs = []
    for number, paths in enumerate(held):
        wanted = sorted({other for path in paths for other in holders.get(path, ())})
        if len(wanted) > 1:
            raise ValueError(
                f"partition {number} of units holds {_listed(paths)}, whose {name} are in {len(wanted)} partitions; "
                f"read both with the same aggregate_files and {name} without blocksize, or {_way_out(name)}"
            )
        if wanted or keep_unpaired:
            pairs.append((number, wanted[0] if wanted else 0))
    # A Dask DataFrame has at least one partition; this one finds nothing in common.
    return pairs or [(0, 0)]


def _sessions_of(frame: dd.DataFrame, called: str, name: str) -> list[tuple[str, ...]]:
    """Return the sessions of each partition, without opening a file."""
    table = getattr(getattr(frame, "nwb", None), "partitions", None)
    if isinstance(table, pd.DataFrame):
        held: list[dict[str, None]] = [{} for _ in range(frame.npartitions)]
        numbers = table["partition"].tolist()
        if set(numbers) == set(range(len(held))):
            for number, path in zip(numbers, table["file"], strict=True):
                held[number][path] = None
            return [tuple(paths) for paths in held]
    raise ValueError(
        f"it is not known which sessions the partitions of {called} hold: they do not come from read_nwb alone, or "
        f"were persisted or repartitioned since; {_way_out(name)}"
    )


def _way_out(name: str) -> str:
    return f"pass {name}.repartition(npartitions=1), which gives the {name} of all sessions to every worker"


def _listed(paths: Iterable[str]) -> str:
    first, *rest = paths
    return f"{first!r} and {len(rest)} more" if rest else repr(first)


def _chosen(frame: dd.DataFrame, numbers: list[int]) -> dd.DataFrame:
    chosen: dd.DataFrame = frame if numbers == list(range(frame.npartitions)) else frame.partitions[numbers]
    return chosen


def _planned_rows(pair: tuple[tuple[str, ...], tuple[str, ...]]) -> pd.DataFrame:
    """Return the sessions that a pair of partitions holds, as a frame: only frames are paired by dask."""
    rows = [("units", path) for path in pair[0]] + [("others", path) for path in pair[1]]
    return pd.DataFrame(rows, columns=list(_PLANNED), dtype="str")


def check_planned(units: pd.DataFrame, others: pd.DataFrame, planned: pd.DataFrame | None, name: str) -> None:
    """Raise unless all rows are of the sessions that were planned for these partitions.

    Then every row is where it was looked for, so that nothing can be missing from the answer.

    Raises
    ------
    ValueError
        If some row is not.
    """
    if planned is None:
        return
    for frame, called, key in ((units, "units", "units"), (others, name, "others")):
        strays = set(frame[SESSION].unique()) - set(planned["path"][planned["frame"] == key])
        if strays:
            raise ValueError(
                f"a partition of {called} holds rows of {_listed(sorted(map(str, strays)))}, which was read in another "
                f"one: {called} were shuffled or merged; {_way_out(name)}"
            )


def meta_of(frame: dd.DataFrame) -> pd.DataFrame:
    """Return the empty frame that says which columns and dtypes a Dask DataFrame has."""
    meta: pd.DataFrame = make_meta(frame)
    return meta


def narrowed(frame: Any, names: Iterable[str], called: str) -> Any:  # noqa: ANN401  # a pandas or Dask DataFrame
    """Return the frame with these columns alone, each once; PathNotFoundError if it lacks one."""
    wanted = list(dict.fromkeys(names))
    require_columns(frame.columns, wanted, called)
    return frame[wanted]


def rows_by_session(units: pd.DataFrame, others: pd.DataFrame, name: str) -> Iterator[tuple[Positions, Positions]]:
    """Return, for each session of `units`, the positions of its rows in both frames.

    Parameters
    ----------
    units, others : pd.DataFrame
        Both with ``_nwb_path``; or both without, which makes them one session.
    name : str
        What `others` is called in errors.

    Yields
    ------
    (units, others) : ndarray of intp
        In the order of the first unit of each session; none of `others` if it has no rows of the session.

    Raises
    ------
    ValueError
        If only one of the frames says which session its rows belong to, or a unit's session is null.
    """
    if (SESSION in units) != (SESSION in others):
        has, lacks = ("units", name) if SESSION in units else (name, "units")
        raise ValueError(
            f"{has} have a column {SESSION!r} and {lacks} have none: which rows belong together is unknown"
        )
    if SESSION not in units:
        yield np.arange(len(units)), np.arange(len(others))
        return
    codes, sessions = pd.factorize(units[SESSION])
    if (codes < 0).any():
        raise ValueError(f"{int((codes < 0).sum())} units have a null {SESSION!r}: their session is unknown")
    other_codes = pd.Index(sessions).get_indexer(pd.Index(others[SESSION]))
    order = np.argsort(other_codes, kind="stable")
    bounds = np.searchsorted(other_codes[order], np.arange(len(sessions) + 1))
    for number in range(len(sessions)):
        yield np.flatnonzero(codes == number), order[bounds[number] : bounds[number + 1]]
