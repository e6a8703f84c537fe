"""Files of the DANDI archive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from nwb_dask.compat.lazynwb.file_io import FileAccessor
from nwb_dask.compat.lazynwb.settings import configured
from nwb_dask.errors import SourceNotFoundError
from nwb_dask.storage import Order, make_access
from nwb_dask.storage.dandi_api import Api, Asset
from nwb_dask.storage.dandi_url import INSTANCES, asset_name, parse_dandi, pin

DANDI_API_BASE = INSTANCES["dandi"].api
"""Where the archive's API is. To ask another: ``nwb_dask.options(dandi_api=...)``."""


def get_dandi_sources(
    dandiset_id: str,
    version: str | None = None,
    order: Order = "path",
    *,
    asset_ids: Sequence[str] | None = None,
    asset_filter: Callable[[dict[str, Any]], bool] | None = None,
    max_assets: int | None = None,
) -> list[str]:
    """Return the NWB files of a dandiset as URLs that every function here and of nwb_dask takes.

    They are ``dandi://`` URLs that name assets by their ids, not addresses of buckets: where the bytes are is asked
    when they are read. See `nwb_dask.sources`, which does more.

    Parameters
    ----------
    dandiset_id : str
        Six digits.
    version : str, optional
        By default the one published last, or else the draft.
    order : str
        ``"path"``, ``"created"``, ``"modified"``, or one of them with a minus in front.
    asset_ids : sequence of str, optional
        Only these assets, in this order.
    asset_filter : callable, optional
        Is given ``asset_id``, ``path``, ``size``, ``created`` and ``modified`` of each asset, and says whether to take
        it.
    max_assets : int, optional
        Take no more than the first so many.

    Raises
    ------
    ValueError
        If none is left.
    SourceNotFoundError, SourceAccessError
        If there is no such dandiset or version, or if it needs a key (``DANDI_API_KEY``).
    """
    if isinstance(asset_ids, str):
        raise ValueError("asset_ids must be a sequence of DANDI asset ID strings")  # noqa: TRY004  # as lazynwb
    ids = None if asset_ids is None else [one for one in asset_ids if one]
    if ids is not None and not ids:
        raise ValueError(f"No DANDI asset IDs provided for dandiset {dandiset_id}")
    if ids is not None and asset_filter is None:
        return [f"dandi://dandi/assets/{one}" for one in ids[:max_assets]]
    found = _listed(dandiset_id, version, order)
    if ids is not None:
        by_id = {one.asset_id: pair for pair in found for one in (pair[1],)}
        found = [by_id[one] for one in ids if one in by_id]
    kept = [url for url, one in found if asset_filter is None or asset_filter(asdict(one))][:max_assets]
    if not kept:
        raise ValueError(f"No NWB assets selected for dandiset {dandiset_id}: it has {len(found)} to choose from")
    return kept


def from_dandi_asset(dandiset_id: str, asset_id: str, version: str | None = None) -> FileAccessor:
    """Return one asset of a dandiset as an open file; the asset is known by its id alone."""
    return FileAccessor(f"dandi://dandi/assets/{asset_id}")


def _listed(dandiset_id: str, version: str | None, order: Order) -> list[tuple[str, Asset]]:
    """Return the URL of each file of a dandiset with what its archive says of it."""
    url = parse_dandi(f"dandi://dandi/{dandiset_id}" + (f"@{version}" if version else ""))
    if url is None:
        raise SourceNotFoundError(f"{dandiset_id!r} is no dandiset: its name has six digits")
    with configured() as storage_options:
        api = Api(url, make_access(storage_options))
        named = version or api.default_version()
        assets = [
            one
            for one in api.list_assets(named, {"glob": "*.nwb*"})
            if one.path.lower().endswith(".nwb") and not one.is_zarr
        ]
    field = order.lstrip("-")
    assets.sort(key=lambda one: (getattr(one, field), one.path), reverse=order.startswith("-"))
    return [(pin(asset_name(url, named, one.path), one.asset_id), one) for one in assets]
