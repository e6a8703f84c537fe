"""From what a user names to files: paths, URLs, globs and folders."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from nwb_dask.errors import SourceNotFoundError
from nwb_dask.index import Url
from nwb_dask.storage.access import Access
from nwb_dask.storage.listing import list_keys
from nwb_dask.storage.local import unavailable
from nwb_dask.storage.urls import BUCKETS, display_url, local_path, make_url, scheme, split_bucket

_SUFFIX = ".nwb"
# A directory of this name is one store, however many files it holds.
_STORE_SUFFIXES = (".nwb", ".zarr")
_MAGIC = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True)
class Named:
    """One file and the name that its rows carry."""

    name: str
    """As given, made absolute; of a URL without user and query string."""
    url: Url
    """Where it is; the URL as given, or the absolute path."""
    typed: str
    """As `name`, relative where it was given so; users compare rows with the paths that they wrote."""


def expand_sources(source: object, access: Access) -> tuple[Named, ...]:
    """Files that `source` means, in order; repeated ones stay.

    Parameters
    ----------
    source : str, path or Named, or list or tuple of them
        A path, or a URL (``file://``, ``http(s)://``, ``s3://``, ``gs://``, ``az://`` ...); a glob (local or in a
        bucket, ``**`` for any depth); a folder (local, or a prefix in a bucket that ends in a slash), which means every
        ``*.nwb`` below it. Matches of a glob and files of a folder are sorted by name. A local path that exists is
        that file, whatever characters it has. Names with a leading dot are left out, as a shell does. Files that this
        function found are themselves: what was listed once need not be listed again.
    access : Access
        How to list buckets.

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
    """
    if isinstance(source, (list, tuple)):
        if not source:
            raise SourceNotFoundError("no sources: the list is empty")
        return _told_apart(tuple(one for item in source for one in _expand(item, access)))
    return _told_apart(tuple(_expand(source, access)))


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
    kind = scheme(text)
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
    if found == [path]:
        return [Named(path, Url(path), text)]
    # What was typed up to the first folder that a glob leaves open.
    is_folder = os.path.isdir(path)  # noqa: PTH112  # text in, text out
    typed = base if is_folder else _MAGIC.split(base, maxsplit=1)[0].rpartition("/")[0]
    above = os.path.abspath(typed or ("/" if base.startswith("/") else "."))  # noqa: PTH100  # text in, text out
    return [Named(one, Url(one), os.path.join(typed, os.path.relpath(one, above))) for one in found]  # noqa: PTH118  # text in, text out


def _file_urls(text: str) -> list[Named]:
    path = os.path.normpath(local_path(text))
    found = _local(path)
    if found == [path]:
        return [Named(text, Url(path), text)]
    return [Named(one, Url(one), one) for one in found]


def _local(path: str) -> list[str]:
    """Return the files that an absolute path, folder or glob means."""
    if os.path.isdir(path) and not path.endswith(_STORE_SUFFIXES):  # noqa: PTH112  # text in, text out
        try:
            found = sorted(_walk(path, ()))
        except OSError as exc:
            raise unavailable(exc, str(exc.filename or path)) from exc
        if not found:
            raise SourceNotFoundError(f"the folder {path} has no *{_SUFFIX} in it", url=path)
        return found
    if os.path.lexists(path) or not _MAGIC.search(path):
        return [path]
    matches = glob.glob(path, recursive=True)  # noqa: PTH207  # pathlib leaves nothing out and knows no absolute globs
    found = sorted(one for one in matches if one.endswith(_STORE_SUFFIXES) or not os.path.isdir(one))  # noqa: PTH112  # text in, text out
    if not found:
        hint = f"; it matches folders only: end it with '/*{_SUFFIX}'" if matches else ""
        raise SourceNotFoundError(f"no file matches {path}{hint}", url=path)
    return found


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
            elif entry.is_dir() and not entry.name.endswith(_STORE_SUFFIXES):
                yield from _walk(entry.path, (*above, here))


def _bucket(text: str, access: Access) -> list[str]:
    """Return the URLs that a URL, prefix or glob of an object store means."""
    bucket, key, version = split_bucket(text)
    if not bucket or _MAGIC.search(bucket):
        name = display_url(text)
        raise SourceNotFoundError(f"{name!r} names no bucket: {scheme(text)}://bucket/key", url=name)
    is_folder = key.endswith("/") or not key
    if version or not (is_folder or _MAGIC.search(key)):
        return [text]
    if is_folder and key.rstrip("/").endswith(_STORE_SUFFIXES):
        return [text.rstrip("/")]
    pattern = key + "**/*" + _SUFFIX if is_folder and not _MAGIC.search(key) else key
    fixed = _MAGIC.split(pattern, maxsplit=1)[0].rpartition("/")
    recursive = "/" in pattern[len(fixed[0] + fixed[1]) :]
    keys = list_keys(f"{scheme(text)}://{bucket}", fixed[0] + fixed[1], access, recursive=recursive)
    matches = re.compile(_translate(pattern)).fullmatch
    found = sorted({one for one in map(_store_of, keys) if matches(one)})
    if not found:
        raise SourceNotFoundError(f"nothing in the bucket {bucket} matches {display_url(text)}", url=display_url(text))
    return [f"{scheme(text)}://{bucket}/{one}" for one in found]


def _store_of(key: str) -> str:
    """Return the key of a file, or of the Zarr store that it is a part of."""
    parts = key.split("/")
    for i, part in enumerate(parts[:-1]):
        if part.endswith(_STORE_SUFFIXES):
            return "/".join(parts[: i + 1])
    return key


def _translate(pattern: str) -> str:
    """Return a glob as a regular expression; ``*`` stays in its folder, ``**/`` means any folders."""
    parts = []
    for part in re.split(r"(\*\*/|/)", pattern):
        if part == "**/":
            parts.append(r"(?:[^/.][^/]*/)*")
        elif part == "/":
            parts.append("/")
        else:
            # fnmatch wraps the expression; its dots would cross into other folders.
            body = re.sub(r"\(\?s:(.*)\)\\[zZ]", r"\1", fnmatch.translate(part))
            hidden = r"(?!\.)" if part[:1] in {"*", "?"} else ""
            parts.append(hidden + body.replace(".*", "[^/]*"))
    return "".join(parts)


def _refuse_http_listing(text: str) -> None:
    # A slash at the end proves no folder: download links of archives have one. Opening tells.
    name = display_url(text)
    if "*" in name:
        raise SourceNotFoundError(
            f"{name}: http servers have no listing, so globs do not work there; give the list of URLs",
            url=name,
        )
