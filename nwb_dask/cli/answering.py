"""What a command does is loaded when it is called; its arguments and its help need no library that reads."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from typing import Any


def answered_by(module: str, name: str = "answer") -> Callable[[Callable[[], None]], Callable[..., object]]:
    """Let a function of `nwb_dask.cli.commands`, by module and name, do what the decorated one describes."""

    def decorate(described: Callable[[], None]) -> Callable[..., object]:
        @functools.wraps(described)
        def call(**values: Any) -> object:  # noqa: ANN401  # click's values
            return getattr(import_module(f"nwb_dask.cli.commands.{module}"), name)(**values)

        return call

    return decorate
