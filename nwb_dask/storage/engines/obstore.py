"""Objects in S3, Google Cloud and Azure, and http(s), with obstore."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

import obstore
from obstore.exceptions import (
    BaseError,
    NotModifiedError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from nwb_dask.index import Identity
from nwb_dask.storage.clients import Client
from nwb_dask.storage.engines.http import HttpEngine
from nwb_dask.storage.engines.protocol import (
    WHOLE_BYTES,
    Answer,
    Driver,
    Failure,
    Outcome,
    Pin,
    Wanted,
    make_identity,
)
from nwb_dask.storage.freshness import Said

if TYPE_CHECKING:
    from obstore import GetOptions  # exists for type checkers only

REQUEST_ERRORS = (BaseError, OSError, ValueError)
"""What a call of obstore raises: its own tree, FileNotFoundError, and ValueError for paths."""

_STATUS = re.compile(r"status code: (\d{3})(?: ([A-Za-z' -]{1,40}))?")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_KIND = re.compile(r"kind: (\w+)")
_KINDS: dict[str, Failure] = {
    "Connect": Failure("connect"),
    "Timeout": Failure("timeout"),
    "Interrupted": Failure("broken"),
    "Request": Failure("broken"),
}
_NUMBERS: tuple[tuple[type[BaseException], int], ...] = (
    (FileNotFoundError, 404),
    (PermissionDeniedError, 403),
    (UnauthenticatedError, 401),
    (PreconditionError, 412),
)
_BUSY = {429, 503}
_BUSY_SECONDS = 60.0
_SIGNED_FOR = timedelta(minutes=15)


class ObstoreEngine:
    """One object, by a client of obstore.

    obstore follows redirects of each request anew, headers included, and does not show the headers of refusals. After
    a 429 or 503, requests to S3 go by a signed URL with Python's own client for a minute, to see for how long the
    server asks to be left alone.

    Parameters
    ----------
    client : Client
        Of the bucket or server.
    path : str
        What to ask the client for.
    host : str
        What bounds on concurrency go by.
    version : str, optional
        Version that the URL pins.
    driver : Driver, optional
        What h5py is to read it with.
    """

    def __init__(
        self, client: Client, path: str, *, host: str, version: str | None = None, driver: Driver | None = None
    ) -> None:
        self._client = client
        self._path = path
        self._visible: tuple[float, HttpEngine] | None = None
        self.host = host
        self.version = version
        self.driver = driver

    def get(self, wanted: Wanted, pin: Pin, until: float) -> Outcome:
        """Return the answer to one request; see `Engine.get`."""
        visible = self._visible
        if visible is not None and time.monotonic() < visible[0]:
            return visible[1].get(wanted, pin, until)
        outcome = self._get(wanted, pin)
        if isinstance(outcome, Failure) and outcome.status in _BUSY:
            url = self._sign()
            if url is not None:
                self._visible = (time.monotonic() + _BUSY_SECONDS, HttpEngine(url, {}))
        return outcome

    def expect(self, identity: Identity) -> None:
        """Do nothing: every answer says the version that it is of."""

    def identify(self, until: float) -> None:
        """Return None: every answer says the version that it is of."""

    def prepare(self, n_following: int, until: float) -> tuple[int, int]:  # noqa: ARG002  # of the protocol
        """Return zeros: there is nothing to find out."""
        return 0, 0

    def renew(self) -> None:
        """Do nothing: obstore follows redirects of each request anew."""

    def _get(self, wanted: Wanted, pin: Pin) -> Outcome:
        options: GetOptions = {}
        if isinstance(wanted, tuple):
            options["range"] = wanted
        elif wanted is not None:
            options["range"] = {"suffix": wanted}
        if self.version is not None:
            options["version"] = self.version
        elif pin.etag is not None:
            options["if_match"] = pin.etag
        if pin.unless is not None:
            options["if_none_match"] = pin.unless
        try:
            result = obstore.get(self._client, self._path, options=options)
            meta = result.meta
            if wanted is None and meta["size"] > WHOLE_BYTES:
                return Failure("long", size=meta["size"])
            # Typed as a buffer by obstore only for Python 3.12 and later.
            body = memoryview(result.bytes())
        except REQUEST_ERRORS as exc:
            return translate(exc)
        start, stop = result.range
        if len(body) != stop - start:
            return Failure("broken")
        modified = meta["last_modified"]
        identity = make_identity(
            version=self.version,
            etag=meta["e_tag"],
            # obstore gives the epoch where the server gives no time.
            modified=modified if modified.timestamp() > 0 else None,
            size=meta["size"],
        )
        kind, control = (str(result.attributes.get(name, "")) for name in ("Content-Type", "Cache-Control"))
        return Answer(body, start, identity, kind, caching=lambda: Said(control, modified=modified.timestamp() or None))

    def _sign(self) -> str | None:
        """Return a URL that anyone may ask for a while; None where there is none for just this object."""
        if not isinstance(self._client, S3Store) or self.version is not None:
            return None
        config = self._client.config
        if config.get("skip_signature"):
            # obstore would look for credentials all the same.
            endpoint = config.get("endpoint")
            path = quote(self._path, safe="/")
            return f"{endpoint.rstrip('/')}/{config['bucket']}/{path}" if endpoint else None
        try:
            return obstore.sign(self._client, "GET", self._path, _SIGNED_FOR)
        except REQUEST_ERRORS:
            return None


def translate(exc: Exception) -> Failure:
    """Return what an exception of obstore (`REQUEST_ERRORS`) says, without the URL and the body that it holds."""
    text = str(exc)
    status, code, kind = _STATUS.search(text), _CODE.search(text), _KIND.search(text)
    if isinstance(exc, NotModifiedError):
        return Failure("unchanged", 304)
    if isinstance(exc, NotSupportedError) and "suffix" in text:
        # Azure does not count from the end; as if there were no such bytes.
        return Failure("status", 416)
    if isinstance(exc, NotSupportedError) or "non-partial" in text:
        return Failure("whole")
    if status is not None:
        said = code[1] if code else (status[2] or "").rstrip()
        return Failure("status", int(status[1]), said)
    for one, number in _NUMBERS:
        if isinstance(exc, one):
            return Failure("status", number)
    if isinstance(exc, ValueError):
        return Failure("path")
    if "Requested" in text and ", got " in text:
        return Failure("odd", said="it is another part of the file")
    return replace(_KINDS.get(kind[1], Failure("odd")) if kind else Failure("odd"))
