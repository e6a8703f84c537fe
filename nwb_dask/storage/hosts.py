"""Which servers a file may name. Pure, but for `is_link_local_name`, which looks names up.

A document that holds references (LINDI, kerchunk) has its reader ask servers that its author chose. A rule is one text:

===========================  ==============================================================
``example.org``              that server, at any port, by http or https
``example.org:8000``         that server at that port
``https://example.org``      that server by https
``*.example.org``            every server below that name; another ``*`` is a part of a name without a dot
``s3://bucket``              one bucket; ``gs://`` and ``az://`` likewise
``*``                        every server
===========================  ==============================================================

No rule admits addresses that exist only on the machine's own link, nor the services that hand out the credentials of a
cloud machine, however they are written.
"""

from __future__ import annotations

import re
import socket
import unicodedata
from collections.abc import Iterable
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import unquote, urlsplit

from nwb_dask.storage.urls import BUCKETS, scheme, split_bucket

PUBLIC_STORES = (
    *("https://api.dandiarchive.org", "https://api-staging.dandiarchive.org", "https://api.sandbox.dandiarchive.org"),
    *("https://dandiarchive.s3.amazonaws.com", "https://dandiarchive-embargo.s3.amazonaws.com"),
    *("https://dandi-api-staging-dandisets.s3.amazonaws.com", "https://dandi-api-staging-embargo.s3.amazonaws.com"),
    *("s3://dandiarchive", "s3://dandiarchive-embargo"),
    *("https://lindi.neurosift.org", "https://neurosift.org"),
    *("https://s3.amazonaws.com", "https://*.s3.amazonaws.com"),
    *("https://s3.*.amazonaws.com", "https://*.s3.*.amazonaws.com"),
    *("https://s3-*.amazonaws.com", "https://*.s3-*.amazonaws.com"),
    *("https://storage.googleapis.com", "https://*.storage.googleapis.com", "https://*.blob.core.windows.net"),
)
"""Rules for the archive of DANDI, the references that Neurosift keeps, and object stores that everybody uses."""

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""Rules for servers on this machine."""

_PORTS = {"http": 80, "https": 443}
_METADATA_NAMES = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}
)
# Services of clouds for their machines that are not on link-local addresses: Azure, Alibaba, Oracle, AWS.
_METADATA_ADDRESSES = frozenset(
    map(ip_address, ("168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
_NAT64 = ip_network("64:ff9b::/96")
_LOW_HALF = 0xFFFF_FFFF
_ODD = re.compile(r"[\x00-\x20\x7f\\#]")
"""Where a server's name has one of these, clients disagree about where it ends."""


def allows(rules: Iterable[str], url: str) -> bool:
    """Return whether the server of an ``http(s)://`` URL, or the bucket of another one, may be asked."""
    if scheme(url) in _PORTS and is_link_local(server_name(url)):
        return False
    return any(matches(rule, url) for rule in rules)


def origin_of(url: str) -> str:
    """Return the rule that admits nothing but the server of `url`, port and scheme included, or its bucket."""
    typed = scheme(url)
    if typed in BUCKETS:
        return f"{BUCKETS[typed]}://{split_bucket(url)[0].lower()}"
    host = server_name(url)
    bracketed = f"[{host}]" if ":" in host else host
    return f"{typed}://{bracketed}:{_port(url)}"


def matches(rule: str, url: str) -> bool:
    """Return whether a rule admits the server or the bucket of `url`."""
    typed = scheme(url)
    wanted = scheme(rule)
    if typed in BUCKETS:
        return rule == "*" or (wanted in BUCKETS and origin_of(rule) == origin_of(url))
    if typed not in _PORTS or (wanted and wanted != typed) or not _is_clear(url):
        return False
    if rule == "*":
        return True
    as_url = rule if wanted else f"{typed}://{rule}"
    port = urlsplit(as_url).port
    if not _pattern(server_name(as_url)).fullmatch(server_name(url)):
        return False
    return _port(url) == port if port else not wanted or _port(url) == _PORTS[typed]


def _is_clear(url: str) -> bool:
    """Return whether every client reads the same server and port from a URL."""
    authority = re.split("[/?]", url.partition("://")[2], maxsplit=1)[0]
    return not _ODD.search(authority) and _port(url) is not None


@cache
def _pattern(host: str) -> re.Pattern[str]:
    head, rest = ("(?:[^.]+[.])+", host[2:]) if host.startswith("*.") else ("", host)
    return re.compile(head + "[a-z0-9-]+".join(map(re.escape, rest.split("*"))))


def is_exact(rule: str) -> bool:
    """Return whether a rule names one server."""
    return "*" not in rule


def server_name(url: str) -> str:
    """Return the host of a URL in one spelling: lower case, without brackets, the end dot, user and port."""
    if scheme(url) in BUCKETS:
        return split_bucket(url)[0].lower()
    netloc = url.partition("://")[2]
    netloc = re.split(r"[/?#\\]", netloc, maxsplit=1)[0].rpartition("@")[2]
    host = netloc[1:].partition("]")[0] if netloc.startswith("[") else re.sub(r":\d*\Z", "", netloc)
    return unicodedata.normalize("NFKC", unquote(host)).replace("。", ".").rstrip(".").lower()


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port or _PORTS.get(scheme(url))
    except ValueError:
        return None


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a host is, however it is written; None for a name."""
    try:
        found = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        try:
            # The system takes 2852039166 and 0xa9fea9fe for addresses, too.
            return IPv4Address(socket.inet_aton(host))
        except (OSError, ValueError):
            return None
    return found if isinstance(found, IPv4Address) else _embedded(found) or found


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """Return the address that one of IPv6 stands for: mapped, compatible, translated (RFC 6052), tunnelled (6to4)."""
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address in _NAT64 or (0xFFFF < int(address) <= _LOW_HALF):  # noqa: PLR2004  # beyond :: and ::1
        return IPv4Address(int(address) & _LOW_HALF)
    return None


def is_link_local(host: str) -> bool:
    """Return whether a host is spelled as an address of the machine's own link, or as a service for cloud machines."""
    if host.rstrip(".").lower() in _METADATA_NAMES:
        return True
    address = address_of(host)
    return address is not None and (address.is_link_local or address in _METADATA_ADDRESSES)


def is_link_local_name(host: str) -> bool:
    """Return whether a host is, or a name leads to, what `is_link_local` says; False for a name that is not known."""
    if is_link_local(host):
        return True
    try:
        found: Iterable[tuple[object, ...]] = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return any(is_link_local(str(one[4][0])) for one in found)  # type: ignore[index]  # socket addresses are tuples
