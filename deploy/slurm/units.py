"""What the job array asks each session: its units, for `nwb-dask run deploy/slurm/units.py:units`.

Put a function of your own in its place: it is given what `nwb_dask.open_nwb` gives, and returns a frame, a dict or a
value.
"""

from __future__ import annotations

import pandas as pd

from nwb_dask.adapters.browse import Session


def units(session: Session) -> pd.DataFrame:
    """Return the units of a session and their spikes."""
    return session.read("/units", columns=["id", "spike_times"])
