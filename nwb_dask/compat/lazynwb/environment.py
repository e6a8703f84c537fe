"""Variables of the environment from a ``.env`` file."""

from __future__ import annotations

import os
import re
from pathlib import Path

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*$")
_QUOTES = ("'", '"')


def load_dotenv() -> None:
    """Set the variables of the nearest ``.env`` at or above the working directory; what is set already stays.

    Lines are ``NAME=value``, with or without quotes; nothing in them is expanded.
    """
    here = Path.cwd()
    found = next((folder / ".env" for folder in (here, *here.parents) if (folder / ".env").is_file()), None)
    for line in () if found is None else found.read_text(encoding="utf-8").splitlines():
        match = _LINE.match(line)
        if match is not None:
            os.environ.setdefault(match[1], _value(match[2]))


def _value(text: str) -> str:
    if text[:1] in _QUOTES and text.rfind(text[0]) > 0:
        return text[1 : text.rfind(text[0])]
    return text.partition(" #")[0].rstrip()
