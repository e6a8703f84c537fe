"""How a file is answered: validators, conditions and ranges of HTTP (RFC 9110, sections 8.8, 13 and 14)."""

from __future__ import annotations

import gzip
import os
import re
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from http import HTTPStatus
from typing import Literal, TypeAlias

from nwb_dask.testing.faulty import Failure
from nwb_dask.testing.messages import Answer, Body, Part, Request

ETagKind: TypeAlias = Literal["strong", "weak", "none"]
"""Which ETag answers carry."""

_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")


@dataclass(frozen=True, slots=True)
class Validators:
    """What an answer says of the version of its file; empty where it says nothing."""

    etag: str
    last_modified: str

    @property
    def headers(self) -> dict[str, str]:
        """As they are sent."""
        both = {"ETag": self.etag, "Last-Modified": self.last_modified}
        return {name: value for name, value in both.items() if value}


def validators(status: os.stat_result, *, etag: ETagKind, last_modified: bool) -> Validators:
    """Return the validators of a file. The inode is in the ETag: a file may be replaced within a tick of the clock."""
    tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"'
    return Validators(
        etag={"strong": tag, "weak": f"W/{tag}", "none": ""}[etag],
        last_modified=formatdate(status.st_mtime, usegmt=True) if last_modified else "",
    )


def answer_file(
    request: Request,
    descriptor: int,
    failure: Failure | None,
    *,
    etag: ETagKind,
    last_modified: bool,
    more: dict[str, str],
) -> Answer:
    """Return the file, the part of it that is asked for, or why it is not sent.

    Parameters
    ----------
    request : Request
        GET or HEAD.
    descriptor : int
        The open file. The answer closes it, or it is closed here if the answer has no part of it.
    failure : Failure or None
        What is to go wrong.
    etag, last_modified
        What answers say of the version.
    more : dict
        Further headers.
    """
    keep = False
    try:
        status = os.fstat(descriptor)
        version = validators(status, etag=etag, last_modified=last_modified)
        headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **version.headers, **more}
        if refused := _unmet_condition(request, version, headers):
            return refused
        whole = Part(descriptor, 0, status.st_size)
        answer = _answer_part(request, whole, headers, failure, version)
        keep = isinstance(answer.body, Part)
        return answer
    finally:
        if not keep:
            os.close(descriptor)


def _unmet_condition(request: Request, version: Validators, headers: dict[str, str]) -> Answer | None:
    asked = request.headers
    if "if-match" in asked:
        is_same = _matches(asked["if-match"], version.etag) and not version.etag.startswith("W/")
    else:
        is_same = "if-unmodified-since" not in asked or not _is_newer(version, asked["if-unmodified-since"])
    if not is_same:
        return Answer(HTTPStatus.PRECONDITION_FAILED)
    if "if-none-match" in asked:
        is_known = _matches(asked["if-none-match"].replace("W/", ""), version.etag.removeprefix("W/"))
    else:
        is_known = bool(version.last_modified) and "if-modified-since" in asked
        is_known = is_known and not _is_newer(version, asked["if-modified-since"])
    return Answer(HTTPStatus.NOT_MODIFIED, headers) if is_known else None


def _matches(wanted: str, etag: str) -> bool:
    return wanted.strip() == "*" or (etag != "" and etag in [one.strip() for one in wanted.split(",")])


def _is_newer(version: Validators, moment: str) -> bool:
    if not version.last_modified:
        return False
    return parsedate_to_datetime(version.last_modified) > parsedate_to_datetime(moment)


def _answer_part(
    request: Request, whole: Part, headers: dict[str, str], failure: Failure | None, version: Validators
) -> Answer:
    fault, size = (failure.fault if failure else None), len(whole)
    asked = _RANGE.match(request.headers.get("range", ""))
    if_range = request.headers.get("if-range", "")
    is_current = not if_range or if_range in {version.etag, version.last_modified}
    # Several ranges, and what is no range at all, may be ignored (section 14.2), and S3 does.
    if asked is None or asked.group(0) == "bytes=-" or not is_current or fault == "ignore-range":
        return _encoded(request, Answer(HTTPStatus.OK, headers, whole, failure))
    first, last = asked.groups()
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= size or (fault == "no-suffix" and not first):
        beyond = {**headers, "Content-Range": f"bytes */{size}"}
        return Answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, beyond)
    if start >= stop:
        return _encoded(request, Answer(HTTPStatus.OK, headers, whole, failure))
    total = size
    if fault == "short-range":
        stop = start + max((stop - start) // 2, 1)
    elif fault == "wrong-start":
        # The whole file has no other part of its length.
        start, stop = (start + 1, stop + 1) if stop < size else (start - 1, stop - 1) if start else (1, stop)
    elif fault == "wrong-total":
        total += 1
    if fault != "no-content-range":
        headers = {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{total}"}
    return _encoded(request, Answer(HTTPStatus.PARTIAL_CONTENT, headers, Part(whole.descriptor, start, stop), failure))


def _encoded(request: Request, answer: Answer) -> Answer:
    """Return the answer compressed, if that is to be done and the client accepts it."""
    fault = answer.failure.fault if answer.failure else None
    if fault != "gzip" or "gzip" not in request.headers.get("accept-encoding", ""):
        return answer
    body: Body = gzip.compress(content(answer.body), 1)
    return Answer(answer.status, {**answer.headers, "Content-Encoding": "gzip"}, body, answer.failure)


def content(body: Body) -> bytes:
    """Return the bytes of a body."""
    return body.read(0, len(body)) if isinstance(body, Part) else body
