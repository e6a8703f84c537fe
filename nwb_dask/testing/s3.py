"""As much of S3 as reading needs: listings (ListObjectsV2), errors in XML, and URLs that are signed for a while."""

from __future__ import annotations

import base64
import math
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

from nwb_dask.testing.messages import Answer, Request
from nwb_dask.testing.ranges import ETagKind, validators

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_XML = {"Content-Type": "application/xml"}
_MOST_KEYS = 1000
_STAMP = "%Y%m%dT%H%M%SZ"


def refuse(status: int, code: str, message: str, **more: str) -> Answer:
    """Return an error as S3 has it; `more` are further elements."""
    elements = {"Code": code, "Message": message, **more, "RequestId": "4442587FB7D0A2F9"}
    body = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in elements.items())
    return Answer(status, _XML, f"{_DECLARATION}<Error>{body}</Error>".encode(), is_counted=False)


def no_such_bucket(bucket: str) -> Answer:
    """Return the error for a bucket that is not there."""
    return refuse(HTTPStatus.NOT_FOUND, "NoSuchBucket", "The specified bucket does not exist", BucketName=bucket)


def no_such_key(key: str) -> Answer:
    """Return the error for an object that is not there."""
    return refuse(HTTPStatus.NOT_FOUND, "NoSuchKey", "The specified key does not exist.", Key=key)


def expired() -> Answer:
    """Return the error for a URL whose signature is valid no more."""
    return refuse(HTTPStatus.FORBIDDEN, "AccessDenied", "Request has expired")


# --- Listings


def location(folder: Path, bucket: str) -> Answer:
    """Return the region of a bucket: none, which means ``us-east-1`` (API reference, *GetBucketLocation*)."""
    if not bucket or not (folder / bucket).is_dir():
        return no_such_bucket(bucket)
    return Answer(HTTPStatus.OK, _XML, f'{_DECLARATION}<LocationConstraint xmlns="{_NAMESPACE}"/>'.encode())


@dataclass(frozen=True, slots=True)
class _Item:
    name: str
    is_prefix: bool


def list_objects(folder: Path, bucket: str, query: Mapping[str, str], *, etag: ETagKind) -> Answer:
    """Return a page of the objects of a bucket, which is a folder below `folder` (API reference, *ListObjectsV2*).

    Parameters
    ----------
    folder : Path
        What is served.
    bucket : str
        Name of the folder.
    query : mapping
        ``prefix``, ``delimiter``, ``start-after``, ``continuation-token``, ``max-keys`` (at most 1000),
        ``encoding-type``.
    etag : {"strong", "weak", "none"}
        As the objects' own answers have it; listings of S3 have strong ones only.
    """
    root = folder / bucket
    if not bucket or not root.is_dir():
        return no_such_bucket(bucket)
    limit = min(int(query.get("max-keys") or _MOST_KEYS), _MOST_KEYS)
    token = query.get("continuation-token", "")
    after = base64.urlsafe_b64decode(token).decode() if token else ""
    items = [item for item in _items(root, query) if item.name.encode() > after.encode()]
    page, is_cut = items[:limit], len(items) > limit > 0
    return Answer(HTTPStatus.OK, _XML, _page(root, bucket, query, page, is_cut=is_cut, etag=etag))


def _items(root: Path, query: Mapping[str, str]) -> Iterator[_Item]:
    """Yield keys and common prefixes in the order of their UTF-8 bytes."""
    prefix, delimiter, start_after = (query.get(name, "") for name in ("prefix", "delimiter", "start-after"))
    last = None
    for key in sorted(_keys(root, prefix), key=str.encode):
        if key.encode() <= start_after.encode():
            continue
        head, found, _ = key.removeprefix(prefix).partition(delimiter) if delimiter else (key, "", "")
        item = _Item(prefix + head + found, is_prefix=True) if found else _Item(key, is_prefix=False)
        if item != last:
            yield item
        last = item


def _keys(root: Path, prefix: str) -> Iterator[str]:
    above = prefix.rpartition("/")[0]
    if ".." in above.split("/"):
        return
    for place, _, names in os.walk(root / above, followlinks=True):
        inside = Path(place).relative_to(root).as_posix()
        for name in names:
            key = name if inside == "." else f"{inside}/{name}"
            if key.startswith(prefix):
                yield key


