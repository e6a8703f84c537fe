"""What `psth` must give, by one histogram for each unit and trial of what was written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tests.analysis.brute import counts_around
from tests.analysis.sessions import Session

EDGES = [-0.5, -0.25, 0.0, 0.25, 0.5, 0.75]
CENTRES = [-0.375, -0.125, 0.125, 0.375, 0.625]
WINDOW, BIN = (-0.5, 0.75), 0.25
ASK: dict[str, Any] = {"align": "response_time", "window": WINDOW, "bin_size": BIN, "by": "condition"}


def expected_rates(sessions: list[Session], align: str, by: list[str]) -> pd.DataFrame:
    """Return the rows of `psth`."""
    rows: list[tuple[Any, ...]] = []
    for session in sessions:
        if not len(session.trials):
            continue
        conditions = list(session.trials.groupby(by)) if by else [((), session.trials)]
        for unit, (label, spikes) in enumerate(zip(session.ids, session.spikes, strict=True)):
            for values, trials in conditions:
                observed = None if session.observed is None else session.observed[unit]
                counts = counts_around(spikes, list(trials[align]), EDGES, observed)
                n_trials = np.isfinite(counts).sum(axis=0)
                rates = np.nansum(counts, axis=0) / np.where(n_trials, n_trials * BIN, np.nan)
                cells = zip(CENTRES, np.nansum(counts, axis=0), n_trials, rates, strict=True)
                without = int(trials[align].isna().sum())
                rows += [(str(session.path), label, *values, *cell, without) for cell in cells]
    columns = ["_nwb_path", "unit", *by, "time", "count", "n_trials", "rate", "n_without_event"]
    return pd.DataFrame(rows, columns=columns).astype({"count": np.int64})


def check(rates: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Compare values and order of the rows, to the last digit."""
    pd.testing.assert_frame_equal(rates.reset_index(drop=True), expected, check_dtype=False, check_exact=True)
