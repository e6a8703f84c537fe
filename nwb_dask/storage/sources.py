"""From what a user names to files: paths, URLs, globs and folders."""

from __future__ import annotations

import glob
import os
import re
import warnings
from collections.abc import Iterator, Sequence

from nwb_dask.errors import SourceNotFoundError, UnsupportedLayoutError
from nwb_dask.index import Url
from nwb_dask.storage.access import Access, find_file_system, find_secrets
from nwb_dask.storage.dandi_url import DandiUrl, parse_dandi
from nwb_dask.storage.globs import MAGIC, Choice, translate
from nwb_dask.storage.keys import ZARR_ROOTS
from nwb_dask.storage.listing import list_keys
from nwb_dask.storage.local import unavailable
from nwb_dask.storage.named import HasFiles, Named
from nwb_dask.storage.urls import BUCKETS, display_url, local_path, make_url, scheme, split_bucket

_SUFFIX = ".nwb"
_ZARR = ".zarr"
_ARRAY = "/.zarray"
# A directory of this name is one store, however many files it holds.
_STORE_SUFFIXES = (_SUFFIX, _ZARR, ".lindi.d")
_EVERYTHING = Choice()


def expand_sources(source: object, access: Access, choice: Choice = _EVERYTHING) -> tuple[Named, ...]:
    """Files that `source` means, in order; repeated ones stay.

    Parameters
    ----------
    source : str, path, Named, Sources, or list or tuple of them
        A path, or a URL (``file://``, ``http(s)://``, ``s3://``, ``gs://``, ``az://`` ...); a glob (local or in a
        bucket, ``**`` for any depth); a folder (local, or a prefix in a bucket that ends in a slash). A folder means
        every ``*.nwb`` below it, files and folders, and every Zarr store (``*.zarr`` that has a group at its root), but
        no LINDI documents and no ZIP files: these often stand beside what they stand for, and are found by name or glob
        (``*.lindi.json``, ``*.nwb.zarr.zip``). A store is one source, and what is in it none. Matches of a glob and
        files of a folder are sorted by name. A local path that exists is that file, whatever characters it has. Names
        with a leading dot are left out, as a shell does. For assets of an archive (``dandi://``) see
        `dandi_listing.find_assets`. Files that this function found are themselves: what was listed once need not be
        listed again.
    access : Access
        How to list buckets and archives.
    choice : Choice, optional
        Which of these files, and in which order those that a folder or glob means are.

    Returns
    -------
    tuple of Named
        At least one. A file that is named without a glob need not exist: opening it tells.

    Raises
    ------
    SourceNotFoundError
        If nothing matches, or if the server has no way to list (http).
    TypeError
        If `source` is none of these.
    ValueError
        If `choice` asks for an order that is known of archives only, or a key for one archive would go to two.
    """
    items = source if isinstance(source, (list, tuple)) else (source,)
    if not items:
        raise SourceNotFoundError("no sources: the list is empty")
    _check_one_archive(items, access)
    found = _told_apart(tuple(one for item in items for one in _chosen(item, access, choice)))
    if not found:
        raise SourceNotFoundError("no sources: 'include' and 'exclude' leave none of those that were found")
    return found


def _check_one_archive(items: Sequence[object], access: Access) -> None:
    """Raise if a key would go to several archives; those of the environment have a variable for each."""
    if "dandi_api_key" not in find_secrets(access):
        return
    texts = [text for item in items for text in (item.files if isinstance(item, HasFiles) else (item,))]
    urls = [text.url if isinstance(text, Named) else text for text in texts]
    archives = {found.instance for url in urls if isinstance(url, str) and (found := parse_dandi(url))}
    if len(archives) > 1:
        raise ValueError(f"storage_options['dandi_api_key'] is of one archive, not of {', '.join(sorted(archives))}")


def _chosen(item: object, access: Access, choice: Choice) -> list[Named]:
    """Return the files that one item means and that are wanted."""
    archive = parse_dandi(item) if isinstance(item, str) else None
    if archive is not None:
        return _assets(archive, str(item), access, choice)
    found = list(item.files) if isinstance(item, HasFiles) else _expand(item, access)
    if not choice.order.endswith("path"):
        raise ValueError(f"order={choice.order!r} is known of assets of an archive only (dandi://)")
    kept = [one for one in found if choice.keeps(one.name)]
    return sorted(kept, key=lambda one: one.name, reverse=True) if choice.order == "-path" else kept


