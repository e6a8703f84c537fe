"""Every real file, written as references for LINDI, is read back equal: tree, values, tables and series."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nwb_dask.references import write_references
from tests.parity.test_parity import DATA, INTEROP, REAL
from tests.references.round_trip import Trip
from tests.references.summary import ROUND_TRIPS

FAST = ("interop/session.nwb", "ecephys_tutorial.nwb", "test_PlaneSegmentation.nwb", "20080606_R1.nwb")
"""Groups of every kind, regions, records, and links into other files."""
REASONS = ("is a link into another file", "sequences of", "attributes of type compound")

pytestmark = pytest.mark.skipif(not REAL, reason=f"NO ROUND TRIP WAS MADE: {DATA} is absent")


def cases(paths: list[Path]) -> list[object]:
    found: list[object] = []
    for path in paths:
        name = f"{path.parent.name}/{path.name}"
        marks = [] if name.endswith(FAST) else [pytest.mark.slow]
        found.append(pytest.param(path, id=name, marks=marks))
    return found


@pytest.mark.parametrize("path", cases([*INTEROP, *REAL]))
def test_references_of_a_real_file_answer_as_the_file(
    path: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    document = tmp_path / "file.lindi.json"
    done = write_references(path, document)
    left_out = {one.path: one.reason for one in done.files[0].left_out}
    assert all(any(known in reason for known in REASONS) for reason in left_out.values()), left_out
    trip = Trip(path, document, left_out)
    trip.check()
    outcome = {"file": path.name, "counts": trip.counts, "left_out": sorted(left_out.items())}
    record_property(ROUND_TRIPS, json.dumps(outcome))
