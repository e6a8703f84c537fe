"""One name for a file, whoever asks for it and however the request is signed."""

from __future__ import annotations

import re
from hashlib import blake2b
from urllib.parse import unquote

from nwb_dask.storage.dandi_url import split_pinned

KEY_BYTES = 20
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_USERINFO = re.compile(r"(://)[^/?#]*@")

_ALWAYS_SECRET = re.compile(r"x-amz-.+|x-goog-.+|token|access_token|id_token|api_?key|auth|authorization|password")
# Each of these means something else to servers that sign nothing, so it goes only together with a signature.
_SIGNED_WITH = {
    "x-amz-signature": re.compile(r"response-.+"),
    "x-goog-signature": re.compile(r"response-.+"),
    "signature": re.compile(r"expires|policy|key-pair-id|awsaccesskeyid|googleaccessid|ossaccesskeyid|response-.+"),
    "sig": re.compile(r"s[eprvt]|sr|ss|srt|sdd|sip|spr|st|sk[etv]|skoid|sktid|scid|saoid|suoid|rsc[cdelt]"),
}


def url_key(url: str) -> bytes:
    """Return the digest that stands for a URL: the same for all users and all signatures of one URL.

    Everything that may tell two files apart counts, the query string included. User, password, signatures
    (AWS, CloudFront, Google, Azure) and tokens do not. Two files that share a key, which takes a server that tells
    files apart by what looks like a token, still differ in their identities.
    """
    return blake2b(lasting_url(url).encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()


def lasting_url(url: str) -> str:
    """Return the parts of a URL that outlive a signature, and that anyone may see: no user, password or token."""
    match = _SCHEME.match(url)
    scheme = match.group(1).lower() if match else ""
    if scheme in {"", "file"}:
        return url
    asset = split_pinned(url) if scheme == "dandi" else None
    if asset is not None:
        # The same in every version of a dandiset that has it.
        return "dandi://{}/assets/{}".format(*asset)
    bare = _USERINFO.sub(r"\1", url, count=1)
    if scheme in {"s3", "s3a"}:
        # A question mark belongs to the key of an S3 object.
        return bare
    before, mark, query = bare.partition("?")
    items = [(unquote(item.partition("=")[0]).lower(), item) for item in query.split("&")]
    names = {name for name, _ in items}
    transient = [pattern for signature, pattern in _SIGNED_WITH.items() if signature in names]
    kept = [
        item
        for name, item in items
        if name not in _SIGNED_WITH
        and not _ALWAYS_SECRET.fullmatch(name)
        and not any(pattern.fullmatch(name) for pattern in transient)
    ]
    return before + mark + "&".join(kept) if any(kept) else before
