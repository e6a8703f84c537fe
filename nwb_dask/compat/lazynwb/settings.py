"""`config`: lazynwb's settings, as far as they mean something to nwb_dask."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from nwb_dask.options import options
from nwb_dask.read import warn_user

_DEFAULTS: Mapping[str, object] = MappingProxyType(
    {
        "use_polars": False,
        "use_remfile": True,
        "use_obstore": False,
        "anon": None,
        "fsspec_storage_options": MappingProxyType({"anon": False}),
        "disable_cache": False,
    }
)
_VARIABLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: (f"LAZYNWB_{name.upper()}", f"LAZYNWB_FILE_IO_{name.upper()}") for name in _DEFAULTS}
)
_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_NO_MEANING: Mapping[str, str] = MappingProxyType(
    {
        "use_remfile": "remote files are read by ranges in any case, without h5py in the way; "
        "nwb_dask.options(engine='remfile') fetches them with remfile",
    }
)


class Config:
    """Settings of lazynwb. What is not set here comes from the environment, ``LAZYNWB_USE_POLARS`` and so on.

    ``use_polars`` decides what frames functions return, ``use_obstore`` is ``nwb_dask.options(engine="obstore")``,
    ``anon`` and ``fsspec_storage_options`` are ``storage_options``, and ``disable_cache`` is
    ``nwb_dask.options(cache="off")``. Setting ``use_remfile`` changes nothing, and a warning says so once.

    Parameters
    ----------
    **settings
        Any of these.

    Raises
    ------
    AttributeError
        For a setting that does not exist.
    """

    use_polars: bool
    use_remfile: bool
    use_obstore: bool
    anon: bool | None
    fsspec_storage_options: dict[str, Any]
    disable_cache: bool

    def __init__(self, **settings: object) -> None:
        for name, value in settings.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        """Set one, for all calls from now on."""
        if name not in _DEFAULTS:
            raise AttributeError(f"there is no setting {name!r}; there are {', '.join(_DEFAULTS)}")
        if name in _NO_MEANING and name not in _warned:
            _warned.add(name)
            warn_user(f"config.{name} changes nothing: {_NO_MEANING[name]}")
        super().__setattr__(name, dict(value) if isinstance(value, Mapping) else value)

    def __getattr__(self, name: str) -> object:
        """Return what the environment says about one that was not set, or its default."""
        if name not in _DEFAULTS:
            raise AttributeError(f"there is no setting {name!r}; there are {', '.join(_DEFAULTS)}")
        value = _from_environment(name)
        if isinstance(value, Mapping):
            # Kept, so that what is put into it stays there.
            super().__setattr__(name, dict(value))
            return self.__dict__[name]
        return value

    def __repr__(self) -> str:
        """Show the settings, without what may be secret."""
        shown = {name: getattr(self, name) for name in _DEFAULTS if name != "fsspec_storage_options"}
        names = sorted(self.fsspec_storage_options)
        return f"Config({', '.join(f'{k}={v!r}' for k, v in shown.items())}, fsspec_storage_options of {names})"

    def storage_options(self) -> dict[str, object] | None:
        """Return the ``storage_options`` that these settings mean; None if they say nothing."""
        given = {name: value for name, value in self.fsspec_storage_options.items() if (name, value) != ("anon", False)}
        if self.anon is not None:
            given["anon"] = self.anon
        return given or None

    def choices(self) -> dict[str, object]:
        """Return the `nwb_dask.options` that these settings mean."""
        found: dict[str, object] = {"engine": "obstore"} if self.use_obstore else {}
        return found | ({"cache": "off"} if self.disable_cache else {})


_warned: set[str] = set()

config = Config()
"""The settings that hold for all calls of this module."""


@contextmanager
def configured() -> Iterator[dict[str, object] | None]:
    """Let `config` hold for the length of the block; yields the storage options."""
    with options(**config.choices()):
        yield config.storage_options()


def resolve_as_polars(as_polars: bool | None) -> bool:
    """Return the choice of a call, or that of `config`."""
    return config.use_polars if as_polars is None else as_polars


def _from_environment(name: str) -> object:
    text = next((os.environ[variable] for variable in _VARIABLES[name] if os.environ.get(variable)), None)
    if text is None:
        return _DEFAULTS[name]
    found = json.loads(text) if name == "fsspec_storage_options" else _WORDS.get(text.strip().lower())
    if found is None or (name == "fsspec_storage_options" and not isinstance(found, dict)):
        raise ValueError(f"the environment variable {_VARIABLES[name][0]} is not understood")
    return found
