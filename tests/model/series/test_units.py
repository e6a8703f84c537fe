"""Units: a whitelist of what NWB files say."""

from __future__ import annotations

import pytest

from nwb_dask.model.series import known_unit
from nwb_dask.model.series.units import in_metres


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("volts", "V"), ("Volts", "V"), ("VOLT", "V"), ("V", "V"), ("mV", "mV"), ("microvolts", "uV"),
        ("\N{MICRO SIGN}V", "uV"), ("\N{GREEK SMALL LETTER MU}V", "uV"), ("amperes", "A"), ("pA", "pA"),
        ("picoamperes", "pA"), ("seconds", "s"), ("Seconds", "s"), ("second", "s"), ("s", "s"), ("milliseconds", "ms"),
        ("Hz", "Hz"), ("hertz", "Hz"), ("meters", "m"), ("metres", "m"), ("Meters", "m"), ("cm", "cm"),
        ("micrometers", "um"), ("watts", "W"), ("Watt", "W"), ("W", "W"), ("ohms", "ohm"), ("Ohm", "ohm"),
        ("M\N{GREEK CAPITAL LETTER OMEGA}", "Mohm"),
        ("farads", "F"), ("percent", "percent"), ("degrees Celsius", "degC"), ("degrees C", "degC"), ("degC", "degC"),
        ("radians", "rad"), ("radian", "rad"), ("degrees", "deg"), ("meters per second", "m/s"), ("m/s", "m/s"),
        ("cm/s", "cm/s"), ("pixels", "pixel"), ("lumens", "lm"), ("1", "1"), (" volts  ", "V"),
    ],
)  # fmt: skip
def test_a_unit_is_given_in_one_spelling(text: str, unit: str | None) -> None:
    assert known_unit(text) == unit


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "n/a", "N/A", "NA", "n.a.", "a.u.", "au", "A.U.", "arbitrary units", "unknown", "no unit",
        "none", "None", "dF/F", "df/f", "fluorescence", "frame", "frames", "interval", "event", "see 'feature_units'",
        "ADDME", "SIunit", "bit", "counts", "mv", "MV", "PA", "Mv", "g", "h", "K", "N", "C", "T", "mohm", "mOhm",
        "degrees F", "volts volts", "1 V", "V V",
    ],
)  # fmt: skip
def test_placeholders_and_what_is_ambiguous_are_no_units(text: str) -> None:
    assert known_unit(text) is None
    assert known_unit(None) is None


@pytest.mark.parametrize(("unit", "metres"), [("m", 1.0), ("cm", 0.01), ("um", 1e-6), ("s", None), (None, None)])
def test_lengths_are_known_in_metres(unit: str | None, metres: float | None) -> None:
    assert in_metres(unit) == metres