def _page(
    root: Path, bucket: str, query: Mapping[str, str], items: list[_Item], *, is_cut: bool, etag: ETagKind
) -> bytes:
    is_encoded = query.get("encoding-type") == "url"

    def text(value: str) -> str:
        return escape(quote(value, safe="/") if is_encoded else value)

    parts = [f"<Name>{escape(bucket)}</Name>", f"<KeyCount>{len(items)}</KeyCount>"]
    parts.append(f"<MaxKeys>{query.get('max-keys') or _MOST_KEYS}</MaxKeys>")
    parts.append(f"<IsTruncated>{str(is_cut).lower()}</IsTruncated>")
    echoed = {"Prefix": "prefix", "Delimiter": "delimiter", "StartAfter": "start-after"}
    parts += [f"<{element}>{text(query[name])}</{element}>" for element, name in echoed.items() if name in query]
    if is_encoded:
        parts.append("<EncodingType>url</EncodingType>")
    if "continuation-token" in query:
        parts.append(f"<ContinuationToken>{escape(query['continuation-token'])}</ContinuationToken>")
    if is_cut:
        token = base64.urlsafe_b64encode(items[-1].name.encode()).decode()
        parts.append(f"<NextContinuationToken>{token}</NextContinuationToken>")
    for item in items:
        if item.is_prefix:
            parts.append(f"<CommonPrefixes><Prefix>{text(item.name)}</Prefix></CommonPrefixes>")
        else:
            parts.append(f"<Contents><Key>{text(item.name)}</Key>{_facts(root / item.name, etag)}</Contents>")
    page = f'{_DECLARATION}<ListBucketResult xmlns="{_NAMESPACE}">{"".join(parts)}</ListBucketResult>'
    return page.encode()


def _facts(file: Path, etag: ETagKind) -> str:
    status = file.stat()
    moment = datetime.fromtimestamp(int(status.st_mtime), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    tag = validators(status, etag="strong" if etag == "none" else etag, last_modified=False).etag
    return (
        f"<LastModified>{moment}</LastModified><ETag>{escape(tag)}</ETag><Size>{status.st_size}</Size>"
        "<StorageClass>STANDARD</StorageClass>"
    )


# --- Signatures


@dataclass(slots=True)
class _Signature:
    path: str
    until: float
    requests: int | None


class Signatures:
    """Query strings that open a file for a while. Not safe for threads: its owner holds a lock."""

    def __init__(self) -> None:
        self._issued: dict[str, _Signature] = {}
        self.private: set[str] = set()
        """Files that are not sent without a signature."""

    def issue(self, path: str, *, seconds: float, requests: int | None) -> str:
        """Return the query string of a GET that is allowed for so long, and so many times."""
        value = secrets.token_hex(32)
        self._issued[value] = _Signature(path, time.time() + seconds, requests)
        return urlencode(
            {
                "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
                "X-Amz-Credential": "AKIATEST/20240101/us-east-1/s3/aws4_request",
                "X-Amz-Date": datetime.now(UTC).strftime(_STAMP),
                "X-Amz-Expires": str(math.ceil(seconds)),
                "X-Amz-SignedHeaders": "host",
                "X-Amz-Signature": value,
            }
        )

    def expire(self) -> None:
        """Let the time of all that were issued have passed."""
        for signature in self._issued.values():
            signature.until = 0.0

    def refusal(self, request: Request) -> Answer | None:
        """Return why a request is not answered, and count its signature as used.

        Signatures that were not issued here are not verified, but their time must not have passed:
        ``X-Amz-Date`` and ``X-Amz-Expires``, or ``expires`` in seconds since 1970.
        """
        query = request.query
        value = query.get("X-Amz-Signature") or query.get("Signature") or query.get("signature") or ""
        if request.path in self.private and not value and "authorization" not in request.headers:
            return refuse(HTTPStatus.FORBIDDEN, "AccessDenied", "Access Denied")
        known = self._issued.get(value)
        if known is None:
            return expired() if _has_passed(query) else None
        if (request.path, request.method) != (known.path, "GET"):
            # HEAD too: the method is a part of what is signed.
            return refuse(HTTPStatus.FORBIDDEN, "SignatureDoesNotMatch", "The signature does not match the request.")
        if time.time() >= known.until or known.requests == 0:
            return expired()
        if known.requests is not None:
            known.requests -= 1
        return None


def _has_passed(query: Mapping[str, str]) -> bool:
    moment = query.get("expires") or query.get("Expires")
    try:
        if moment:
            return time.time() >= float(moment)
        if "X-Amz-Date" in query and "X-Amz-Expires" in query:
            began = datetime.strptime(query["X-Amz-Date"], _STAMP).replace(tzinfo=UTC).timestamp()
            return time.time() >= began + float(query["X-Amz-Expires"])
    except ValueError:
        return False
    return False
