"""What a failed request means: an error of obstore as one of ours, without what obstore says about it.

obstore's messages hold the whole URL, signature included, and the body of the answer.
"""

from __future__ import annotations

import re

from obstore.exceptions import (
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from nwb_dask.errors import (
    NWBDaskError,
    SourceAccessError,
    SourceChangedError,
    SourceNotFoundError,
    SourceUnavailableError,
)

REQUEST_ERRORS = (BaseError, OSError, ValueError)
"""What a call of obstore raises: its own tree, FileNotFoundError, and ValueError for paths."""

_STATUS = re.compile(r"status code: (\d{3})( [A-Za-z -]+)?")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_KIND = re.compile(r"kind: (\w+)")
_KINDS = {
    "Connect": "cannot connect to the server",
    "Timeout": "the server does not answer in time",
    "Interrupted": "the connection broke before the answer was complete",
}
_EXPIRED = {"ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestExpired"}
# Listings fail with these as numbers, reads as exceptions of their own.
_ABSENT = {"404", "410"}
_REFUSED = {"401", "403"}
_BEYOND_END = "416"


def ignores_ranges(error: Exception) -> bool:
    """Return whether the server answered a ranged request with the whole file."""
    return isinstance(error, NotSupportedError)


def is_beyond_end(error: Exception) -> bool:
    """Return whether the server said that the file does not reach to the range; so does an empty file."""
    return _status(error) == _BEYOND_END


def explain(error: Exception, name: str, *, lost_secrets: bool) -> NWBDaskError:
    """Return our error for a failed request of the file `name`.

    Parameters
    ----------
    error : Exception
        One of `REQUEST_ERRORS`; an error of ours comes back as it is.
    name : str
        The file, without credentials and query string.
    lost_secrets : bool
        Whether credentials were given to another process and are not known in this one.
    """
    if isinstance(error, NWBDaskError):
        return error
    status, code = _status(error), _first(_CODE, error)
    if isinstance(error, FileNotFoundError) or status in _ABSENT:
        hint = (
            "; if it is a folder, end it with '/'"
            if name.startswith("s3") and _last(name) and "." not in _last(name)
            else ""
        )
        return SourceNotFoundError(f"nothing is at {name}{hint}", url=name)
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or status in _REFUSED or code in _EXPIRED:
        return SourceAccessError(_refusal(name, code, lost_secrets=lost_secrets), url=name)
    if isinstance(error, PreconditionError) or status == _BEYOND_END:
        return SourceChangedError(f"{name} is not the file that was planned; plan again", url=name)
    if isinstance(error, ValueError):
        return SourceUnavailableError(
            f"{name} has a path that cannot be asked for: an empty part, '.' or '..'", url=name
        )
    if status:
        return SourceUnavailableError(f"reading {name} failed: the server answers {status}{_reason(error)}", url=name)
    reason = _KINDS.get(_first(_KIND, error) or "", "the request failed")
    return SourceUnavailableError(f"reading {name} failed: {reason}", url=name)


def _refusal(name: str, code: str | None, *, lost_secrets: bool) -> str:
    said = f" ({code})" if code else ""
    if lost_secrets:
        return (
            f"reading {name} was refused{said}: the credentials in storage_options are not known in this process; "
            "register the worker plugin, or set them in the environment of the workers"
        )
    return (
        f"reading {name} was refused{said}: it may not be read, does not exist, or the link has expired; "
        "credentials go into storage_options or the environment"
    )


def _status(error: Exception) -> str | None:
    return _first(_STATUS, error)


def _reason(error: Exception) -> str:
    match = _STATUS.search(str(error))
    return (match.group(2) or "").rstrip() if match else ""


def _first(pattern: re.Pattern[str], error: Exception) -> str | None:
    match = pattern.search(str(error))
    return match.group(1) if match else None


def _last(name: str) -> str:
    return name.rpartition("/")[2]
