"""Every notebook runs from top to bottom in a kernel of its own, and none keeps what it gave last time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
HANGS_SECONDS = 240
"""A notebook takes a tenth of it."""

Cells: TypeAlias = list[dict[str, Any]]

# In a process of its own: the client's sockets and loops are not what is tested, nor is what they warn of.
RUN = """
import sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
nbformat.validate(notebook)
NotebookClient(notebook, timeout=int(sys.argv[3]), kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


def _cells(path: Path, kind: str | None = None) -> Cells:
    cells: Cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if kind is None or cell["cell_type"] == kind]


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture(scope="module")
def executed(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """The cells with code after the notebook ran, with an empty folder to work in."""
    folder = tmp_path_factory.mktemp(path.stem)
    # Without the user's own settings of IPython; pictures go into the notebook, whatever the tests draw with.
    settings = {"IPYTHONDIR": str(folder / "ipython"), "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    ran = subprocess.run(
        [sys.executable, "-c", RUN, str(path), str(folder / "executed.ipynb"), str(HANGS_SECONDS)],
        cwd=folder,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return _cells(folder / "executed.ipynb", "code")


def _outputs(executed: Cells) -> Cells:
    return [output for cell in executed for output in cell["outputs"]]


def test_notebooks_are_those_of_the_readme() -> None:
    readme = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    assert NOTEBOOKS
    assert not [path.name for path in NOTEBOOKS if f"]({path.name})" not in readme]


# One test, because a notebook would run again in each process of xdist that looks at what it gave.
def test_every_code_cell_runs_in_turn_and_none_fails_or_warns_and_pictures_are_drawn(executed: Cells) -> None:
    assert [cell["execution_count"] for cell in executed] == list(range(1, len(executed) + 1))
    assert not [output for output in _outputs(executed) if output["output_type"] == "error"]
    assert not [output["text"] for output in _outputs(executed) if output.get("name") == "stderr"]
    assert len([output for output in _outputs(executed) if "image/png" in output.get("data", {})]) >= 3


def test_stored_notebook_has_no_outputs(path: Path) -> None:
    assert all(cell["execution_count"] is None and cell["outputs"] == [] for cell in _cells(path, "code"))
    assert not [cell["metadata"] for cell in _cells(path) if cell["metadata"]]


def test_notebook_begins_with_its_question(path: Path) -> None:
    first = _cells(path)[0]
    assert first["cell_type"] == "markdown"
    assert first["source"][0].startswith("# ")
    assert first["source"][0].rstrip().endswith("?")