def _assets(archive: DandiUrl, text: str, access: Access, choice: Choice) -> list[Named]:
    from nwb_dask.storage.dandi_listing import find_assets  # noqa: PLC0415  # 20 ms for those who read archives

    found = find_assets(archive, text, access, choice)
    # Rows of a single asset may be compared with what was typed.
    typed = display_url(text) if archive.kind in {"path", "asset"} else None
    return [Named(name, Url(url), typed or name) for name, url in found]


def _told_apart(found: tuple[Named, ...]) -> tuple[Named, ...]:
    """Return `found`; warn if different URLs have one name, because names leave the query string out."""
    urls: dict[str, str] = {}
    for one in found:
        if urls.setdefault(one.name, one.url) != one.url:
            message = (
                f"several URLs differ only behind the question mark and share the name {one.name}: "
                "`_nwb_path` does not tell their rows apart"
            )
            warnings.warn(message, UserWarning, stacklevel=4)
            break
    return found


def _expand(item: object, access: Access) -> list[Named]:
    if isinstance(item, Named):
        return [item]
    text = os.fspath(item) if isinstance(item, os.PathLike) else item
    if not isinstance(text, str):
        raise TypeError(f"a source is a path, a URL, or a list of them, not {type(item).__name__}")
    if not text:
        raise SourceNotFoundError("no sources: the path is empty")
    system = find_file_system(access)
    if system is not None:
        text = system.unstrip_protocol(text)
    kind = scheme(text)
    if system is not None and kind != "file":
        return [_remote(text)]
    if kind == "":
        return _paths(text)
    if kind == "file":
        return _file_urls(text)
    if kind in BUCKETS:
        return [_remote(url) for url in _bucket(text, access)]
    if kind in {"http", "https"}:
        _refuse_http_listing(text)
    return [_remote(text)]


def _remote(url: str) -> Named:
    return Named(display_url(url), make_url(url), display_url(url))


def _paths(text: str) -> list[Named]:
    base = os.path.expanduser(text)  # noqa: PTH111  # Path drops a leading './', which is how it was typed
    path = os.path.abspath(base)  # noqa: PTH100  # links stay as they are: the name is what the user knows
    found = _local(path)
    _check_text(found)
    if found == [path]:
        return [Named(path, Url(path), text)]
    # What was typed up to the first folder that a glob leaves open.
    is_folder = os.path.isdir(path)  # noqa: PTH112  # text in, text out
    typed = base if is_folder else MAGIC.split(base, maxsplit=1)[0].rpartition("/")[0]
    above = os.path.abspath(typed or ("/" if base.startswith("/") else "."))  # noqa: PTH100  # text in, text out
    return [Named(one, Url(one), os.path.join(typed, os.path.relpath(one, above))) for one in found]  # noqa: PTH118  # text in, text out


def _file_urls(text: str) -> list[Named]:
    path = os.path.normpath(local_path(text))
    found = _local(path)
    if found == [path]:
        return [Named(text, Url(path), text)]
    return [Named(one, Url(one), one) for one in found]


