"""`write_references`: references to the data of NWB files, for LINDI, kerchunk and icechunk."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from nwb_dask.backends import File
from nwb_dask.errors import OutputError
from nwb_dask.index import Url
from nwb_dask.read import check_choice
from nwb_dask.read.describe import normalize_path
from nwb_dask.read.visit import visit_files
from nwb_dask.references.addresses import Stated, make_stated, stated_url
from nwb_dask.references.gather import Contents, Rules, gather
from nwb_dask.references.icechunk_store import is_icechunk, load_icechunk, write_icechunk
from nwb_dask.references.kerchunk import is_kerchunk_parquet, kerchunk_json, write_kerchunk_parquet
from nwb_dask.references.lindi import lindi_document
from nwb_dask.references.report import LeftOut, ReferenceFile, WrittenReferences
from nwb_dask.references.target import appearing, local_target
from nwb_dask.storage import Named, expand_sources, is_local, local_path, make_access
from nwb_dask.storage.durable import count_bytes

Format: TypeAlias = Literal["lindi", "kerchunk-json", "kerchunk-parquet", "icechunk"]

MAX_CHUNKS = 1000
"""LINDI's bound for a dataset whose chunks it lists."""
_MAX_BYTES = 20_000_000
"""Of a chunk of data that lie in one piece, as LINDI cuts them."""
_NO_HEAD = 1 << 20
"""Bytes at the start of an output that tell what it is."""

_SUFFIXES: Mapping[Format, str] = {
    "lindi": ".lindi.json",
    "kerchunk-json": ".kerchunk.json",
    "kerchunk-parquet": ".kerchunk.parquet",
    "icechunk": ".icechunk",
}
_LINDI = Rules(has_objects=True, max_chunks=MAX_CHUNKS, max_bytes=_MAX_BYTES, has_scalars=False)
_NUMBERS = Rules(has_objects=False, max_chunks=None, max_bytes=_MAX_BYTES, has_scalars=True)


@dataclass(frozen=True, slots=True)
class _Request:
    """What one call asked for."""

    format: Format
    targets: Mapping[Url, Path]
    group: str | None
    url: str | None
    rules: Rules
    overwrite: bool


def write_references(
    source: object,
    out: str | os.PathLike[str],
    *,
    format: Format = "lindi",  # noqa: A002  # the word that users know
    group: str | None = None,
    url: str | None = None,
    max_chunks: int | None = MAX_CHUNKS,
    storage_options: Mapping[str, object] | None = None,
    errors: Literal["raise", "skip"] = "raise",
    overwrite: bool = False,
) -> WrittenReferences:
    """Write where the data of NWB files are, in a form that other tools open, and return what was written.

    No data are copied but those of small arrays and, for LINDI, text: what is written names ranges of the files, which
    have to stay where they are. Reading them costs as many rounds of requests as the structure of a file is deep.

    Parameters
    ----------
    source : path, URL, list of them, glob or folder
        Which files: HDF5, Zarr stores, documents of references.
    out : path
        For one source the file, or of ``"kerchunk-parquet"`` and ``"icechunk"`` the folder, that is written. A list, a
        folder or a glob means a folder, which is made, with one output for each file: ``<name>.lindi.json``.
    format : {"lindi", "kerchunk-json", "kerchunk-parquet", "icechunk"}
        See the notes.
    group : str, optional
        Write the arrays of this group only, as if they were the file; not for LINDI. So `xarray.open_dataset` opens
        them.
    url : str, optional
        What is written in place of the URL of the source: where readers find the same bytes. By default the URL of a
        remote source, the link of an archive to the asset, and the absolute path of a local file.
    max_chunks : int or None
        For LINDI: datasets of more chunks become a link to the dataset, which LINDI opens with h5py. None lists all.
    storage_options : mapping, optional
        Credentials and endpoints of the sources; they are not written.
    errors : {"raise", "skip"}
        Files that are corrupt or missing: an error, or left out with a warning.
    overwrite : bool
        Whether earlier references may be replaced; they stay in place until the new ones are complete.

    Returns
    -------
    WrittenReferences
        Per file what was written, how many arrays and chunks, and what is left out with the reason.

    Raises
    ------
    OutputError
        If `out` is there and may not be replaced, or cannot be written; if the URL has a query string or a user in
        it, which may be secret; if LINDI cannot open it (``s3://`` and others): `url` says what to write.
    PathNotFoundError
        If there is no such `group`.
    UnsupportedLayoutError
        If `group` is a dataset.
    MalformedFileError, SourceUnavailableError
        If a file cannot be read.
    ImportError
        If ``format="icechunk"`` and icechunk is not installed.

    Notes
    -----
    The same file gives the same bytes, except as icechunk, which has times and random names in it.

    LINDI has everything but links into other files, virtual and external datasets, datasets and attributes without a
    shape, attributes that are complex numbers or lists of references, and the attribute text ``"NaN"``, which LINDI
    takes for a number. What no codec of numcodecs undoes, region references and nested types become links to the
    dataset in the file.
    LINDI 0.4.6 itself fails on chunks by zstd, the default of Zarr version 3, because it fills up short chunks with
    zeros; nwb_dask, kerchunk and zarr-python read them.
    Attributes keep value, not width; enumerations are integers.

    Chunks of a Zarr store are named by the files that hold them, which are listed, or asked for one by one where a
    server has no listing; those in shards are ranges of shards. What a document of references names is named again, as
    far as one may follow it from there, and so datasets that it links to. What numcodecs has no codec for is written
    out if it is text or has less than 1 MiB, and left out else.

    The other formats have numeric arrays only, each with dimensions of its own. ``fill_value`` is null unless a chunk
    was never written and the file says what stands there: xarray masks what equals it. Parquet with groups in groups
    needs ``remote_protocol`` among the options of fsspec, which otherwise looks for one in what it takes for arrays.
    """
    check_choice("format", format, get_args(Format))
    check_choice("errors", errors, ("raise", "skip"))
    if group is not None and format == "lindi":
        raise ValueError("group= is for kerchunk and icechunk: LINDI's documents are whole files")
    if max_chunks is not None and max_chunks < 0:
        raise ValueError(f"max_chunks={max_chunks!r}: a number of chunks or None is wanted")
    if format == "icechunk":
        load_icechunk()
    access = make_access(storage_options)
    named = tuple({one.url: one for one in expand_sources(source, access)}.values())
    is_one = len(named) == 1 and not isinstance(source, (list, tuple))
    if url is not None and not is_one:
        raise ValueError("url= names one file, and these are several sources")
    target = local_target(out)
    rules = replace(_LINDI, max_chunks=max_chunks) if format == "lindi" else _NUMBERS
    path = None if group is None else normalize_path(group)
    targets = {named[0].url: target} if is_one else _in_folder(named, target, format)
    _refuse_sources(named, targets)
    request = _Request(format, targets, path, url, rules, overwrite)
    found, skipped = visit_files(named, access, partial(_write, request), skip_corrupt=errors == "skip")
    return WrittenReferences(format, tuple(one for _, one in found), skipped)


