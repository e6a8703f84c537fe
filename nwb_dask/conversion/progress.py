"""How far a conversion, or another run over many files, is, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_WIDTH = 72


@contextmanager
def progress_bar(
    n_parts: int, n_done: int, *, shown: bool | None, label: str = "converting"
) -> Iterator[Callable[[str], None]]:
    """Return what is told the name of each part once it is written.

    Parameters
    ----------
    n_parts, n_done : int
        How many parts there are, and how many an earlier run has written.
    shown : bool, optional
        Whether a bar is drawn; by default where standard error is a terminal.
    label : str
        What is said before the first part.
    """
    if not (sys.stderr.isatty() if shown is None else shown):
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True, force_terminal=True if shown else None)
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(label, total=n_parts, completed=n_done)
        yield lambda name: bar.update(task, advance=1, description=name[-_WIDTH:])
