"""`amend`: opens a file for additions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nwb_dask.amending.beginning import Beginning, begin_from_file, begin_from_references, noted_of
from nwb_dask.amending.draft import Draft
from nwb_dask.amending.file import AmendedFile
from nwb_dask.amending.lock import WriterLock
from nwb_dask.amending.output import Output, is_output_name, open_output, output_path
from nwb_dask.amending.reading import open_original
from nwb_dask.amending.tree import DraftTree
from nwb_dask.backends import File, open_file
from nwb_dask.backends.lindi import LindiFile, check_noted, noted_files
from nwb_dask.errors import NWBDaskError, OutputError, SourceChangedError
from nwb_dask.index import Identity
from nwb_dask.references import LeftOut, stated_url
from nwb_dask.storage import Access, Folder, Named, Store, expand_sources, is_local, local_path, make_access, open_store


class _Begun(NamedTuple):
    """A draft to add to."""

    draft: Draft
    places: Mapping[str, str]
    """Where files are that it names."""
    left_out: tuple[LeftOut, ...] = ()


def amend(
    source: object,
    out: str | os.PathLike[str] | None = None,
    *,
    url: str | None = None,
    storage_options: Mapping[str, object] | None = None,
) -> AmendedFile:
    """Open a file for additions, which go to another one; the file itself is never written to, nor copied.

    Parameters
    ----------
    source : path or URL
        An NWB file, local or remote: HDF5, a Zarr store, or LINDI (``.lindi.json``, ``.lindi.tar``, ``.lindi.d``).
    out : path, optional
        What is added goes to this ``.lindi.tar`` or ``.lindi.d``, beside references to the original. If it is there, it
        has to be an amended file of the same `source`, and more is added to it. By default `source` itself, if it is a
        local ``.lindi.tar`` or ``.lindi.d``.
    url : str, optional
        Where readers of `out` find the original, if not where it is read now: see `nwb_dask.write_references`.
    storage_options : mapping, optional
        Credentials and endpoints, as `nwb_dask.read_table` takes them; they are not written.

    Returns
    -------
    AmendedFile
        An ``h5py.File`` in mode ``r+`` with ``add_table``, ``add_column`` and ``add_timeseries``; a context manager.
        ``pynwb.NWBHDF5IO(file=amended, mode="r+")`` reads it and writes to it. Nothing is at `out` before the first
        ``flush`` or ``close``.

    Raises
    ------
    OutputError
        If `out` is no such name, is something else, cannot be written, or is being amended by another process.
    SourceChangedError
        If the original is another one than when `out` was made: its references would lead to other bytes.
    UnsupportedLayoutError
        If the original is a Zarr store with arrays that LINDI has no words for: in a compressed zip file, or with
        codecs that Zarr v2 does not have.
    SourceUnavailableError, MalformedFileError
        If the original cannot be read.

    Notes
    -----
    What of an HDF5 file has no place in a LINDI file is listed in ``left_out`` of what is returned. Attributes keep
    value, not width, and text has no character set, as in all LINDI files. A killed process leaves
    what was there at the last ``flush`` or ``close``.

    Reading `out` follows references: see ``remap`` and ``allow_hosts`` of `nwb_dask.options`. A local original is named
    by its absolute path, and may be anywhere on the machine.

    Examples
    --------
    >>> with nwb_dask.amend("session.nwb", "session.lindi.tar") as amended:  # doctest: +SKIP
    ...     amended.add_column("/units", "quality", quality, description="isolation quality")
    >>> nwb_dask.read_table("session.lindi.tar", "/units")  # doctest: +SKIP
    """
    access = make_access(storage_options)
    named = expand_sources(source, access)
    if len(named) != 1:
        raise ValueError(f"amend opens one file, and {len(named)} are given, {named[0].name} the first")
    path = _target(named[0], out)
    lock = WriterLock(path)
    try:
        output = open_output(path)
    except BaseException:
        lock.release()
        raise
    try:
        draft, places, left_out = _begin(named[0], access, output, url)
        original = open_original(draft.document, output, places, storage_options)
    except BaseException:
        output.close()
        lock.release()
        raise

    def release() -> None:
        original.close()
        output.close()
        lock.release()

    return AmendedFile(DraftTree(draft, original, access), release, left_out)


def _target(source: Named, out: str | os.PathLike[str] | None) -> Path:
    """Return where additions go."""
    if out is not None:
        return output_path(out)
    if is_local(source.url) and is_output_name(local_path(source.url).rstrip("/")):
        return output_path(local_path(source.url).rstrip("/"))
    message = f"{source.name} is never written to: out= says where additions go, a .lindi.tar or .lindi.d"
    raise OutputError(message, url=source.name)


def _begin(source: Named, access: Access, output: Output, url: str | None) -> _Begun:
    """Return the draft of an output: what is there, or references to the original."""
    if output.document is not None and _is_same(source, output.path):
        return _Begun(Draft(output.document, output), {})
    with open_store(source.url, access) as store:
        identity = _stated(store.source.identity, source.url)
        if output.document is not None:
            draft = Draft(output.document, output)
            _check_continued(draft, source, store, identity)
            named = str(draft.notes().get("named") or stated_url(source.url, url, format_="lindi"))
            return _Begun(draft, {named: source.url})
        with open_file(store) as file:
            try:
                found = _beginning(file, store, source, url)
            except NWBDaskError as error:
                raise error.at(url=source.name) from error.__cause__
        named = stated_url(source.url, url, format_="lindi")
        files = noted_of(found, store, named, is_named=url is not None, folder=output.path.parent)
    draft = Draft(found.document, output)
    draft.note(source=source.name, identity=identity, named=named, files=files)
    return _Begun(draft, found.places, found.left_out)


def _beginning(file: File, store: Store | Folder, source: Named, url: str | None) -> Beginning:
    if isinstance(file, LindiFile):
        if url is not None:
            raise ValueError("url= is for HDF5 and Zarr: the references of a LINDI file stay as they are")
        return begin_from_references(store)
    return begin_from_file(file, source, url)


def _is_same(source: Named, path: Path) -> bool:
    return is_local(source.url) and os.path.realpath(local_path(source.url)) == str(path)


def _check_continued(draft: Draft, source: Named, store: Store | Folder, identity: list[Any]) -> None:
    """Raise unless an output that is there was made from this original, and from this version of it."""
    path, notes = draft.output.path, draft.notes()
    noted = noted_files(draft.document).get(str(notes.get("named")))
    is_moved = noted is not None and noted.beside is not None and _is_same(source, path.parent / noted.beside)
    if notes.get("source") != source.name and not is_moved:
        made_of = f"of {notes['source']}" if "source" in notes else "by another tool"
        message = (
            f"{path} is there, and was made {made_of}; name another file, or amend it itself: amend({str(path)!r})"
        )
        raise OutputError(message, url=str(path))
    if notes.get("identity") == identity:
        return
    if noted is not None and is_local(source.url):
        check_noted(noted, store)
        return
    message = f"{source.name} changed since {path} was made, whose references lead to other bytes now; amend it anew"
    raise SourceChangedError(message, url=source.name)


def _stated(identity: Identity, url: str) -> list[Any]:
    """Return a version as JSON; of a local file without what another name or place of it changes."""
    value = identity.value.partition(":")[0] if identity.kind == "mtime" and is_local(url) else identity.value
    return [identity.kind, value, identity.size]
