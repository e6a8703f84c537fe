"""Text of files, made harmless: what a file says must not drive the terminal that shows it."""

from __future__ import annotations

import re

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Controls of ASCII and Latin-1, separators of lines, marks that reorder or hide text, and halves of surrogates.
_DRIVING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufff9-\ufffb]"
)


def escape(text: str) -> str:
    """Return `text` on one line, with every character that could move the cursor or reorder text as an escape."""
    return _DRIVING.sub(_escaped, text)


def escape_lines(text: str) -> str:
    """Return `text` with its line ends kept, and everything else as `escape` gives it."""
    return "\n".join(map(escape, text.split("\n")))


def escape_json(text: str) -> str:
    """Return JSON, which has its own escapes for the controls of ASCII, with the others escaped too.

    They can stand in strings only, so that it stays the same JSON.
    """
    return _DRIVING.sub(lambda found: found[0] if found[0] in "\n\t" else f"\\u{ord(found[0]):04x}", text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}")  # noqa: PLR2004  # Latin-1
