"""Keys: what counts for them, and that it counts in every process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest

from nwb_dask.sessions import fingerprint as module
from nwb_dask.sessions.fingerprint import fingerprint

BASE = """
import math
import numpy as np
LIMIT = 5
class Kind:
    factor = 2
    def __init__(self, names): self.names = names
def helper(x): return x * LIMIT
def outer(level):
    def func(session, a=1, *, b={"x", "y", "zz"}):
        return [helper(a) for _ in range(level)], math.pi, np.sum, Kind.factor, b
    return func
func = outer(3)
"""


def made(source: str) -> Any:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, "somewhere.py", "exec"), namespace)
    return namespace["func"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a=1", "a=2"),
        ("LIMIT = 5", "LIMIT = 6"),
        ("outer(3)", "outer(4)"),
        ("x * LIMIT", "x + LIMIT"),
        ("factor = 2", "factor = 3"),
        ('"zz"', '"z"'),
        ("math.pi", "math.e"),
        ("np.sum", "np.mean"),
    ],
)
def test_code_default_closure_global_and_helper_count(old: str, new: str) -> None:
    assert fingerprint(made(BASE)) != fingerprint(made(BASE.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 5", "# a comment\n\nLIMIT = 5"),
        ("def helper(x): return", 'def helper(x):\n    "says what it does"\n    return'),
        ("class Kind:", "class Other: pass\nclass Kind:"),
    ],
)
def test_comments_docstrings_places_and_what_is_not_used_do_not_count(old: str, new: str) -> None:
    assert fingerprint(made(BASE)) == fingerprint(made(BASE.replace(old, new)))


def test_the_same_call_has_the_same_key_in_other_processes(tmp_path: Path) -> None:
    Path(tmp_path, "lab.py").write_text(BASE)
    script = (
        "import sys, functools, lab, numpy as np; sys.path.append(sys.argv[1]); from fingerprint import fingerprint; "
        "print(fingerprint(functools.partial(lab.func, a=2), lab.Kind({'p', 'q', 'rr'}), np.arange(3), lambda s: lab))"
    )
    # The module alone: the package around it takes a second to load.
    found = set()
    for seed in ("1", "2"):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": str(tmp_path),
        }
        done = subprocess.run(
            [sys.executable, "-c", script, str(Path(module.__file__).parent)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1


def test_a_helper_in_another_module_of_the_user_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for number, body in enumerate(["x", "-x"]):
        Path(tmp_path, f"aid{number}.py").write_text(f"def turn(x): return {body}\n")
        found.append(fingerprint(made(f"import aid{number} as aid\ndef func(session): return aid.turn(session)\n")))
    assert found[0] != found[1]


def test_order_of_a_set_and_sharing_of_parts_do_not_count() -> None:
    shared = [1, 2]
    assert fingerprint([shared, shared], {1, 2}) == fingerprint([[1, 2], [1, 2]], {2, 1})


def test_values_of_other_types_are_told_apart() -> None:
    values = [1, 1.0, True, "1", b"1", (1,), [1], {1}, {1: 1}, None, np.float64(1), np.array([1]), Path("1")]
    assert len({fingerprint(one) for one in values}) == len(values)


def test_functions_that_lead_to_themselves_have_a_key() -> None:
    source = "def func(n): return n and other(n - 1)\ndef other(n): return func(n)\n"
    assert fingerprint(made(source)) == fingerprint(made(source)) != fingerprint(made(source.replace("- 1", "- 2")))


@pytest.mark.parametrize("held", [threading.Lock(), (one for one in "ab")])
def test_what_has_no_description_is_refused_with_its_place(held: object) -> None:
    def func(_: object) -> object:
        return held

    assert isinstance(func, FunctionType)
    with pytest.raises(TypeError, match=r"held is a .*code_version"):
        fingerprint(partial(func))
