"""One line for one element, whatever its size: a table on a screen never prints thousands of spike times."""

from __future__ import annotations

import numpy as np

_SHOWN_VALUES = 3
_SHOWN_CHARACTERS = 24


def summarize(element: object) -> str:
    """Return a short text: the first values and the count of a list, shape and dtype of an n-d array."""
    if isinstance(element, np.ndarray) and element.ndim > 1:
        return f"<{'x'.join(str(size) for size in element.shape)} {element.dtype}>"
    if isinstance(element, np.ndarray | list):
        shown = [summarize(value) for value in element[:_SHOWN_VALUES]]
        rest = [f"... {len(element)} in all"] if len(element) > _SHOWN_VALUES else []
        return f"[{', '.join(shown + rest)}]"
    if isinstance(element, dict):
        return f"{{{', '.join(f'{name}: {summarize(value)}' for name, value in element.items())}}}"
    if isinstance(element, np.void):
        return f"({', '.join(summarize(value) for value in element.item())})"
    if isinstance(element, float | np.floating):
        return f"{element:.6g}"
    text = repr(element) if isinstance(element, str | bytes) else str(element)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
