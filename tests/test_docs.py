"""The code in the README runs, on the sessions that `make demo` writes."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?P<before>[^\n]*)\n```python\n(?P<code>.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = sorted(page for pattern in ("*.md", "[!.]*/*.md", "deploy/*/*.md") for page in ROOT.glob(pattern))
OPT_OUT = re.compile(r"<!-- not run: \S.*-->")


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notebooks_demo", ROOT / "notebooks" / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_code_of_the_readme_runs(demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demo.write_sessions(tmp_path / "demo-output" / "sessions", 2)
    monkeypatch.chdir(tmp_path)
    blocks = [match["code"] for match in BLOCK.finditer(README) if not OPT_OUT.search(match["before"])]
    assert blocks
    namespace: dict[str, object] = {}
    for number, code in enumerate(blocks):
        exec(compile(code, f"README.md, block {number}", "exec"), namespace)


def test_first_lines_of_the_readme_are_the_two_commands() -> None:
    first = [line.split("#")[0].strip() for line in README.splitlines() if line and not line.startswith("```")]
    assert first[:2] == ["make demo", "make test"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if not target.startswith(("http:", "https:", "mailto:"))]
    assert not [target for target in local if not (page.parent / target).exists()]


@pytest.mark.slow
def test_demo_answers_and_draws(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "notebooks" / "demo.py"), "--sessions", "2", "--output", str(tmp_path)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100)
    assert re.search(r"Read [\d.]+ MB of the [\d.]+ MB", ran.stdout)
    assert (tmp_path / "rate_by_area.png").stat().st_size > 10_000
