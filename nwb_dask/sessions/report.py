"""What a run has done, failed to do, and left as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from nwb_dask.errors import OutputError
from nwb_dask.sessions.records import Output, Quarantined, Record, output_at, quarantine_table
from nwb_dask.storage import make_access

if TYPE_CHECKING:
    import pandas as pd

_N_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Report:
    """What `to_parquet` did."""

    out: str
    done: tuple[Record, ...]
    """Sessions that were computed, in source order."""
    quarantined: tuple[Quarantined, ...]
    """Sessions that failed, in source order."""
    skipped: tuple[Record, ...]
    """Sessions that were there already, of the same code, arguments and file."""
    seconds: float
    """From the beginning to the end."""

    @property
    def quarantine(self) -> pd.DataFrame:
        """Sessions that failed: source, path inside the file, error, message, attempts, worker, traceback."""
        frame: pd.DataFrame = quarantine_table(self.quarantined).to_pandas()
        return frame

    @property
    def rows(self) -> int:
        """Rows of the result."""
        return sum(one.rows for one in (*self.done, *self.skipped))

    @property
    def bytes(self) -> int:
        """Bytes of the result."""
        return sum(one.bytes for one in (*self.done, *self.skipped))

    def _title(self) -> str:
        counts = f"{len(self.done)} done, {len(self.skipped)} skipped, {len(self.quarantined)} quarantined"
        return f"{self.out}: {counts}; {self.rows} rows, {self.bytes} bytes, {self.seconds:.1f} s"

    def __repr__(self) -> str:
        """Say how much was done, and what was not."""
        lines = [self._title()]
        lines += [f"  {one.source}: {one.error}: {_line(one.message)}" for one in self.quarantined[:_N_SHOWN]]
        n_more = len(self.quarantined) - _N_SHOWN
        return "\n".join([*lines, *([f"  ... {n_more} more in .quarantine"] if n_more > 0 else [])])

    def _repr_html_(self) -> str:
        """Show the same as a table."""
        names = ("source", "path", "error", "message", "attempts", "worker")
        head = "".join(f"<th>{name}</th>" for name in names)
        rows = [
            "".join(
                f"<td>{escape(str('' if getattr(one, name) is None else getattr(one, name)))}</td>" for name in names
            )
            for one in self.quarantined[:_N_SHOWN]
        ]
        table = f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>" if rows else ""
        return f"<p>{escape(self._title())}</p>{table}"


def _line(text: str) -> str:
    return " ".join(text.split())


def read_report(out: object, *, storage_options: Mapping[str, object] | None = None) -> Report:
    """Return what stands in the folder of a result of `map_sessions`: all that is done, and what failed.

    Parameters
    ----------
    out : path or URL
        As it was given to `to_parquet`.
    storage_options : mapping, optional
        Credentials and endpoints of a bucket.

    Returns
    -------
    Report
        With all finished sessions as `done`, whichever run computed them.

    Raises
    ------
    OutputError
        If no run has written there.
    """
    return report_of(output_at(out, make_access(storage_options)))


def report_of(output: Output) -> Report:
    """Return the report of what stands in a folder."""
    asked = output.run()
    if asked is None:
        raise OutputError(f"{output.name} holds no result of map_sessions", url=output.name)
    sources = asked.get("sources")
    places = {name: number for number, name in enumerate(sources if isinstance(sources, list) else [])}
    records = sorted(output.records().values(), key=lambda one: places.get(one.source, len(places)))
    seconds = asked.get("seconds")
    return Report(
        output.name,
        tuple(records),
        output.quarantine(),
        (),
        float(seconds) if isinstance(seconds, int | float) else 0.0,
    )
