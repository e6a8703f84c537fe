"""Every public name of lazynwb 1.0.0 is there, with its arguments and their defaults."""

from __future__ import annotations

import inspect

import pytest

from nwb_dask.compat import lazynwb
from tests.compat.lazynwb_names import CONSTANTS, MEMBERS, OTHERS, SIGNATURES


@pytest.mark.parametrize("name", SIGNATURES)
def test_function_has_the_arguments_of_lazynwb(name: str) -> None:
    parameters = inspect.signature(getattr(lazynwb, name)).parameters.values()
    shown, is_keyword = [], False
    for one in parameters:
        if one.kind is one.KEYWORD_ONLY and not is_keyword:
            is_keyword = True
            shown.append("*")
        stars = "**" if one.kind is one.VAR_KEYWORD else ""
        shown.append(f"{stars}{one.name}" + ("" if one.default is one.empty else f"={one.default!r}"))
    assert ", ".join(shown) == " ".join(SIGNATURES[name].split())


@pytest.mark.parametrize("name", MEMBERS)
def test_class_has_the_members_of_lazynwb(name: str) -> None:
    assert set(MEMBERS[name].split()) <= set(dir(getattr(lazynwb, name)))


@pytest.mark.parametrize("name", CONSTANTS)
def test_constant_has_the_value_of_lazynwb(name: str) -> None:
    assert getattr(lazynwb, name) == CONSTANTS[name]


def test_every_name_is_public() -> None:
    assert {*SIGNATURES, *MEMBERS, *CONSTANTS, *OTHERS} <= set(lazynwb.__all__)
    assert all(hasattr(lazynwb, name) for name in lazynwb.__all__)
