"""From a URL of an archive to the assets that it means."""

from __future__ import annotations

import re

from nwb_dask.errors import SourceNotFoundError
from nwb_dask.storage.access import Access
from nwb_dask.storage.dandi_api import Api, Asset
from nwb_dask.storage.dandi_url import DandiUrl, asset_name, pin
from nwb_dask.storage.globs import Choice, translate
from nwb_dask.storage.urls import display_url


def find_assets(url: DandiUrl, text: str, access: Access, choice: Choice) -> list[tuple[str, str]]:
    """Return name and URL of each NWB asset that is meant and wanted.

    A dandiset or a folder means every ``*.nwb`` and ``*.nwb.zarr`` below it, and a glob what it matches, ``*`` within a
    folder and ``**`` at any depth. The URLs name assets by their ids, so that they mean the same bytes for ever.

    Parameters
    ----------
    url : DandiUrl
        What is meant. An asset that is named by its id is not asked for: opening it tells whether it exists.
    text : str
        The same as it was typed, for errors.
    access : Access
        Key, and where the API is.
    choice : Choice
        Which of the assets, and in which order; by default in that of their paths, character by character.

    Raises
    ------
    SourceNotFoundError
        If there is no such dandiset, version or asset, or nothing that matches.
    SourceAccessError
        If the archive refuses to tell.
    SourceUnavailableError
        If it does not answer, or not as it should.
    """
    if url.kind == "asset":
        name = display_url(text) if text.startswith("dandi://") else f"dandi://{url.instance}/assets/{url.asset_id}"
        return [(name, pin(name, url.asset_id))] if choice.keeps(name) else []
    api = Api(url, access)
    version = url.version or api.default_version()
    found = _listed(api, url, version)
    if not found:
        raise SourceNotFoundError(f"no asset in {api.name}@{version} matches {display_url(text)}", url=api.name)
    named = [(asset_name(url, version, one.path), one) for one in found]
    kept = [(name, one) for name, one in _ordered(named, choice) if choice.keeps(name)]
    return [(name, pin(name, one.asset_id)) for name, one in kept]


def _listed(api: Api, url: DandiUrl, version: str) -> list[Asset]:
    """Return the assets that the path of a URL means, whatever is wanted of them."""
    if url.kind == "path":
        near = api.list_assets(version, {"path": url.path})
        exact = [one for one in near if one.path == url.path]
        if not exact:
            is_folder = any(one.path.startswith(f"{url.path}/") for one in near)
            hint = "it is a folder: end it with '/'" if is_folder else f"sources('{api.name}@{version}') lists them"
            message = f"{api.name}@{version} has no asset {url.path!r}; {hint}"
            raise SourceNotFoundError(message, url=asset_name(url, version, url.path))
        return exact
    if url.kind == "glob":
        matches = re.compile(translate(url.path)).fullmatch
        return [one for one in api.list_assets(version, {"glob": _widened(url.path)}) if matches(one.path)]
    # One question instead of two: the archive's glob cannot say that the name ends there.
    below = re.compile(re.escape(url.path) + translate("**/*.nwb") + r"(\.zarr)?").fullmatch
    return [one for one in api.list_assets(version, {"glob": f"{url.path}*.nwb*"}) if below(one.path)]


def _widened(pattern: str) -> str:
    """Return a glob that matches at least as much, with ``*`` alone, which is all that the archive's own knows."""
    return re.sub(r"[*]+(/[*]+)*", "*", re.sub(r"\[!?\]?[^]]*\]|[?]|\*\*/", "*", pattern))


def _ordered(named: list[tuple[str, Asset]], choice: Choice) -> list[tuple[str, Asset]]:
    field = choice.order.lstrip("-")
    # Times are ISO texts of one kind (``AssetSerializer``), which sort as the times do.
    return sorted(named, key=lambda pair: (getattr(pair[1], field), pair[1].path), reverse=choice.order.startswith("-"))
