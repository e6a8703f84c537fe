"""What a bucket holds of one folder: keys, and the lengths of their values."""

from __future__ import annotations

from collections.abc import Sequence

from nwb_dask.storage.access import Access
from nwb_dask.storage.listing import list_sizes
from nwb_dask.storage.urls import scheme, split_bucket


def list_below(url: str, prefix: str, access: Access) -> list[str]:
    """Return the keys below a folder of a folder in a bucket, sorted."""
    return sorted(sizes_below(url, prefix, access))


def sizes_below(url: str, prefix: str, access: Access) -> dict[str, int]:
    """Return the keys below a folder of a folder in a bucket, with the lengths of their values."""
    bucket, above, _ = split_bucket(url)
    above = f"{above.rstrip('/')}/".lstrip("/")
    found = list_sizes(f"{scheme(url)}://{bucket}", above + prefix, access)
    return {
        key.removeprefix(above): size for key, size in found.items() if key.startswith(above) and not key.endswith("/")
    }


def folder_of(keys: Sequence[str]) -> str:
    """Return the deepest folder that all keys are in, with a slash at the end; "" if that is all of it."""
    # What the first and the last have in common, in the order of the alphabet, all have.
    first, last = min(keys), max(keys)
    same = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[: first.rfind("/", 0, same) + 1]
