"""What a command does is loaded when it is called; its arguments and its help need no library that reads."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

CATALOG = "nwb_dask_catalog.json"
"""The file that makes a folder a catalog: `catalog.shared.MANIFEST`, without the libraries that catalogs need."""


def is_catalog(source: str) -> bool:
    """Return whether a source is a local folder that is a catalog, or names the manifest of one, wherever it is."""
    return source.rpartition("/")[2] == CATALOG or (Path(source) / CATALOG).is_file()


def answered_by(module: str, name: str = "answer") -> Callable[[Callable[[], None]], Callable[..., object]]:
    """Let a function of `nwb_dask.cli.commands`, by module and name, do what the decorated one describes."""

    def decorate(described: Callable[[], None]) -> Callable[..., object]:
        @functools.wraps(described)
        def call(**values: Any) -> object:  # noqa: ANN401  # click's values
            source = values.get("source")
            if isinstance(source, str) and is_catalog(source):
                reach = values.get("reach")
                options = None if reach is None else reach.storage_options
                values["source"] = import_module("nwb_dask").open_catalog(source, storage_options=options)
            return getattr(import_module(f"nwb_dask.cli.commands.{module}"), name)(**values)

        return call

    return decorate
