"""`build_catalog`: what many files hold, written down once for everybody."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from nwb_dask.catalog.shared import MANIFEST, Manifest, SharedCatalog, find_manifest, is_part, read_manifest
from nwb_dask.cataloguing.catalog import Catalog
from nwb_dask.cataloguing.describe import Detail
from nwb_dask.cataloguing.finish import finish
from nwb_dask.cataloguing.gather import Job, gather
from nwb_dask.cataloguing.journal import FOLDER
from nwb_dask.cataloguing.origin import list_files
from nwb_dask.conversion.progress import progress_bar
from nwb_dask.errors import MalformedFileError, OutputError, SourceNotFoundError, UnsupportedLayoutError
from nwb_dask.storage import make_access
from nwb_dask.storage.target import Target, held, open_target


def build_catalog(
    sources: object,
    out: str | os.PathLike[str],
    *,
    client: Any = None,  # noqa: ANN401  # a distributed.Client, which may not be installed
    update: bool = True,
    statistics: bool = True,
    range_rows: int = 1 << 16,
    indexes: bool = True,
    storage_options: Mapping[str, object] | None = None,
    progress: bool | None = None,
) -> Catalog:
    """Write what many NWB files hold as a catalog, a Parquet dataset that can be given wherever a source is.

    Each file is opened once: its metadata, tables, series, and the values of light columns (numbers, text, one per
    row) are read, of ragged columns the lengths. A file that cannot be read is listed with the error and harms no
    other. What is finished is kept: a run that was broken off is finished by the same call, and what was at `out`
    before stays until the new one is complete.

    Parameters
    ----------
    sources : path, URL, list of them, glob, folder, archive or Sources
        Which files, each once. What a catalog was built from is `Catalog.built_from`.
    out : path or URL
        A local folder, which is made, or the URL of a prefix in a bucket.
    client : distributed.Client, optional
        Files are described by the workers of this cluster. By default in threads, many remote files at a time.
    update : bool
        Take over what a catalog at `out` says of files that have not changed: each is asked for its version, and not
        opened. Files that are no longer among `sources` are dropped. With False, all are described anew.
    statistics : bool
        Whether to read values of columns, so that filters leave files unopened that cannot match.
    range_rows : int
        Rows of a range that statistics are of.
    indexes : bool
        Whether to keep where everything is in remote files, so that who reads them need not find out again.
    storage_options : mapping, optional
        Credentials and endpoints of the files and of `out`; none of them is written.
    progress : bool, optional
        Whether to draw a bar on standard error; by default where that is a terminal.

    Returns
    -------
    Catalog
        Open, as from `open_catalog`. ``catalog.failed`` lists the files that could not be read.

    Raises
    ------
    OutputError
        If `out` holds something else, cannot be written to, or another process is building there.
    MalformedFileError, UnsupportedLayoutError
        If the catalog at `out` is damaged or of another version; ``update=False`` writes it anew.
    SourceNotFoundError
        If there are no such files.
    """
    if range_rows < 1:
        raise ValueError(f"range_rows={range_rows!r}: a number of rows is wanted, at least 1")
    access = make_access(storage_options)
    listed = list_files(sources, access)
    named = tuple(one.named for one in listed)
    target = open_target(out, access)
    detail = Detail(statistics, range_rows, indexes)
    with held(target):
        manifest = _manifest(target, update=update)
        is_usable = update and manifest is not None and manifest.options == detail.as_json()
        before = SharedCatalog(target, manifest) if is_usable and manifest is not None else None
        job = Job(target, named, access, detail, before, tuple(one.found_by for one in listed))
        with progress_bar(len(named), 0, shown=progress, label="cataloguing") as tell:
            found = gather(job, client, tell)
        finish(job, found, manifest)
    return Catalog(target, read_manifest(target))


def _manifest(target: Target, *, update: bool) -> Manifest | None:
    """Return the manifest of what is there; None if nothing is.

    With ``update=False`` a catalog that cannot be read is replaced too.
    """
    try:
        found = find_manifest(target)
    except (MalformedFileError, UnsupportedLayoutError):
        if update:
            raise
        return Manifest({}, tag=target.read(MANIFEST)[1])
    if found is None:
        others = [key for key in _keys(target) if not (is_part(key) or key.startswith(f"{FOLDER}/"))]
        if others:
            message = f"{target.name} holds {others[0]}, and no catalog; name another folder"
            raise OutputError(message, url=target.name)
    return found


def _keys(target: Target) -> list[str]:
    try:
        return target.keys("")
    except SourceNotFoundError:
        return []
