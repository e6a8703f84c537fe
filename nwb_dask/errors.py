"""Exceptions of nwb_dask.

::

    NWBDaskError
    ├── PathNotFoundError (KeyError)                 no such table, column or object inside a file
    ├── MalformedFileError (ValueError)              not an NWB file, truncated, or against its format
    │   └── UnsortedTimesError (KeyError)            times that are looked up and are out of order
    ├── UnsupportedLayoutError (NotImplementedError) valid, and not readable by this version
    ├── SchemaConflictError (TypeError)              files that disagree and cannot be unified
    ├── IrregularTimesError (ValueError)             times that no rate describes
    ├── TooManyLabelsError (TypeError)               more times than should be in memory
    ├── PredicateError (TypeError)                   a filter that has no meaning for its column
    ├── FormatError (ValueError)                     a value that the format which is written cannot hold
    ├── OutputError (OSError)                        where output should go, something must not be replaced
    ├── FunctionError (RuntimeError)                 what the user's function raised for a session
    ├── SourceChangedError (RuntimeError)            the file is not the one that was planned
    └── SourceUnavailableError (OSError)             the bytes cannot be had
        ├── SourceNotFoundError (FileNotFoundError)  nothing is at that URL
        └── SourceAccessError (PermissionError)      something is there, and may not be read
"""

from __future__ import annotations

import re
from typing import Self

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_BUCKETS = frozenset({"s3", "s3a", "gs", "gcs", "az", "azure", "abfs", "abfss", "adl"})
_USERINFO = re.compile(r"(://)[^/?#]*@")
_URL_SECRETS = (
    (re.compile(r"(://)[^/\s?#@'\"]*@"), r"\1"),
    (re.compile(r"([A-Za-z][\w+.-]*://[^\s?'\"]*)\?[^\s'\"]*"), r"\1"),
)


def display_url(url: str) -> str:
    """Return the name of a URL: without user, password and query string. A local path is its own name."""
    match = _SCHEME.match(url)
    scheme = match.group(1).lower() if match else ""
    if scheme in {"", "file"}:
        return url
    # What stands before the @ of an Azure URL is a container.
    bare = url if scheme in {"abfs", "abfss"} else _USERINFO.sub(r"\1", url, count=1)
    # A question mark belongs to the key of an object in a bucket, or to a glob over an archive.
    query = "?versionId=" if scheme in _BUCKETS else "?asset=" if scheme == "dandi" else "?"
    return bare.partition(query)[0]


def without_url_secrets(text: str) -> str:
    """Return the text of a foreign error with users and query strings taken out of its URLs."""
    for pattern, replacement in _URL_SECRETS:
        text = pattern.sub(replacement, text)
    return text


class NWBDaskError(Exception):
    """Base of every error that nwb_dask raises on purpose.

    Parameters
    ----------
    message : str
        What went wrong and the way out.
    url : str, optional
        The file; credentials and the query string are dropped, whoever raises the error.
    path : str, optional
        The object inside the file, ``/units/spike_times``.
    """

    def __init__(self, message: str, *, url: str | None = None, path: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.url = None if url is None else display_url(url)
        self.path = path

    def __str__(self) -> str:
        """Return the message followed by the file and the path that it does not name yet."""
        where = [
            part
            for part in (self.url and f"file {self.url}", self.path and f"path {self.path}")
            if part and part.split(" ", 1)[1] not in self.message
        ]
        return f"{self.message} [{', '.join(where)}]" if where else self.message

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with the facts, so that an error raised on a worker keeps them."""
        return (
            _rebuild,
            (type(self), self.message, self.url, self.path),
            {"__notes__": getattr(self, "__notes__", [])},
        )

    def at(self, *, url: str | None = None, path: str | None = None) -> Self:
        """Return the same error with the file and path filled in where they are unknown."""
        self.url = self.url or (None if url is None else display_url(url))
        self.path = self.path or path
        return self


def _rebuild(cls: type[NWBDaskError], message: str, url: str | None, path: str | None) -> NWBDaskError:
    return cls(message, url=url, path=path)


class PathNotFoundError(NWBDaskError, KeyError):
    """No table, column or object of that name."""


class MalformedFileError(NWBDaskError, ValueError):
    """The file is not NWB, is truncated, or breaks the rules of its format."""


class UnsortedTimesError(MalformedFileError, KeyError):
    """Times that are looked up neither increase nor decrease; they can be taken by position only.

    Both a `KeyError` and a `ValueError`, which pandas raises for it in different cases.
    """


class IrregularTimesError(NWBDaskError, ValueError):
    """Times that no rate describes well enough."""


class TooManyLabelsError(NWBDaskError, TypeError):
    """An operation would bring more times into memory than is reasonable; a `TypeError`, as xarray's own refusals."""


class UnsupportedLayoutError(NWBDaskError, NotImplementedError):
    """The file is valid and uses something that this version does not read."""


class SchemaConflictError(NWBDaskError, TypeError):
    """Files hold the same column in types that have no lossless common type."""


class PredicateError(NWBDaskError, TypeError):
    """A filter compares what cannot be compared, such as a ragged column with a number."""


class FormatError(NWBDaskError, ValueError):
    """A value, a name or a number of rows has no place in the format that is written."""


class OutputError(NWBDaskError, OSError):
    """The place to write to cannot be used: it holds something else, is in use, or is no folder."""


class FunctionError(NWBDaskError, RuntimeError):
    """The function of `nwb_dask.map_sessions` failed for a session, or its worker died; notes have the traceback."""


class SourceChangedError(NWBDaskError, RuntimeError):
    """The file was replaced or modified between the plan and the read."""


class SourceUnavailableError(NWBDaskError, OSError):
    """The bytes of a file cannot be had: network, server, or storage failure."""


class SourceNotFoundError(SourceUnavailableError, FileNotFoundError):
    """Nothing exists at the URL."""


class SourceAccessError(SourceUnavailableError, PermissionError):
    """The file exists and reading it is not permitted."""


class SkippedFilesWarning(UserWarning):
    """Files were left out because ``errors="skip"`` was asked for; the message lists them."""
