"""Every TimeSeries of every real file has the values and times that pynwb shows, bit for bit."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import nwb_dask
from nwb_dask.testing import series as written
from nwb_dask.testing import series_odd as odd

from . import oracle_series
from .oracle_series import File, Shown
from .summary import SERIES_OUTCOME
from .test_parity import INTEROP, REAL, _label

Record = Callable[[str, object], None]

ELSEWHERE = re.compile(r"another file|other files|cannot be followed|cannot hold values of complex")
NUMBERS = re.compile(r"-?[0-9]+")

WRITERS: dict[str, Callable[[Path], Path]] = {
    "every type": written.write_series,
    # Those that pynwb refuses have tests of their own, in tests/read.
    "odd": partial(odd.write_odd_series, without=odd.PYNWB_REFUSES),
}


@pytest.fixture(params=[*map(_label, [*REAL, *INTEROP]), *(f"written/{name}" for name in WRITERS)])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    kind, _, name = request.param.partition("/")
    if kind == "written":
        return request.param, WRITERS[name](tmp_path / f"{name}.nwb")
    return request.param, next(path for path in [*REAL, *INTEROP] if _label(path) == request.param)


def test_series_of_a_file_are_what_pynwb_shows(subject: tuple[str, Path], record_property: Record) -> None:
    name, path = subject
    expected = oracle_series.read_file(path)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        tree = xr.open_datatree(path, engine="nwb", dtype="float64") if expected.series else None
    found = {} if tree is None else {node.path: node.dataset for node in tree.subtree if "data" in node.dataset}
    warned = [str(one.message) for one in said]
    outcomes = []
    for place, shown in expected.series.items():
        told = [text for text in warned if text.startswith(f"{place} of ")]
        if place in found:
            outcome = compare_series(found[place], shown, expected, told)
        else:
            (reason,) = (text.partition("is left out: ")[2] for text in told if "is left out: " in text)
            assert ELSEWHERE.search(reason), reason
            outcome = {"kind": shown.kind, "oracle": "not compared: the data are in another file, or complex"}
        outcomes.append({"file": name, "series": place, **outcome})
    for place, reason in expected.broken.items():
        outcomes.append({"file": name, "series": place, "kind": "", "oracle": f"none: {reason[:80]}"})
    extra = sorted(set(found) - set(expected.series) - set(expected.broken))
    outcomes += [{"file": name, "series": place, "kind": "", "oracle": "not a series to the oracle"} for place in extra]
    record_property(SERIES_OUTCOME, json.dumps(outcomes))


def compare_series(found: xr.Dataset, shown: Shown, file: File, told: list[str]) -> dict[str, Any]:
    """Compare one series; return what was compared."""
    data = found["data"]
    outcome: dict[str, Any] = {"kind": shown.kind, "oracle": shown.note or file.oracle}
    if shown.values is None or (shown.values.size == 0 and told):
        # Numbers of frames, or NaN.
        assert data.dtype.kind == "i" or np.isnan(data.values).all()
        outcome["values"] = "none stored"
    else:
        values = data.values
        assert values.shape == shown.values.shape
        if shown.values.dtype.kind == "O":
            assert values.tolist() == shown.values.tolist()
        else:
            np.testing.assert_array_equal(values, shown.values)
        outcome["values"] = int(values.size)
    if shown.times is None:
        outcome["times"] = "none shown"
    elif "time" in found.coords:
        times = found["time"].values
        np.testing.assert_array_equal(times, shown.times)
        outcome["times"] = int(times.size)
    else:
        (reason,) = (text.partition(": ")[2] for text in told if text.endswith("the samples have no times."))
        outcome["times"] = f"none of ours: {NUMBERS.sub('n', reason)}"
    return outcome


def test_array_of_a_series_is_the_node_of_the_tree(tmp_path: Path) -> None:
    path = written.write_series(tmp_path / "session.nwb")
    with warnings.catch_warnings():
        # One series is stored with its axes the other way round, on purpose.
        warnings.simplefilter("ignore", UserWarning)
        tree = xr.open_datatree(path, engine="nwb")
    for place in written.SERIES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            array = nwb_dask.open_timeseries(path, place)
        assert array.name == place.rpartition("/")[2]
        xr.testing.assert_identical(array.rename("data").drop_attrs(), tree[place]["data"].drop_attrs())
