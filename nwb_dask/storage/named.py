"""Files under the names that their rows carry, and lists of them that never change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, overload, runtime_checkable

from nwb_dask.index import Url

_N_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Named:
    """One file and the name that its rows carry."""

    name: str
    """As given, made absolute; of a URL without user and query string."""
    url: Url
    """Where it is; the URL as given, or the absolute path."""
    typed: str
    """As `name`, relative where it was given so; users compare rows with the paths that they wrote."""


@runtime_checkable
class HasFiles(Protocol):
    """What stands for files that were found before: `Sources`, and a catalog that is open."""

    @property
    def files(self) -> tuple[Named, ...]:
        """The files, in order; at least one."""


@dataclass(frozen=True, slots=True, repr=False)
class Sources:
    """Files in order, found once: to be given wherever a source is asked for, today or in another process.

    A sequence of URLs and paths, each of which is a source by itself; a slice is `Sources` again. Assets of an archive
    are pinned by their ids: a draft that changes leaves the list as it is. Nothing secret is in it but what was in the
    URLs that it was made of.
    """

    files: tuple[Named, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the files, as in ``_nwb_path``."""
        return tuple(one.name for one in self.files)

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.files)

    def __iter__(self) -> Iterator[str]:
        """Yield the URL or path of each file."""
        return (one.url for one in self.files)

    @overload
    def __getitem__(self, key: int) -> str: ...
    @overload
    def __getitem__(self, key: slice) -> Sources: ...
    def __getitem__(self, key: int | slice) -> str | Sources:
        """Return the URL or path of one file, or some of the files."""
        return Sources(self.files[key]) if isinstance(key, slice) else self.files[key].url

    def __repr__(self) -> str:
        """Show how many files there are, and the names of a few."""
        n_files = len(self.files)
        shown = [repr(one.name) for one in self.files[:_N_SHOWN]]
        more = [f"... {n_files - _N_SHOWN} more"] if n_files > _N_SHOWN else []
        return f"Sources({n_files} {'file' if n_files == 1 else 'files'}: {', '.join(shown + more)})"