def _check_text(names: list[str]) -> None:
    """Raise if a name is no text: rows carry it as such."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            shown = name.encode(errors="backslashreplace").decode()
            raise UnsupportedLayoutError(f"the name of {shown} is not UTF-8: rename it, or link to it") from None


def _local(path: str) -> list[str]:
    """Return the files that an absolute path, folder or glob means."""
    if os.path.isdir(path) and not _is_store(path):  # noqa: PTH112  # text in, text out
        try:
            found = sorted(_walk(path, ()))
        except OSError as exc:
            raise unavailable(exc, str(exc.filename or path)) from exc
        if not found:
            raise SourceNotFoundError(f"the folder {path} has no *{_SUFFIX} and no *{_ZARR} in it", url=path)
        return found
    if os.path.lexists(path) or not MAGIC.search(path):
        return [path]
    matches = glob.glob(path, recursive=True)  # noqa: PTH207  # pathlib leaves nothing out and knows no absolute globs
    fixed = len(MAGIC.split(path, maxsplit=1)[0].rpartition("/")[0])
    found = sorted(one for one in matches if _is_source(one) and not _is_in_store(one[fixed:]))
    if not found:
        hint = f"; it matches folders only: end it with '/*{_SUFFIX}'" if matches else ""
        raise SourceNotFoundError(f"no file matches {path}{hint}", url=path)
    return found


def _is_store(path: str) -> bool:
    """Return whether a local folder is one source, by its name or by what is in it."""
    return path.endswith(_STORE_SUFFIXES) or _has_root(path)


def _has_root(path: str) -> bool:
    return any(os.path.exists(f"{path}/{root}") for root in ZARR_ROOTS)  # noqa: PTH110  # text in, text out


def _is_source(path: str) -> bool:
    return _is_store(path) or not os.path.isdir(path)  # noqa: PTH112  # text in, text out


def _is_in_store(path: str) -> bool:
    """Return whether what a glob matched is a part of a store."""
    return any(part.endswith(_STORE_SUFFIXES) for part in path.split("/")[:-1])


def _walk(folder: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """Yield the files of a folder and the folders in it; links are followed unless they lead upwards."""
    status = os.stat(folder)  # noqa: PTH116  # text in, text out
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.name.endswith(_SUFFIX):
                yield entry.path
            elif not entry.is_dir():
                continue
            elif entry.name.endswith(_ZARR) and _has_root(entry.path):
                yield entry.path
            elif not _is_store(entry.path):
                yield from _walk(entry.path, (*above, here))


def _bucket(text: str, access: Access) -> list[str]:
    """Return the URLs that a URL, prefix or glob of an object store means."""
    bucket, key, version = split_bucket(text)
    if not bucket or MAGIC.search(bucket):
        name = display_url(text)
        raise SourceNotFoundError(f"{name!r} names no bucket: {scheme(text)}://bucket/key", url=name)
    is_folder = key.endswith("/") or not key
    if version or not (is_folder or MAGIC.search(key)):
        return [text]
    if is_folder and key.rstrip("/").endswith(_STORE_SUFFIXES):
        return [text.rstrip("/")]
    is_all = is_folder and not MAGIC.search(key)
    pattern = key + "**/*" if is_all else key
    fixed = MAGIC.split(pattern, maxsplit=1)[0].rpartition("/")
    recursive = "/" in pattern[len(fixed[0] + fixed[1]) :]
    place = f"{scheme(text)}://{bucket}"
    keys = list_keys(place, fixed[0] + fixed[1], access, recursive=recursive, skip=lambda one: _store_in(one, fixed[0]))
    if is_all and key and not set(ZARR_ROOTS).isdisjoint(one.removeprefix(key) for one in keys):
        return [text]
    matches = re.compile(translate(pattern)).fullmatch
    stores = {one: _store_in(one, fixed[0]) or one for one in keys}
    found = sorted({one for one in stores.values() if matches(one)})
    if is_all:
        # What has an array at its root is no session. Of a long store not all documents are listed.
        zarr = {store for one, store in stores.items() if one != store} - {
            one.removesuffix(_ARRAY) for one in keys if one.endswith(_ZARR + _ARRAY)
        }
        found = [one for one in found if one.endswith(_SUFFIX) or (one.endswith(_ZARR) and one in zarr)]
    if not found:
        raise SourceNotFoundError(f"nothing in the bucket {bucket} matches {display_url(text)}", url=display_url(text))
    return [f"{place}/{one}" for one in found]


def _store_in(key: str, above: str) -> str | None:
    """Return the key of the store below `above` that a key is in; None if it is in none."""
    start = len(above) + 1 if above else 0
    parts = key[start:].split("/")
    for i, part in enumerate(parts[:-1]):
        if part.endswith(_STORE_SUFFIXES):
            return key[:start] + "/".join(parts[: i + 1])
    return None


def _refuse_http_listing(text: str) -> None:
    # A slash at the end proves no folder: download links of archives have one. Opening tells.
    name = display_url(text)
    if "*" in name:
        raise SourceNotFoundError(
            f"{name}: http servers have no listing, so globs do not work there; give the list of URLs",
            url=name,
        )
