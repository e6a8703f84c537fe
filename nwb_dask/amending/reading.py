"""The values that a draft began with, through the references that its document has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self
from uuid import uuid4

from nwb_dask.amending.document import LindiDocument, dump_document
from nwb_dask.amending.output import Output
from nwb_dask.amending.tar import DOCUMENT
from nwb_dask.backends import File
from nwb_dask.backends.lindi import LindiFile
from nwb_dask.errors import UnsupportedLayoutError
from nwb_dask.index import Identity, Source, Url
from nwb_dask.storage import Access, Buffer, KeyPlace, KeyRange, find_remap, make_access

_ALL = 1 << 62


class OutputFolder:
    """An output as a folder that is read, with the document as it was when this was made; see `storage.Folder`.

    Parameters
    ----------
    document : dict
        As it is now.
    output : Output
        Where its blobs are.
    access : Access
        How what it refers to is reached.
    """

    is_unchanged = False
    is_confirmed = True

    def __init__(self, document: LindiDocument, output: Output, access: Access) -> None:
        self._document = dump_document(document)
        self._output = output
        self.access = access
        self.size = len(self._document)
        self.local_path: str | None = str(output.path)
        # Of this process only: what is committed later is read through another one.
        self.source = Source(Url(str(output.path)), Identity("version", uuid4().hex, self.size))

    def read_keys(self, wanted: Sequence[KeyRange]) -> list[Buffer | None]:
        """Return values, or parts of them, in the order asked; None for a key that is not there."""
        return [self._read(key, part) for key, part in wanted]

    def _read(self, key: str, part: tuple[int, int] | int | None) -> Buffer | None:
        if key == DOCUMENT:
            start, stop = part if isinstance(part, tuple) else (0, None) if part is None else (-part, None)
            return self._document[start:stop]
        if not self._output.has_blob(key):
            return None
        if isinstance(part, int):
            return self._output.read_blob(key, 0, _ALL)[-part:]
        return self._output.read_blob(key, *(part or (0, _ALL)))

    def list_keys(self, prefix: str = "") -> list[str] | None:
        """Return nothing: it is not listed."""
        del prefix
        return None

    def locate_keys(self, keys: Sequence[str]) -> list[KeyPlace | None]:
        """Raise: what is being added has no place yet."""
        del keys
        message = "what is being added to has no references yet; commit and close it, and write those of the file then"
        raise UnsupportedLayoutError(message, url=self.source.url)

    def close(self) -> None:
        """Do nothing: the output is closed by whoever opened it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def open_original(
    document: LindiDocument,
    output: Output,
    places: Mapping[str, str],
    storage_options: Mapping[str, object] | None,
) -> File:
    """Return what reads the values that a document refers to.

    Parameters
    ----------
    document : dict
        As it is now; what is added to it later is not seen.
    output : Output
        Where its blobs are; stays open.
    places : mapping of str to str
        Files that the caller named, or that his file may refer to, and where they are: they may be read wherever.
    storage_options : mapping, optional
        How files are reached.
    """
    remap = {**places, **find_remap(make_access(storage_options))}
    access = make_access({**(storage_options or {}), "remap": remap} if remap else storage_options)
    return LindiFile(OutputFolder(document, output, access))
