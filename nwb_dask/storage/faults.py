"""What a failed request means, as an error of ours that names the file and the way out."""

from __future__ import annotations

from nwb_dask.errors import (
    NWBDaskError,
    SourceAccessError,
    SourceChangedError,
    SourceNotFoundError,
    SourceUnavailableError,
)
from nwb_dask.storage.dandi_url import instance_of, key_variable
from nwb_dask.storage.engines.protocol import Failure
from nwb_dask.storage.hosts import is_link_local

_ABSENT = {404, 410}
_REFUSED = {401, 403}
_CHANGED = {412, 416}
_BAD_REQUEST = 400
# What S3 answers with status 400 or 403 when credentials are out of date.
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "RequestExpired", "TokenRefreshRequired"}
_WRONG = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthenticationFailed"}
_REASONS = {
    "connect": "cannot connect to the server",
    "timeout": "the server does not answer in time",
    "broken": "the connection broke before the answer was complete",
    "stale": "the connection broke before the answer was complete",
}


def is_refused(failure: Failure) -> bool:
    """Return whether the server did not let the request through, perhaps because credentials have expired."""
    return failure.reason == "refused" or failure.status in _REFUSED or failure.said in _EXPIRED | _WRONG


def is_absent(failure: Failure) -> bool:
    """Return whether nothing is there."""
    return failure.status in _ABSENT


def explain(failure: Failure, name: str, *, lost_secrets: bool, had_access: bool = False) -> NWBDaskError:
    """Return the error for a failed request of the file `name`.

    Parameters
    ----------
    failure : Failure
        What happened.
    name : str
        The file, without credentials and query string.
    lost_secrets : bool
        Whether credentials were given to another process and are not known in this one.
    had_access : bool
        Whether the file could be read a moment ago.
    """
    said = f" ({failure.said})" if failure.said else ""
    archive = instance_of(name)
    if archive is not None and is_absent(failure):
        message = f"{name} is not in the archive any more: a draft that was changed, or an asset that was deleted"
        return SourceNotFoundError(f"{message}; list it again", url=name)
    if archive is not None and failure.status == _BAD_REQUEST:
        message = f"the archive gives no link to {name}: it may be Zarr, which is not read by this version"
        return SourceUnavailableError(message, url=name)
    if is_absent(failure):
        return SourceNotFoundError(f"nothing is at {name}{_folder_hint(name)}", url=name)
    if is_refused(failure):
        return SourceAccessError(
            f"reading {name} was refused{said}: "
            + _way_in(failure, name, lost_secrets=lost_secrets, had_access=had_access),
            url=name,
        )
    if failure.status in _CHANGED:
        return changed(name)
    if failure.reason == "path":
        return SourceUnavailableError(
            f"{name} has a path that cannot be asked for: an empty part, '.' or '..'", url=name
        )
    if failure.reason == "long":
        return SourceUnavailableError(
            f"the server of {name} does not send parts of files, and the whole of {failure.size / 2**20:.0f} MiB is "
            "too much to hold in memory; download it and give the local path",
            url=name,
        )
    if failure.reason == "host":
        return SourceAccessError(refusal(name, failure.said), url=name)
    if failure.status:
        wait = f" and asks to wait {failure.retry_after:.0f} s" if failure.retry_after else ""
        reason = f"the server answers {failure.status}{' ' + failure.said if failure.said else ''}{wait}"
    else:
        reason = _REASONS.get(failure.reason, "the answer is not what was asked for") + said
    return SourceUnavailableError(f"reading {name} failed: {reason}", url=name)


def refusal(name: str, host: str) -> str:
    """Return the message for a file on a server that references may not lead to."""
    if is_link_local(host):
        return f"{name} leads to {host}, an address of this machine's own link, which no file may name"
    return (
        f"{name} leads to the server {host}, which a file may not name; if you trust it, "
        f"nwb_dask.options(allow_hosts=[{host!r}]), or name another place with remap={{URL: URL or path}}"
    )


def changed(name: str) -> SourceChangedError:
    """Return the error of a file that is another one than before."""
    return SourceChangedError(f"{name} is not the file that was planned; plan again", url=name)


def _way_in(failure: Failure, name: str, *, lost_secrets: bool, had_access: bool) -> str:
    if lost_secrets:
        return (
            "the credentials in storage_options are not known in this process; register the worker plugin, or set "
            "them in the environment of the workers"
        )
    if failure.said in _EXPIRED:
        return "the credentials or the signed link have expired; get new ones"
    archive = instance_of(name)
    if archive is not None:
        variable = key_variable(archive)
        return (
            f"it is embargoed, or the key is not valid or not one of its owners'; set {variable} in the environment, "
            "or storage_options={'dandi_api_key': ...}, and no key at all for what is open to everybody"
        )
    if had_access:
        return "it could be read before, so the link or the credentials have expired; get new ones"
    return (
        "it may not be read, does not exist, or the link has expired; credentials go into storage_options or the "
        "environment"
    )


def _folder_hint(name: str) -> str:
    scheme, _, path = name.partition("://")
    last = path.rpartition("/")[2]
    is_folder = not scheme.startswith("http") and last and "." not in last
    return "; if it is a folder, end it with '/'" if is_folder else ""