def lindi_references(file: File, source: Url, url: str | None = None) -> tuple[bytes, tuple[LeftOut, ...]]:
    """Return the LINDI document of an open file, and what has no place in it.

    Parameters
    ----------
    file : File
        Open.
    source : Url
        Where it is.
    url : str, optional
        What is written for it; see `write_references`.
    """
    stated = stated_url(source, url, format_="lindi")
    urls = make_stated((file.source.url, source), stated, format_="lindi")
    contents = gather(file, None, _LINDI, urls, file_bytes=None)
    text, left_out = lindi_document(contents, urls)
    return text, tuple(sorted((*contents.left_out, *left_out), key=lambda one: one.path))


def _in_folder(named: tuple[Named, ...], folder: Path, format_: Format) -> dict[Url, Path]:
    """Return an output in a folder for each file; files of one name are told apart by a digest of what they are."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file, and several sources need a folder", url=str(folder))
    folder.mkdir(exist_ok=True)
    stems = {one.url: one.name.rstrip("/").rpartition("/")[2].removesuffix(".nwb") or "file" for one in named}
    counts: dict[str, int] = {}
    for stem in stems.values():
        counts[stem.casefold()] = counts.get(stem.casefold(), 0) + 1
    names = {one.url: one.name for one in named}
    return {
        url: folder / f"{stem}{_apart(names[url]) if counts[stem.casefold()] > 1 else ''}{_SUFFIXES[format_]}"
        for url, stem in stems.items()
    }


def _apart(name: str) -> str:
    return "~" + blake2b(name.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()


def _refuse_sources(named: tuple[Named, ...], targets: Mapping[Url, Path]) -> None:
    """Raise `OutputError` if a source would be overwritten."""
    paths = {os.path.realpath(local_path(one.url)) for one in named if is_local(one.url)}
    for target in targets.values():
        if os.path.realpath(target) in paths:
            raise OutputError(f"{target} is a source; name another file", url=str(target))


def _write(request: _Request, named: Named, file: File) -> ReferenceFile:
    url = stated_url(named.url, request.url, format_=request.format)
    file_bytes = None if request.format == "lindi" else file.source.identity.size
    urls = make_stated((file.source.url, named.url), url, format_=request.format)
    contents = gather(file, request.group, request.rules, urls, file_bytes=file_bytes)
    out = request.targets[named.url]
    with appearing(out, overwrite=request.overwrite, is_ours=_RECOGNIZERS[request.format]) as made:
        left_out = _WRITERS[request.format](made, contents, request.group or "/", urls)
    return ReferenceFile(
        out,
        named.name,
        url,
        len(contents.arrays),
        sum(array.n_chunks for array in contents.arrays.values()),
        sum(array.n_inline for array in contents.arrays.values()),
        count_bytes(out),
        tuple(sorted((*contents.left_out, *left_out), key=lambda one: one.path)),
    )


_Write: TypeAlias = "Callable[[Path, Contents, str, Stated], tuple[LeftOut, ...]]"


def _write_lindi(made: Path, contents: Contents, _top: str, urls: Stated) -> tuple[LeftOut, ...]:
    text, left_out = lindi_document(contents, urls)
    made.write_bytes(text)
    return left_out


def _write_kerchunk(made: Path, contents: Contents, top: str, urls: Stated) -> tuple[LeftOut, ...]:
    text, left_out = kerchunk_json(contents, top, urls)
    made.write_bytes(text)
    return left_out


def _is_json(path: Path) -> bool:
    """Return whether a file may be references as JSON."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(_NO_HEAD)
    return head.lstrip().startswith(b"{") and b'"refs"' in head


_WRITERS: Mapping[Format, _Write] = {
    "lindi": _write_lindi,
    "kerchunk-json": _write_kerchunk,
    "kerchunk-parquet": write_kerchunk_parquet,
    "icechunk": write_icechunk,
}
_RECOGNIZERS: Mapping[Format, Callable[[Path], bool]] = {
    "lindi": _is_json,
    "kerchunk-json": _is_json,
    "kerchunk-parquet": is_kerchunk_parquet,
    "icechunk": is_icechunk,
}
