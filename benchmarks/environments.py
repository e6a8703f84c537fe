"""One virtual environment per peer, built from its pinned requirements; and what the measurements ran on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
"""The project, from where every contestant is started."""
PEERS = Path(__file__).parent / "peers"
ENVIRONMENTS = Path(__file__).parent / ".venvs"


def ensure_environment(peer: str, requirements: Path | None = None) -> str:
    """Return the Python of the environment of `peer`, built if it is absent or its requirements changed.

    `peer` is the stem of a requirements file in ``benchmarks/peers``, unless the file is given. Uses uv where it is on
    the path, else venv and pip.
    """
    requirements = requirements or PEERS / f"{peer}.txt"
    folder = ENVIRONMENTS / peer
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    built = folder / "requirements.txt"
    if built.exists() and built.read_text() == requirements.read_text():
        return str(python)
    print(f"building the environment of {peer} ...", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv")
    if uv:
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        install = [uv, "pip", "install", "--quiet", "--python", str(python)]
    else:
        venv.create(folder, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, "--requirement", str(requirements)], check=True)
    built.write_text(requirements.read_text())
    return str(python)


def describe_machine() -> dict[str, str | int]:
    """Return what matters of this machine, without its name."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
