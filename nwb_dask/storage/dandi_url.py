"""What a ``dandi://`` URL says, and the names of assets. Pure: nothing here asks an archive.

The forms are those of dandi-cli (``dandi/dandiarchive.py``, *resource identifiers*), with globs and the ids of assets
added.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal
from urllib.parse import parse_qs, quote, unquote

from nwb_dask.errors import SourceNotFoundError, display_url
from nwb_dask.storage.globs import MAGIC

PIN = "?asset="
"""Stands before the id of an asset in the URL of one."""

UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
"""Matches the id of an asset."""
_VERSION = r"draft|[0-9]+\.[0-9]+\.[0-9]+"
_DANDISET = rf"(?P<dandiset>[0-9]{{6}})(?:@(?P<version>{_VERSION}))?(?:/(?P<path>.*))?"
_INSTANCE = r"dandi://(?P<instance>[\w][\w.-]*)"
_BY_PATH = re.compile(rf"{_INSTANCE}/{_DANDISET}", re.DOTALL)
_BY_ID = re.compile(rf"{_INSTANCE}/assets/(?P<asset>{UUID})/?")
_PINNED = re.compile(rf"{_INSTANCE}/.*\?asset=(?P<asset>{UUID})", re.DOTALL)
_PAGE = re.compile(rf"/(?:#/)?dandiset/(?P<dandiset>[0-9]{{6}})(?:/(?P<version>{_VERSION}))?(?:/(?P<files>files)?)?")
_API_PATH = re.compile(rf"/dandisets/(?P<dandiset>[0-9]{{6}})(?:/versions/(?P<version>{_VERSION}))?(?:/assets)?/?")
_API_ASSET = re.compile(rf"(?:/dandisets/[0-9]{{6}}/versions/(?:{_VERSION}))?/assets/(?P<asset>{UUID})/?")
_FORMS = (
    "dandi://dandi/000363, …/000363@draft, …/000363@0.231012.2129, each with /folder/, /path/of/one.nwb or "
    "/sub-*/*.nwb behind it; or dandi://dandi/assets/ and the id of one"
)


@dataclass(frozen=True, slots=True)
class Instance:
    """An archive that is known by name (``dandi/consts.py`` of dandi-cli)."""

    api: str
    pages: str


INSTANCES: Mapping[str, Instance] = MappingProxyType(
    {
        "dandi": Instance("https://api.dandiarchive.org/api", "https://dandiarchive.org"),
        "dandi-sandbox": Instance("https://api.sandbox.dandiarchive.org/api", "https://sandbox.dandiarchive.org"),
        "linc": Instance("https://api.lincbrain.org/api", "https://lincbrain.org"),
        "linc-staging": Instance("https://staging-api.lincbrain.org/api", "https://staging.lincbrain.org"),
        "ember-dandi": Instance("https://api-dandi.emberarchive.org/api", "https://dandi.emberarchive.org"),
        "ember-dandi-sandbox": Instance(
            "https://api-dandi.sandbox.emberarchive.org/api", "https://dandi.sandbox.emberarchive.org"
        ),
    }
)
_ALIASES = {"sandbox": "dandi-sandbox"}


@dataclass(frozen=True, slots=True)
class DandiUrl:
    """What is meant: assets of a version by path, or one asset by its id."""

    instance: str
    """Name of the archive, in lower case."""
    kind: Literal["dandiset", "folder", "glob", "path", "asset"]
    dandiset: str = ""
    """Six digits; empty where an asset is meant by its id."""
    version: str | None = None
    """None: the one published last, or else the draft."""
    path: str = ""
    """Folder (with its slash), glob, or path of one asset, below the root of the dandiset."""
    asset_id: str = ""


def parse_dandi(text: str) -> DandiUrl | None:
    """Return what a URL says of an archive; None if it is no such URL.

    Parameters
    ----------
    text : str
        ``dandi://instance/...``, or an address of a page or of the API of an archive that is known by name:
        ``https://dandiarchive.org/dandiset/000363/draft/files?location=sub-1``. Links to downloads are not among
        them: they are files as they stand.

    Raises
    ------
    SourceNotFoundError
        If a ``dandi://`` URL has none of the forms.
    """
    if text[:8].lower() != "dandi://":
        return _from_web(text)
    text = "dandi://" + text[8:]
    if match := _PINNED.fullmatch(text) or _BY_ID.fullmatch(text):
        return DandiUrl(_instance(match["instance"]), "asset", asset_id=match["asset"].lower())
    match = _BY_PATH.fullmatch(text)
    if match is None:
        name = display_url(text)
        raise SourceNotFoundError(f"{name!r} is no URL of an archive; there are {_FORMS}", url=name)
    path = match["path"] or ""
    is_glob = MAGIC.search(path) is not None
    kind: Literal["dandiset", "folder", "glob", "path"] = "path"
    if not path.strip("/"):
        kind, path = "dandiset", ""
    elif path.endswith("/"):
        kind, path = ("glob", f"{path}**/*.nwb") if is_glob else ("folder", path)
    elif is_glob:
        kind = "glob"
    return DandiUrl(_instance(match["instance"]), kind, match["dandiset"], match["version"], unquote(path.lstrip("/")))


def _instance(name: str) -> str:
    return _ALIASES.get(name.lower(), name.lower())


def _from_web(text: str) -> DandiUrl | None:
    if text[:4].lower() != "http":
        return None
    for name, known in INSTANCES.items():
        if text.startswith(known.api + "/"):
            return _from_api(name, text.removeprefix(known.api))
        if text.startswith(known.pages + "/"):
            return _from_page(name, text.removeprefix(known.pages))
    return None


def _from_api(instance: str, rest: str) -> DandiUrl | None:
    if match := _API_ASSET.fullmatch(rest):
        return DandiUrl(instance, "asset", asset_id=match["asset"].lower())
    if match := _API_PATH.fullmatch(rest):
        return DandiUrl(instance, "dandiset", match["dandiset"], match["version"])
    return None


def _from_page(instance: str, rest: str) -> DandiUrl | None:
    where, _, query = rest.partition("?")
    match = _PAGE.fullmatch(where)
    if match is None:
        return None
    folder = parse_qs(query).get("location", [""])[0].strip("/") if match["files"] else ""
    kind: Literal["dandiset", "folder"] = "folder" if folder else "dandiset"
    return DandiUrl(instance, kind, match["dandiset"], match["version"], f"{folder}/" if folder else "")


def asset_name(url: DandiUrl, version: str, path: str) -> str:
    """Return the name of an asset: readable, and the same whoever asks and however links to it are signed."""
    return f"dandi://{url.instance}/{url.dandiset}@{version}/{_QUOTED.sub(lambda match: quote(match[0]), path)}"


# What would be read as a glob, a query or an encoding.
_QUOTED = re.compile(r"[%?*[]")


def pin(name: str, asset_id: str) -> str:
    """Return the URL of one asset for ever: a draft may have another asset of that path tomorrow."""
    return f"{name}{PIN}{asset_id}"


def split_pinned(url: str) -> tuple[str, str] | None:
    """Return instance and asset id of a URL that `pin` has made; None if it has none of them."""
    match = _PINNED.fullmatch(url)
    return None if match is None else (_instance(match["instance"]), match["asset"].lower())


def asset_link(url: str) -> str | None:
    """Return the link to a pinned asset that any client follows; None if it is none of an archive known by name."""
    found = split_pinned(url)
    known = None if found is None else INSTANCES.get(found[0])
    return None if found is None or known is None else f"{known.api}/assets/{found[1]}/download/"


def key_variable(instance: str) -> str:
    """Return the variable of the environment that holds the key of an archive, as dandi-cli names it."""
    return re.sub(r"\W", "_", instance.upper()) + "_API_KEY"


def instance_of(name: str) -> str | None:
    """Return the archive that a ``dandi://`` name is of; None for other names."""
    match = re.match(_INSTANCE, name)
    return None if match is None else _instance(match["instance"])
