"""`sources`: which files a name means, found once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nwb_dask.storage import Order, Sources, expand_sources, make_access, make_choice


def sources(
    source: object,
    *,
    storage_options: Mapping[str, object] | None = None,
    include: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] | None = None,
    order: Order = "path",
    max_assets: int | None = None,
) -> Sources:
    """Return the files that a source means, as a list that can be given wherever a source is asked for.

    Folders, globs and archives are listed here and now, and no file is opened. Every function takes the same sources
    directly; this one chooses among them, and lists once for many calls.

    Parameters
    ----------
    source : path, URL, list of them, glob, folder, archive or Sources
        Of a DANDI archive: ``dandi://dandi/000363`` (the version published last, or else the draft),
        ``…/000363@draft``, ``…/000363@0.231012.2129``; behind it a folder (``/sub-1/``), a glob (``/sub-*/*.nwb``,
        ``**/`` for any depth) or the path of one asset; or ``dandi://dandi/assets/`` and the id of one. ``dandi`` is
        the name of the archive; ``sandbox``, ``linc`` and ``ember-dandi`` are known too, and any other name needs
        ``dandi_api``. Addresses of web pages, ``https://dandiarchive.org/dandiset/000363/draft``, mean the same.
    storage_options : mapping, optional
        Credentials and endpoints, as `nwb_dask.read_table` takes them. Of archives: ``dandi_api``, the URL of the API
        of one that is hosted by yourself, and ``dandi_api_key``, by default the variable ``DANDI_API_KEY`` (of another
        archive its own: ``DANDI_SANDBOX_API_KEY``). They are not kept: give them again to what reads the files.
    include, exclude : str or list of str, optional
        Globs over the ends of names, from any folder on: ``"*_ecephys.nwb"``, ``"sub-1/*"``.
    order : {"path", "-path", "created", "-created", "modified", "-modified"}
        Of what one folder, glob or archive means; times only of archives. A list stays in its order.
    max_assets : int, optional
        Take no more than the first so many, to try something out.

    Returns
    -------
    Sources
        At least one file. Assets are pinned by their ids, so that the same bytes are read tomorrow, even of a draft.

    Raises
    ------
    SourceNotFoundError
        If there is no such file, dandiset, version or asset, or if none is left.
    SourceAccessError
        If the archive does not show it: it is embargoed, and needs a key.
    SourceUnavailableError
        If it cannot be listed.
    UnsupportedLayoutError
        If an asset is a Zarr store: exclude it.
    TypeError, ValueError
        For arguments that mean nothing.
    """
    if max_assets is not None:
        if isinstance(max_assets, bool) or not isinstance(max_assets, int):
            raise TypeError("max_assets is not a whole number")
        if max_assets < 1:
            raise ValueError("max_assets is less than 1")
    choice = make_choice(include, exclude, order)
    return Sources(expand_sources(source, make_access(storage_options), choice)[:max_assets])
