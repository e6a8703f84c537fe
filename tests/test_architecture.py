"""What the import contract and the linters cannot say of the shape of the project."""

from __future__ import annotations

import ast
import importlib
import io
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import nwb_dask

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "nwb_dask"
FOLDERS = ("nwb_dask", "tests", "notebooks", "deploy", "benchmarks")
FILES = (
    "README.md",
    "pyproject.toml",
    "LICENSE",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Makefile",
)
HEAVY = ("dask", "distributed", "fsspec", "h5py", "numpy", "obstore", "pandas", "polars", "pyarrow", "xarray", "zarr")
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60


def _python_files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        # benchmarks/.venvs holds the peers, with tens of thousands of files.
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in names if name.endswith(".py"))


MODULES = sorted(path for folder in FOLDERS for path in _python_files(ROOT / folder))
PACKAGE_MODULES = [path for path in MODULES if PACKAGE in path.parents]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from ``def`` to the end, without the docstring: options that are explained well are no fault."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        docstring = function.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def _comments(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(_text(path)).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def test_top_level_is_exactly_what_the_readme_promises() -> None:
    generated = {line.rstrip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()}
    present = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} - generated
    assert present == {*FOLDERS, *FILES}


# One test each for all modules: a test for each module takes longer to be sent to a process than to be run.
def test_modules_are_short() -> None:
    lines = {_name(path): len(_text(path).splitlines()) for path in MODULES}
    assert not {name: count for name, count in lines.items() if count > LONGEST_MODULE}


def test_functions_are_short() -> None:
    lines = {
        f"{_name(path)}: {node.name}": _code_lines(node)
        for path in MODULES
        for node in ast.walk(ast.parse(_text(path)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not {name: count for name, count in lines.items() if count > LONGEST_FUNCTION}


def test_exceptions_from_the_checkers_are_named_and_reasoned() -> None:
    marker = re.compile(r"#\s*(type:\s*ignore|noqa)")
    reasoned = re.compile(r"#\s*(type:\s*ignore\[[\w, -]+\]|noqa:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*)\s+#\s+\w+")
    bare = [
        (_name(path), line, text)
        for path in MODULES
        if marker.search(_text(path))
        for line, text in _comments(path)
        if marker.search(text) and not reasoned.search(text)
    ]
    assert not bare


def test_package_prints_nothing_and_leaves_nothing_open() -> None:
    wrong = [
        f"{_name(path)}: {call.func.id}"
        for path in PACKAGE_MODULES
        for call in ast.walk(ast.parse(_text(path)))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        if call.func.id in {"print", "eval", "exec", "breakpoint"}
        or (call.func.id == "NotImplementedError" and not call.args)
    ]
    assert not wrong


def test_import_of_the_package_loads_no_library() -> None:
    code = "import sys, nwb_dask; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert not set(loaded.stdout.split()) & set(HEAVY)


@pytest.mark.parametrize("name", nwb_dask.__all__)
def test_public_name_exists(name: str) -> None:
    assert getattr(nwb_dask, name) is not None
    assert name in dir(nwb_dask)


def test_type_checkers_see_the_public_names() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: node.module for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == nwb_dask._HOMES


def test_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'read_parquet'"):
        nwb_dask.read_parquet  # noqa: B018  # the access is the test


def _design_terms() -> list[str]:
    text = (PACKAGE / "DESIGN.md").read_text(encoding="utf-8")
    return sorted(set(re.findall(r"`([^`\s]+)`", text)))


DESIGN_PATHS = [
    term for term in _design_terms() if not term.startswith("/") and re.search(r"(\.(py|md|toml)|/)$", term)
]
DESIGN_NAMES = [
    term.removesuffix("()")
    for term in _design_terms()
    if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+(\(\))?", term)
    and term not in DESIGN_PATHS
    and ((PACKAGE / term.split(".")[0]).is_dir() or (PACKAGE / f"{term.split('.')[0]}.py").is_file())
] + [term for term in _design_terms() if term.startswith("nwb_dask.")]


@pytest.mark.parametrize("term", DESIGN_PATHS)
def test_path_in_the_design_exists(term: str) -> None:
    assert (PACKAGE / term).exists() or (ROOT / term).exists()


@pytest.mark.parametrize("term", DESIGN_NAMES)
def test_name_in_the_design_exists(term: str) -> None:
    target: object = nwb_dask
    trail = "nwb_dask"
    for part in term.removeprefix("nwb_dask.").split("."):
        trail = f"{trail}.{part}"
        target = getattr(target, part) if hasattr(target, part) else importlib.import_module(trail)


def test_every_layer_has_its_room_in_the_design() -> None:
    text = (PACKAGE / "DESIGN.md").read_text(encoding="utf-8")
    layers = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert not [layer for layer in layers if f"`{layer}`" not in text and f"`{layer}/`" not in text]
