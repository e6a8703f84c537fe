"""Packages that only these tests need, from PyPI, in a folder of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def install(folder: Path, *requirements: str) -> Path:
    """Install packages without what they depend on into `folder`, and return it; skip if PyPI cannot be reached."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*command, "--target", str(folder), *requirements], capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        pytest.skip(f"pip cannot install {', '.join(requirements)}: {done.stderr.strip().splitlines()[-1]}")
    return folder
