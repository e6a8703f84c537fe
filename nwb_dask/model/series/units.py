"""Units of measurement that NWB files write, in spellings that every library of units reads alike."""

from __future__ import annotations

from collections.abc import Mapping

_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "V": ("V", "v", "volt", "volts"),
    "mV": ("mV", "millivolt", "millivolts"),
    "uV": ("uV", "microvolt", "microvolts", "microV"),
    "nV": ("nV", "nanovolt", "nanovolts"),
    "A": ("A", "amp", "amps", "ampere", "amperes"),
    "mA": ("mA", "milliamp", "milliamps", "milliampere", "milliamperes"),
    "uA": ("uA", "microamp", "microamps", "microampere", "microamperes"),
    "nA": ("nA", "nanoamp", "nanoamps", "nanoampere", "nanoamperes"),
    "pA": ("pA", "picoamp", "picoamps", "picoampere", "picoamperes"),
    "ohm": ("ohm", "ohms", "Ohm", "Ohms"),
    "kohm": ("kohm", "kohms", "kOhm", "kiloohm", "kiloohms"),
    "Mohm": ("Mohm", "MOhm", "Mohms", "megaohm", "megaohms", "megohm", "megohms"),
    "Gohm": ("Gohm", "GOhm", "Gohms", "gigaohm", "gigaohms"),
    "S": ("S", "siemens"),
    "nS": ("nS", "nanosiemens"),
    "F": ("F", "farad", "farads"),
    "pF": ("pF", "picofarad", "picofarads"),
    "W": ("W", "watt", "watts"),
    "mW": ("mW", "milliwatt", "milliwatts"),
    "s": ("s", "sec", "secs", "second", "seconds"),
    "ms": ("ms", "msec", "millisecond", "milliseconds"),
    "us": ("us", "usec", "microsecond", "microseconds"),
    "min": ("min", "minute", "minutes"),
    "h": ("hour", "hours"),
    "Hz": ("Hz", "hz", "hertz"),
    "kHz": ("kHz", "khz", "kilohertz"),
    "m": ("m", "meter", "meters", "metre", "metres"),
    "cm": ("cm", "centimeter", "centimeters", "centimetre", "centimetres"),
    "mm": ("mm", "millimeter", "millimeters", "millimetre", "millimetres"),
    "um": ("um", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres"),
    "nm": ("nm", "nanometer", "nanometers", "nanometre", "nanometres"),
    "m/s": ("m/s", "meters/second", "meter/second", "meters per second", "metres per second", "m s-1", "m*s^-1"),
    "cm/s": ("cm/s", "cm/sec", "centimeters/second", "centimeters per second", "cm per second"),
    "mm/s": ("mm/s", "mm/sec", "millimeters/second", "millimeters per second"),
    "m/s^2": ("m/s^2", "m/s**2", "m/s2", "meters/second^2", "meters per second squared"),
    "rad": ("rad", "rads", "radian", "radians"),
    "deg": ("deg", "degs", "degree", "degrees"),
    "rad/s": ("rad/s", "radians/s", "radians/second", "radians per second"),
    "deg/s": ("deg/s", "degrees/s", "degrees/second", "degrees per second"),
    "degC": (
        "degC",
        "degree_Celsius",
        "celsius",
        "degrees celsius",
        "degree celsius",
        "degrees C",
        "degree C",
        "deg C",
    ),
    "K": ("kelvin", "kelvins"),
    "Pa": ("Pa", "pascal", "pascals"),
    "kPa": ("kPa", "kilopascal", "kilopascals"),
    "N": ("newton", "newtons"),
    "g": ("gram", "grams"),
    "L": ("liter", "liters", "litre", "litres"),
    "mL": ("mL", "ml", "milliliter", "milliliters"),
    "uL": ("uL", "ul", "microliter", "microliters"),
    "T": ("tesla", "teslas"),
    "lm": ("lumen", "lumens"),
    "lx": ("lux",),
    "pixel": ("pixel", "pixels", "px"),
    "percent": ("percent", "%"),
    "1": ("1", "dimensionless", "unitless"),
}
"""Names and unambiguous symbols only. Symbols that writers also use for something else (``g`` of acceleration,
``h``, ``K``, ``N``, ``T``, ``C``) stand for nothing here, nor do placeholders (``a.u.``, ``n/a``, ``dF/F``)."""

_BY_TEXT: Mapping[str, str] = {text: unit for unit, texts in _SPELLINGS.items() for text in texts}
_MIN_WORD = 4
"""From so many letters on a unit is a word, and its capitals say nothing: ``Volts``, ``METERS``."""
_BY_WORD: Mapping[str, str] = {
    text: unit for text, unit in _BY_TEXT.items() if len(text) >= _MIN_WORD and text == text.lower()
}
_SIGNS = str.maketrans(
    {
        "\N{MICRO SIGN}": "u",
        "\N{GREEK SMALL LETTER MU}": "u",
        "\N{DEGREE SIGN}": "deg",
        "\N{OHM SIGN}": "ohm",
        "\N{GREEK CAPITAL LETTER OMEGA}": "ohm",
    }
)

_METRES: Mapping[str, float] = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "nm": 1e-9}


def known_unit(text: str | None) -> str | None:
    """Return a unit in a spelling that pint reads as that unit and labels of plots can show; None if it is not known.

    A whitelist: pint reads many placeholders in NWB files as units, ``N/A`` as newtons per ampere, ``a.u.`` as
    atomic mass times year, ``dF/F`` as decifarad per farad.

    Parameters
    ----------
    text : str or None
        ``unit`` of the data, as in the file.
    """
    if text is None:
        return None
    plain = " ".join(text.translate(_SIGNS).split())
    found = _BY_TEXT.get(plain)
    if found is None and len(plain) >= _MIN_WORD and plain.replace(" ", "").replace("/", "").isalpha():
        found = _BY_WORD.get(plain.lower())
    return found


def in_metres(unit: str | None) -> float | None:
    """Return how many metres a unit of length is; None for what is none."""
    return None if unit is None else _METRES.get(unit)
